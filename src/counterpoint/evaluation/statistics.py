"""Intervals over debates and over seeds, paired differences, corrected p-values."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from counterpoint.evaluation.metrics import Values
from counterpoint.io.rng import generator

RESAMPLES = 10_000
LEVEL = 0.95

LEAST_SEEDS = 3
"""How many seeds an interval over seeds, or a test of a difference between them, needs."""

FEW_DEBATES = 10
"""With fewer, resampling debates makes intervals too narrow."""


def doubts(split: str, debates: int) -> Iterator[str]:
    """That intervals over so few debates are too narrow, where they are."""
    if debates < FEW_DEBATES:
        yield (
            f"{split} has {debates} debates; intervals and p-values over fewer than {FEW_DEBATES} "
            "are too optimistic"
        )


class Bootstrap:
    """Resamples of debates: means of per-query values over each, and what follows from them.

    Efron, Tibshirani, *An Introduction to the Bootstrap* (1993), chapters 8 (clusters) and 13
    (percentile intervals). The same debates in the same order give the same resamples, so two
    systems are compared on the same ones.

    Args:
        debates: (n,) the debate of each query, in any hashable form.
        resamples: how many.
        seed: of the draw.
    """

    def __init__(
        self, debates: Sequence[Any] | npt.NDArray[Any], resamples: int = RESAMPLES, seed: int = 0
    ) -> None:
        _, self._group = np.unique(np.asarray(debates), return_inverse=True)
        count = int(self._group.max()) + 1
        rng = generator(seed, -1, "bootstrap over debates")
        self._weights = rng.multinomial(count, np.full(count, 1 / count), size=resamples).astype(
            np.float64
        )
        self._queries = self._weights @ np.bincount(self._group, minlength=count)

    def means(self, values: Values) -> Values:
        """(n, k) values to (resamples, k) means, one for each resample."""
        groups = self._weights.shape[1]
        sums = np.stack(
            [np.bincount(self._group, column, minlength=groups) for column in values.T], axis=1
        )
        result: Values = self._weights @ sums
        result /= self._queries[:, None]
        return result

    def interval(self, values: Values) -> tuple[Values, Values]:
        """(n, k) values to the lower and upper ends (k,) of the 95 % interval of their means."""
        return _ends(self.means(values))

    def difference(self, a: Values, b: Values) -> tuple[Values, Values, Values]:
        """Paired difference a − b of (n, k) values: its interval, and a two-sided p-value, (k,).

        The p-value is twice the smaller share of resamples on either side of zero, those at zero
        counted on both; never below 2 / (resamples + 1).
        """
        means = self.means(a - b)
        total = len(means) + 1
        below = (1 + (means <= 0).sum(axis=0)) / total
        above = (1 + (means >= 0).sum(axis=0)) / total
        return *_ends(means), np.minimum(1.0, 2 * np.minimum(below, above))


def _ends(means: Values) -> tuple[Values, Values]:
    rows = means.T.copy()
    rows.sort(axis=1)
    low, high = (_quantile(rows, share) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return low, high


def _quantile(rows: Values, share: float) -> Values:
    """(k, n) sorted rows to (k,) quantiles between the two nearest values.

    To the last bit what `numpy.quantile` gives, which partitions in several times what sorting
    takes.
    """
    place = (rows.shape[1] - 1) * share
    below = math.floor(place)
    part = place - below
    left, right = rows[:, below], rows[:, min(below + 1, rows.shape[1] - 1)]
    # numpy starts from the nearer of the two.
    result: Values = (
        right - (right - left) * (1 - part) if part >= 0.5 else left + (right - left) * part
    )
    return result


def wilson(right: int, n: int) -> tuple[float, float]:
    """The ends of the 95 % interval of a share, of so many right of n.

    Wilson, *Probable inference, the law of succession, and statistical inference* (1927).
    """
    # Imported here: it takes longer than all else that a job imports of scipy.
    from scipy.stats import binomtest

    interval = binomtest(right, n).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def least_discordant(n: int) -> int:
    """The fewest queries of n that tell two systems apart at 5 %, by McNemar's exact test.

    All queries on which the two differ are then in favour of one; each that speaks for the other
    asks for more. McNemar, *Note on the sampling error of the difference between correlated
    proportions* (1947).

    Raises:
        ValueError: not even all n are enough.
    """
    for count in range(1, n + 1):
        # The binomial test's two-sided p-value where all of them speak for one: 2 · (1/2)ⁿ.
        if 2.0 ** (1 - count) < 1 - LEVEL:
            return count
    raise ValueError(f"no difference between two systems is significant on {n} queries")


class Spread(NamedTuple):
    """What several seeds say of a figure; not-a-number where they are too few to say it."""

    mean: float
    sd: float
    """Sample standard deviation, of two seeds or more."""
    low: float
    high: float
    """The ends of the 95 % t interval of the mean, of `LEAST_SEEDS` or more."""
    p: float
    """Two-sided, of the mean's being 0 (one-sample t test), of `LEAST_SEEDS` or more."""


def over_seeds(values: Values) -> Spread:
    """(n,) figures, one a seed, to their mean and spread, with the seed as the unit.

    Where all seeds give the same, the interval is that one figure and p is 1 at zero, else 0.
    """
    n = len(values)
    mean = float(values.mean())
    if n == 1:
        return Spread(mean, math.nan, math.nan, math.nan, math.nan)
    sd = float(values.std(ddof=1))
    if n < LEAST_SEEDS:
        return Spread(mean, sd, math.nan, math.nan, math.nan)
    if sd == 0:
        return Spread(mean, sd, mean, mean, 1.0 if mean == 0 else 0.0)
    error = sd / math.sqrt(n)
    reach = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * error
    p = float(2 * stdtr(n - 1, -abs(mean) / error))
    return Spread(mean, sd, mean - reach, mean + reach, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for a table of comparisons, in the order given.

    Holm, *A simple sequentially rejective multiple test procedure* (1979).
    """
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = largest
    return [float(value) for value in corrected]
