"""The original study's protocol does what is said of it: it leaks, so it never ranks."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from counterpoint.corpus.arguana import read_corpus
from counterpoint.corpus.arguments import Corpus
from counterpoint.corpus.sources import open_source
from counterpoint.corpus.synthetic import write_corpus
from counterpoint.evaluation.metrics import accuracy_at_1, recall_at_10
from counterpoint.search.distances import Euclidean
from counterpoint.search.ranking import precedes
from counterpoint.tasks.candidates import CandidateSets, candidate_sets
from tests.support.debates import ROLES, debate
from tests.support.evaluation import legacy_of, results_of

THREE = {
    **debate("training", "law", "juries", {"pro": 1}),
    **debate("test", "law", "juries", {"pro": 1}),
    **debate("validation", "law", "juries", {"pro": 3}),
}


@pytest.fixture
def three(write_tree: Callable[[Mapping[str, str]], Path]) -> CandidateSets:
    corpus, _ = read_corpus(open_source(str(write_tree(THREE))), ROLES)
    return candidate_sets(corpus, "validation")


def on_a_line(sets: CandidateSets, counters: list[float], points: list[float]) -> Euclidean:
    rows = torch.tensor([*counters, *points])[:, None]
    return Euclidean(rows[sets.pairs :], rows)


def test_legacy_by_hand(three: CandidateSets) -> None:
    """Points at 0, 10, 20; counters at 1, 13, 5. There are six rows, k is 3."""
    costs = on_a_line(three, [1.0, 13.0, 5.0], [0.0, 10.0, 20.0])
    first = legacy_of(three, costs, k=3)
    # Rows 0 to 2 are the counters, 3 to 5 the points; nothing is excluded, the point not either.
    assert first.nearest.tolist() == [[3, 0, 2], [4, 1, 2], [5, 1, 4]]
    # Query 2: gold 5 lies 15 away, behind 20, 13 and 10.
    assert first.rank.tolist() == [2, 2, 4]
    place = {int(text): row for row, text in enumerate(three.text)}

    def scorer(first: Tensor, candidates: Tensor) -> Tensor:
        """Likeness of two rows, whatever they are: highest for a text and itself."""
        rows = [(place[int(a)], place[int(b)]) for a, b in zip(first, candidates, strict=True)]
        return torch.tensor([-abs(a - b) for a, b in rows], dtype=torch.float32)

    second = legacy_of(three, costs, k=3, scorer=scorer)
    assert second.reordered is not None
    assert second.reranked is not None
    # Gold 0 is most like itself, then row 2, then row 3; gold 1 likewise; gold 2 is not among its.
    assert second.reordered.tolist() == [[0, 2, 3], [1, 2, 4], [1, 4, 5]]
    assert second.reranked.tolist() == [1, 1, 4]


def test_the_first_of_equal_scores_is_the_answer(three: CandidateSets) -> None:
    costs = on_a_line(three, [1.0, 13.0, 5.0], [0.0, 10.0, 20.0])

    def scorer(first: Tensor, candidates: Tensor) -> Tensor:
        return torch.zeros(len(first))

    found = legacy_of(three, costs, k=3, scorer=scorer)
    assert found.reordered is not None
    assert found.reordered.tolist() == found.nearest.tolist()


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("legacy") / "corpus"
    write_corpus(folder, pairs=600, seed=2)
    return read_corpus(open_source(str(folder)), ROLES)[0]


def test_a_classifier_that_only_measures_likeness_is_right_as_often_as_recall(
    strangers: Corpus,
) -> None:
    """Planted vectors: the gold among the first ten, in a random place; legacy finds it always.

    `official` shows the classifier the point instead, and does not rise above chance among ten.
    """
    sets = candidate_sets(strangers, "validation")
    rng = np.random.default_rng(4)
    n = sets.pairs
    points = rng.normal(size=(n, 64)) * 10
    counters = points + rng.normal(size=(n, 64))
    # Nine other points close by make the gold one of about ten.
    shuffled = points.copy()
    for start in range(0, n - 9, 10):
        centre = points[start]
        shuffled[start : start + 10] = centre + rng.normal(size=(10, 64))
        counters[start : start + 10] = centre + rng.normal(size=(10, 64))
    rows = torch.from_numpy(np.concatenate([counters, shuffled])).float()
    costs = Euclidean(rows[n:], rows)
    place = {int(text): row for row, text in enumerate(sets.text)}

    def likeness(first: Tensor, candidates: Tensor) -> Tensor:
        a = rows[[place[int(text)] for text in first]]
        b = rows[[place[int(text)] for text in candidates]]
        return -(a - b).norm(dim=1)

    legacy = legacy_of(sets, costs, scorer=likeness)
    official = results_of(sets, costs, tasks=("epa",), protocols=("official",), scorer=likeness)[0]
    assert legacy.reranked is not None
    assert official.reranked is not None
    recall = recall_at_10(legacy.rank).mean()
    assert 0.3 < recall < 0.9
    assert accuracy_at_1(legacy.reranked).mean() == recall
    assert accuracy_at_1(official.reranked).mean() == accuracy_at_1(official.rank).mean() < 0.2


def test_legacy_does_not_depend_on_the_block(
    strangers: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = candidate_sets(strangers, "validation")
    rows = torch.from_numpy(np.random.default_rng(1).integers(0, 3, (2 * sets.pairs, 4))).float()
    costs = Euclidean(rows[sets.pairs :], rows)
    whole = legacy_of(sets, costs)
    monkeypatch.setattr("counterpoint.tasks.candidates.blocks.__defaults__", (7,))
    small = legacy_of(sets, costs)
    np.testing.assert_array_equal(whole.rank, small.rank)
    np.testing.assert_array_equal(whole.nearest, small.nearest)


# The first sixteenth


def likes_low_texts(first: Tensor, candidates: Tensor) -> Tensor:
    return ((7 * first + 3 * candidates) % 5).float()


def test_the_subset_is_the_first_sixteenth_of_legacy_against_the_whole_pool(
    strangers: Corpus,
) -> None:
    sets = candidate_sets(strangers, "validation")
    asked = 8
    assert sets.pairs == 120
    rows = torch.from_numpy(np.random.default_rng(1).integers(0, 3, (2 * sets.pairs, 4))).float()
    costs = Euclidean(rows[sets.pairs :], rows)
    both = results_of(sets, costs, protocols=("legacy", "legacy-subset"), scorer=likes_low_texts)
    whole, subset = both
    assert [each.protocol for each in both] == ["legacy", "legacy-subset"]
    assert subset.queries.tolist() == list(range(asked))
    assert set(subset.candidates) == {2 * sets.pairs}
    for name in ("rank", "nearest", "reranked", "reordered"):
        np.testing.assert_array_equal(getattr(subset, name), getattr(whole, name)[:asked])
    # A sample of queries is drawn of what asks all.
    sampled = results_of(
        sets,
        costs,
        protocols=("legacy", "legacy-subset"),
        scorer=likes_low_texts,
        queries=np.array([5, 40]),
    )
    assert [each.queries.tolist() for each in sampled] == [[5, 40], list(range(asked))]


@pytest.mark.parametrize(("pairs", "asked"), [(1, 1), (16, 1), (17, 2), (33, 3)])
def test_a_begun_batch_counts(
    write_tree: Callable[[Mapping[str, str]], Path], pairs: int, asked: int
) -> None:
    others = {name: text for name, text in THREE.items() if not name.startswith("validation")}
    tree = {**others, **debate("validation", "law", "juries", {"pro": pairs})}
    corpus, _ = read_corpus(open_source(str(write_tree(tree))), ROLES)
    sets = candidate_sets(corpus, "validation")
    assert len(sets.queries("legacy-subset")) == asked


def test_on_the_real_corpus_the_subset_is_what_the_study_asked(real: Corpus) -> None:
    """255 and 81 queries; those of validation lie in 2 themes and 11 debates."""
    sets = candidate_sets(real, "validation")
    asked = sets.queries("legacy-subset")
    debates = set(zip(sets.theme[asked].tolist(), sets.debate[asked].tolist(), strict=True))
    assert (len(asked), len(set(sets.theme[asked].tolist())), len(debates)) == (81, 2, 11)
    assert len(candidate_sets(real, "training").queries("legacy-subset")) == 255


# Ties


def slow_rank(costs: np.ndarray, gold: int) -> int:
    """Whoever is nearer, and whoever ties and has a lower row, stands before the gold."""
    rows = np.arange(len(costs))
    return 1 + int(((costs < costs[gold]) | ((costs == costs[gold]) & (rows < gold))).sum())


def tied(sets: CandidateSets, seed: int) -> tuple[Euclidean, np.ndarray]:
    """Whole numbers on a plane, so that ties abound; and the squared distances."""
    rows = np.random.default_rng(seed).integers(0, 4, (2 * sets.pairs, 2))
    queries = rows[sets.pairs :]
    exact = ((queries[:, None] - rows[None]) ** 2).sum(axis=2)
    return Euclidean(*(torch.from_numpy(part).float() for part in (queries, rows))), exact


@pytest.mark.parametrize("seed", range(3))
def test_ties_go_to_the_lower_row_however_many_are_recorded(strangers: Corpus, seed: int) -> None:
    sets = candidate_sets(strangers, "validation")
    costs, exact = tied(sets, seed)
    expected = [slow_rank(exact[query], query) for query in range(sets.pairs)]
    # Golds that tie with rows on both sides of where the recorded ones end.
    assert min(expected) <= 10 < max(expected)
    whole = np.argsort(exact, axis=1, kind="stable")
    for depth in (None, 11, 40, 2 * sets.pairs, 3 * sets.pairs):
        found = legacy_of(sets, costs, depth=depth)
        assert found.rank.tolist() == expected
        width = min(depth or 10, 2 * sets.pairs)
        np.testing.assert_array_equal(found.nearest[:, :width], whole[:, :width])
        assert (found.nearest[:, width:] == -1).all()


def test_the_second_stage_does_not_depend_on_how_many_are_recorded(strangers: Corpus) -> None:
    sets = candidate_sets(strangers, "validation")
    costs, _ = tied(sets, 0)

    def scorer(first: Tensor, candidates: Tensor) -> Tensor:
        return ((7 * first + 3 * candidates) % 5).float()

    short, long = (legacy_of(sets, costs, depth=d, scorer=scorer) for d in (None, 70))
    assert short.reranked is not None
    assert short.reordered is not None
    assert long.reranked is not None
    assert long.reordered is not None
    np.testing.assert_array_equal(short.rank, long.rank)
    np.testing.assert_array_equal(short.reranked, long.reranked)
    np.testing.assert_array_equal(short.reordered, long.reordered[:, :10])
    # Behind the first ten nothing is re-ordered, and the gold stands at its rank.
    np.testing.assert_array_equal(long.reordered[:, 10:], long.nearest[:, 10:])
    there = long.reranked <= 70
    place = (long.reordered[there] == long.queries[there, None]).argmax(axis=1)
    np.testing.assert_array_equal(1 + place, long.reranked[there])


def test_lower_ties_precede_and_higher_do_not() -> None:
    """On the line 5 1 3 3 3 1, seen from 0: of the three at 3 the lower rows come first."""
    rows = torch.tensor([[5.0], [1.0], [3.0], [3.0], [3.0], [1.0]])
    block = Euclidean(torch.zeros(3, 1), rows).block(torch.arange(3))
    gold = torch.tensor([3, 2, 5])
    assert precedes(block, gold, lower_ties=True).int().tolist() == [
        [0, 1, 1, 0, 0, 1],
        [0, 1, 0, 0, 0, 1],
        [0, 1, 0, 0, 0, 0],
    ]
    assert precedes(block, gold).int().tolist() == [
        [0, 1, 1, 0, 1, 1],
        [0, 1, 0, 1, 1, 1],
        [0, 1, 0, 0, 0, 0],
    ]
