"""The axes of a matrix: the options that names stand for, and their values multiplied out."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from counterpoint.config.loading import ending_in, known_paths, sections_of, suggest
from counterpoint.config.options import CellOptions
from counterpoint.config.presets import PRESETS
from counterpoint.config.renames import new_path
from counterpoint.config.scalars import Scalar
from counterpoint.errors import InputError

PRESET = "mining.preset"
RATES = ("mining.initial_random_rate", "mining.decrease_rate")
"""What a preset sets."""

Setting = Mapping[str, Scalar]
"""Dotted paths of options to values: what a cell sets on top of the base options."""


@dataclass(frozen=True)
class Planned:
    """A cell of the matrix before it is validated."""

    setting: Setting
    named: Setting
    """The same as `exclude` may name it: with the preset that its rates are of."""


def planned(entry: Mapping[str, Scalar | list[Scalar]], where: str) -> Iterator[Planned]:
    """Axes, or an entry of the matrix, multiplied out.

    A preset is the grid of its rates, and its cells have those alone: two presets may share a cell.
    Beside an axis of a rate it stays as it is, and its cells are refused.

    Args:
        entry: names of options to a value or a list.
        where: it stands, for messages.

    Raises:
        InputError: a name is no option, or two names are the same option.
    """
    for setting in _product(by_path(entry, where)):
        preset = PRESETS.get(str(setting.get(PRESET)))
        if preset is None or any(path in setting for path in RATES):
            yield Planned(setting, setting)
            continue
        for rates in preset.grid:
            of_rates = dict(zip(RATES, rates, strict=True))
            yield Planned({**setting, PRESET: None, **of_rates}, {**setting, **of_rates})


def option_path(name: str, source: str) -> str:
    """The dotted path of the option of a cell that a name stands for.

    A section's name stands for its main key, the last part of a path for the path where only one
    option ends so.

    Args:
        name: as an axis has it.
        source: where it stands, for messages.

    Raises:
        InputError: it is no option of a cell, or may be several.
    """
    paths = list(known_paths(CellOptions))
    matches = [path for path in paths if path == name] or ending_in(name, paths)
    if len(matches) > 1:
        raise InputError(
            f"{source}: {name!r} may mean {' or '.join(matches)}; write the whole path"
        )
    if not matches and (renamed := new_path(name)):
        raise InputError(f"{source}: {name!r} is called {renamed} now")
    if not matches:
        raise InputError(f"{source}: {name!r} is no option of a cell{suggest(name, iter(paths))}")
    (path,) = matches
    if not any(other.startswith(f"{path}.") for other in paths):
        return path
    section = dict(sections_of(CellOptions)).get(path)
    main = section.main if section is not None else None
    if main is None:
        raise InputError(f"{source}: {name!r} is a section; name one of its options")
    return f"{path}.{main}"


def by_path(entry: Mapping[str, Scalar | list[Scalar]], where: str) -> dict[str, list[Scalar]]:
    """Axes or an entry of the matrix by the dotted paths of their options; see `planned`."""
    values: dict[str, list[Scalar]] = {}
    for name, value in entry.items():
        path = option_path(name, f"{where}: matrix")
        if path in values:
            raise InputError(f"{where}: matrix: {name!r} is given twice, by two names of {path}")
        values[path] = value if isinstance(value, list) else [value]
    return values


def _product(axes: Mapping[str, Iterable[Scalar]]) -> Iterator[dict[str, Scalar]]:
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))
