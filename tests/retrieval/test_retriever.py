"""A retriever: what it finds, in which order, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest

from counterpoint.errors import InputError
from counterpoint.retrieval.retriever import Retriever
from tests.support.retrieval import COUNTERS, POINTS, retriever
from tests.support.trained import Trained


def test_the_nearest_come_first_and_never_the_points_own_text(tiny_bert: Path) -> None:
    made = retriever(tiny_bert, classifier_loss=0.0)
    p, c = made.encode_points(POINTS), made.encode_counters(COUNTERS)
    distances = np.linalg.norm(p[:, None].astype(float) - c[None].astype(float), axis=-1)
    for number, (point, found) in enumerate(
        zip(POINTS, made.search(POINTS, COUNTERS), strict=True)
    ):
        order = [i for i in np.argsort(distances[number]) if COUNTERS[i] != point]
        assert [answer.place for answer in found] == order
        assert [answer.text for answer in found] == [COUNTERS[i] for i in order]
        np.testing.assert_allclose([answer.distance for answer in found], distances[number][order])
        assert [answer.first_stage_rank for answer in found] == list(range(1, len(order) + 1))
        assert all(answer.probability is None and answer.similarity is None for answer in found)
    several = made.search([" Cars  pollute the air.", "Else."], [*COUNTERS, *COUNTERS])
    assert [len(found) for found in several] == [8, 10]  # white space apart


def test_vectors_of_length_1_have_a_cosine(tiny_bert: Path) -> None:
    made = retriever(tiny_bert, retrieval_loss="infonce")
    p, c = made.encode_points(POINTS[1:2])[0], made.encode_counters(COUNTERS)
    for answer in made.search(POINTS[1:2], COUNTERS)[0]:
        assert answer.similarity == pytest.approx(float(p @ c[answer.place]), abs=1e-6)


def test_the_classifier_re_orders_the_first_alone(tiny_bert: Path) -> None:
    made = retriever(tiny_bert, evaluation={"rerank": 3})
    plain = retriever(tiny_bert, evaluation={"rerank": 3}, classifier_loss=0.0)
    (found,) = made.search(POINTS[1:2], COUNTERS)
    (nearest,) = plain.search(POINTS[1:2], COUNTERS)
    assert [answer.place for answer in found[3:]] == [answer.place for answer in nearest[3:]]
    assert {answer.place for answer in found[:3]} == {answer.place for answer in nearest[:3]}
    judged = made.rerank(POINTS[1], [answer.text for answer in nearest[:3]])
    assert [nearest[place].place for place, _ in judged] == [answer.place for answer in found[:3]]
    for (_, probability), answer in zip(judged, found, strict=False):
        assert answer.probability == pytest.approx(probability, abs=1e-6)
    assert [answer.probability for answer in found[3:]] == [None, None]
    # Where fewer are wanted than it re-orders, it chooses among all that it re-orders.
    assert made.search(POINTS[1:2], COUNTERS, 1)[0] == found[:1]


def test_texts_in_other_company_have_the_same_vectors(tiny_bert: Path) -> None:
    made = retriever(tiny_bert)
    together = made.encode_counters([*COUNTERS, COUNTERS[0], "A longer text. " * 9])
    np.testing.assert_array_equal(together[0], together[5])
    for number, text in enumerate(COUNTERS):
        alone = made.encode_counters([text])[0]
        np.testing.assert_allclose(alone, together[number], rtol=1e-5, atol=1e-6)


def test_the_untrained_encoder_compares_its_own_outputs(tiny_bert: Path) -> None:
    made = Retriever.untrained({"name": str(tiny_bert), "max_tokens": 32})
    vectors = made.encode_points(POINTS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(vectors, made.encode_counters(POINTS))
    assert (made.name, made.width, made.reranks) == ("baseline/untrained", 32, 1)
    with pytest.raises(InputError, match="no classifier"):
        made.rerank(POINTS[0], COUNTERS)


@pytest.mark.parametrize("name", ["baseline/bm25", "no-such-cell"])
def test_what_has_no_vectors_is_refused(name: str, trained: Trained) -> None:
    with pytest.raises(InputError, match=name):
        Retriever.load(trained.folder, name)


def test_no_k_and_empty_texts_are_refused(tiny_bert: Path) -> None:
    made = retriever(tiny_bert)
    with pytest.raises(InputError, match="k: 0; give at least 1"):
        made.search(POINTS, COUNTERS, 0)
    with pytest.raises(InputError, match="text 1: ' ' is empty"):
        made.search(POINTS, ["Cars.", " "])


def test_best_is_the_best_on_dev_of_all_that_have_vectors(trained: Trained) -> None:
    import counterpoint

    table = counterpoint.scores(counterpoint.read_run(trained.folder))
    rows = table[
        (table.split == "dev") & (table.protocol == "clean") & (table.task == "epa")
        & (table.metric == "accuracy@1") & ~table.cell.isin(
            ["baseline/random", "baseline/tfidf", "baseline/bm25"])
    ]  # fmt: skip
    # "reranked" comes last, where there is one.
    last = rows.sort_values("stage", ascending=False).groupby("cell")["value"].last()
    best = Retriever.load(trained.folder, "best").name
    assert last[best] == last.max()
