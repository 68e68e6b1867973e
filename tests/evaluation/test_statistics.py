"""Intervals and p-values: by hand where the resamples can be counted, by their properties else."""

import numpy as np
import pytest
from scipy import stats

from counterpoint.evaluation.statistics import (
    LEVEL,
    Bootstrap,
    holm,
    least_discordant,
    over_seeds,
    wilson,
)


def test_means_over_a_resample_are_those_of_its_queries() -> None:
    debates = ["a", "a", "b"]
    bootstrap = Bootstrap(debates, resamples=2000, seed=1)
    means = bootstrap.means(np.array([[1.0], [0.0], [1.0]]))[:, 0]
    # Two debates drawn twice: aa gives 2/4, ab and ba (1 + 0 + 1)/3, bb 1.
    found, counts = np.unique(np.round(means, 12), return_counts=True)
    assert found.tolist() == [0.5, round(2 / 3, 12), 1.0]
    assert np.abs(counts / 2000 - [0.25, 0.5, 0.25]).max() < 0.06


def test_queries_of_one_debate_are_drawn_together() -> None:
    """Ten debates whose queries agree are ten observations, however many queries they have."""
    values = np.tile(np.repeat([0.0, 1.0], 5), (1,)).repeat(20)[:, None]
    together = Bootstrap(np.arange(10).repeat(20), seed=3).interval(values)
    apart = Bootstrap(np.arange(200), seed=3).interval(values)
    assert (together[1] - together[0])[0] > 3 * (apart[1] - apart[0])[0]
    # sd of the mean of ten: sqrt(0.25 / 10) = 0.158; 3.92 sd wide, in steps of 0.1
    assert (together[1] - together[0])[0] == pytest.approx(0.62, abs=0.11)


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(200):
        values = (rng.random((60, 1)) < 0.3).astype(float)
        low, high = Bootstrap(np.arange(60), resamples=500, seed=5).interval(values)
        covered += bool(low[0] <= 0.3 <= high[0])
    assert 0.88 <= covered / 200 <= 0.99


def test_the_same_debates_give_the_same_interval() -> None:
    values = np.random.default_rng(2).random((50, 3))
    debates = np.arange(50) % 7
    one, other = (Bootstrap(debates, seed=4).interval(values) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_the_order_of_queries_changes_no_interval() -> None:
    rng = np.random.default_rng(2)
    values, debates = rng.random((50, 2)), np.arange(50) % 7
    order = rng.permutation(50)
    one = Bootstrap(debates, seed=4).interval(values)
    other = Bootstrap(debates[order], seed=4).interval(values[order])
    np.testing.assert_allclose(one, other, rtol=1e-12)


def test_a_system_does_not_differ_from_itself() -> None:
    values = np.random.default_rng(6).random((40, 1))
    low, high, p = Bootstrap(np.arange(40) % 8).difference(values, values)
    assert low.tolist() == high.tolist() == [0.0]
    assert p.tolist() == [1.0]


def test_a_system_that_is_always_better_has_the_smallest_p() -> None:
    zeros = np.zeros((40, 1))
    low, high, p = Bootstrap(np.arange(40) % 8, resamples=999).difference(zeros + 1, zeros)
    assert low.tolist() == high.tolist() == [1.0]
    assert p.tolist() == [2 / 1000]


def test_the_pairs_are_compared_and_not_the_means() -> None:
    """Values that vary much between debates but differ by little within each pair."""
    base = np.random.default_rng(8).random((200, 1)) * 100
    bootstrap = Bootstrap(np.arange(200))
    low, high, _ = bootstrap.difference(base + 0.1, base)
    assert low[0] == pytest.approx(0.1)
    assert high[0] == pytest.approx(0.1)
    assert np.diff(np.ravel(bootstrap.interval(base)))[0] > 5


def test_p_values_are_uniform_where_nothing_differs() -> None:
    rng = np.random.default_rng(12)
    found = []
    for _ in range(200):
        a, b = rng.normal(size=(2, 50, 1))
        found.append(Bootstrap(np.arange(50), resamples=400).difference(a, b)[2][0])
    assert 0.01 <= np.mean(np.array(found) < 0.05) <= 0.11
    assert 0.4 <= np.mean(found) <= 0.6


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.04 times 3, 2, 1; never falling; at most 1; in the order given.
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("resamples", [1, 2, 40, 41, 999, 10_000])
def test_the_ends_are_numpys_quantiles_to_the_last_bit(resamples: int) -> None:
    values = np.random.default_rng(resamples).random((60, 5))
    bootstrap = Bootstrap(np.arange(60) % 11, resamples=resamples)
    expected = np.quantile(bootstrap.means(values), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    np.testing.assert_allclose(bootstrap.interval(values), expected, rtol=0, atol=0)


def test_over_seeds_is_the_one_sample_t_test() -> None:
    values = np.random.default_rng(5).normal(0.4, 0.3, size=5)
    found = over_seeds(values)
    test = stats.ttest_1samp(values, 0)
    interval = test.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-12)
    assert found.p == pytest.approx(test.pvalue, rel=1e-12)
    assert (found.mean, found.sd) == (values.mean(), values.std(ddof=1))


def test_over_too_few_seeds_nothing_is_said() -> None:
    assert over_seeds(np.array([0.5]))[0] == 0.5
    assert np.isnan(over_seeds(np.array([0.5]))[1:]).all()
    assert over_seeds(np.array([0.25, 0.75]))[:2] == (0.5, 0.125**0.5)
    assert np.isnan(over_seeds(np.array([0.25, 0.75]))[2:]).all()


def test_seeds_that_all_agree_leave_no_doubt() -> None:
    assert over_seeds(np.zeros(3)) == (0, 0, 0, 0, 1)
    assert over_seeds(np.full(3, 0.5)) == (0.5, 0, 0.5, 0.5, 0)


@pytest.mark.parametrize(("right", "n"), [(71, 81), (0, 88), (255, 255), (1, 3)])
def test_wilson_by_its_formula(right: int, n: int) -> None:
    z = 1.959963985
    centre = (right + z * z / 2) / (n + z * z)
    reach = z * (right * (n - right) / n + z * z / 4) ** 0.5 / (n + z * z)
    assert wilson(right, n) == pytest.approx((centre - reach, centre + reach), abs=1e-8)


def test_fewer_than_six_queries_cannot_tell_two_systems_apart() -> None:
    # All in favour of one: 2 / 2^5 is 0.0625, 2 / 2^6 is 0.03125.
    assert least_discordant(81) == least_discordant(6) == 6
    with pytest.raises(ValueError, match="significant on 5 queries"):
        least_discordant(5)
