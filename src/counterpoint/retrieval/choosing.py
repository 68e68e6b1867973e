"""Which system of a run answers questions: the best of those that have vectors."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from counterpoint.errors import InputError
from counterpoint.evaluation.metrics import accuracy_at_1
from counterpoint.evaluation.records import SameQueries, read_records
from counterpoint.evaluation.scoring import select
from counterpoint.io.text import percent
from counterpoint.retrieval.retriever import Retriever
from counterpoint.runs.folder import Run, find_run, read_run
from counterpoint.tasks.protocols import CLEAN

UNTRAINED = "baseline/untrained"

CALLED = {"baseline/bm25": "BM25", "baseline/tfidf": "TF-IDF", UNTRAINED: "the encoder as it comes"}
"""What a sentence calls a baseline."""


@dataclass(frozen=True)
class Chosen:
    """A system that answers."""

    name: str
    told: str
    """Which it is and what beats it, in one line."""


def best_system(run: Run) -> Chosen:
    """The system that answers most dev queries at rank 1 (`clean`, `epa`), the first of equals.

    Cells, recipes and the untrained encoder are asked; BM25 and TF-IDF have no vectors to search.

    Raises:
        InputError: none has a score.
    """
    scores = _scores(run)
    named = {
        name: score
        for name, score in scores.items()
        if name == UNTRAINED or not name.startswith("baseline/")
    }
    if not named:
        raise InputError(
            f"{run.folder.path}: best: no system that could answer has a score on dev yet; train a "
            f"cell, or name one that is trained, or {UNTRAINED}"
        )
    best = max(named, key=lambda name: named[name])
    better = [
        f"{CALLED.get(name, name)} ({percent(score, 1)} %)"
        for name, score in scores.items()
        if score > scores[best]
    ]
    told = (
        f"the best on dev is {CALLED.get(best, best)}, which answers {percent(scores[best], 1)} % "
        "of the unseen queries"
    )
    if better:
        told += f"; {' and '.join(better)} would answer more, without vectors to search by"
    return Chosen(best, told)


def _scores(run: Run) -> dict[str, float]:
    """Accuracy@1 on dev of every system that has one, after re-ranking where it re-ranks."""
    scores = {}
    same = SameQueries()
    for name, path in run.systems.items():
        if name in run.tied:
            continue
        records = select(read_records(path), split="dev", protocol=CLEAN.name, task="epa")
        same.check(path, records)
        reranked = records["reranked"]
        ranks = records["rank"] if reranked.isna().any() else reranked
        if len(records):
            scores[name] = float(accuracy_at_1(ranks.to_numpy(dtype=np.int64)).mean())
    return scores


def load_system(system: str, run: Path | None, device: str) -> tuple[Retriever, str]:
    """A system by its name or folder, and a line that tells which it is.

    Args:
        system: `best` (see `best_system`), a cell's name, `recipe/NAME`, `baseline/untrained`,
            or, without a run, the folder of a cell or of an exported model.
        run: folder of the run; None for the only one that there is. Without any, the untrained
            encoder is the bundled one.
        device: `cpu` or `cuda`.

    Raises:
        InputError: there is no such system, or it cannot be used.
    """
    if run is None and Path(system).is_dir():
        return Retriever.load(system, device=device), f"the system in {system}"
    if run is None and system == UNTRAINED:
        return Retriever.untrained(device=device), f"{UNTRAINED}: the bundled encoder as it comes"
    folder = run or find_run()
    told = system
    if system == "best":
        chosen = best_system(read_run(folder))
        system, told = chosen.name, chosen.told
    return Retriever.load(folder, system, device=device), told
