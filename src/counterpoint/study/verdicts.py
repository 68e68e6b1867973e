"""Which cells a clause compares, and what they say of it.

Trains and evaluates nothing, and never averages over what is missing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from counterpoint.evaluation.metrics import Values
from counterpoint.evaluation.statistics import (
    LEAST_SEEDS,
    LEVEL,
    Bootstrap,
    least_discordant,
    over_seeds,
)
from counterpoint.io.text import option_text
from counterpoint.runs.folder import PlannedCell, Run
from counterpoint.study.clauses import (
    ACCURACY,
    CLAUSES,
    LEAKY,
    LESS,
    MORE,
    SHORT,
    Clause,
    Quantity,
    Range,
)
from counterpoint.study.evidence import Evidence, read_evidence
from counterpoint.study.protocol import ASKED

LEAST_SETTINGS = 6
"""How many settings a bootstrap over settings needs: that so many fall on one side by chance alone
has a probability of one in 32."""

Answer = Literal["supported", "contradicted", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A clause answered; what there is no number for is None."""

    claim: str
    clause: str
    quantity: str
    """In words, with its unit."""
    unit: str
    documents: str
    claimed: float | None
    """The difference in accuracy that the documents gave, at most, in points."""
    study_queries: int | None
    """How many dev queries the documents' accuracies are over; None where none are asked."""
    study_least: float | None
    """The smallest difference in accuracy, in points, that so many queries could have shown."""
    value: float | None
    low: float | None
    high: float | None
    seeds: int | None
    seeds_value: float | None
    """Over the settings that all of these seeds have, which may be fewer than `value` is of."""
    seeds_low: float | None
    seeds_high: float | None
    legacy: float | None
    legacy_low: float | None
    legacy_high: float | None
    settings: int
    """Matched settings at hand, each seed for itself."""
    planned: int
    verdict: Answer
    why: str
    """Why it is undecided, in a few words."""
    missing: tuple[str, ...]
    """Cells that it lacks: not trained, or without curves because they diverged."""


class Interval(NamedTuple):
    """A value with its 95 % interval, as far as there are any."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class _Comparison:
    """Cells, by name, that agree on every axis but the compared one."""

    setting: tuple[tuple[str, Any], ...]
    """The other axes but the seed."""
    seed: Any
    first: tuple[str, ...]
    second: tuple[str, ...]


def answer(run: Run) -> list[Verdict]:
    """Answer every clause from the cells at hand.

    Raises:
        InputError: the records of two cells do not answer the same dev queries.
    """
    evidence = read_evidence(run)
    return [_verdict(clause, run, evidence) for clause in CLAUSES]


def _arms(clause: Clause, cells: Iterable[PlannedCell]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The values of the clause's arms that the matrix has at all."""
    values = {cell.axes[clause.axis] for cell in cells}
    first, second = (
        tuple(value for value in arm if value in values) for arm in (clause.first, clause.second)
    )
    return first, second


def _comparisons(clause: Clause, cells: Sequence[PlannedCell]) -> list[_Comparison]:
    """The planned comparisons: settings for which the matrix has every value of both arms."""
    first, second = _arms(clause, cells)
    by_setting: dict[Any, dict[Any, str]] = defaultdict(dict)
    for cell in cells:
        others = tuple(
            (axis, value) for axis, value in cell.axes.items() if axis not in (clause.axis, "seed")
        )
        by_setting[others, cell.axes["seed"]][cell.axes[clause.axis]] = cell.name
    return [
        _Comparison(
            setting,
            seed,
            tuple(names[value] for value in first),
            tuple(names[value] for value in second),
        )
        for (setting, seed), names in by_setting.items()
        if first and second and all(value in names for value in first + second)
    ]


def _difference_arms(
    comparisons: Iterable[_Comparison], numbers: Mapping[str, Mapping[str, Values]], name: str
) -> Values:
    """(settings, units, 2): both arms' numbers, averaged over an arm's values, then over seeds."""
    by_setting = defaultdict(list)
    for item in comparisons:
        arms = [
            np.mean([numbers[cell][name] for cell in arm], axis=0)
            for arm in (item.first, item.second)
        ]
        by_setting[item.setting].append(np.stack(arms, axis=-1))
    return np.stack([np.mean(seeds, axis=0) for seeds in by_setting.values()])


def _verdict(clause: Clause, run: Run, evidence: Evidence) -> Verdict:
    cells = [
        cell
        for cell in run.cells
        if all(cell.axes[axis] == value for axis, value in clause.where.items())
    ]
    planned = _comparisons(clause, cells)
    lacking = {
        name
        for item in planned
        for name in item.first + item.second
        if clause.quantity.name not in evidence.cells.get(name, {})
    }
    at_hand = [item for item in planned if lacking.isdisjoint(item.first + item.second)]
    difference = _difference(clause.quantity, at_hand, evidence)
    legacy = seeds = Interval()
    count = None
    if clause.quantity is ACCURACY:
        legacy = _difference(LEAKY, at_hand, evidence)
        count, seeds = _over_seeds(at_hand, evidence)
    all_seen = bool(evidence.cells) and ACCURACY.name not in evidence.debates
    verdict, why = _decide(clause, planned, difference, seeds, all_seen=all_seen)
    return Verdict(
        claim=clause.claim,
        clause=clause.words,
        quantity=_in_words(clause, cells),
        unit=clause.quantity.unit,
        documents=clause.documents,
        claimed=clause.claimed,
        study_queries=ASKED["dev"] if clause.quantity.of_queries else None,
        study_least=_least() if clause.quantity is ACCURACY else None,
        **difference._asdict(),
        seeds=count,
        **{f"seeds_{name}": value for name, value in seeds._asdict().items()},
        legacy=legacy.value,
        legacy_low=legacy.low,
        legacy_high=legacy.high,
        settings=len(at_hand),
        planned=len(planned),
        verdict=verdict,
        why=why,
        missing=tuple(cell.name for cell in run.cells if cell.name in lacking),
    )


def _least() -> float:
    """The smallest difference that the study's dev queries could have shown, in points."""
    return 100 * least_discordant(ASKED["dev"]) / ASKED["dev"]


def could_have_shown(verdict: Verdict) -> str:
    """What difference the documents' own queries could have shown, in words; empty for no query."""
    n = verdict.study_queries
    if n is None:
        return ""
    if verdict.study_least is None:
        return f"n = {n}: steps of {100 / n:.1f} points"
    queries = round(verdict.study_least * n / 100)
    text = f"n = {n}: {verdict.study_least:.1f} points or more ({queries} queries)"
    if verdict.claimed is not None:
        asked = round(verdict.claimed * n / 100)
        text += f"; claimed {verdict.claimed:g} points, about {asked} queries"
    return text


def _difference(
    quantity: Quantity, comparisons: Sequence[_Comparison], evidence: Evidence
) -> Interval:
    """The comparison's value, and its 95 % interval where there is something to resample."""
    names = {name for item in comparisons for name in item.first + item.second}
    if not names or any(quantity.name not in evidence.cells[name] for name in names):
        return Interval()
    settings = _difference_arms(comparisons, evidence.cells, quantity.name)
    if quantity.noise == "debates":
        units, bootstrap = settings.mean(axis=0), evidence.debates[quantity.name]
    else:
        units, bootstrap = settings[:, 0], None
        if quantity.noise == "settings" and len(units) >= LEAST_SETTINGS:
            bootstrap = Bootstrap(range(len(units)))
    value = float(quantity.compare(units.mean(axis=0)))
    if bootstrap is None:
        return Interval(value)
    resampled = quantity.compare(bootstrap.means(units))
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high))


def _over_seeds(
    comparisons: Sequence[_Comparison], evidence: Evidence
) -> tuple[int | None, Interval]:
    """How many seeds, and the difference in accuracy with the seed as the unit.

    Over the settings that enough seeds have, and the seeds that all of these have.
    """
    seeds = defaultdict(set)
    for item in comparisons:
        seeds[item.setting].add(item.seed)
    enough = {setting: some for setting, some in seeds.items() if len(some) >= LEAST_SEEDS}
    common = set.intersection(*enough.values()) if enough else set()
    if len(common) < LEAST_SEEDS:
        return None, Interval()
    differences = []
    for seed in sorted(common):
        of_seed = [item for item in comparisons if item.seed == seed and item.setting in enough]
        arms = _difference_arms(of_seed, evidence.cells, ACCURACY.name).mean(axis=(0, 1))
        differences.append(float(ACCURACY.compare(arms)))
    spread = over_seeds(np.array(differences))
    value, low, high = np.round([spread.mean, spread.low, spread.high], 9).tolist()
    return len(common), Interval(value, low, high)


def _decide(
    clause: Clause,
    planned: Sequence[_Comparison],
    difference: Interval,
    seeds: Interval,
    *,
    all_seen: bool,
) -> tuple[Answer, str]:
    """The verdict, and why where it is undecided."""
    if not planned:
        return "undecided", "not in this matrix"
    if difference.value is None:
        return "undecided", (
            "no unseen query in dev"
            if clause.quantity is ACCURACY and all_seen
            else "no setting at hand"
        )
    if clause.quantity.noise == "none":
        difference = Interval(difference.value, difference.value, difference.value)
    if difference.low is None or difference.high is None:
        return "undecided", f"fewer than {LEAST_SETTINGS} settings"
    answer = _answer(clause.expected, difference.low, difference.high)
    if answer == "undecided":
        return answer, "the interval allows both"
    if seeds.low is not None and seeds.high is not None:
        by_seeds = _answer(clause.expected, seeds.low, seeds.high)
        if by_seeds != answer:
            return "undecided", "the interval over seeds does not bear it out"
    return answer, ""


def _answer(expected: Range, low: float, high: float) -> Answer:
    """What one interval says: a sign needs zero outside it, a range the whole of it inside."""
    if expected in (MORE, LESS):
        if low <= 0 <= high:
            return "undecided"
        return "supported" if (low > 0) == (expected == MORE) else "contradicted"
    if expected[0] <= low and high <= expected[1]:
        return "supported"
    return "contradicted" if high < expected[0] or low > expected[1] else "undecided"


def _in_words(clause: Clause, cells: Sequence[PlannedCell]) -> str:
    """`accuracy@1, points: δ 0.02 − δ 0`, with the values that the matrix has."""
    prefix = f"{SHORT[clause.axis]} " if clause.axis in SHORT else ""
    arms = []
    planned = _arms(clause, cells)
    for arm, whole in zip(planned, (clause.first, clause.second), strict=True):
        values = ", ".join(option_text(value) for value in arm or whole)
        arms.append(f"{'mean of ' if len(arm or whole) > 1 else ''}{prefix}{values}")
    compared = f"1 − {arms[0]} / {arms[1]}" if clause.quantity.share_saved else " − ".join(arms)
    where = "".join(
        f", {SHORT.get(axis, axis)} {option_text(value)}" for axis, value in clause.where.items()
    )
    return f"{clause.quantity.name}, {clause.quantity.unit}: {compared}{where}"
