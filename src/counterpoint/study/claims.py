"""What the two documents that the project started from claim, answered from a run's cells.

`CLAUSES` is the claims; the rest measures cells, matches them and gives verdicts. Trains and
evaluates nothing, and never averages over what is missing.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from counterpoint.corpus.arguments import read_debates
from counterpoint.errors import InputError
from counterpoint.evaluation.metrics import Values, accuracy_at_1
from counterpoint.evaluation.records import read_records
from counterpoint.evaluation.statistics import LEAST_SEEDS, LEVEL, Bootstrap, over_seeds
from counterpoint.io.atomic import write_text
from counterpoint.io.text import csv_text, markdown_table
from counterpoint.runs.folder import PlannedCell, Run
from counterpoint.tasks.protocols import LEGACY

LEAST_SETTINGS = 6
"""How many settings a bootstrap over settings needs: that so many fall on one side by chance alone
has a probability of one in 32."""

OF_BEST = 0.95
"""The share of its own best dev accuracy at which a cell counts as converged."""

LAST_EPOCHS = 10
"""How many epochs at the end of the log the gap is averaged over."""

MISSING_SHOWN = 10
"""How many missing cells `claims.md` names; `claims.csv` names all."""

Answer = Literal["supported", "contradicted", "undecided"]

Range = tuple[float, float]

MORE: Range = (0.0, math.inf)
LESS: Range = (-math.inf, 0.0)


@dataclass(frozen=True)
class Quantity:
    """A number of a cell, and how two groups of cells are compared by it."""

    name: str
    unit: str
    noise: Literal["debates", "settings", "none"]
    """What the interval resamples."""
    share_saved: bool = False
    """Compare by 100 · (1 − first / second) instead of first − second."""
    digits: int = 0
    """Digits to print beyond those asked for."""

    def compare(self, arms: Values) -> Values:
        """(..., 2) means of the two arms to (...) comparisons, in `unit`."""
        first, second = arms[..., 0], arms[..., 1]
        values = 100 * (1 - first / second) if self.share_saved else first - second
        # What cancels must be zero, not 1e-17, or it would lie on one side of zero.
        result: Values = np.round(values, 9)
        return result


ACCURACY = Quantity("accuracy@1", "points", "debates")
EPOCHS = Quantity("epochs to 95 %", "epochs", "settings")
SAVED = Quantity("epochs to 95 %", "% saved", "settings", share_saved=True)
UNSTEADINESS = Quantity("unsteadiness", "points", "settings", digits=1)
GAP = Quantity("gap", "points", "settings")
PARAMETERS = Quantity("parameters", "number", "none")
SECONDS = Quantity("training time", "seconds an epoch", "settings", digits=2)
LEAKY = Quantity("legacy", "points", "debates")
"""Accuracy by the documents' own evaluation, shown beside `ACCURACY` and never decided by."""


@dataclass(frozen=True)
class Clause:
    """One claim that one number decides: values of an axis against other values of it.

    Where an arm has several values its number is their mean.
    """

    claim: str
    words: str
    quantity: Quantity
    axis: str
    first: tuple[Any, ...]
    second: tuple[Any, ...]
    expected: Range
    documents: str = ""
    """The documents' figure, where they gave one."""
    where: Mapping[str, Any] = field(default_factory=dict)
    """Axis to the only value of it that counts."""


HEADS = ("linear", "layernorm", "relu", "layernorm_relu")
BOTH, NEITHER = ("layernorm_relu",), ("linear",)
SLOW, MIDDLE, FAST = (0.005,), (0.01, 0.015, 0.02), (0.03, 0.04, 0.05)
SWEEP = {"initial_random_rate": 1.0}
FIXED = {"initial_random_rate": 0.8, "head": "layernorm_relu"}


def _fusion(
    claim: str, words: str, what: Quantity, one: str, other: str, sign: Range, documents: str = ""
) -> Clause:
    return Clause(claim, words, what, "fusion", (one,), (other,), sign, documents)


def _head(
    claim: str,
    words: str,
    what: Quantity,
    one: tuple[str, ...],
    others: tuple[str, ...],
    sign: Range,
    documents: str = "",
) -> Clause:
    return Clause(claim, words, what, "head", one, others, sign, documents)


def _rate(
    claim: str,
    words: str,
    what: Quantity,
    one: tuple[float, ...],
    others: tuple[float, ...],
    sign: Range,
    where: Mapping[str, Any] = SWEEP,
) -> Clause:
    return Clause(claim, words, what, "decrease_rate", one, others, sign, where=where)


def _but(head: str) -> tuple[str, ...]:
    return tuple(other for other in HEADS if other != head)


CLAUSES = (
    _fusion("C1", "concat beats embedding", ACCURACY, "concat", "embedding", MORE, "0.85 > 0.82"),
    _fusion("C1", "embedding beats cls", ACCURACY, "embedding", "cls", MORE, "0.82 > 0.78"),
    _head("C2", "LayerNorm + ReLU beats neither", ACCURACY, BOTH, NEITHER, MORE, "0.87 > 0.84"),
    _head("C2", "by 2 to 3 points", ACCURACY, BOTH, NEITHER, (2.0, 3.0), "2 to 3 points"),
    _head("C2", "LayerNorm + ReLU beats LayerNorm alone", ACCURACY, BOTH, ("layernorm",), MORE),
    _head("C2", "LayerNorm + ReLU beats ReLU alone", ACCURACY, BOTH, ("relu",), MORE),
    _head("C3", "LayerNorm + ReLU converges faster than neither", SAVED, BOTH, NEITHER, MORE),
    _head("C3", "by about 30 % (20 to 40)", SAVED, BOTH, NEITHER, (20.0, 40.0), "about 30 %"),
    _head("C4", "ReLU alone is unsteady", UNSTEADINESS, ("relu",), _but("relu"), MORE),
    _rate("C5", "slow is steadier than middle", UNSTEADINESS, SLOW, MIDDLE, LESS),
    _rate("C5", "slow is steadier than fast", UNSTEADINESS, SLOW, FAST, LESS),
    _rate("C5", "slow converges slower than middle", EPOCHS, SLOW, MIDDLE, MORE),
    _rate("C5", "slow converges slower than fast", EPOCHS, SLOW, FAST, MORE),
    _rate("C5", "slow ends lower: middle beats slow", ACCURACY, MIDDLE, SLOW, MORE),
    _rate("C5", "middle is the balance: it beats fast", ACCURACY, MIDDLE, FAST, MORE),
    _rate("C5", "fast converges faster than middle", EPOCHS, FAST, MIDDLE, LESS),
    _rate("C5", "fast is less steady than middle", UNSTEADINESS, FAST, MIDDLE, MORE),
    _rate("C5", "fast over-fits more than middle", GAP, FAST, MIDDLE, MORE),
    _rate("C6", "decreasing beats fixed", ACCURACY, (0.02,), (0.0,), MORE, FIXED),
    _rate("C6", "decreasing beats purely random", ACCURACY, SLOW + MIDDLE + FAST, (0.0,), MORE),
    _fusion("C7", "concat converges faster than embedding", EPOCHS, "concat", "embedding", LESS),
    _fusion("C7", "concat converges faster than cls", EPOCHS, "concat", "cls", LESS),
    _fusion("C7", "concat over-fits more than embedding", GAP, "concat", "embedding", MORE),
    _fusion("C7", "concat over-fits more than cls", GAP, "concat", "cls", MORE),
    _fusion("C8", "cls is smaller than embedding", PARAMETERS, "cls", "embedding", LESS),
    _fusion("C8", "cls is smaller than concat", PARAMETERS, "cls", "concat", LESS),
    _fusion("C8", "cls trains faster than embedding", SECONDS, "cls", "embedding", LESS),
    _fusion("C8", "cls trains faster than concat", SECONDS, "cls", "concat", LESS),
    _head("C9", "LayerNorm alone is steady", UNSTEADINESS, ("layernorm",), _but("layernorm"), LESS),
    _head("C9", "but slower than LayerNorm + ReLU", EPOCHS, ("layernorm",), BOTH, MORE),
)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A clause answered; what there is no figure for is None."""

    claim: str
    clause: str
    quantity: str
    """In words, with its unit."""
    unit: str
    documents: str
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


class _Figure(NamedTuple):
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


@dataclass(frozen=True)
class _Evidence:
    cells: dict[str, dict[str, Values]]
    """Cell to the name of a quantity to its numbers: (queries,) for accuracies, else (1,)."""
    debates: dict[str, Bootstrap]
    """Resamples of the queries of `ACCURACY` and of `LEAKY`."""


def claims(run: Run) -> list[Verdict]:
    """Answer every clause from the cells at hand.

    Raises:
        InputError: the records of two cells do not answer the same dev queries.
    """
    evidence = _read(run)
    return [_verdict(clause, run, evidence) for clause in CLAUSES]


def write_claims(run: Run, folder: Path, decimals: int) -> None:
    """Write `claims.csv` and `claims.md` into a folder.

    Raises:
        InputError: the records of two cells do not answer the same dev queries.
    """
    verdicts = claims(run)
    columns = [column.name for column in fields(Verdict)]
    write_text(folder / "claims.csv", csv_text(claims_rows(verdicts), columns))
    write_text(folder / "claims.md", claims_markdown(run, verdicts, decimals))


# --- what each cell measured ---


def _read(run: Run) -> _Evidence:
    cells: dict[str, dict[str, Values]] = {}
    first: dict[str, tuple[Path, pd.Index[Any]]] = {}
    for cell in run.with_status("done", "diverged"):
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
    return _Evidence(cells, debates)


def _dev_ranks(path: Path) -> dict[str, "pd.Series[Any]"]:
    """Ranks after re-ranking on dev, `epa`, by query, for each accuracy."""
    records = read_records(path)
    records = records[(records["split"] == "dev") & (records["task"] == "epa")]
    return {
        name: records[records["protocol"] == protocol].set_index("query")["reranked"].sort_index()
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


# --- which cells are compared ---


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
            (axis, "" if pd.isna(value) else value)
            for axis, value in cell.axes.items()
            if axis not in (clause.axis, "seed")
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


# --- figures and verdicts ---


def _verdict(clause: Clause, run: Run, evidence: _Evidence) -> Verdict:
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
    figure = _figure(clause.quantity, at_hand, evidence)
    legacy = seeds = _Figure()
    count = None
    if clause.quantity is ACCURACY:
        legacy = _figure(LEAKY, at_hand, evidence)
        count, seeds = _over_seeds(at_hand, evidence)
    all_seen = bool(evidence.cells) and ACCURACY.name not in evidence.debates
    verdict, why = _decide(clause, planned, figure, seeds, all_seen=all_seen)
    return Verdict(
        claim=clause.claim,
        clause=clause.words,
        quantity=_in_words(clause, cells),
        unit=clause.quantity.unit,
        documents=clause.documents,
        **figure._asdict(),
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


def _figure(quantity: Quantity, comparisons: Sequence[_Comparison], evidence: _Evidence) -> _Figure:
    """The comparison's value, and its 95 % interval where there is something to resample."""
    names = {name for item in comparisons for name in item.first + item.second}
    if not names or any(quantity.name not in evidence.cells[name] for name in names):
        return _Figure()
    settings = _difference_arms(comparisons, evidence.cells, quantity.name)
    if quantity.noise == "debates":
        units, bootstrap = settings.mean(axis=0), evidence.debates[quantity.name]
    else:
        units, bootstrap = settings[:, 0], None
        if quantity.noise == "settings" and len(units) >= LEAST_SETTINGS:
            bootstrap = Bootstrap(range(len(units)))
    value = float(quantity.compare(units.mean(axis=0)))
    if bootstrap is None:
        return _Figure(value)
    resampled = quantity.compare(bootstrap.means(units))
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return _Figure(value, float(low), float(high))


def _over_seeds(
    comparisons: Sequence[_Comparison], evidence: _Evidence
) -> tuple[int | None, _Figure]:
    """How many seeds, and the difference in accuracy with the seed as the unit.

    Over the settings that enough seeds have, and the seeds that all of these have.
    """
    seeds = defaultdict(set)
    for item in comparisons:
        seeds[item.setting].add(item.seed)
    enough = {setting: found for setting, found in seeds.items() if len(found) >= LEAST_SEEDS}
    common = set.intersection(*enough.values()) if enough else set()
    if len(common) < LEAST_SEEDS:
        return None, _Figure()
    differences = []
    for seed in sorted(common):
        own = [item for item in comparisons if item.seed == seed and item.setting in enough]
        arms = _difference_arms(own, evidence.cells, ACCURACY.name).mean(axis=(0, 1))
        differences.append(float(ACCURACY.compare(arms)))
    spread = over_seeds(np.array(differences))
    value, low, high = np.round([spread.mean, spread.low, spread.high], 9).tolist()
    return len(common), _Figure(value, low, high)


def _decide(
    clause: Clause,
    planned: Sequence[_Comparison],
    figure: _Figure,
    seeds: _Figure,
    *,
    all_seen: bool,
) -> tuple[Answer, str]:
    """The verdict, and why where it is undecided."""
    if not planned:
        return "undecided", "not in this matrix"
    if figure.value is None:
        return "undecided", (
            "no unseen query in dev"
            if clause.quantity is ACCURACY and all_seen
            else "no setting at hand"
        )
    if clause.quantity.noise == "none":
        figure = _Figure(figure.value, figure.value, figure.value)
    if figure.low is None or figure.high is None:
        return "undecided", f"fewer than {LEAST_SETTINGS} settings"
    answer = _answer(clause.expected, figure.low, figure.high)
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


# --- words ---

SHORT = {"decrease_rate": "δ", "initial_random_rate": "r0"}


def _in_words(clause: Clause, cells: Sequence[PlannedCell]) -> str:
    """`accuracy@1, points: δ 0.02 − δ 0`, with the values that the matrix has."""
    prefix = f"{SHORT[clause.axis]} " if clause.axis in SHORT else ""
    arms = []
    planned = _arms(clause, cells)
    for arm, whole in zip(planned, (clause.first, clause.second), strict=True):
        values = ", ".join(_plain(value) for value in arm or whole)
        arms.append(f"{'mean of ' if len(arm or whole) > 1 else ''}{prefix}{values}")
    compared = f"1 − {arms[0]} / {arms[1]}" if clause.quantity.share_saved else " − ".join(arms)
    where = "".join(
        f", {SHORT.get(axis, axis)} {_plain(value)}" for axis, value in clause.where.items()
    )
    return f"{clause.quantity.name}, {clause.quantity.unit}: {compared}{where}"


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def claims_rows(verdicts: Iterable[Verdict]) -> list[dict[str, object]]:
    """The rows of `claims.csv`: the fields of a verdict, missing cells joined by spaces."""
    return [{**asdict(verdict), "missing": " ".join(verdict.missing)} for verdict in verdicts]


def digits_of_clauses(decimals: int) -> dict[str, int]:
    """A clause's words to the decimals of its numbers, where percentages have so many."""
    return {
        clause.words: 0 if clause.quantity is PARAMETERS else decimals + clause.quantity.digits
        for clause in CLAUSES
    }


def claims_markdown(run: Run, verdicts: Sequence[Verdict], decimals: int) -> str:
    """`claims.md`: what the run is, the verdicts, and the cells that they lack."""
    digits = digits_of_clauses(decimals)
    rows = [_row(verdict, digits[verdict.clause]) for verdict in verdicts]
    return f"# The documents' claims\n\n{_preface(run)}\n\n{markdown_table(rows)}" + "".join(
        f"\n{note}\n" for note in _notes(run, verdicts)
    )


def _row(verdict: Verdict, digits: int) -> dict[str, object]:
    over = _with_interval(verdict.seeds_value, verdict.seeds_low, verdict.seeds_high, digits)
    legacy = _with_interval(verdict.legacy, verdict.legacy_low, verdict.legacy_high, digits)
    return {
        "claim": verdict.claim,
        "clause": f"{verdict.clause} ({verdict.quantity})",
        "documents": verdict.documents or "–",
        "here (95 %)": _with_interval(verdict.value, verdict.low, verdict.high, digits),
        "over seeds (95 %)": over if verdict.seeds is None else f"{over}, n = {verdict.seeds}",
        "legacy (leaks)": legacy,
        "settings": f"{verdict.settings} of {verdict.planned}",
        "verdict": f"**{verdict.verdict}**" + (f": {verdict.why}" if verdict.why else ""),
    }


def _with_interval(value: float | None, low: float | None, high: float | None, digits: int) -> str:
    if value is None:
        return "–"
    text = f"{value:+,.{digits}f}"
    return text if low is None else f"{text} ({low:+,.{digits}f} to {high:+,.{digits}f})"


def _preface(run: Run) -> str:
    options = run.config.model_dump(mode="json")
    corpus = options["corpus"]
    trained = len(run.with_status("done", "diverged"))
    return (
        "Protocol `clean`, task `epa`, after re-ranking, dev split "
        f"`{corpus['splits']['dev']}` of `{corpus['url'] or corpus['path']}`; encoder "
        f"{_option(run, options, 'encoder.name')}, pooling "
        f"{_option(run, options, 'encoder.pooling')}; epochs planned: "
        f"{_option(run, options, 'training.epochs')}; {trained} of {len(run.cells)} cells trained. "
        "The verdicts hold for these alone.\n\n"
        "A figure compares cells that agree on every axis but the compared one, averaged over an "
        "arm's values, then over seeds, then over settings. Intervals, 95 %: for accuracy, a "
        f"bootstrap over debates and, where at least {LEAST_SEEDS} seeds trained the same "
        "settings, a t interval over these with the seed as the unit; for curves and times, a "
        f"bootstrap over settings, which needs {LEAST_SETTINGS}; parameters are exact. "
        "*Supported*: every interval that there is excludes zero on the side claimed, or lies "
        "within the range claimed; *contradicted*: on the other side, or outside the range; "
        "*undecided*: these cells do not tell. Nothing is corrected for the number of clauses.\n\n"
        "Epochs to 95 % are of a cell's own best dev accuracy; unsteadiness is the standard "
        "deviation of the change of dev accuracy from epoch to epoch; the gap is train minus dev "
        f"accuracy, mean of the last {LAST_EPOCHS} epochs. `legacy`, the documents' own "
        "evaluation, shows the classifier the answer and decides nothing. Settings are at hand of "
        "planned, each seed for itself."
    )


def _option(run: Run, options: Mapping[str, Any], path: str) -> str:
    """An option of the run, or all its values where it is an axis of the matrix."""
    section, key = path.split(".")
    values = dict.fromkeys(cell.axes.get(path, options[section][key]) for cell in run.cells)
    return ", ".join(f"`{value}`" for value in values)


def _notes(run: Run, verdicts: Iterable[Verdict]) -> list[str]:
    """What is not as planned: cells that stopped early, diverged, or are missing."""
    needed = {name for verdict in verdicts for name in verdict.missing}
    trained = run.with_status("done")
    stopped = [cell for cell in trained if cell.outcome().status == "stopped"]
    notes = []
    if stopped:
        notes.append(
            f"{len(stopped)} of {len(trained)} cells stopped before the planned last epoch, so the "
            "clauses about curves compare curves of different lengths; for curves of full length "
            "train `config/claims.yaml`."
        )
    diverged = [cell.name for cell in run.with_status("diverged")]
    if diverged:
        notes.append(f"Diverged; count for accuracy, not for curves:\n\n{_listed(diverged)}")
    missing = [cell.name for cell in run.with_status("missing", "failed") if cell.name in needed]
    if missing:
        notes.append(f"Missing, and left out with their settings:\n\n{_listed(missing)}")
    return notes


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MISSING_SHOWN
    lines = [f"- `{name}`" for name in names[:MISSING_SHOWN]]
    return "\n".join([*lines, f"- … and {more} more"] if more > 0 else lines)
