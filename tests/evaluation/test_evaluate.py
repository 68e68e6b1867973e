"""Ranks of both stages and the records, against hand-worked numbers and slow loops."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from counterpoint.corpus.arguana import read_corpus
from counterpoint.corpus.arguments import Corpus
from counterpoint.corpus.sources import open_source
from counterpoint.evaluation.evaluate import evaluate
from counterpoint.evaluation.records import write_records
from counterpoint.search.distances import Euclidean
from counterpoint.tasks.candidates import TASKS, blocks, candidate_sets
from counterpoint.tasks.protocols import WITH_TASKS
from tests.support.debates import ROLES, debate
from tests.tasks.test_candidates import argument, brute_candidates, folded

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
    """The pool of the three pairs, and the costs of their places on the line."""
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
    (found,) = evaluate(sets, costs, tasks=[task], protocols=[protocol], k=3)
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
    found, _ = evaluate(sets, costs, tasks=[task], k=3, scorer=hand_scorer(sets))
    assert found.rank.tolist() == BY_HAND[task][1]
    assert found.nearest.tolist() == BY_HAND[task][2]
    ranks, order = RERANKED_BY_HAND[task]
    assert found.reranked.tolist() == ranks
    assert found.reordered.tolist() == order


def test_k_beyond_the_candidates_reorders_all_of_them(three) -> None:
    sets, costs = three
    (found,) = evaluate(
        sets, costs, tasks=["epa"], protocols=["official"], scorer=hand_scorer(sets)
    )
    # Query 2: c0 and the gold c2 0.9, p0 0.4, p1 0.2, c1 0.1; five candidates of ten places.
    assert found.reordered[2].tolist() == [C0, C2, P0, P1, C1] + [NONE] * 5
    assert found.reranked[2] == 2
    assert found.rank[2] == 5


def test_with_k_of_one_nothing_is_reordered(three) -> None:
    sets, costs = three
    for found in evaluate(sets, costs, k=1, scorer=hand_scorer(sets)):
        np.testing.assert_array_equal(found.reranked, found.rank)
        np.testing.assert_array_equal(found.reordered, found.nearest)


def test_a_copy_of_the_gold_at_every_place_of_the_first_stage_counts_against_it(three) -> None:
    sets, _ = three
    costs = Euclidean(torch.zeros((3, 2)), torch.zeros((6, 2)))
    (found,) = evaluate(sets, costs, tasks=["epa"], protocols=["official"], k=5)
    # All five candidates tie, so the gold is the last of them.
    assert found.rank.tolist() == [5, 5, 5]
    assert found.nearest[:, -1].tolist() == [0, 1, 2]


def test_equal_scores_put_the_gold_last_of_the_first_k(three) -> None:
    sets, costs = three
    (found,) = evaluate(
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


def system(corpus, seed, width=6, levels=20):
    """Random vectors of each role, and a score of few levels, by text."""
    rng = np.random.default_rng(seed)
    texts = [folded(one.text) for one in corpus.arguments]
    names = sorted(set(texts))
    query = dict(zip(names, rng.standard_normal((len(names), width)), strict=True))
    candidate = dict(zip(names, rng.standard_normal((len(names), width)), strict=True))
    order = {name: number for number, name in enumerate(names)}
    table = rng.integers(0, levels, (len(names), len(names))).astype(np.float32) / levels

    def score(point, other):
        return table[order[point], order[other]]

    return query, candidate, score


def fast(corpus, folder, parts, k=10, **options):
    """`evaluate` with such a system."""
    query, candidate, score = parts
    sets = candidate_sets(corpus, folder)
    texts = corpus.texts

    def vectors(rows, table):
        return torch.from_numpy(np.stack([table[texts[text]] for text in rows])).float()

    costs = Euclidean(vectors(sets.text[sets.pairs :], query), vectors(sets.text, candidate))

    def scorer(points, candidates):
        pairs = zip(points.tolist(), candidates.tolist(), strict=True)
        return torch.tensor([float(score(texts[p], texts[c])) for p, c in pairs])

    return sets, evaluate(sets, costs, k=k, scorer=scorer, **options)


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
    parts = system(sample, seed=k)
    sets, found = fast(sample, folder, parts, k=k)
    assert [(one.protocol, one.task) for one in found] == [
        (protocol, task) for protocol in WITH_TASKS for task in TASKS
    ]
    for records in found:
        expected = slow(sample, folder, records.task, records.protocol, parts, k)
        assert as_ids(sets, records) == expected, (records.protocol, records.task)
        assert records.queries.tolist() == sorted(records.queries.tolist())


@pytest.mark.parametrize(("k", "depth"), [(10, 10), (3, 3), (3, 10), (1, 1)])
def test_in_brief_the_ranks_among_those_recorded_are_the_same(sample, k, depth) -> None:
    parts = system(sample, seed=k, levels=3)  # many ties
    _, whole = fast(sample, "validation", parts, k=k, depth=depth)
    _, brief = fast(sample, "validation", parts, k=k, depth=depth, brief=True)
    assert len(whole) == len(brief) == len(WITH_TASKS) * len(TASKS)
    moved = 0
    for full, short in zip(whole, brief, strict=True):
        assert (short.protocol, short.task) == (full.protocol, full.task)
        for name in ("queries", "candidates", "nearest"):
            np.testing.assert_array_equal(getattr(short, name), getattr(full, name))
        assert short.rank.tolist() == np.minimum(full.rank, depth + 1).tolist()
        assert short.reranked.tolist() == np.minimum(full.reranked, depth + 1).tolist()
        assert short.reordered is None
        moved += int((short.reranked != short.rank).sum())
    assert moved > 20 or k == 1


def test_in_brief_golds_out_of_reach_are_not_scored(three) -> None:
    sets, costs = three
    asked = []

    def scorer(points, candidates):
        asked.extend(points.tolist())
        return torch.zeros(len(points))

    evaluate(sets, costs, tasks=["epa"], protocols=["official"], k=3, scorer=scorer, brief=True)
    # The gold of query 2 is fifth.
    assert set(asked) == {int(sets.text[P0]), int(sets.text[P1])}


def test_a_split_without_clean_queries_gives_empty_records(sample) -> None:
    _, found = fast(sample, "training", system(sample, 0), tasks=["sdoc"], protocols=["clean"])
    (records,) = found
    assert records.queries.shape == records.rank.shape == records.reranked.shape == (0,)
    assert records.nearest.shape == records.reordered.shape == (0, 10)


def test_some_queries_get_the_records_that_they_get_among_all(sample) -> None:
    parts = system(sample, 1)
    sets, everyone = fast(sample, "validation", parts)
    chosen = np.array([40, 3, 17, 80, 4])
    _, found = fast(sample, "validation", parts, queries=chosen)
    for whole, few in zip(everyone, found, strict=True):
        wanted = {sets.ids[sets.pairs + query] for query in chosen}
        expected = {one: row for one, row in as_ids(sets, whole).items() if one in wanted}
        assert as_ids(sets, few) == expected


@pytest.mark.parametrize("size", [1, 7, 64])
def test_no_record_depends_on_the_block(sample, monkeypatch, size) -> None:
    parts = system(sample, 2)
    _, whole = fast(sample, "validation", parts)
    calls = []

    def small_blocks(queries):
        for block in blocks(queries, size):
            calls.append(len(block))
            yield block

    monkeypatch.setattr("counterpoint.evaluation.evaluate.blocks", small_blocks)
    _, found = fast(sample, "validation", parts)
    assert max(calls) == size
    for one, other in zip(whole, found, strict=True):
        for name in ("queries", "candidates", "rank", "nearest", "reranked", "reordered"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_no_rank_depends_on_the_order_of_the_pairs(sample) -> None:
    parts = system(sample, 3)
    sets, found = fast(sample, "validation", parts)
    order = np.random.default_rng(9).permutation(len(sample.arguments))
    shuffled = Corpus([sample.arguments[i] for i in order], sample.roles, sample.bare_debates)
    other_pool, other = fast(shuffled, "validation", parts)
    assert other_pool.ids != sets.ids
    text = {one.id: folded(one.text) for one in sample.arguments}

    def by_text(rows):
        # Copies of one text tie, and the order of the pool is all that tells them apart.
        return {
            query: (count, rank, [text[one] for one in near], after, [text[one] for one in again])
            for query, (count, rank, near, after, again) in rows.items()
        }

    for one, two in zip(found, other, strict=True):
        assert by_text(as_ids(sets, one)) == by_text(as_ids(other_pool, two))


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
        found = evaluate(sets, Euclidean(queries, texts), tasks=["sta", "epa"], scorer=noise)
        for records in found:
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
        for records in evaluate(
            sets,
            Euclidean(queries, candidates),
            k=3,
            scorer=lambda points, others, table=table: table[points, others],
        ):
            chance = 1 / records.candidates
            for stage, rank in (("first", records.rank), ("second", records.reranked)):
                key = (stage, records.protocol, records.task)
                hits.setdefault(key, []).append((rank == 1).mean())
                chances[key] = (chance.mean(), (chance * (1 - chance)).mean() / sets.pairs)
    assert len(hits) == 2 * 2 * 8
    for key, found in hits.items():
        expected, variance = chances[key]
        assert abs(np.mean(found) - expected) <= 5 * (variance / repeats) ** 0.5, key


# --- the file of records


@pytest.fixture
def written(sample, tmp_path):
    """What is written for dev with a second stage and for test without one, and the records."""
    dev_pool, dev = fast(sample, "validation", system(sample, 5))
    test_pool = candidate_sets(sample, "test")
    rng = np.random.default_rng(0)
    costs = Euclidean(
        torch.from_numpy(rng.standard_normal((test_pool.pairs, 4))).float(),
        torch.from_numpy(rng.standard_normal((2 * test_pool.pairs, 4))).float(),
    )
    test = evaluate(test_pool, costs)
    path = tmp_path / "records.parquet"
    write_records({"dev": (dev_pool, dev), "test": (test_pool, test)}, path)
    return pq.read_table(path), {"dev": (dev_pool, dev), "test": (test_pool, test)}


def test_records_have_these_columns_and_types(written) -> None:
    table, _ = written
    schema = {field.name: field.type for field in table.schema}
    assert schema.keys() == {
        "split",
        "protocol",
        "task",
        "query",
        "candidates",
        "rank",
        "nearest",
        "reranked",
        "reordered",
    }
    for name in ("split", "protocol", "task", "query"):
        assert schema[name] == pa.string()
    for name in ("candidates", "rank", "reranked"):
        assert schema[name] == pa.int32()
    for name in ("nearest", "reordered"):
        assert schema[name].value_type == pa.string()


def test_only_a_system_without_a_second_stage_has_nulls(written) -> None:
    rows = written[0].to_pylist()
    assert {row["split"] for row in rows} == {"dev", "test"}
    for row in rows:
        without = row["split"] == "test"
        assert (row["reranked"] is None) == without
        assert (row["reordered"] is None) == without
        others = [row[name] for name in row if name not in ("reranked", "reordered")]
        assert None not in others


def test_records_name_arguments_that_exist(written, sample) -> None:
    folders = {"dev": "validation", "test": "test"}
    known = {role: {one.id for one in sample.split(folders[role])} for role in folders}
    for row in written[0].to_pylist():
        ids = known[row["split"]]
        assert row["query"] in ids
        assert row["query"].endswith("a")
        assert set(row["nearest"]) <= ids
        assert row["query"] not in row["nearest"]
        assert len(row["nearest"]) == min(10, row["candidates"])
        if row["reordered"] is not None:
            assert sorted(row["reordered"]) == sorted(row["nearest"])


def test_records_read_back_give_the_same_ranks(written) -> None:
    table, systems = written
    rows = table.to_pylist()
    start = 0
    for role, (sets, several) in systems.items():
        for records in several:
            part = rows[start : start + len(records.queries)]
            start += len(part)
            assert {row["split"] for row in part} == {role}
            assert {row["protocol"] for row in part} == {records.protocol}
            assert {row["task"] for row in part} == {records.task}
            queries = [sets.ids[sets.pairs + query] for query in records.queries]
            assert [row["query"] for row in part] == queries
            assert [row["candidates"] for row in part] == records.candidates.tolist()
            assert [row["rank"] for row in part] == records.rank.tolist()
            near = [[sets.ids[i] for i in found if i >= 0] for found in records.nearest]
            assert [row["nearest"] for row in part] == near
            if records.reranked is not None:
                assert [row["reranked"] for row in part] == records.reranked.tolist()
                again = [[sets.ids[i] for i in found if i >= 0] for found in records.reordered]
                assert [row["reordered"] for row in part] == again
    assert start == len(rows)


def test_a_rank_within_k_is_the_golds_place_in_the_list(written) -> None:
    for row in written[0].to_pylist():
        gold = row["query"][:-1] + "b"
        for rank, order in (("rank", "nearest"), ("reranked", "reordered")):
            if row[rank] is not None:
                place = row[order].index(gold) + 1 if gold in row[order] else None
                assert place == (row[rank] if row[rank] <= len(row[order]) else None)


def test_an_empty_protocol_writes_no_row(sample, tmp_path) -> None:
    sets, found = fast(sample, "training", system(sample, 0), tasks=["sdoc"])
    write_records({"train": (sets, found)}, tmp_path / "records.parquet")
    rows = pq.read_table(tmp_path / "records.parquet").to_pylist()
    assert len(rows) == sets.pairs
    assert {row["protocol"] for row in rows} == {"official"}
