"""From a run's configuration to its cells: axes multiplied out, validated and named."""

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from counterpoint.config.loading import known_paths, parse, sections_of, suggest
from counterpoint.config.options import CellOptions, RunConfig
from counterpoint.config.renames import new_path
from counterpoint.errors import InputError
from counterpoint.io.text import rate_text

COLUMNS = ("fusion", "head", "initial_random_rate", "decrease_rate", "seed", "options")
"""The parts of every cell's name, in order."""

NAMED_BY_COLUMN = {
    "fusion": "fusion",
    "head.kind": "head",
    "mining.initial_random_rate": "initial_random_rate",
    "mining.decrease_rate": "decrease_rate",
    "seed": "seed",
}
"""Options that have a column of their own; any other that departs from the run's base options goes
into the column `options`. So a further axis renames no cell that keeps the base value."""


MAX_PART = 180
"""Characters of the column `options` in a name."""

RATES = ("mining.initial_random_rate", "mining.decrease_rate")


@dataclass(frozen=True)
class Cell:
    """One training job."""

    options: CellOptions
    columns: Mapping[str, str]
    """Column to value, as in the name (`COLUMNS`)."""
    extra: Mapping[str, Any]
    """Path to value of each option beyond the columns that departs from the base options."""

    @property
    def name(self) -> str:
        """The name in tables, and the folder: `fusion~cls/head~relu/…`, as Paramspace writes it."""
        return "/".join(f"{column}~{value}" for column, value in self.columns.items())


def expand(config: RunConfig, source: str) -> list[Cell]:
    """All cells of a run, each once, in the order of the axes.

    Raises:
        InputError: an axis that is no option, a value that is not valid (each named with its
            cell), or a matrix without any cell.
    """
    base = base_options(config)
    axes = {name: values for name, values in config.matrix.axes.items() if values is not None}
    # No axis makes the base options the only cell, unless `include` names others.
    settings = list(_product(_entry(axes, source))) if axes or not config.matrix.include else []
    for entry in config.matrix.exclude:
        excluded = {
            path: [_validated(base, path, value, source) for value in values]
            for path, values in _entry(entry, source).items()
        }
        settings = [item for item in settings if not _agrees(base, item, excluded, source)]
    for entry in config.matrix.include:
        settings += _product(_entry(entry, source))
    cells: dict[str, Cell] = {}
    problems = []
    for setting in settings:
        try:
            cell = make_cell(base, setting)
        except InputError as error:
            problems.append(str(error))
            continue
        cells.setdefault(cell.name, cell)
    if problems:
        raise InputError(
            f"{source}: cells of the matrix that are not valid\n" + "\n".join(problems)
        )
    if not cells:
        raise InputError(f"{source}: matrix: no cell is left; check matrix.axes and matrix.exclude")
    return list(cells.values())


def rows(cells: Iterable[Cell]) -> list[dict[str, object]]:
    """`matrix.csv`: a row a cell, with its name, the columns, and every further option in use.

    A further option's column has the base value in the cells that do not set it.
    """
    cells = list(cells)
    further = list(dict.fromkeys(path for cell in cells for path in cell.extra))
    return [
        {
            "cell": cell.name,
            **cell.columns,
            **{path: _option(cell.options, path) for path in further},
        }
        for cell in cells
    ]


def base_options(config: RunConfig) -> CellOptions:
    """The options that every cell starts from."""
    return CellOptions(**{name: getattr(config, name) for name in CellOptions.model_fields})


def make_cell(base: CellOptions, setting: Mapping[str, Any]) -> Cell:
    """One cell: the base options with some of them set by dotted path.

    Raises:
        InputError: the options do not go together.
    """
    values = base.model_dump(mode="json")
    for path, value in setting.items():
        _assign(values, path, value)
    label = ", ".join(f"{path}={json.dumps(value)}" for path, value in setting.items())
    source = f"cell {label or '(base options)'}"
    options = parse(CellOptions, values, source)
    if options.mining.preset is not None and any(path in setting for path in RATES):
        raise InputError(
            f"{source}: mining.preset {options.mining.preset!r} sets both rates, so neither can be "
            "an axis beside it; set mining.preset to null"
        )
    frozen = options.encoder.trainable == "none" and options.projection.width == "none"
    if frozen and options.classifier_loss.weight == 0:
        raise InputError(
            f"{source}: encoder.trainable: none, projection.width: none and "
            "classifier_loss.weight: 0 leave nothing to train; let one of them learn"
        )
    extra = {
        path: value
        for path, value in _leaves(options.model_dump(mode="json"))
        if path not in NAMED_BY_COLUMN
        and value != dict(_leaves(base.model_dump(mode="json")))[path]
    }
    columns = {
        "fusion": options.fusion,
        "head": options.head.kind,
        "initial_random_rate": rate_text(options.mining.initial_random_rate),
        "decrease_rate": rate_text(options.mining.decrease_rate),
        "seed": str(options.seed),
        "options": _options_part(extra),
    }
    return Cell(options=options, columns=columns, extra=extra)


def _options_part(extra: Mapping[str, Any]) -> str:
    """The column `options` of a name; cut, with a hash of the whole, where it would be too long.

    A file name has at most 255 bytes.
    """
    words = [f"{path}={quote(_word(value), safe='')}" for path, value in extra.items()]
    text = "+".join(words) or "base"
    if len(text) <= MAX_PART:
        return text
    return f"{text[:MAX_PART]}~{hashlib.sha256(text.encode('utf-8')).hexdigest()[:12]}"


def _word(value: Any) -> str:
    return rate_text(value) if isinstance(value, float) else str(value)


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _assign(values: dict[str, Any], path: str, value: Any) -> None:
    *sections, leaf = path.split(".")
    for section in sections:
        values = values[section]
    values[leaf] = value


def _agrees(
    base: CellOptions, setting: Mapping[str, Any], entry: Mapping[str, list[Any]], source: str
) -> bool:
    """Whether a setting has, for every option that an entry names, one of the entry's values."""
    return all(
        _validated(base, path, setting[path], source) in values
        if path in setting
        else _option(base, path) in values
        for path, values in entry.items()
    )


def _validated(base: CellOptions, path: str, value: Any, source: str) -> Any:
    """An option's value as the options hold it: 3e-6, which YAML reads as text, is a number."""
    values = base.model_dump(mode="json")
    _assign(values, path, value)
    try:
        return _option(parse(CellOptions, values, source), path)
    except InputError:
        return value  # is reported with its cell


def _option(options: CellOptions, path: str) -> Any:
    return dict(_leaves(options.model_dump(mode="json")))[path]


def _entry(entry: Mapping[str, Any], source: str) -> dict[str, list[Any]]:
    """Dotted paths to lists of values.

    Raises:
        InputError: a name is no option, or two names are the same option.
    """
    result: dict[str, list[Any]] = {}
    for name, value in entry.items():
        path = _resolve(name, source)
        if path in result:
            raise InputError(f"{source}: matrix: {name!r} is given twice, by two names of {path}")
        result[path] = value if isinstance(value, list) else [value]
    return result


def _product(axes: Mapping[str, Iterable[Any]]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _resolve(name: str, source: str) -> str:
    """The dotted path of the option that an axis names.

    A section's name stands for its main key, the last part of a path for the path where only one
    option ends so.
    """
    paths = list(known_paths(CellOptions))
    sections = dict(sections_of(CellOptions))
    matches = [path for path in paths if path == name] or [
        path for path in paths if path.endswith(f".{name}")
    ]
    if len(matches) > 1:
        raise InputError(
            f"{source}: matrix: {name!r} may mean {' or '.join(matches)}; write the whole path"
        )
    if not matches and (renamed := new_path(name)):
        raise InputError(f"{source}: matrix: {name!r} is called {renamed} now")
    if not matches:
        raise InputError(
            f"{source}: matrix: {name!r} is no option of a cell{suggest(name, iter(paths))}"
        )
    (path,) = matches
    if path not in sections:
        return path
    main = sections[path].main
    if main is None:
        raise InputError(f"{source}: matrix: {name!r} is a section; name one of its options")
    return f"{path}.{main}"
