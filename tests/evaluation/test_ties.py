"""Queries all of whose candidates cost the same."""

from pathlib import Path

import numpy as np
import pytest
import torch

from counterpoint.corpus.arguments import Corpus
from counterpoint.evaluation.baselines import evaluate_baseline
from counterpoint.evaluation.ties import block_ties, ties_of
from counterpoint.results.files import Ties
from counterpoint.search.distances import Euclidean, Similarities
from counterpoint.tasks.candidates import candidate_sets
from tests.support.candidates import argument


def test_a_query_ties_where_all_its_candidates_cost_the_same() -> None:
    costs = torch.tensor([[1.0, 1, 1, 9], [1, 2, 1, 1], [3, 3, 3, 3], [1, 2, 3, 4]])
    candidates = torch.tensor(
        [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 1, 0]], dtype=torch.bool
    )
    block = Similarities(lambda asked: -costs.numpy()[asked]).block(torch.arange(4))
    # The last one has one candidate, which says nothing.
    assert block_ties(block, candidates) == Ties(queries=3, tied=2)


def test_distances_that_differ_by_less_than_rounding_are_no_tie() -> None:
    near = torch.tensor([[1.0], [1.0 + 2.0**-23], [1.0]])
    whole = torch.ones((1, 3), dtype=torch.bool)
    block = Euclidean(torch.zeros(1, 1), near).block(torch.arange(1))
    assert block_ties(block, whole) == Ties(1, 0)
    block = Euclidean(torch.zeros(1, 1), torch.ones(3, 1)).block(torch.arange(1))
    assert block_ties(block, whole) == Ties(1, 1)


@pytest.mark.parametrize(
    ("ties", "everywhere"), [((10, 10), True), ((10, 9), True), ((10, 8), False), ((0, 0), False)]
)
def test_nearly_all_are_nine_of_ten(ties: tuple[int, int], everywhere: bool) -> None:
    found = Ties(*ties)
    assert found.everywhere == everywhere
    assert len(found.told("bm25")) == everywhere


def test_ties_are_written_and_read(tmp_path: Path) -> None:
    Ties(8, 3).write(tmp_path / "ties.json")
    assert Ties.read(tmp_path / "ties.json") == Ties(8, 3)


CHINESE = ["学校应该有考试", "考试对学校不好", "租金应该有上限", "上限使租金更贵"]
ROLES = {"train": "training", "dev": "validation", "test": "validation"}


def chinese(language: str) -> Corpus:
    names = [f"law/juries/{pair}{end}" for pair in ("pro01", "con01") for end in "ab"]
    arguments = [
        argument(split, name, text)
        for split in ("training", "validation")
        for name, text in zip(names, CHINESE, strict=True)
    ]
    return Corpus(arguments, ROLES, {}, language=language)


@pytest.mark.parametrize("name", ["tfidf", "bm25", "random"])
def test_words_of_a_text_without_spaces_tie_everywhere(name: str) -> None:
    tied = 0 if name == "random" else 4
    assert evaluate_baseline(name, chinese("en"), None).ties == Ties(4, tied)
    assert evaluate_baseline(name, chinese("zh"), None).ties == Ties(4, 0)


def test_only_candidates_count() -> None:
    sets = candidate_sets(chinese("en"), "validation")
    # Only the query itself costs less.
    table = np.zeros((2, 4), dtype=np.float32)
    table[0, 2] = table[1, 3] = 1
    assert ties_of(sets, Similarities(lambda asked: table[asked])) == Ties(2, 2)
