"""How many queries the accuracies of a log are over: the n whose multiples of 1/n they all are.

A log does not say it. But an accuracy is a count divided by n, so of enough of them the smallest n
that fits is the true one, or a divisor of it that happens to fit (docs/method.md, "The claims").
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt

_Fits = npt.NDArray[np.bool_]

LARGEST = 5000
"""The largest n that is tried: no split of the corpus has more pairs."""

CHANCE = 0.05
"""What is likelier than this by chance alone is not taken for found."""

DOUBLE_DIGITS = 15
"""A number with so many decimals or more is printed in full; others are taken for rounded."""


@dataclass(frozen=True)
class Denominator:
    """The number of queries that a split's accuracies are over, as far as they tell."""

    n: int | None
    """None where they do not tell."""
    smallest: int | None
    """The smallest n that fits, of which `n` may be a multiple; None where none does."""
    distinct: int
    """How many different values there are, beside 0 and 1, which fit every n."""


def denominator(values: Iterable[float], plausible: Sequence[int] = ()) -> Denominator:
    """Find the n of which every value is a multiple of 1/n, to the precision it is printed with.

    Every multiple of such an n fits too. The smallest is taken, unless a plausible multiple of it
    explains the values as well: all D values fall on multiples of 1/smallest by a chance of
    (smallest/n)^D, and where that is `CHANCE` or more the plausible n is taken. No n is taken that
    random numbers of the same precision would fit with that chance.

    Args:
        values: accuracies, from 0 to 1.
        plausible: numbers of queries that there may be, the likelier first.
    """
    different = np.array(sorted({value for value in values if 0 < value < 1}), dtype=np.float64)
    distinct = len(different)
    if not distinct:
        return Denominator(None, None, 0)
    for tolerance in (_printed(different), _single(different)):
        fits = _fitting(different, tolerance)
        if fits.any():
            smallest = 1 + int(fits.argmax())
            break
    else:
        return Denominator(None, None, distinct)
    if _by_chance(tolerance, smallest) >= CHANCE:
        return Denominator(None, smallest, distinct)
    likely = (
        n
        for n in plausible
        if n % smallest == 0 and fits[n - 1] and (smallest / n) ** distinct >= CHANCE
    )
    return Denominator(next(likely, smallest), smallest, distinct)


def _fitting(values: npt.NDArray[np.float64], tolerance: npt.NDArray[np.float64]) -> _Fits:
    """(LARGEST,) bool: whether every value is a multiple of 1/n, for n from 1."""
    n = np.arange(1, LARGEST + 1)[:, None]
    fits: _Fits = np.all(np.abs(np.rint(values * n) / n - values) <= tolerance, axis=1)
    return fits


def _printed(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(D,) how far each may lie from the quotient it stands for, by the digits that are printed."""
    exponents = (Decimal(repr(float(value))).as_tuple().exponent for value in values)
    decimals = max(-exponent for exponent in exponents if isinstance(exponent, int))
    # A mean of several quotients is off by a few units in the last place.
    rounding: npt.NDArray[np.float64] = 4 * np.spacing(values)
    return rounding if decimals >= DOUBLE_DIGITS else rounding + 0.5 * 10.0**-decimals


def _single(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(D,) the same of numbers that were computed in single precision."""
    return np.maximum(_printed(values), np.spacing(values.astype(np.float32)).astype(np.float64))


def _by_chance(tolerance: npt.NDArray[np.float64], n: int) -> float:
    """About how likely random values are to fit some number of queries up to n."""
    tried = np.arange(1, n + 1)[:, None]
    return float(np.minimum(1.0, 2 * tolerance * tried).prod(axis=1).sum())
