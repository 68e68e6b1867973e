"""How a cross-encoder's logit and the first stage's score add up, by hand."""

import numpy as np
import pytest

from counterpoint.evaluation.cross_system import SHARES, Choice


def choice(logits: list[list[float]], first: list[list[float]], gold: list[int]) -> Choice:
    """Three candidates a query, of which `gold` is one's place, -1 for none of them."""
    is_gold = np.arange(3)[None] == np.array(gold)[:, None]
    return Choice(np.array(logits), np.array(first), np.ones((len(gold), 3), dtype=bool), is_gold)


def test_accuracy_counts_ties_against_the_gold() -> None:
    made = choice([[2, 1, 0], [1, 1, 0], [0, 1, 2]], [[0, 1, 2]] * 3, [0, 0, -1])
    assert made.accuracy(np.array([1.0, 0.0])) == pytest.approx(1 / 3)
    assert made.accuracy(np.array([0.0, 1.0])) == 0.0
    without = Choice(made.logits, made.first, np.array([[True, False, False]] * 3), made.gold)
    assert without.accuracy(np.array([0.0, 1.0])) == pytest.approx(2 / 3)


def test_the_share_is_the_greatest_of_those_with_the_highest_accuracy() -> None:
    # The logit answers the first query, the first stage the second; together they answer both.
    made = choice([[0, 3, 0], [0, 1, 0]], [[1, 0, 0], [3, 0, 0]], [1, 0])
    share, mix = made.best_mix()
    assert made.accuracy(mix) == 1.0
    better = [made.accuracy(np.array([1 - each, each]) / [made.logits.std(), made.first.std()])
              for each in SHARES]  # fmt: skip
    assert share == max(each for each, of in zip(SHARES, better, strict=True) if of == 1.0)
    np.testing.assert_allclose(mix, [(1 - share) / made.logits.std(), share / made.first.std()])


def test_a_second_stage_that_says_nothing_leaves_the_first_as_it_is() -> None:
    made = choice([[0, 0, 0], [0, 0, 0]], [[2, 1, 0], [2, 1, 0]], [0, 1])
    share, mix = made.best_mix()
    assert share == 1.0
    assert mix[0] == 0.0
    assert made.accuracy(mix) == 0.5


def test_the_loss_is_of_queries_whose_gold_is_there() -> None:
    made = choice([[0, 0, 0], [5, 5, 5], [np.log(2), 0, 0]], [[0, 0, 0]] * 3, [0, -1, 0])
    assert made.loss() == pytest.approx((np.log(3) + np.log(4 / 2)) / 2)
    assert np.isnan(choice([[1, 2, 3]], [[0, 0, 0]], [-1]).loss())


def test_a_share_of_1_is_worth_what_the_first_stage_ranks_first_whatever_its_distances() -> None:
    # As where its order is fused with BM25: the gold stands first, and is not the nearest.
    made = choice([[0, 0, 0]] * 2, [[0, 1, 2]] * 2, [0, 0])
    share, mix = made.best_mix()
    assert (share, mix[0]) == (1.0, 0.0)
