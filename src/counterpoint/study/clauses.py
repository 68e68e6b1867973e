"""What the two documents that the project started from claim, as data.

A clause is one claim that one number decides.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from counterpoint.evaluation.metrics import Values

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
    of_queries: bool = True
    """Whether it comes from accuracies, which are counts of queries."""

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
PARAMETERS = Quantity("parameters", "number", "none", of_queries=False)
SECONDS = Quantity("training time", "seconds an epoch", "settings", digits=2, of_queries=False)
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
    """The documents' score, where they gave one."""
    claimed: float | None = None
    """The difference in accuracy that the documents gave, at most, in points."""
    where: Mapping[str, Any] = field(default_factory=dict)
    """Axis to the only value of it that counts."""


HEADS = ("linear", "layernorm", "relu", "layernorm_relu")
BOTH, NEITHER = ("layernorm_relu",), ("linear",)
SLOW, MIDDLE, FAST = (0.005,), (0.01, 0.015, 0.02), (0.03, 0.04, 0.05)
SWEEP = {"initial_random_rate": 1.0}
FIXED = {"initial_random_rate": 0.8, "head": "layernorm_relu"}


def _fusion(  # noqa: PLR0917  a row of the table below
    claim: str,
    words: str,
    what: Quantity,
    one: str,
    other: str,
    sign: Range,
    documents: str = "",
    claimed: float | None = None,
) -> Clause:
    return Clause(claim, words, what, "fusion", (one,), (other,), sign, documents, claimed)


def _head(  # noqa: PLR0917  a row of the table below
    claim: str,
    words: str,
    what: Quantity,
    one: tuple[str, ...],
    others: tuple[str, ...],
    sign: Range,
    documents: str = "",
    claimed: float | None = None,
) -> Clause:
    return Clause(claim, words, what, "head", one, others, sign, documents, claimed)


def _rate(  # noqa: PLR0917  a row of the table below
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
    _fusion(
        "C1", "concat beats embedding", ACCURACY, "concat", "embedding", MORE, "0.85 > 0.82", 3
    ),
    _fusion("C1", "embedding beats cls", ACCURACY, "embedding", "cls", MORE, "0.82 > 0.78", 4),
    _head("C2", "LayerNorm + ReLU beats neither", ACCURACY, BOTH, NEITHER, MORE, "0.87 > 0.84", 3),
    _head("C2", "by 2 to 3 points", ACCURACY, BOTH, NEITHER, (2.0, 3.0), "2 to 3 points", 3),
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

SHORT = {"decrease_rate": "δ", "initial_random_rate": "r0"}
"""Axis to what it is called in tables."""


def digits_of_clauses(decimals: int) -> dict[str, int]:
    """A clause's words to the decimals of its numbers, where percentages have so many."""
    return {
        clause.words: 0 if clause.quantity is PARAMETERS else decimals + clause.quantity.digits
        for clause in CLAUSES
    }
