"""The files in `config/`, read as the workflow reads them."""

from pathlib import Path
from typing import Any

import yaml

from counterpoint.config.layers import Layer, merge

ROOT = Path(__file__).parents[2]


def read_yaml(name: str) -> dict[str, Any]:
    """One of the files."""
    values: dict[str, Any] = yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8"))
    return values


def on_top(*names: str) -> dict[str, Any]:
    """config.yaml with further files on top."""
    return merge([Layer(name, read_yaml(name)) for name in ("config.yaml", *names)])[0]
