"""Which system of a run is meant: a cell, a recipe, the untrained encoder, or the best of them."""

from collections.abc import Mapping

from counterpoint.errors import InputError
from counterpoint.evaluation.scoring import select
from counterpoint.reporting.scores import current_scores, records_of
from counterpoint.runs.folder import CellFolder, Run
from counterpoint.tasks.protocols import CLEAN

UNTRAINED = "baseline/untrained"
"""The one baseline that has vectors."""

BEST = "best"


def named_system(run: Run, name: str) -> tuple[str, CellFolder | None]:
    """A system of a run that has vectors, and its folder; None for the untrained encoder.

    Args:
        run: the run.
        name: a cell's name as in `tables/cells.csv`, `recipe/NAME`, `baseline/untrained`, or
            `best` of all these: the one with the highest accuracy@1 on unseen dev queries (`epa`,
            `clean`; docs/method.md, "Evaluation").

    Raises:
        InputError: the run has no such system, or the system has no vectors.
    """
    if name == BEST:
        name = best_with_vectors(run, own_scores(run))
    name, records = records_of(run, name)
    if name == UNTRAINED:
        return name, None
    if name.startswith("baseline/"):
        raise InputError(
            f"{name}: compares words and has no vectors; give a cell, recipe/NAME or {UNTRAINED}"
        )
    return name, CellFolder(records.parent)


def best_with_vectors(run: Run, scores: Mapping[str, float]) -> str:
    """The name of the system with vectors that is best on dev; ties go to the name in order.

    Args:
        run: for the message.
        scores: as `own_scores` gives them.

    Raises:
        InputError: none has a score on dev.
    """
    with_vectors = {
        name: score
        for name, score in scores.items()
        if name == UNTRAINED or not name.startswith("baseline/")
    }
    if not with_vectors:
        raise InputError(
            f"{run.folder.path}: best: no system with vectors has a score on unseen dev queries; "
            "train a cell first, or name a system"
        )
    return max(sorted(with_vectors), key=lambda name: with_vectors[name])


def own_scores(run: Run) -> dict[str, float]:
    """accuracy@1 of every system that has one on unseen dev queries, after its last stage."""
    rows = select(
        current_scores(run), split="dev", protocol=CLEAN.name, task="epa", metric="accuracy@1"
    )
    # A baseline that ties everywhere has none.
    rows = rows[rows["value"].notna()]
    # Whoever has a second stage is judged by it; "reranked" sorts before "retrieval".
    last = rows.sort_values("stage", kind="stable").drop_duplicates("cell")
    return dict(zip(last["cell"], last["value"], strict=True))
