"""Configuration files and command-line options laid on top of one another.

Sections are merged option by option. The matrix is not: whoever gives one gives all of it, so that
one axis alone means that axis alone, whatever the files below have.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterpoint.config.loading import sections_of
from counterpoint.config.origins import Origins
from counterpoint.config.run_options import MatrixOptions, RunConfig
from counterpoint.config.section import Section

COMMAND_LINE = "--config"
"""The source of what was given on the command line."""


@dataclass(frozen=True)
class Layer:
    """What one source gives."""

    source: str
    """A file's path, or `COMMAND_LINE`."""
    values: Mapping[str, Any]


def merge(layers: Sequence[Layer]) -> tuple[dict[str, Any], Origins]:
    """What layers add up to, the last on top, and where each option came from."""
    values: dict[str, Any] = {}
    for layer in layers:
        values = on_top(RunConfig, values, layer.values)
    origins = [(layer.source, frozenset(_given(RunConfig, layer.values))) for layer in layers]
    return values, Origins(origins)


def on_top(kind: type[Section], below: Any, above: Any) -> Any:
    """The options of one section with others on top."""
    above = _spelled_out(kind, above)
    if kind is MatrixOptions or not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return above
    inner = dict(sections_of(kind))
    merged = dict(below)
    for key, value in above.items():
        # A section that is not there yet is spelled out all the same, for the layers above.
        merged[key] = on_top(inner[key], merged.get(key, {}), value) if key in inner else value
    return merged


def _spelled_out(kind: type[Section], value: Any) -> Any:
    """A section as a mapping, where one value stands for its main key."""
    if kind.main is not None and isinstance(value, str | int | float):
        return {kind.main: value}
    return value


def _given(kind: type[Section], values: Any, prefix: str = "") -> Iterator[str]:
    """The dotted paths of the options that a section gives."""
    values = _spelled_out(kind, values)
    if kind is MatrixOptions or not isinstance(values, Mapping) or not values:
        yield prefix.removesuffix(".")
        return
    inner = dict(sections_of(kind))
    for key, value in values.items():
        if key in inner:
            yield from _given(inner[key], value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
