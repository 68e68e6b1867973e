"""The learning curves of a run: of its cells and recipes, and of the imported logs beside it."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pandas as pd

from counterpoint.reporting.imported import KIND, imported_logs
from counterpoint.results.epoch_log import EpochRecord, EpochScores
from counterpoint.runs.folder import AXES, PlannedCell, Run
from counterpoint.study.old_log import OldEpoch
from counterpoint.tasks.protocols import CLEAN, OFFICIAL

EPOCH_TASK = "epa"
"""The task of an epoch's scores, whatever others are asked for."""

PANELS = {"train": OFFICIAL.name, "dev": CLEAN.name, "test": CLEAN.name}
"""Split to the protocol that a cell's curve of it follows."""


class Point(NamedTuple):
    """A number of an epoch, as `curves.csv` has it."""

    kind: str
    cell: str
    epoch: int
    split: str
    protocol: str | None
    task: str | None
    stage: str | None
    measure: str
    value: float | None


def epoch_table(run: Run) -> pd.DataFrame:
    """`curves.csv`: every epoch of every cell, recipe and imported log, one row a number.

    Columns are `kind` (`cell`, `recipe` or `imported`); `cell`, the system's name, of the latter
    two `recipe/NAME` and `imported/NAME`; the axes, of cells, and of imported logs that were given
    some; `epoch`, from 0; `split` (`train`, of which a cell asks a sample of queries, `dev`,
    `test`); `protocol`, `task` and `stage` (`retrieval` or `reranked`) of a score, empty for
    losses; `measure`; and `value`, empty where the log has no number. Measures are `accuracy@1`,
    accuracy at the k of `evaluation.top_k` and `recall@10`, fractions; `loss`, the weighted sum
    that is trained, and its terms `retrieval loss`, `counter loss` and `negative loss`, means over
    triples.
    """
    return _with_axes(run, _points(run))


def curves(run: Run) -> pd.DataFrame:
    """The rows of `epoch_table` that are drawn: accuracy@1 on `epa`, re-ranked.

    Of cells under the protocols of `PANELS`; of imported logs all.
    """
    drawn = (
        point
        for point in _points(run)
        if (point.task, point.stage, point.measure) == (EPOCH_TASK, "reranked", "accuracy@1")
        and (point.kind == KIND or (point.kind, point.protocol) == ("cell", PANELS[point.split]))
    )
    return _with_axes(run, drawn).drop(columns=["task", "stage", "measure"])


def _points(run: Run) -> Iterator[Point]:
    for kind, cells in (("cell", run.trained), ("recipe", run.trained_recipes)):
        for cell in cells:
            for record in cell.epochs():
                yield from _of_record(kind, cell.name, record)
    for log in imported_logs(run):
        for epoch in log.epochs:
            yield from _of_old_epoch(log.system, epoch, log.source.protocol)


def _of_record(kind: str, name: str, record: EpochRecord) -> Iterator[Point]:
    head = kind, name, record.epoch
    for task, splits in {EPOCH_TASK: record.accuracy, **record.tasks}.items():
        for split, protocols in splits.items():
            for protocol, scores in protocols.items():
                for stage, measure, value in _scores(scores):
                    yield Point(*head, split, protocol, task, stage, measure, value)
    for split, losses in record.losses.items():
        yield Point(*head, split, None, None, None, "loss", losses.total)
        yield Point(*head, split, None, None, None, "retrieval loss", losses.retrieval)
        yield Point(*head, split, None, None, None, "counter loss", losses.counter)
        yield Point(*head, split, None, None, None, "negative loss", losses.negative)


def _scores(scores: EpochScores) -> Iterator[tuple[str, str, float | None]]:
    """Stage, measure and value."""
    yield "retrieval", "accuracy@1", scores.retrieval
    yield "reranked", "accuracy@1", scores.reranked
    yield "retrieval", "recall@10", scores.recall_at_10
    for name, value in scores.at_k.items():
        stage, _, k = name.partition("@")
        yield stage, f"accuracy@{k}", value


def _of_old_epoch(name: str, epoch: OldEpoch, protocol: str) -> Iterator[Point]:
    head = KIND, name, epoch.epoch
    for split, value in epoch.accuracy.items():
        yield Point(*head, split, protocol, EPOCH_TASK, "reranked", "accuracy@1", value)
    if epoch.train_loss is not None:
        yield Point(*head, "train", None, None, None, "loss", epoch.train_loss)


def _with_axes(run: Run, points: Iterable[Point]) -> pd.DataFrame:
    """The points as a table, the axes of their systems behind the name."""
    names = [*AXES, *run.extra_axes]
    axes_of = {cell.name: cell.axes for cell in run.cells}
    axes_of |= {log.system: log.source.axes for log in imported_logs(run)}
    axes = pd.DataFrame(list(axes_of.values()), index=list(axes_of), columns=names)
    # Without this a log's empty fields would turn the cells' whole numbers into 1.0.
    whole = [
        name
        for name in names
        if any(type(cell.axes[name]) is int for cell in run.cells)
        and all(isinstance(of, int | float) and of % 1 == 0 for of in axes[name].dropna())
    ]
    table = pd.DataFrame(points, columns=Point._fields)
    of_points = axes.astype(dict.fromkeys(whole, "Int64")).reindex(table["cell"])
    parts = (table[["kind", "cell"]], of_points.reset_index(drop=True), table.iloc[:, 2:])
    return pd.concat(parts, axis=1)


def ended(run: Run) -> set[tuple[str, str]]:
    """Fusion and head of which every planned cell has ended, well or not."""

    def pairs(cells: Iterable[PlannedCell]) -> set[tuple[str, str]]:
        return {(str(cell.axes["fusion"]), str(cell.axes["head"])) for cell in cells}

    over = ("done", "diverged")
    return pairs(run.cells) - pairs(cell for cell in run.cells if cell.status not in over)
