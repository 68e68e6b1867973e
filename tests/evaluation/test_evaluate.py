"""Ranks of both stages and the records, against hand-worked numbers and slow loops."""

import numpy as np
import pytest
import torch

from counterpoint.corpus.arguana import read_corpus
from counterpoint.corpus.arguments import Corpus, pairs_of
from counterpoint.corpus.sources import open_source
from counterpoint.evaluation.evaluate import epoch_scores
from counterpoint.evaluation.metrics import accuracy_at_1, recall_at_10
from counterpoint.evaluation.second_stage import Reranker
from counterpoint.results.epoch_log import EpochScores
from counterpoint.search.distances import Euclidean
from counterpoint.tasks.candidates import TASKS, blocks, candidate_sets
from counterpoint.tasks.protocols import WITH_TASKS
from tests.support.candidates import argument, brute_candidates, folded
from tests.support.debates import ROLES, debate
from tests.support.evaluation import fast, random_system, results_of, stages

# --- three pairs on a line, by hand
#
# One debate; con01, pro01 and pro02 are pairs 0, 1 and 2. Rows 0 to 2 are the counters c0, c1, c2,
# rows 3 to 5 the points p0, p1, p2.
C0, C1, C2, P0, P1, P2 = range(6)
NONE = -1
CANDIDATES = [1.0, 12.0, 14.0, 0.0, -1.0, 26.0]
QUERIES = [0.0, 10.0, 5.0]
# Distances:        c0   c1   c2   p0   p1   p2
#   query 0 at 0     1*  12   14   own   1   26     p1 ties with the gold c0
#   query 1 at 10    9    2*   4   10  own   16
#   query 2 at 5     4    7    9*   5    6  own     the gold c2 is the last but for itself
BY_HAND = {
    # task: (candidates, ranks, the nearest three) of the queries 0, 1, 2
    "sdoc": ([1, 2, 2], [1, 1, 2], [[C0, NONE, NONE], [C1, C2, NONE], [C1, C2, NONE]]),
    "sdc": ([3, 3, 3], [1, 1, 3], [[C0, C1, C2], [C1, C2, C0], [C0, C1, C2]]),
    "sdoa": ([3, 3, 3], [2, 1, 3], [[P1, C0, P2], [C1, C2, P0], [P0, C1, C2]]),
    "sda": ([5, 5, 5], [2, 1, 5], [[P1, C0, C1], [C1, C2, C0], [C0, P0, P1]]),
}
BY_HAND |= {"stc": BY_HAND["sdc"], "epc": BY_HAND["sdc"]}
BY_HAND |= {"sta": BY_HAND["sda"], "epa": BY_HAND["sda"]}

SCORES = {
    (0, C0): 0.7,
    (0, C1): 0.9,
    (0, C2): 0.1,
    (0, P1): 0.3,
    (0, P2): 0.7,
    (1, C0): 0.2,
    (1, C1): 0.5,
    (1, C2): 0.5,
    (1, P0): 0.6,
    (2, C0): 0.9,
    (2, C1): 0.1,
    (2, C2): 0.9,
    (2, P0): 0.4,
    (2, P1): 0.2,
}
RERANKED_BY_HAND = {
    # task: (ranks after re-ordering the first three, the three in their new order)
    #   query 1: c2 ties with the gold c1 at 0.5 and goes before it
    "sdoc": ([1, 2, 1], [[C0, NONE, NONE], [C2, C1, NONE], [C2, C1, NONE]]),
    #   query 0: c1 0.9, c0 0.7, c2 0.1; query 2: c0 ties with the gold c2 at 0.9
    "sdc": ([2, 2, 2], [[C1, C0, C2], [C2, C1, C0], [C0, C2, C1]]),
    #   query 0: p2 ties with the gold at 0.7; query 1: p0 0.6, then the tie; query 2: 0.9, 0.4, 0.1
    "sdoa": ([2, 3, 1], [[P2, C0, P1], [P0, C2, C1], [C2, P0, C1]]),
    #   query 2: the gold is fifth and stays so; the first three are 0.9, 0.4, 0.2
    "sda": ([2, 2, 5], [[C1, C0, P1], [C2, C1, C0], [C0, P0, P1]]),
}
RERANKED_BY_HAND |= {"stc": RERANKED_BY_HAND["sdc"], "epc": RERANKED_BY_HAND["sdc"]}
RERANKED_BY_HAND |= {"sta": RERANKED_BY_HAND["sda"], "epa": RERANKED_BY_HAND["sda"]}


@pytest.fixture
def three(write_tree):
    """The candidate sets of the three pairs, and the costs of their places on the line."""
    files = debate("training", "x", "x", {"pro": 1}) | debate("test", "x", "x", {"pro": 1})
    files |= debate("validation", "law", "juries", {"pro": 2, "con": 1})
    sets = candidate_sets(read_corpus(open_source(str(write_tree(files))), ROLES)[0], "validation")
    assert [one.rsplit("/", 1)[1] for one in sets.ids[3:]] == ["con01a", "pro01a", "pro02a"]
    return sets, Euclidean(torch.tensor(QUERIES)[:, None], torch.tensor(CANDIDATES)[:, None])


def hand_scorer(sets):
    table = {
        (int(sets.text[sets.pairs + query]), int(sets.text[row])): score
        for (query, row), score in SCORES.items()
    }

    def score(points, candidates):
        pairs = zip(points.tolist(), candidates.tolist(), strict=True)
        # Pairs that only fill up a short list have no score by hand.
        return torch.tensor([table.get(pair, 99.0) for pair in pairs])

    return score


@pytest.mark.parametrize("protocol", WITH_TASKS)
@pytest.mark.parametrize("task", TASKS)
def test_first_stage_is_that_worked_by_hand(three, task, protocol) -> None:
    sets, costs = three
    (found,) = results_of(sets, costs, tasks=[task], protocols=[protocol], k=3)
    candidates, ranks, nearest = BY_HAND[task]
    assert found.queries.tolist() == [0, 1, 2]
    assert found.candidates.tolist() == candidates
    assert found.rank.tolist() == ranks
    assert found.nearest.tolist() == nearest
    assert found.reranked is None
    assert found.reordered is None


@pytest.mark.parametrize("task", TASKS)
def test_second_stage_is_that_worked_by_hand(three, task) -> None:
    sets, costs = three
    found, _ = results_of(sets, costs, tasks=[task], k=3, scorer=hand_scorer(sets))
    assert found.rank.tolist() == BY_HAND[task][1]
    assert found.nearest.tolist() == BY_HAND[task][2]
    ranks, order = RERANKED_BY_HAND[task]
    assert found.reranked.tolist() == ranks
    assert found.reordered.tolist() == order


def test_k_beyond_the_candidates_reorders_all_of_them(three) -> None:
    sets, costs = three
    (found,) = results_of(
        sets, costs, tasks=["epa"], protocols=["official"], scorer=hand_scorer(sets)
    )
    assert found.reordered is not None
    assert found.reranked is not None
    # Query 2: c0 and the gold c2 0.9, p0 0.4, p1 0.2, c1 0.1; five candidates of ten places.
    assert found.reordered[2].tolist() == [C0, C2, P0, P1, C1] + [NONE] * 5
    assert found.reranked[2] == 2
    assert found.rank[2] == 5


def test_with_k_of_one_nothing_is_reordered(three) -> None:
    sets, costs = three
    for found in results_of(sets, costs, k=1, scorer=hand_scorer(sets)):
        np.testing.assert_array_equal(found.reranked, found.rank)
        np.testing.assert_array_equal(found.reordered, found.nearest)


def test_a_copy_of_the_gold_at_every_place_of_the_first_stage_counts_against_it(three) -> None:
    sets, _ = three
    costs = Euclidean(torch.zeros((3, 2)), torch.zeros((6, 2)))
    (found,) = results_of(sets, costs, tasks=["epa"], protocols=["official"], k=5)
    # All five candidates tie, so the gold is the last of them.
    assert found.rank.tolist() == [5, 5, 5]
    assert found.nearest[:, -1].tolist() == [0, 1, 2]


def test_equal_scores_put_the_gold_last_of_the_first_k(three) -> None:
    sets, costs = three
    (found,) = results_of(
        sets,
        costs,
        tasks=["epa"],
        protocols=["official"],
        k=3,
        scorer=lambda points, candidates: torch.zeros(len(points)),
    )
    # Query 0: p1, c0, c1 become p1, c1, c0; query 1: the gold was first; query 2: outside.
    assert found.reranked.tolist() == [3, 3, 5]
    assert found.reordered.tolist() == [[P1, C1, C0], [C2, C0, C1], [C0, P0, P1]]


# --- slow loops over the sample


def slow(corpus, folder, task, protocol, parts, k=10):
    """{query id: (candidates, rank, nearest, reranked, reordered)} by loops, from the design."""
    query_vector, candidate_vector, score = parts
    arguments = corpus.split(folder)
    text = {one.id: folded(one.text) for one in arguments}
    counters = [one.id for one in arguments if one.kind == "counter"]
    place = {one: row for row, one in enumerate(counters)}
    place |= {one[:-1] + "a": len(counters) + row for row, one in enumerate(counters)}
    result = {}
    training = corpus.split(corpus.roles["train"])
    for query, candidates in brute_candidates(arguments, training, task, protocol).items():
        gold = query[:-1] + "b"
        q = query_vector[text[query]].astype(np.float32).astype(np.float64)
        cost = {}
        for one in candidates:
            c = candidate_vector[text[one]].astype(np.float32).astype(np.float64)
            cost[one] = float(((q - c) ** 2).sum())
        rank = 1 + sum(cost[one] <= cost[gold] for one in candidates if one != gold)
        nearest = sorted(candidates, key=lambda one: (cost[one], one == gold, place[one]))[:k]
        scored = {one: score(text[query], text[one]) for one in nearest}
        again = sorted(nearest, key=lambda one: (-scored[one], one == gold, nearest.index(one)))
        after = rank
        if gold in scored:
            after = 1 + sum(scored[one] >= scored[gold] for one in nearest if one != gold)
        result[query] = (len(candidates), rank, nearest, after, again)
    return result


def as_ids(sets, records):
    """Records in the form of `slow`."""

    def names(rows):
        return [sets.ids[row] for row in rows if row >= 0]

    return {
        sets.ids[sets.pairs + query]: (
            int(records.candidates[i]),
            int(records.rank[i]),
            names(records.nearest[i]),
            int(records.reranked[i]),
            names(records.reordered[i]),
        )
        for i, query in enumerate(records.queries)
    }


@pytest.mark.parametrize(("folder", "k"), [("validation", 10), ("test", 3)])
def test_every_rank_equals_that_of_slow_loops_on_the_sample(sample, folder, k) -> None:
    parts = random_system(sample, seed=k)
    sets, found = fast(sample, folder, parts, k=k)
    assert [(one.protocol, one.task) for one in found] == [
        (protocol, task) for protocol in WITH_TASKS for task in TASKS
    ]
    for records in found:
        expected = slow(sample, folder, records.task, records.protocol, parts, k)
        assert as_ids(sets, records) == expected, (records.protocol, records.task)
        assert records.queries.tolist() == sorted(records.queries.tolist())


@pytest.mark.parametrize("k", [10, 3, 1, 30])
def test_an_epochs_scores_are_those_of_all_results(sample, k) -> None:
    query, candidate, score = random_system(sample, seed=k, levels=3)  # many ties
    rng = np.random.default_rng(k)
    for point, counter in pairs_of(sample.split("validation")):
        near = query[folded(point.text)] + rng.standard_normal(6)
        candidate[folded(counter.text)] = near
    parts = (query, candidate, score)
    sets, whole = fast(sample, "validation", parts, k=k, tasks=["epa"])
    scores = epoch_scores(sets, *stages(sample, sets, parts, k))
    assert list(scores) == ["official", "clean"]
    for results in whole:
        assert results.reranked is not None
        assert scores[results.protocol] == EpochScores(
            retrieval=accuracy_at_1(results.rank).mean(),
            reranked=accuracy_at_1(results.reranked).mean(),
            recall_at_10=recall_at_10(results.rank).mean(),
        )
        assert k == 1 or (results.reranked != results.rank).sum() > 10


def test_a_protocol_without_queries_has_no_epoch_scores(sample) -> None:
    parts = random_system(sample, 0)
    sets = candidate_sets(sample, "training")
    assert not sets.unseen.any()
    assert list(epoch_scores(sets, *stages(sample, sets, parts, 10))) == ["official"]


def test_for_an_epochs_scores_golds_out_of_reach_are_not_scored(three) -> None:
    sets, costs = three
    asked = []

    def scorer(points, candidates):
        asked.extend(points.tolist())
        return torch.zeros(len(points))

    epoch_scores(sets, costs, Reranker(3, lambda role: scorer), protocols=["official"])
    # The gold of query 2 is fifth.
    assert set(asked) == {int(sets.text[P0]), int(sets.text[P1])}


def test_a_split_without_clean_queries_gives_empty_records(sample) -> None:
    parts = random_system(sample, 0)
    _, found = fast(sample, "training", parts, tasks=["sdoc"], protocols=["clean"])
    (records,) = found
    assert records.queries.shape == records.rank.shape == records.reranked.shape == (0,)
    assert records.nearest.shape == records.reordered.shape == (0, 10)


def test_some_queries_get_the_records_that_they_get_among_all(sample) -> None:
    parts = random_system(sample, 1)
    sets, everyone = fast(sample, "validation", parts)
    chosen = np.array([40, 3, 17, 80, 4])
    _, found = fast(sample, "validation", parts, queries=chosen)
    for whole, few in zip(everyone, found, strict=True):
        wanted = {sets.ids[sets.pairs + query] for query in chosen}
        expected = {one: row for one, row in as_ids(sets, whole).items() if one in wanted}
        assert as_ids(sets, few) == expected


@pytest.mark.parametrize("size", [1, 7, 64])
def test_no_record_depends_on_the_block(sample, monkeypatch, size) -> None:
    parts = random_system(sample, 2)
    _, whole = fast(sample, "validation", parts)
    calls = []

    def small_blocks(queries, _size):
        for block in blocks(queries, size):
            calls.append(len(block))
            yield block

    monkeypatch.setattr("counterpoint.evaluation.first_stage.blocks", small_blocks)
    _, found = fast(sample, "validation", parts)
    assert max(calls) == size
    for one, other in zip(whole, found, strict=True):
        for name in ("queries", "candidates", "rank", "nearest", "reranked", "reordered"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_no_rank_depends_on_the_order_of_the_pairs(sample) -> None:
    parts = random_system(sample, 3)
    sets, found = fast(sample, "validation", parts)
    order = np.random.default_rng(9).permutation(len(sample.arguments))
    shuffled = Corpus([sample.arguments[i] for i in order], sample.roles, sample.bare_debates)
    other_sets, other = fast(shuffled, "validation", parts)
    assert other_sets.ids != sets.ids
    text = {one.id: folded(one.text) for one in sample.arguments}

    def by_text(rows):
        # Copies of one text tie, and their order is all that tells them apart.
        return {
            query: (count, rank, [text[one] for one in near], after, [text[one] for one in again])
            for query, (count, rank, near, after, again) in rows.items()
        }

    for one, two in zip(found, other, strict=True):
        assert by_text(as_ids(sets, one)) == by_text(as_ids(other_sets, two))


def copies_corpus():
    """Ten pairs; each gold's text stands as a point of another debate too."""
    validation = {}
    for i in range(10):
        validation[f"law/juries/pro{i:02d}a"] = f"point {i}"
        validation[f"law/juries/pro{i:02d}b"] = f"counter {i}"
        validation[f"law/boxing/pro{i:02d}a"] = f"counter {i}"
        validation[f"law/boxing/pro{i:02d}b"] = f"reply {i}"
    arguments = [argument("validation", *item) for item in validation.items()]
    arguments += [argument("training", f"x/x/pro01{kind}", f"training {kind}") for kind in "ab"]
    return Corpus(arguments, {"train": "training", "dev": "validation"}, {})


def test_equal_pairs_of_texts_get_equal_scores() -> None:
    corpus = copies_corpus()
    sets = candidate_sets(corpus, "validation")
    rng = np.random.default_rng(4)
    vectors = torch.from_numpy(rng.standard_normal((len(corpus.texts), 4))).float()
    queries, texts = vectors[sets.text[sets.pairs :]], vectors[sets.text]
    # Gold and copy are the two nearest of each point of the first debate.
    own = [i for i in range(sets.pairs) if "juries" in sets.ids[i]]
    queries[own] = texts[own]

    def noise(points, candidates):
        # No two entries of one call score alike, as if rounding decided.
        return torch.from_numpy(rng.permutation(len(points))).float()

    for _ in range(5):
        # `clean` leaves such copies out.
        found = results_of(
            sets,
            Euclidean(queries, texts),
            tasks=["sta", "epa"],
            protocols=["official"],
            scorer=noise,
        )
        for records in found:
            assert records.reordered is not None
            gold = [records.reordered[i].tolist().index(i) for i in own]
            copy = [
                [int(sets.text[row]) for row in records.reordered[i]].index(int(sets.text[i]))
                for i in own
            ]
            assert records.rank[own].tolist() == [2] * 10
            # The copy has the gold's score, ties with it, and so stands right before it.
            assert [a - b for a, b in zip(gold, copy, strict=True)] == [1] * 10


@pytest.fixture(scope="module")
def strangers():
    """126 pairs in three themes and eighteen debates; no text stands twice, none in training."""
    arguments = [argument("training", f"x/x/pro01{kind}", f"training {kind}") for kind in "ab"]
    for theme in ("law", "sport", "art"):
        for number in range(6):
            for side, pairs in (("pro", 4), ("con", 3)):
                for i in range(pairs):
                    for kind in "ab":
                        where = f"{theme}/debate{number}/{side}{i:02d}{kind}"
                        arguments.append(argument("validation", where, where))
    corpus = Corpus(arguments, {"train": "training", "dev": "validation"}, {})
    return candidate_sets(corpus, "validation")


def test_random_vectors_and_scores_are_right_as_often_as_chance(strangers) -> None:
    sets, rng, repeats = strangers, np.random.default_rng(6), 15
    texts = int(sets.text.max()) + 1
    hits, chances = {}, {}
    for _ in range(repeats):
        queries = torch.from_numpy(rng.standard_normal((sets.pairs, 8))).float()
        candidates = torch.from_numpy(rng.standard_normal((2 * sets.pairs, 8))).float()
        table = torch.from_numpy(rng.random((texts, texts))).float()

        def scorer(points, others, table=table):
            return table[points, others]

        costs = Euclidean(queries, candidates)
        for records in results_of(sets, costs, k=3, scorer=scorer):
            chance = 1 / records.candidates
            for stage, rank in (("first", records.rank), ("second", records.reranked)):
                key = (stage, records.protocol, records.task)
                hits.setdefault(key, []).append((rank == 1).mean())
                chances[key] = (chance.mean(), (chance * (1 - chance)).mean() / sets.pairs)
    assert len(hits) == 2 * 2 * 8
    for key, found in hits.items():
        expected, variance = chances[key]
        assert abs(np.mean(found) - expected) <= 5 * (variance / repeats) ** 0.5, key
