"""Values of single options, and text that stands for one."""

import json
from typing import Any, get_args

Scalar = str | int | float | bool | None


def read_scalar(value: Any) -> Any:
    """The number, truth value or null that a text spells, of a list each; anything else as it is.

    YAML 1.1 reads 3e-6 as text, and snakemake's --config all that is nested.
    """
    if isinstance(value, list):
        return [read_scalar(part) for part in value]
    if not isinstance(value, str):
        return value
    try:
        scalar = json.loads(value, parse_constant=str)
    except ValueError:
        return value
    return value if isinstance(scalar, str | dict | list) else scalar


def takes_text(annotation: Any) -> bool:
    """Whether a field of some type may hold any text, so that none stands for something else."""
    return annotation is str or any(takes_text(part) for part in get_args(annotation))
