"""A run of a few cells on a tiny encoder."""

from pathlib import Path
from typing import Any

from counterpoint.config import loading
from counterpoint.config.run_options import RunConfig


def configuration(tiny_bert: Path, **values: Any) -> RunConfig:
    """Four cells of four epochs; `values` change any of it."""
    return loading.load(
        {
            "run": "mini",
            "encoder": {"name": str(tiny_bert), "max_tokens": 24},
            "training": {"epochs": 4, "batch_size": 4},
            "stopping": {"patience": None, "dev_loss_rises": None},
            "matrix": {"axes": {"fusion": ["cls", "concat"], "seed": [1, 2]}},
            "baselines": ["random", "untrained"],
            **values,
        },
        "test",
    )
