"""How many queries a log's accuracies are over: found where the values tell it, else not."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.study.denominators import LARGEST, Denominator, denominator


def shares(n: int, counts: Sequence[int]) -> list[float]:
    return [count / n for count in counts]


@pytest.mark.parametrize("n", [255, 81, 88, 4065, 1287, 1401])
def test_the_counts_of_the_study_are_found(n: int) -> None:
    numbers = random.Random(n)
    values = shares(n, [numbers.randint(n // 4, n - 1) for _ in range(40)])
    found = denominator(values)
    assert (found.n, found.smallest) == (n, n)
    # In single precision, as torch gives them, in full or as it prints them, and rounded.
    single = np.array(values, dtype=np.float32)
    assert denominator(single.astype(float).tolist()).n == n
    assert denominator([float(str(value)) for value in single]).n == n
    assert denominator([round(value, 6) for value in values]).n == n


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_is_found_divides_the_true_number_and_fits(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, LARGEST))
    counts = data.draw(st.lists(st.integers(1, n - 1), min_size=3, max_size=9))
    found = denominator(shares(n, counts))
    # Few values of few decimals, 1/2 and 1/4, tell nothing.
    if found.n is not None:
        assert n % found.n == 0
        assert all((count * found.n) % n == 0 for count in counts)


def test_of_the_multiples_that_fit_too_the_plausible_one_is_taken_while_it_explains_them() -> None:
    # 54 and 63 of 81 are 6 and 7 of 9: that both were ninths is one chance in 81; one, in nine.
    assert denominator(shares(81, [63]), (81, 1287)) == Denominator(81, 9, 1)
    assert denominator(shares(81, [54, 63]), (81, 1287)) == Denominator(9, 9, 2)
    # 88 is no multiple of 9.
    assert denominator(shares(81, [63]), (88,)) == Denominator(9, 9, 1)
    # 3 and 78 of 81 are 1 and 26 of 27: that both were 27ths is one chance in nine.
    assert denominator(shares(81, [3, 78]), (81,)) == Denominator(81, 27, 2)


def test_random_numbers_are_multiples_of_nothing() -> None:
    numbers = random.Random(1)
    values = [numbers.random() for _ in range(200)]
    assert denominator(values, (81,)) == Denominator(None, None, 200)
    assert denominator(values[:1], (81,)).n is None


def test_what_any_number_would_fit_is_not_found() -> None:
    # Of two decimals: 0.27 is within rounding 3 of 11, 4 of 15, 7 of 26, …
    found = denominator([0.27], (81,))
    assert (found.n, found.smallest) == (None, 11)
    assert denominator([0.0, 1.0, 1.0]) == Denominator(None, None, 0)
    assert denominator([]) == Denominator(None, None, 0)
