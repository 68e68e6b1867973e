"""Which system wins a run, by how much and against whom; the same words wherever a run is told of.

The winner is chosen on dev and measured on test, `clean`, `epa`; without a test split, on dev.
"""

from counterpoint.config.matrix import RECIPE
from counterpoint.evaluation.records import SPLITS
from counterpoint.io.text import percent, percent_interval, signed
from counterpoint.reporting import compare
from counterpoint.reporting.overview import Listed, Overview
from counterpoint.tasks.protocols import CLEAN

BASELINES = {
    "random": "a random order",
    "tfidf": "TF-IDF",
    "bm25": "BM25",
    "untrained": "the encoder as it comes",
    "hybrid-rrf": "BM25 and that encoder by their ranks",
    "hybrid": "BM25 and that encoder by their scores",
}
"""What a sentence calls each baseline."""


def who_wins(overview: Overview, decimals: int) -> str:
    """One sentence or two: who wins, by how much, with the number of queries and intervals.

    Empty where fewer than two systems have a score.
    """
    split = overview.asked
    chosen = _scores(overview, SPLITS[0])
    scores = {name: score for name, score in _scores(overview, split).items() if name in chosen}
    if len(scores) < 2:
        return ""
    systems = {system.name: system for system in overview.listed}
    first = systems[max(scores, key=lambda name: chosen[name])]
    others = sorted(
        (systems[name] for name in scores if name != first.name),
        key=lambda system: -scores[system.name],
    )
    score = overview.score(first.name, split, CLEAN.name, first.stage)
    assert score is not None
    shown = percent_interval(score["value"], score["low"], score["high"], decimals, unit=" %")
    rest = ", ".join(
        f"{called(overview, other)} {percent(scores[other.name], decimals)} %" for other in others
    )
    both = compare.compare(
        overview.run, first.name, others[0].name, protocols=(CLEAN.name,), tasks=("epa",)
    )
    row = next(row for row in both if row.split == split)
    low, high, points = (
        signed(100 * value, decimals) for value in (row.low, row.high, row.difference)
    )
    name = called(overview, first)
    says = "wins" if row.difference > 0 else f"is best on {SPLITS[0]} and does not win on {split}"
    flatters = "" if split != SPLITS[0] else ", by which it was chosen, which flatters it"
    return (
        f"{name[0].upper()}{name[1:]} {says}: it answers {shown} of {score['n']:,} unseen {split} "
        f"queries{flatters}; {rest}. To {called(overview, others[0])} that is {points} points "
        f"({low} to {high}): {_word(row.low, row.high)}."
    )


def _word(low: float, high: float) -> str:
    if low > 0:
        return "more than noise"
    return "less than it, by more than noise" if high < 0 else "within noise"


def loses_to(overview: Overview) -> str:
    """`, which loses to BM25 on test`, of the best cell; empty where it loses to no baseline."""
    split, best = overview.asked, overview.best
    scores = _scores(overview, split)
    if best is None or best not in scores:
        return ""
    better = [
        called(overview, system)
        for system in overview.listed
        if system.name.startswith("baseline/") and scores.get(system.name, 0.0) > scores[best]
    ]
    if not better:
        return ""
    *most, last = better
    return f", which loses to {', '.join(most)}{' and ' if most else ''}{last} on {split}"


def called(overview: Overview, system: Listed) -> str:
    """What a sentence calls a system."""
    if system.name == overview.best:
        count = len(overview.run.cells)
        return f"the best of {count} cells" if count > 1 else "the cell"
    if system.name.startswith(RECIPE):
        name = system.name.removeprefix(RECIPE)
        return "the recipe" if name == "recipe" else f"the recipe {name}"
    name = system.name.removeprefix("baseline/")
    return BASELINES.get(name, name)


def _scores(overview: Overview, split: str) -> dict[str, float]:
    """Accuracy@1 of the listed systems that have one."""
    scores = {
        system.name: overview.score(system.name, split, CLEAN.name, system.stage)
        for system in overview.listed
    }
    return {name: score["value"] for name, score in scores.items() if score is not None}
