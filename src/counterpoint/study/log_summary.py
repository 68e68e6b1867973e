"""What a log says of each split: its best and last accuracy, and over how many queries."""

from collections.abc import Iterator
from dataclasses import dataclass

from counterpoint.evaluation.statistics import wilson
from counterpoint.io.text import option_text, percent_interval
from counterpoint.study.denominators import LARGEST, Denominator
from counterpoint.study.old_log import OldEpoch, OldLog
from counterpoint.study.protocol import ASKED, PAIRS

NAMES = {"train": "training", "dev": "validation", "test": "test"}
"""Role to what ArguAna Counterargs calls its split."""

MEANING = (
    "n is the number of queries that a split's accuracies are shares of. The original study's "
    "evaluator takes the number of its batches of 16 for that of its pairs, so it asks the first "
    "⌈N/16⌉ of a split's N pairs alone (protocol legacy-subset, which leaks the answer; "
    "docs/original-study.md). In brackets the 95 % interval (Wilson) of such a share; a best epoch "
    "is chosen by the same queries, which flatters it."
)
"""Printed below the summaries."""


@dataclass(frozen=True)
class Share:
    """An accuracy with its 95 % interval (Wilson), fractions; not-a-number where n is not known."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class LogSummary:
    """A split's accuracy over the epochs of a log."""

    best: Share
    best_epoch: int
    """The first that has the best."""
    last: Share


def share(log: OldLog, role: str, value: float) -> Share:
    """An accuracy of a split with its interval."""
    n = log.n(role)
    if n is None:
        return Share(value, float("nan"), float("nan"))
    return Share(value, *wilson(round(value * n), n))


def summaries(log: OldLog) -> dict[str, LogSummary]:
    """Best, its epoch and last for each split that an imported log has."""
    result = {}
    for role in log.epochs[0].accuracy:
        values = [epoch.accuracy[role] for epoch in log.epochs]
        best = max(values)
        result[role] = LogSummary(
            share(log, role, best),
            log.epochs[values.index(best)].epoch,
            share(log, role, values[-1]),
        )
    return result


def compared_epoch(log: OldLog) -> OldEpoch:
    """The epoch that stands beside cells: the first that is best on dev, as theirs is.

    The last where the log has no dev accuracy.
    """
    if "dev" not in log.epochs[0].accuracy:
        return log.epochs[-1]
    return max(log.epochs, key=lambda epoch: epoch.accuracy["dev"])


def summary(log: OldLog) -> str:
    """The lines that are printed for a log: one for it all, then one for each split's queries."""
    of_roles = summaries(log)
    count = len(log.epochs)
    parts = [
        f"{role} best {split.best.value:.4f} (epoch {split.best_epoch}), "
        f"last {split.last.value:.4f}"
        for role, split in of_roles.items()
    ]
    lines = [f"{log.name}: {count} epoch{'s' if count != 1 else ''}; {'; '.join(parts)}"]
    for role, split in of_roles.items():
        lines.append(f"  {role}: {_told(role, log.source.queries[role])}{_intervals(split)}")
    return "\n".join([*lines, *_axes(log)])


def _told(role: str, found: Denominator) -> str:
    """How many queries, and why that many are believed."""
    if found.smallest is None:
        if not found.distinct:
            return "n unknown: the values, 0 and 1, fit every n"
        return f"n unknown: no n up to {LARGEST} has every value as a multiple of 1/n"
    if found.n is None:
        return (
            f"n unknown: {_values(found.distinct)} of so few decimals fit n = {found.smallest}, as "
            "any would by chance"
        )
    why = f"{_values(found.distinct)}, each a multiple of 1/{found.smallest}"
    if found.n != found.smallest:
        why += f", so of 1/{found.n} too"
    if found.n == ASKED[role]:
        what = f"as many as ⌈{PAIRS[role]}/16⌉, the batches of ArguAna's {NAMES[role]} split"
    elif found.n == PAIRS[role]:
        what = f"all pairs of ArguAna's {NAMES[role]} split"
    else:
        what = f"or a multiple of {found.n}, which would fit too"
    return f"n = {found.n} ({why}; {what})"


def _values(count: int) -> str:
    return f"{count} different value{'s' if count != 1 else ''}"


def _intervals(split: LogSummary) -> str:
    if split.best.low != split.best.low:
        return ""
    best, last = (
        percent_interval(one.value, one.low, one.high, 1) for one in (split.best, split.last)
    )
    return f"; best {best}, last {last} in %"


def _axes(log: OldLog) -> Iterator[str]:
    if log.source.axes:
        named = ", ".join(f"{axis} {option_text(value)}" for axis, value in log.source.axes.items())
        yield f"  stands in comparisons as {named}"
