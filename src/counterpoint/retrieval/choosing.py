"""A system by its name or folder, loaded, and what is told of it."""

from pathlib import Path

from counterpoint.io.text import percent
from counterpoint.retrieval.retriever import Retriever
from counterpoint.retrieval.systems import BEST, UNTRAINED, best_with_vectors, own_scores
from counterpoint.runs.folder import Run, find_run, read_run

CALLED = {"baseline/bm25": "BM25", "baseline/tfidf": "TF-IDF", UNTRAINED: "the encoder as it comes"}
"""What a sentence calls a baseline."""


def load_system(system: str, run: Path | None, device: str) -> tuple[Retriever, str]:
    """A system by its name or folder, and a line that tells which it is.

    Args:
        system: `best` (see `systems.best_with_vectors`), a cell's name, `recipe/NAME`,
            `baseline/untrained`, or, without a run, the folder of a cell or of an exported model.
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
    if system == BEST:
        of_run = read_run(folder)
        system = best_with_vectors(of_run)
        told = told_of_best(of_run, system)
    return Retriever.load(folder, system, device=device), told


def told_of_best(run: Run, best: str) -> str:
    """Which system of a run is the best that has vectors, and which beat it without any."""
    scores = own_scores(run)
    told = (
        f"the best on dev is {CALLED.get(best, best)}, which answers {percent(scores[best], 1)} % "
        "of the unseen queries"
    )
    better = [
        f"{CALLED.get(name, name)} ({percent(score, 1)} %)"
        for name, score in scores.items()
        if score > scores[best]
    ]
    if not better:
        return told
    return f"{told}; {' and '.join(better)} would answer more, without vectors to search by"
