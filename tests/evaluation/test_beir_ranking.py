"""Rankings of a corpus in BEIR's layout: scores by hand, and those of another program."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import ir_measures
import numpy as np
import pytest
import torch
from ir_measures import Qrel, R, ScoredDoc, Success, nDCG
from torch import Tensor

from counterpoint.corpus.beir import BeirCorpus, read_beir
from counterpoint.corpus.sources import open_source
from counterpoint.evaluation.beir_ranking import measure, rank
from counterpoint.search.distances import Euclidean
from tests.support.beir import HAND, PLACE
from tests.support.evaluation import reranker_of

WriteTree = Callable[..., Path]


def on_a_line(corpus: BeirCorpus) -> Euclidean:
    queries, documents = (
        torch.tensor([[PLACE[text]] for text in texts])
        for texts in (corpus.query_texts, corpus.document_texts)
    )
    return Euclidean(queries, documents)


@pytest.fixture
def hand(write_tree: WriteTree) -> BeirCorpus:
    return read_beir(open_source(str(write_tree(HAND))))


def names(corpus: BeirCorpus, rows: np.ndarray) -> list[list[str]]:
    return [[corpus.documents[row] for row in own if row >= 0] for own in rows.tolist()]


def test_rankings_by_hand(hand: BeirCorpus) -> None:
    found = rank(hand, on_a_line(hand))
    assert found.reranked is None
    assert names(hand, found.retrieval) == [
        # From 0, without its own document.
        ["a", "b", "c", "d"],
        # From 10, a query that is no document.
        ["d", "c", "b", "a", "q1"],
        # From 2: a ties with c and goes behind it, and q1 behind d.
        ["b", "c", "a", "d", "q1"],
    ]
    assert found.retrieval.shape == (3, 100)
    assert (found.retrieval[0, 4:] == -1).all()


def test_figures_by_hand(hand: BeirCorpus) -> None:
    values = measure(hand, rank(hand, on_a_line(hand)).retrieval)
    third = 1 / math.log2(3)
    assert values["ndcg@10"] == pytest.approx(
        [
            # b, with 2, is second, and d, with 1, fourth.
            (2 * third + 1 / math.log2(5)) / (2 + third),
            1,
            # a, with 1, is third, and q1, with 2, fifth.
            (1 / math.log2(4) + 2 / math.log2(6)) / (2 + third),
        ]
    )
    assert values["accuracy@1"].tolist() == [0, 1, 0]
    assert values["recall@100"].tolist() == [1, 1, 1]


def test_the_second_stage_reorders_the_first_and_ties_count_against_it(hand: BeirCorpus) -> None:
    number = {text: place for place, text in enumerate(hand.texts)}
    # Of query 1's first two, a and b, b scores higher; those of the others score alike.
    high = {(number["zero"], number["two"])}

    def scorer(queries: Tensor, documents: Tensor) -> Tensor:
        pairs = zip(queries.tolist(), documents.tolist(), strict=True)
        return torch.tensor([float(pair in high) for pair in pairs])

    found = rank(hand, on_a_line(hand), reranker_of(scorer, 2))
    assert found.reranked is not None
    assert names(hand, found.reranked) == [
        ["b", "a", "c", "d"],
        ["c", "d", "b", "a", "q1"],
        ["b", "c", "a", "d", "q1"],
    ]
    assert [stage for stage, _ in found.stages()] == ["retrieval", "reranked"]
    values = measure(hand, found.reranked)
    assert values["accuracy@1"].tolist() == [1, 0, 0]


def many(relevant: Mapping[int, int], count: int = 150) -> BeirCorpus:
    """One query at 0; document i at i + 1."""
    texts = tuple(f"document {row}" for row in range(count))
    ids = tuple(f"d{row}" for row in range(count))
    return BeirCorpus("many", ids, texts, ("q",), ("query",), (relevant,))


def many_costs(count: int = 150) -> Euclidean:
    return Euclidean(torch.zeros(1, 1), torch.arange(1.0, count + 1)[:, None])


def test_recall_counts_the_first_hundred() -> None:
    corpus = many({99: 1, 100: 2, 120: 1, 0: 3})
    values = measure(corpus, rank(corpus, many_costs()).retrieval)
    assert values["recall@100"].tolist() == [0.5]
    # Deeper rankings change nothing.
    deep = measure(corpus, rank(corpus, many_costs(), depth=150).retrieval)
    assert {name: value.tolist() for name, value in deep.items()} == {
        name: value.tolist() for name, value in values.items()
    }


def test_more_may_be_reordered_than_are_kept() -> None:
    corpus = many({109: 1})
    [wanted] = corpus.numbers(("document 109",))
    found = rank(corpus, many_costs(), reranker_of(lambda q, d: (d == int(wanted)).float(), 120))
    assert found.reranked is not None
    assert found.reranked[0, :3].tolist() == [109, 0, 1]
    assert measure(corpus, found.reranked)["accuracy@1"].tolist() == [1]


def test_ideal_gains_are_the_ten_highest() -> None:
    corpus = many({row: 1 + (row >= 10) for row in range(20)})
    values = measure(corpus, rank(corpus, many_costs()).retrieval)
    assert values["ndcg@10"] == pytest.approx([0.5])


@pytest.mark.parametrize("seed", range(5))
def test_ir_measures_gives_the_same_of_any_ranking(seed: int) -> None:
    rng = np.random.default_rng(seed)
    documents, queries = 130, 20
    relevant = tuple(
        {
            int(row): int(rng.integers(1, 4))
            for row in rng.choice(documents, int(rng.integers(1, 30)), replace=False)
        }
        for _ in range(queries)
    )
    corpus = BeirCorpus(
        "random",
        tuple(f"d{row}" for row in range(documents)),
        tuple(f"text {row}" for row in range(documents)),
        tuple(f"q{query}" for query in range(queries)),
        tuple(f"query {query}" for query in range(queries)),
        relevant,
    )
    rows = np.stack([rng.permutation(documents)[:110] for _ in range(queries)])
    judged = [
        Qrel(f"q{query}", f"d{row}", gain)
        for query, gains in enumerate(relevant)
        for row, gain in gains.items()
    ]
    listed = [
        ScoredDoc(f"q{query}", f"d{row}", -float(place))
        for query, own in enumerate(rows)
        for place, row in enumerate(own)
    ]
    measures = {"ndcg@10": nDCG @ 10, "accuracy@1": Success @ 1, "recall@100": R @ 100}
    own = measure(corpus, rows)
    for name, by in measures.items():
        theirs = {each.query_id: each.value for each in ir_measures.iter_calc([by], judged, listed)}
        expected = [theirs[query] for query in corpus.queries]
        np.testing.assert_allclose(own[name], expected, rtol=0, atol=1e-9)
