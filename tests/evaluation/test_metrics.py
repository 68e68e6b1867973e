"""Ranks to figures, by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from counterpoint.errors import InputError
from counterpoint.evaluation.metrics import (
    accuracy,
    accuracy_at_1,
    metric_named,
    metrics,
    ndcg,
    recall,
    recall_at_10,
    reciprocal_rank,
)

METRICS = metrics([3])

# Ranks 1, 3, 7, 15 have round discounts: log2(1 + rank) is 1, 2, 3, 4.
RANKS = np.array([1, 3, 7, 15])


def test_accuracy_counts_first_places() -> None:
    assert accuracy_at_1(RANKS).mean() == 0.25


def test_reciprocal_ranks_are_averaged() -> None:
    # 1 + 1/3 + 1/7 + 1/15 = (105 + 35 + 15 + 7) / 105 = 162/105; a quarter of it is 27/70.
    assert reciprocal_rank(RANKS).mean() == pytest.approx(27 / 70, rel=1e-15)


def test_recall_counts_the_first_ten() -> None:
    assert recall_at_10(RANKS).mean() == 0.75


def test_ndcg_discounts_the_first_ten_and_ignores_the_rest() -> None:
    # (1 + 1/2 + 1/3 + 0) / 4 = 11/24: the fifteenth place counts nothing.
    assert ndcg(RANKS, 10).mean() == pytest.approx(11 / 24, rel=1e-15)


def test_the_tenth_place_is_in_and_the_eleventh_is_out() -> None:
    ranks = np.array([10, 11])
    assert recall_at_10(ranks).mean() == 0.5
    # 1/log2(11) = 0.28906…, since 2 ** 3.45943… = 11; half of it.
    assert ndcg(ranks, 10).mean() == pytest.approx(0.144532, abs=1e-6)
    assert reciprocal_rank(ranks).mean() == pytest.approx((1 / 10 + 1 / 11) / 2)


def test_metrics_at_any_k_by_hand() -> None:
    assert accuracy(RANKS, 3).tolist() == recall(RANKS, 3).tolist() == [1, 1, 0, 0]
    assert accuracy(RANKS, 7).tolist() == [1, 1, 1, 0]
    assert ndcg(RANKS, 3).tolist() == pytest.approx([1, 1 / 2, 0, 0])
    # Golds at 1, 3 and 15: one or two of three are found; the most is 1 + 1/log2(3) + 1/2.
    several = np.array([[1, 3, 15]])
    assert recall(several, 1).tolist() == [1 / 3]
    assert recall(several, 3).tolist() == [2 / 3]
    assert ndcg(several, 3).tolist() == pytest.approx([1.5 / 2.1309298], abs=1e-6)
    assert ndcg(several, 2).tolist() == pytest.approx([1 / 1.6309298], abs=1e-6)


def test_the_tables_have_these_metrics() -> None:
    assert list(metrics()) == ["accuracy@1", "mrr", "recall@10", "ndcg@10"]
    assert list(metrics([5, 1, 3, 10])) == [
        "accuracy@1", "accuracy@3", "accuracy@5", "accuracy@10", "mrr",
        "recall@3", "recall@5", "recall@10", "ndcg@3", "ndcg@5", "ndcg@10",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("accuracy@1", accuracy_at_1),
        ("mrr", reciprocal_rank),
        ("recall@10", recall_at_10),
        ("ndcg@7", lambda ranks: ndcg(ranks, 7)),
    ],
)
def test_a_metric_is_found_by_its_name(
    name: str, function: Callable[[np.ndarray], np.ndarray]
) -> None:
    np.testing.assert_array_equal(metric_named(name)(RANKS), function(RANKS))


@pytest.mark.parametrize("name", ["accuracy", "accuracy@0", "recall@ten", "map@10", "mrr@10", ""])
def test_a_metric_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"expected mrr, accuracy@K, recall@K or ndcg@K"):
        metric_named(name)


@pytest.mark.parametrize("name", METRICS)
def test_all_golds_first_is_one_and_none_near_is_nearly_nothing(name: str) -> None:
    assert METRICS[name](np.ones(5, dtype=np.int64)).tolist() == [1.0] * 5
    assert METRICS[name](np.full(5, 10**6)).max() <= 1e-6


@pytest.mark.parametrize("name", METRICS)
def test_each_query_has_a_value_of_its_own(name: str, rng: np.random.Generator) -> None:
    ranks = rng.integers(1, 30, size=200)
    one_by_one = [METRICS[name](ranks[i : i + 1])[0] for i in range(len(ranks))]
    assert METRICS[name](ranks).tolist() == one_by_one
    assert METRICS[name](ranks).dtype == np.float64


@pytest.mark.parametrize("name", METRICS)
def test_a_worse_rank_is_never_a_better_figure(name: str) -> None:
    figures = [METRICS[name](np.array([rank]))[0] for rank in range(1, 40)]
    assert figures == sorted(figures, reverse=True)
