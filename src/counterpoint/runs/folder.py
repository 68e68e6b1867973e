"""A run's folder: every path in it, and the planned cells and baselines as far as they have come.

    RUN/matrix.csv, config.json           what is planned
        corpus/                           the table of arguments, and the audit
        encoder/KEY/                      tokens, and the outputs of a frozen encoder
        cells/NAME/, baselines/NAME/      results
        state/NAME/                       what a job leaves until its results are whole
        tables/, plots/, report/          what is made of the results
        evaluations/SYSTEM/CORPUS/        results on other corpora
        logs/                             what each job printed
    imported/                             beside the run: epoch logs of the original study

No other module spells one of these names. Nothing here loads torch or pandas.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from counterpoint.config.loading import load_written
from counterpoint.config.matrix import RECIPE
from counterpoint.config.options import CellOptions
from counterpoint.config.renames import new_path
from counterpoint.config.run_options import RunConfig
from counterpoint.errors import InputError
from counterpoint.results import epoch_log
from counterpoint.results.files import Failure, HybridWeight, Outcome, Provenance, Seconds, Ties

AXES = ("fusion", "head", "decrease_rate", "initial_random_rate", "seed")
"""The axes that every table has, whatever others a matrix adds."""

Status = Literal["done", "diverged", "failed", "missing"]

Value = str | int | float | bool | None
"""An option's value, as an axis has it."""

TIES = "ties.json"
"""Beside a baseline's results: queries all of whose candidates tie."""

HYBRID_WEIGHT = "hybrid.json"
"""Beside the results of a system that adds up z-scores: how much BM25 weighs in it."""

RECORDS = "records.parquet"
"""Per-query results, of a cell, a baseline and an evaluation."""

EPOCHS = "epochs.jsonl"
"""The epoch log, of a cell and an imported log."""

RESULTS = (
    EPOCHS,
    RECORDS,
    "model.safetensors",
    "options.json",
    "provenance.json",
    "seconds.json",
    "outcome.json",
    "identity.json",
)
"""The files that a cell leaves, in the order in which they are put in place.

With the outcome it is whole; the identity, of which results these are, is true only after that.
"""


def result_files(options: CellOptions) -> tuple[str, ...]:
    """The files that a cell with these options leaves, in that order."""
    return (*([HYBRID_WEIGHT] if options.evaluation.first_stage == "zscores" else []), *RESULTS)


CELLS = "cells"
MATRIX = "matrix.csv"
ARGUMENTS = "corpus/arguments.parquet"


@dataclass(frozen=True)
class CellFolder:
    """What a cell leaves."""

    path: Path

    @property
    def epochs(self) -> Path:
        """The epoch log."""
        return self.path / EPOCHS

    @property
    def records(self) -> Path:
        """Per-query results."""
        return self.path / RECORDS

    @property
    def hybrid_weight(self) -> Path:
        """How much BM25 weighs in the first stage; only where that adds up z-scores."""
        return weight_beside(self.records)

    @property
    def model(self) -> Path:
        """The weights of the best epoch."""
        return self.path / "model.safetensors"

    @property
    def options(self) -> Path:
        """The cell's options."""
        return self.path / "options.json"

    @property
    def provenance(self) -> Path:
        """Versions, code, commit, machine."""
        return self.path / "provenance.json"

    @property
    def seconds(self) -> Path:
        """When it was trained and how long that took."""
        return self.path / "seconds.json"

    @property
    def outcome(self) -> Path:
        """How it ended; written after all that is made from training."""
        return self.path / "outcome.json"

    @property
    def identity(self) -> Path:
        """The options and inputs that these results are of."""
        return self.path / "identity.json"

    @property
    def mark(self) -> Path:
        """Snakemake's word that the cell is trained: an empty file, which it makes and deletes.

        It deletes the outputs of a job that starts or fails, so none of the results may be one.
        """
        return self.path / "trained"

    @property
    def is_whole(self) -> bool:
        """Whether the cell has ended and its results are there."""
        return self.outcome.is_file() and self.records.is_file()


@dataclass(frozen=True)
class StateFolder:
    """What a cell's job leaves until its results are whole; Snakemake does not know of it."""

    path: Path

    @property
    def lock(self) -> Path:
        """Held by the process that trains the cell."""
        return self.path / "lock"

    @property
    def progress(self) -> Path:
        """What a running job says of itself."""
        return self.path / "progress.json"

    @property
    def failure(self) -> Path:
        """Why the last job ended without a result."""
        return self.path / "failure.json"

    def checkpoints(self) -> list[Path]:
        """The folders of checkpoints, one for each identity that the cell has had."""
        if not self.path.is_dir():
            return []
        return sorted(path for path in self.path.iterdir() if path.is_dir())


@dataclass(frozen=True)
class RunFolder:
    """The paths of a run, whether anything is there or not."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.absolute().name

    @property
    def matrix(self) -> Path:
        """The planned cells, one a row."""
        return self.path / MATRIX

    @property
    def config(self) -> Path:
        """Every option of the run, defaults included."""
        return self.path / "config.json"

    @property
    def arguments(self) -> Path:
        """The table of arguments."""
        return self.path / ARGUMENTS

    @property
    def audit(self) -> Path:
        """Counts of the corpus by split."""
        return self.path / "corpus" / "audit.csv"

    @property
    def tables(self) -> Path:
        """Folder of the tables."""
        return self.path / "tables"

    @property
    def scores(self) -> Path:
        """Every score of every system, one a row."""
        return self.tables / "cells.csv"

    @property
    def plots(self) -> Path:
        """Folder of the plots."""
        return self.path / "plots"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report" / "index.html"

    @property
    def logs(self) -> Path:
        """Folder of what each job printed."""
        return self.path / "logs"

    @property
    def imported(self) -> Path:
        """Folder of the imported logs, which lies beside the run and serves all runs there."""
        return self.path.absolute().parent / "imported"

    @property
    def evaluations(self) -> Path:
        """Folder of the results on other corpora."""
        return self.path / "evaluations"

    @property
    def states(self) -> Path:
        """Folder of the cells' state folders."""
        return self.path / "state"

    def cell(self, name: str) -> CellFolder:
        """A cell's results."""
        return CellFolder(self.path / CELLS / name)

    def state(self, name: str) -> StateFolder:
        """What a cell's job leaves until then."""
        return StateFolder(self.states / name)

    def cell_log(self, name: str) -> Path:
        """What a cell's job printed."""
        return self.logs / CELLS / f"{name}.log"

    @property
    def baselines(self) -> Path:
        """The folder of all baselines' results."""
        return self.path / "baselines"

    def baseline(self, name: str) -> Path:
        """A baseline's per-query results."""
        return records_of_baseline(self.baselines, name)

    def baseline_ties(self, name: str) -> Path:
        """Its queries all of whose candidates tie."""
        return ties_beside(self.baseline(name))

    def tokens(self, key: str) -> Path:
        """Tokens of the corpus, by `cache_keys.tokens_key`."""
        return self.path / "encoder" / key / "tokens.safetensors"

    def features(self, key: str) -> Path:
        """Outputs of a frozen encoder, by `cache_keys.features_key`."""
        return self.path / "encoder" / key / "features.safetensors"


def records_of_baseline(folder: Path, name: str) -> Path:
    """Where a baseline's per-query results go, in the folder of all baselines' results."""
    return folder / name / RECORDS


def ties_beside(records: Path) -> Path:
    """Where the ties of a baseline are told, by where its results go."""
    return records.with_name(TIES)


def weight_beside(records: Path) -> Path:
    """Where the weight of BM25 in a system is told, by where its results go."""
    return records.with_name(HYBRID_WEIGHT)


def run_and_cell(results: Path) -> tuple[RunFolder, str]:
    """The run and the name of a cell, by where its results go.

    `RUN/cells/NAME` as the workflow has it; by hand, elsewhere, the folder above and the last part.
    """
    whole = results.absolute()
    for parent in whole.parents:
        if parent.name == CELLS:
            return RunFolder(parent.parent), whole.relative_to(parent).as_posix()
    return RunFolder(whole.parent), whole.name


@dataclass(frozen=True)
class PlannedCell:
    """A cell of the matrix, and what it has left so far."""

    name: str
    axes: Mapping[str, Value]
    folder: CellFolder
    status: Status
    reason: str = ""

    def number(self, axis: str) -> float:
        """The value of an axis of numbers.

        Raises:
            InputError: it is none.
        """
        value = self.axes[axis]
        if value is None or isinstance(value, str):
            raise InputError(f"cell {self.name}: {axis} is {value!r}, which is no number")
        return float(value)

    @property
    def seed(self) -> int:
        """The seed of its random numbers."""
        return int(self.number("seed"))

    @property
    def setting(self) -> tuple[Value, ...]:
        """What a cell shares with its other seeds: the value of every axis but that."""
        return tuple(value for axis, value in self.axes.items() if axis != "seed")

    def outcome(self) -> Outcome:
        """How it ended."""
        return Outcome.read(self.folder.outcome)

    def seconds(self) -> Seconds:
        """When it was trained and how long that took."""
        return Seconds.read(self.folder.seconds)

    def provenance(self) -> Provenance:
        """What produced it."""
        return Provenance.read(self.folder.provenance)

    def epochs(self) -> list[epoch_log.EpochRecord]:
        """Its epoch log."""
        return epoch_log.read(self.folder.epochs)


@dataclass(frozen=True)
class Run:
    """A run's planned cells and its baselines, as far as they have come."""

    folder: RunFolder
    config: RunConfig
    cells: list[PlannedCell]
    """Of the matrix."""
    recipes: list[PlannedCell] = field(default_factory=list)
    """Beside it; without axes."""

    def with_status(self, *status: Status) -> list[PlannedCell]:
        """The cells of the matrix in one of some states."""
        return [cell for cell in self.cells if cell.status in status]

    @property
    def trained(self) -> list[PlannedCell]:
        """The cells of the matrix that have results."""
        return self.with_status("done", "diverged")

    @property
    def trained_recipes(self) -> list[PlannedCell]:
        """The recipes that have results."""
        return [recipe for recipe in self.recipes if recipe.status in ("done", "diverged")]

    @cached_property
    def baselines(self) -> dict[str, Path]:
        """The baselines that have results: name to per-query results."""
        paths = {name: self.folder.baseline(name) for name in self.config.baselines}
        return {name: path for name, path in paths.items() if path.is_file()}

    @cached_property
    def tied(self) -> dict[str, Ties]:
        """The baselines that tie everywhere, by `baseline/NAME`; they have no scores.

        One that an older version left without a word on ties is taken to tie nowhere.
        """
        paths = {name: self.folder.baseline_ties(name) for name in self.baselines}
        ties = {name: Ties.read(path) for name, path in paths.items() if path.is_file()}
        return {f"baseline/{name}": found for name, found in ties.items() if found.everywhere}

    @property
    def systems(self) -> dict[str, Path]:
        """Per-query results of every system that has some.

        By a cell's name, `recipe/NAME` or `baseline/NAME`.
        """
        return {
            **{cell.name: cell.folder.records for cell in (*self.trained, *self.trained_recipes)},
            **{f"baseline/{name}": path for name, path in self.baselines.items()},
        }

    def weight(self, system: str) -> HybridWeight | None:
        """How much BM25 weighs in a system that has results; None where it has no such weight."""
        path = weight_beside(self.systems[system])
        return HybridWeight.read(path) if path.is_file() else None

    @property
    def held_out(self) -> tuple[str, ...]:
        """The roles whose queries differ: `dev`, and `test` unless it is the same folder."""
        splits = self.config.corpus.splits
        return ("dev",) if splits.dev == splits.test else ("dev", "test")

    @property
    def extra_axes(self) -> list[str]:
        """The axes that this run's matrix adds to those of every matrix."""
        return [axis for axis in (self.cells[0].axes if self.cells else {}) if axis not in AXES]

    def values(self, path: str) -> list[Value]:
        """The values that an option has in the planned cells, each once.

        Args:
            path: such as `encoder.name`.
        """
        *sections, name = path.split(".")
        section: object = self.config
        for part in sections:
            section = getattr(section, part)
        base = getattr(section, name)
        return list(dict.fromkeys(cell.axes.get(path, base) for cell in self.cells))


def find_run(results: Path = Path("results")) -> Path:
    """The folder of the only run there is.

    Raises:
        InputError: there is no run, or more than one.
    """
    runs = sorted(path.parent for path in results.glob(f"*/{MATRIX}"))
    if len(runs) != 1:
        names = ", ".join(str(path) for path in runs) or "none"
        raise InputError(
            f"{results.absolute()}: expected one run (a folder with a {MATRIX}), found {names}; "
            "name the run with --run"
        )
    return runs[0]


def runs_with_corpus(results: Path) -> list[Path]:
    """The folders of the runs that have a table of arguments."""
    return [path.parents[1] for path in results.glob(f"*/{ARGUMENTS}")]


def read_run(path: Path) -> Run:
    """Look at what a run has left.

    Args:
        path: of its folder.

    Raises:
        InputError: there is no matrix, or its configuration cannot be used.
    """
    folder = RunFolder(path)
    if not folder.matrix.is_file():
        raise InputError(
            f"{folder.matrix}: no such file; run `snakemake tables`, or `counterpoint matrix`"
        )
    config = load_written(RunConfig, folder.config)
    with folder.matrix.open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    columns = dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else {}
    axes = {new_path(name) or name: _values(texts) for name, texts in columns.items()
            if name not in ("cell", "options")}  # fmt: skip
    cells = [
        _cell(folder, name, {axis: values[number] for axis, values in axes.items()})
        for number, name in enumerate(columns.get("cell", ()))
    ]
    recipes = [_cell(folder, f"{RECIPE}{name}", {}) for name in config.recipes]
    return Run(folder, config, cells, recipes)


def _values(column: Sequence[str]) -> list[Value]:
    """A column's texts as the one kind of value that all of them spell; None where empty."""
    readers = (float,) if "" in column else (int, float)  # as a number beside gaps always was
    for read in readers:
        try:
            return [read(text) if text else None for text in column]
        except ValueError:
            continue
    truths: dict[str, Value] = {"True": True, "False": False, "": None}
    if set(column) <= truths.keys():
        return [truths[text] for text in column]
    return [text or None for text in column]


def _cell(folder: RunFolder, name: str, axes: dict[str, Value]) -> PlannedCell:
    results, failure = folder.cell(name), folder.state(name).failure
    if results.is_whole:
        outcome = Outcome.read(results.outcome)
        status: Status = "diverged" if outcome.status == "diverged" else "done"
        return PlannedCell(name, axes, results, status, outcome.reason)
    if failure.is_file():
        return PlannedCell(name, axes, results, "failed", Failure.read(failure).reason)
    return PlannedCell(name, axes, results, "missing", "not trained yet, or killed")
