"""The scores of exported rankings: distances, similarities and probabilities, by hand."""

import math

import numpy as np
import pytest
import torch

from counterpoint.evaluation.rankings import named, reranked_scores, retrieval_scores
from counterpoint.search.distances import Euclidean, Similarities
from tests.support.evaluation import reranker_of


def test_scores_of_the_first_stage_are_minus_distances() -> None:
    queries = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    candidates = torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.0, 0.0]])
    rows = np.array([[0, 2, 1], [2, 1, -1]])
    found = retrieval_scores(Euclidean(queries, candidates), np.array([1, 0]), rows)
    assert found[0].tolist() == [0, -5, -math.sqrt(18)]
    assert found[1, :2].tolist() == [0, -1]


def test_scores_of_a_baseline_are_its_similarities() -> None:
    table = np.array([[0.25, 3.5, 0.0]], dtype=np.float32)
    costs = Similarities(lambda asked: table[asked])
    found = retrieval_scores(costs, np.array([0]), np.array([[1, 0, 2]]))
    assert found.tolist() == [[3.5, 0.25, 0]]


def test_scores_of_the_second_stage_are_probabilities_before_minus_distances() -> None:
    logits = {7: math.log(3), 8: 0.0, 9: -200.0}
    reranker = reranker_of(lambda _, texts: torch.tensor([logits[int(t)] for t in texts]), 3)
    assert reranker is not None
    first = np.array([[-3.0, -1.0, -2.0, 0.0, -4.0]])
    found = reranked_scores(reranker, "query", np.array([1]), np.array([[7, 8, 9, 10, 11]]), first)
    assert found[0].tolist() == pytest.approx([0.75, 0.5, 0, 0, -4])
    assert found[0, 2] > 0  # never below a distance


def test_who_is_not_there_has_no_line() -> None:
    rows = np.array([[1, 0], [0, -1]])
    lists = list(named(["q", "r"], rows, ["a", "b"], np.array([[2.0, 1.0], [3.0, np.nan]])))
    assert [(one.query, list(one.documents), one.scores.tolist()) for one in lists] == [
        ("q", ["b", "a"], [2, 1]),
        ("r", ["a"], [3]),
    ]
