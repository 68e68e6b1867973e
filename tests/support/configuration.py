"""The files in `config/`, read as the workflow reads them."""

from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import update_config

ROOT = Path(__file__).parents[2]


def read_yaml(name: str) -> dict[str, Any]:
    """One of the files."""
    values: dict[str, Any] = yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8"))
    return values


def on_top(*names: str) -> dict[str, Any]:
    """config.yaml with further files on top, merged as snakemake merges them."""
    values = read_yaml("config.yaml")
    for name in names:
        update_config(values, read_yaml(name))
    return values
