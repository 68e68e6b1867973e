"""From a run's configuration to its cells: axes multiplied out, validated and named."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from counterpoint.config.axes import PRESET, RATES, Setting, by_path, option_path, planned
from counterpoint.config.layers import on_top
from counterpoint.config.loading import InvalidOptions, Problem, parse
from counterpoint.config.options import CellOptions
from counterpoint.config.origins import Source, origin
from counterpoint.config.run_options import RunConfig
from counterpoint.config.scalars import Scalar
from counterpoint.config.section import leaves, whole
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

MAX_OPTIONS = 180
"""Characters of the column `options` in a name."""

FIRST_STAGE = ".first"
"""Ends the name of the cell that trains the first stage of a recipe."""

RECIPE = "recipe/"
"""Begins the name of a cell that is not of the matrix."""


@dataclass(frozen=True)
class Cell:
    """A planned training job."""

    name: str
    """In tables, and the folder: `fusion~cls/head~relu/…`, or `recipe/NAME`."""
    options: CellOptions
    columns: Mapping[str, str]
    """Column to value, as in the name (`COLUMNS`); none of a recipe."""
    extra: Setting
    """The options beyond the columns that depart from the base options; none of a recipe."""
    first: str | None = None
    """Where the second stage is a cross-encoder, the cell that trains the first."""


def expand(config: RunConfig, source: Source) -> list[Cell]:
    """All cells of a run, each once: the grid in the order of its axes, then what is included.

    Args:
        config: of the run.
        source: where it came from, for messages.

    Raises:
        InputError: an axis that is no option, also that of the tables; values that are not valid,
            alone or together (each once); or a matrix without any cell.
    """
    if config.tables.axis is not None:
        option_path(config.tables.axis, f"{origin(source, 'tables.axis')}: tables.axis")
    base, matrix = base_options(config), config.matrix
    where = origin(source, "matrix")
    # No axis makes the base options the only cell, unless `include` names others.
    has_grid = matrix.axes or not matrix.include
    grid = list(planned(matrix.axes, where)) if has_grid else []
    for entry in matrix.exclude:
        excluded = {
            path: [_valid(base, path, value) for value in values]
            for path, values in by_path(entry, where).items()
        }
        grid = [cell for cell in grid if not _matches(base, cell.named, excluded)]
    included = [cell for entry in matrix.include for cell in planned(entry, where)]
    settings = [cell.setting for cell in (*grid, *included)]
    _refuse_preset(config, settings, source)
    return _make_cells(base, settings, source)


def _refuse_preset(config: RunConfig, settings: Iterable[Setting], source: Source) -> None:
    """A preset among the base options holds for every cell, so the matrix may not set its rates.

    Raises:
        InputError: it does; with a matrix that goes with the preset.
    """
    preset, where = config.mining.preset, origin(source, "matrix")
    set_too = {path for setting in settings if PRESET not in setting for path in setting}
    both = [path for path in RATES if path in set_too]
    if preset is None or not both:
        return
    axes = {
        name: values
        for name, values in config.matrix.axes.items()
        if option_path(name, f"{where}: matrix") not in RATES
    }
    example = json.dumps({"axes": axes} if axes else {}).replace('"', "")
    raise InputError(
        f"{origin(source, PRESET)}: mining.preset {preset!r} sets both rates, which the matrix "
        f"({where}) sets too: {', '.join(both)}; give a matrix without them, which takes the place "
        f"of the whole matrix: matrix='{example}'"
    )


def recipes(config: RunConfig, source: Source) -> list[Cell]:
    """The cells outside the matrix, by names of their own.

    Args:
        config: of the run.
        source: where it came from, for messages.

    Raises:
        InputError: options that are none, or not valid.
    """
    base = whole(base_options(config))
    cells = []
    for name, changes in config.recipes.items():
        values = on_top(CellOptions, base, changes)
        where = f"{origin(source, 'recipes')}: recipes.{name}"
        options = parse(CellOptions, values, where).settled()
        if unusable := _unusable(options, {}):
            raise InputError(f"{where}: {unusable}")
        cells.append(Cell(f"{RECIPE}{name}", options, {}, {}))
    return cells


def _with_first_stages(cells: Sequence[Cell], base: CellOptions) -> list[Cell]:
    """The cells, those with a cross-encoder behind the cells that train their first stages."""
    planned = {cell.name: cell for cell in cells}
    complete: dict[str, Cell] = {}
    for cell in cells:
        if cell.options.reads_pairs:
            first = _first_stage(cell, base)
            complete.setdefault(first.name, planned.get(first.name, first))
            complete[cell.name] = replace(cell, first=first.name)
        else:
            complete.setdefault(cell.name, cell)
    return list(complete.values())


def _first_stage(cell: Cell, base: CellOptions) -> Cell:
    """The cell that trains the first stage of one with a cross-encoder."""
    options = cell.options.first_stage()
    if cell.name.startswith(RECIPE):
        return Cell(f"{cell.name}{FIRST_STAGE}", options, {}, {})
    return _named(base, options)


def all_cells(config: RunConfig, source: Source) -> list[Cell]:
    """What a run trains: the cells of its matrix, then its recipes; see `expand`."""
    cells = [*expand(config, source), *recipes(config, source)]
    return _with_first_stages(cells, base_options(config))


def rows(cells: Iterable[Cell]) -> list[dict[str, Scalar]]:
    """`matrix.csv`: a row a cell, with its name, the columns, and every further option in use.

    A further option's column has the base value in the cells that do not set it.
    """
    cells = list(cells)
    further = list(dict.fromkeys(path for cell in cells for path in cell.extra))
    values = [option_values(cell.options) for cell in cells]
    return [
        {"cell": cell.name, **cell.columns, **{path: of_cell[path] for path in further}}
        for cell, of_cell in zip(cells, values, strict=True)
    ]


def base_options(config: RunConfig) -> CellOptions:
    """The options that every cell starts from."""
    return CellOptions(**{name: getattr(config, name) for name in CellOptions.model_fields})


def option_values(options: CellOptions) -> dict[str, Scalar]:
    """Every option by its dotted path."""
    return dict(leaves(options))


def make_cell(base: CellOptions, setting: Setting) -> Cell:
    """One cell: the base options with some of them set.

    Raises:
        InvalidOptions: the options do not go together.
    """
    options = _with(base, setting).settled()
    if unusable := _unusable(options, setting):
        raise InvalidOptions([Problem("", unusable)], _label(setting))
    return _named(base, options)


def _named(base: CellOptions, options: CellOptions) -> Cell:
    """The cell of some options, by its name among those that start from the base options."""
    base_values = option_values(base)
    extra = {
        path: value
        for path, value in option_values(options).items()
        if path not in NAMED_BY_COLUMN
        and value != base_values[path]
        # What no cross-encoder reads tells no cell apart.
        and (options.reads_pairs or not path.startswith("reranker.") or path == "reranker.kind")
    }
    columns = {
        "fusion": options.fusion,
        "head": options.head.kind,
        "initial_random_rate": rate_text(options.mining.initial_random_rate),
        "decrease_rate": rate_text(options.mining.decrease_rate),
        "seed": str(options.seed),
        "options": _options_column(extra),
    }
    name = "/".join(f"{column}~{value}" for column, value in columns.items())
    return Cell(name, options, columns, extra)


def _unusable(options: CellOptions, setting: Setting) -> str | None:
    """Why valid options make no cell, or None where they do."""
    if options.mining.preset is not None and any(path in setting for path in RATES):
        return (
            f"mining.preset {options.mining.preset!r} sets both rates, so neither can be set "
            "beside it; leave out the rate, or the preset"
        )
    is_frozen = options.encoder.trainable == "none" and options.projection.width == "none"
    if is_frozen and options.classifier_loss.weight == 0:
        return (
            "encoder.trainable: none, projection.width: none and classifier_loss.weight: 0 leave "
            "nothing to train; let one of them learn"
        )
    return None


def _label(setting: Setting) -> str:
    """A cell as messages name it."""
    values = ", ".join(f"{path}={json.dumps(value)}" for path, value in setting.items())
    return values or "every cell"


def _make_cells(base: CellOptions, settings: Sequence[Setting], source: Source) -> list[Cell]:
    """The cells of some settings, each name once; what is wrong is told once, not by each cell."""
    cells: dict[str, Cell] = {}
    refused: list[tuple[Setting, Problem]] = []
    for setting in settings:
        if any(culprit.items() <= setting.items() for culprit, _ in refused):
            continue
        try:
            cell = make_cell(base, setting)
        except InvalidOptions as error:
            refused += _culprits(base, setting, error.problems, settings)
        else:
            cells.setdefault(cell.name, cell)
    where = origin(source, "matrix")
    if refused:
        raise InputError(_told_once(refused, where, str(source)))
    if not cells:
        raise InputError(f"{where}: matrix: no cell is left; check matrix.axes and matrix.exclude")
    return list(cells.values())


def _told_once(refused: Iterable[tuple[Setting, Problem]], matrix: str, everything: str) -> str:
    """The message of a matrix with values that are not valid.

    Args:
        refused: values that have a problem, and the problem.
        matrix: where the matrix came from; named for values that are not valid by themselves.
        everything: where all options came from; named where values do not go with other options.
    """
    lines: dict[str, dict[tuple[tuple[str, ...], str], list[Setting]]] = {}
    for culprit, problem in refused:
        where = matrix if problem.path in culprit else everything
        same = lines.setdefault(where, {}).setdefault((tuple(culprit), problem.reason), [])
        same.append(culprit)
    return "\n".join(
        f"{where}: matrix: values that are not valid\n"
        + "\n".join(
            f"  {_label(first)}{f' and {len(more)} more' if more else ''}: {reason}"
            for (_, reason), (first, *more) in of_source.items()
        )
        for where, of_source in lines.items()
    )


def _culprits(
    base: CellOptions,
    setting: Setting,
    problems: Sequence[Problem],
    settings: Sequence[Setting],
) -> Iterator[tuple[Setting, Problem]]:
    """Each problem of a setting, with the fewest of its values that have it.

    A value has no part in a problem that stays with another value of the matrix, and the base's.
    """
    alone = {problem.path for problem in problems} & setting.keys()
    together = []
    for problem in problems:
        if problem.path in alone:  # not valid whatever the others are
            yield {problem.path: setting[problem.path]}, problem
        else:
            together.append(problem)
    if not together:
        return
    base_values = option_values(base)
    culprit = {path: value for path, value in setting.items() if path not in alone}
    for path, value in list(culprit.items()):
        fewer = {other: kept for other, kept in culprit.items() if other != path}
        values = [base_values[path], *(other[path] for other in settings if path in other)]
        others = [other for other in dict.fromkeys(values) if other != value]
        stays = not others or any(
            _problems(base, {**fewer, path: other}) == together for other in others
        )
        if stays and _problems(base, fewer) == together:
            culprit = fewer
    yield from ((culprit, problem) for problem in together)


def _problems(base: CellOptions, setting: Setting) -> list[Problem]:
    try:
        make_cell(base, setting)
    except InvalidOptions as error:
        return list(error.problems)
    return []


def _options_column(extra: Setting) -> str:
    """The column `options` of a name; cut, with a hash of the whole, where it would be too long.

    A file name has at most 255 bytes.
    """
    parts = [f"{path}={quote(_value_text(value), safe='')}" for path, value in extra.items()]
    text = "+".join(parts) or "base"
    if len(text) <= MAX_OPTIONS:
        return text
    return f"{text[:MAX_OPTIONS]}~{hashlib.sha256(text.encode('utf-8')).hexdigest()[:12]}"


def _value_text(value: Scalar) -> str:
    return rate_text(value) if isinstance(value, float) else str(value)


def _with(base: CellOptions, setting: Setting) -> CellOptions:
    """The base options with some of them set, validated."""
    values = whole(base)
    for path, value in setting.items():
        *sections, key = path.split(".")
        inner = values
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[key] = value
    return parse(CellOptions, values, f"cell {_label(setting)}")


def _matches(base: CellOptions, setting: Setting, excluded: Mapping[str, Sequence[Scalar]]) -> bool:
    """Whether a setting has, for every option of an entry of `exclude`, one of its values."""
    values = option_values(base)
    values |= {path: _valid(base, path, setting[path]) for path in excluded if path in setting}
    return all(values[path] in allowed for path, allowed in excluded.items())


def _valid(base: CellOptions, path: str, value: Scalar) -> Scalar:
    """A value as options hold it: 3e-6, which YAML reads as text, is a number."""
    # A preset would set the rate that is asked about.
    free: Setting = {PRESET: None} if path in RATES else {}
    try:
        return option_values(_with(base, {**free, path: value}))[path]
    except InputError:
        return value  # is reported with its cell
