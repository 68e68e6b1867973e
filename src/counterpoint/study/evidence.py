"""What each cell measured: accuracies by query, and the numbers of its learning curve."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from counterpoint.corpus.arguments import read_debates
from counterpoint.errors import InputError
from counterpoint.evaluation.metrics import Values, accuracy_at_1
from counterpoint.evaluation.records import read_records
from counterpoint.evaluation.scoring import select
from counterpoint.evaluation.statistics import Bootstrap
from counterpoint.runs.folder import PlannedCell, Run
from counterpoint.study.clauses import (
    ACCURACY,
    EPOCHS,
    GAP,
    LEAKY,
    PARAMETERS,
    SECONDS,
    UNSTEADINESS,
)
from counterpoint.tasks.protocols import LEGACY

OF_BEST = 0.95
"""The share of its own best dev accuracy at which a cell counts as converged."""

LAST_EPOCHS = 10
"""How many epochs at the end of the log the gap is averaged over."""


@dataclass(frozen=True)
class Evidence:
    """What the cells of a run measured."""

    cells: dict[str, dict[str, Values]]
    """Cell to the name of a quantity to its numbers: (queries,) for accuracies, else (1,)."""
    debates: dict[str, Bootstrap]
    """Resamples of the queries of `ACCURACY` and of `LEAKY`."""


def read_evidence(run: Run) -> Evidence:
    """Measure every cell at hand.

    Raises:
        InputError: the records of two cells do not answer the same dev queries.
    """
    cells: dict[str, dict[str, Values]] = {}
    first: dict[str, tuple[Path, pd.Index[Any]]] = {}
    for cell in run.trained:
        path = cell.folder.records
        numbers = {}
        for name, ranks in _dev_ranks(path).items():
            reference = first.setdefault(name, (path, ranks.index))
            if not ranks.index.equals(reference[1]):
                raise _other_queries(name, path, ranks.index, *reference)
            if len(ranks):
                numbers[name] = 100 * accuracy_at_1(ranks.to_numpy(dtype=np.int64))
        numbers |= {name: np.array([value]) for name, value in _facts(cell).items()}
        cells[cell.name] = numbers
    by_query = read_debates(run.folder.arguments) if first else {}
    debates = {
        name: Bootstrap([by_query[query] for query in queries])
        for name, (_, queries) in first.items()
        if len(queries)
    }
    return Evidence(cells, debates)


def _dev_ranks(path: Path) -> dict[str, "pd.Series[Any]"]:
    """Ranks after re-ranking on dev, `epa`, by query, for each accuracy."""
    records = select(read_records(path), split="dev", task="epa")
    return {
        name: select(records, protocol=protocol).set_index("query")["reranked"].sort_index()
        for name, protocol in ((ACCURACY.name, "clean"), (LEAKY.name, LEGACY.name))
    }


def _other_queries(
    name: str, path: Path, queries: "pd.Index[Any]", other: Path, others: "pd.Index[Any]"
) -> InputError:
    protocol = LEGACY.name if name == LEAKY.name else "clean"
    return InputError(
        f"{other} and {path} do not answer the same queries (dev, {protocol}, epa: {len(others)} "
        f"and {len(queries)}, of which {len(others.intersection(queries))} in both), so their "
        "difference would be over fewer; expected the same corpus in all cells of a run: train the "
        "one that departs again (remove its folder, then run snakemake)"
    )


def _facts(cell: PlannedCell) -> dict[str, float]:
    """The numbers of a cell that are no query's; those of its curves only where it has whole ones.

    Parameters are those that are trained. Time is the training's alone, without mining and
    evaluation.
    """
    outcome = cell.outcome()
    numbers = {PARAMETERS.name: float(sum(outcome.parameters.values()))}
    if cell.status == "diverged":
        return numbers
    log = cell.epochs()
    curve = [(record.accuracy["dev"]["clean"].reranked, record.gap) for record in log]
    points = [(a, gap) for a, gap in curve if a is not None and gap is not None]
    seconds = cell.seconds().stages["train"]
    numbers[SECONDS.name] = seconds / outcome.epochs
    # A corpus whose dev queries all stand in training leaves nothing to draw a curve of.
    if len(points) < len(curve):
        return numbers
    return numbers | _curve(*zip(*points, strict=True))


def _curve(accuracy: Sequence[float], gap: Sequence[float]) -> dict[str, float]:
    """The numbers of a learning curve.

    Args:
        accuracy: (epochs,) dev accuracy after each epoch, from 0 to 1.
        gap: (epochs,) train minus dev accuracy.

    Returns:
        Epochs, counted from 1, until the accuracy first reaches 95 % of the best of the curve; the
        population standard deviation of its change from epoch to epoch, in points (two epochs or
        more); the mean of the gap over the last ten epochs, in points.
    """
    values = 100 * np.asarray(accuracy, dtype=np.float64)
    # The little less is for a value that is 95 % but for rounding.
    reached = values >= OF_BEST * values.max() - 1e-9
    numbers = {
        EPOCHS.name: float(1 + reached.argmax()),
        GAP.name: 100 * float(np.mean(gap[-LAST_EPOCHS:])),
    }
    if len(values) > 1:
        numbers[UNSTEADINESS.name] = float(np.diff(values).std())
    return numbers
