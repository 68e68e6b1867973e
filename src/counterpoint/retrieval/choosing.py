"""A system by its name or folder, loaded, and what is told of it."""

from collections.abc import Mapping
from pathlib import Path

from counterpoint.io.text import percent
from counterpoint.reporting.standing import BASELINES
from counterpoint.retrieval.retriever import Retriever
from counterpoint.retrieval.systems import BEST, UNTRAINED, best_with_vectors, own_scores
from counterpoint.runs.folder import find_run, read_run


def _called(name: str) -> str:
    """What a sentence calls a system."""
    return BASELINES.get(name.removeprefix("baseline/"), name)


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
        retriever = Retriever.load(system, device=device)
        return retriever, f"the system in {system}{_without_bm25(retriever)}"
    if run is None and system == UNTRAINED:
        return Retriever.untrained(device=device), f"{UNTRAINED}: the bundled encoder as it comes"
    folder = run or find_run()
    told = system
    if system == BEST:
        of_run = read_run(folder)
        scores = own_scores(of_run)
        system = best_with_vectors(of_run, scores)
        told = told_of_best(scores, system)
    retriever = Retriever.load(folder, system, device=device)
    return retriever, f"{told}{_without_bm25(retriever)}"


def _without_bm25(retriever: Retriever) -> str:
    """What a line about a system adds where its scores are not of its vectors alone."""
    if retriever.options.evaluation.first_stage == "dense":
        return ""
    return "; its scores are those of a first stage with BM25, and here its vectors alone rank"


def told_of_best(scores: Mapping[str, float], best: str) -> str:
    """Which system of a run is the best that has vectors, and which beat it without any.

    Args:
        scores: as `systems.own_scores` gives them.
        best: its name.
    """
    told = (
        f"the best on dev is {_called(best)}, which answers {percent(scores[best], 1)} % "
        "of the unseen queries"
    )
    better = [
        f"{_called(name)} ({percent(score, 1)} %)"
        for name, score in scores.items()
        if score > scores[best]
    ]
    if not better:
        return told
    return f"{told}; {' and '.join(better)} would answer more, without vectors to search by"
