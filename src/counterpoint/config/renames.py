"""Options that have a new name: told to whoever still writes the old one, read in older files."""

from collections.abc import Mapping
from typing import Any

RENAMED: Mapping[str, str] = {
    "encoder.roles": "encoder.towers",
    "projection.kind": "projection.towers",
    "projection.start": "projection.init",
    "mining.pool": "mining.top_m",
    "training.batch": "training.batch_size",
    "training.warmup": "training.warmup_ratio",
    "training.order": "training.batch_sampler",
}
"""Old path of an option of a cell to its path now, in the same section."""


def new_path(name: str) -> str | None:
    """The path now of an option by an old name, as an axis names it: in full or by its last part.

    `batch` and `training.batch` give `training.batch_size`; any other name gives None.
    """
    by_leaf = {old.partition(".")[2]: new for old, new in RENAMED.items()}
    # `kind` was, and is, the last part of other options too.
    return {**by_leaf, **RENAMED, "kind": None}.get(name)


def translate(values: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a cell or a run as an older version wrote them, by their names now."""
    translated = dict(values)
    for old, new in RENAMED.items():
        section, _, key = old.partition(".")
        options = translated.get(section)
        if isinstance(options, Mapping) and key in options:
            kept = {name: value for name, value in options.items() if name != key}
            translated[section] = {**kept, new.partition(".")[2]: options[key]}
    if isinstance(matrix := translated.get("matrix"), Mapping):
        translated["matrix"] = {
            key: _entries(value) if key in ("axes", "include", "exclude") else value
            for key, value in matrix.items()
        }
        if isinstance(axes := translated["matrix"].get("axes"), Mapping):
            # Once the way to take an axis out of a file below.
            kept = {name: values for name, values in axes.items() if values is not None}
            translated["matrix"]["axes"] = kept
    return translated


def _entries(value: Any) -> Any:
    """Axes, or a list of entries of the matrix, with new names for old ones."""
    if isinstance(value, list):
        return [_entries(entry) for entry in value]
    if isinstance(value, Mapping):
        return {new_path(name) or name: values for name, values in value.items()}
    return value
