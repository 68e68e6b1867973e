"""Points with several counters: ranks, scores and exports against slow loops."""

import itertools
from pathlib import Path

import ir_measures
import numpy as np
import pytest
import torch
from ir_measures import RR, R, Success, nDCG

from counterpoint.arrays import Ints
from counterpoint.corpus.arguments import Argument, Corpus, read_debates, write_arguments
from counterpoint.corpus.pairs import read_pairs
from counterpoint.encoders.features import same_outputs
from counterpoint.evaluation.evaluate import epoch_scores, query_results
from counterpoint.evaluation.external import Ranker, evaluate_debates
from counterpoint.evaluation.metrics import (
    accuracy,
    accuracy_at_1,
    ndcg,
    recall_at_10,
    reciprocal_rank,
)
from counterpoint.evaluation.records import gold_ranks, read_records, write_records
from counterpoint.evaluation.scoring import Scoring, select
from counterpoint.evaluation.second_stage import Reranker
from counterpoint.search.distances import Euclidean
from counterpoint.tasks.candidates import TASKS, CandidateSets, candidate_sets
from counterpoint.tasks.protocols import WITH_TASKS
from tests.support.evaluation import results_of

ROLES = {"train": "training", "dev": "validation", "test": "validation"}


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Debates whose points have one to four counters, some of them copies of others' texts."""
    rng = np.random.default_rng(5)
    lines = ["point\tcounter\tdebate\ttheme\tside\tsplit", "seen 0\tseen 1\td\tt\tpro\ttrain"]
    for debate in range(6):
        for point in range(4):
            for counter in range(rng.integers(1, 5)):
                text = f"c{debate} {point} {counter}"
                text = text if rng.random() < 0.8 else f"shared {rng.integers(4)}"
                side = ("pro", "con")[point % 2]
                where = f"d{debate}\tt{debate % 2}\t{side}\tdev"
                own = f"p{debate} {point}" if rng.random() < 0.9 else f"seen {point % 2}"
                lines.append(f"{own}\t{text}\t{where}")
    path = tmp_path / "pairs.tsv"
    path.write_text("\n".join(lines))
    return read_pairs(path, ROLES)[0]


@pytest.fixture
def sets(corpus: Corpus) -> CandidateSets:
    return candidate_sets(corpus, "validation")


def made_up(sets: CandidateSets, seed: int) -> tuple[Euclidean, Ints, Reranker]:
    """Whole coordinates, so that distances tie; the distances; a second stage of few levels."""
    rng = np.random.default_rng(seed)
    places = rng.integers(0, 4, (sets.text.max() + 1, 2))
    query, every = places[sets.text[sets.pairs :]], places[sets.text]
    costs = Euclidean(torch.from_numpy(query).float(), torch.from_numpy(every).float())
    distances = ((query[:, None] - every[None]) ** 2).sum(axis=2)
    levels = torch.from_numpy(rng.integers(0, 3, (len(places), len(places)))).float()
    return costs, distances, Reranker(5, lambda _: lambda points, others: levels[points, others])


def slow_candidates(
    corpus: Corpus, sets: CandidateSets, query: int, task: str, protocol: str
) -> set[int]:
    """Rows, read off the definitions with nothing but the arguments."""
    arguments = corpus.split("validation")
    row_of = {name: row for row, name in enumerate(sets.ids)}
    point = arguments[int(sets.argument[sets.pairs + query])]
    golds = [one for one in arguments if one.kind == "counter" and one.pair == point.id]

    def competes(one: Argument) -> bool:
        place = {"d": one.theme == point.theme and one.debate == point.debate, "t": None}
        scope = task[0] == "e" or (place["d"] if task[1] == "d" else one.theme == point.theme)
        same_side = one.side == point.side
        if one.kind == "counter":
            copies = any(one.text_hash == gold.text_hash for gold in golds)
            fits = scope and not copies and (same_side or "o" not in task)
        else:
            fits = scope and task[-1] == "a" and (not same_side or "o" not in task)
        if protocol == "clean" and one.kind == "point":
            fits = fits and all(one.text_hash != gold.text_hash for gold in golds)
        return bool(fits) and not (protocol == "clean" and one.text_hash == point.text_hash)

    chosen = {row_of[one.id] for one in arguments if one.id != point.id and competes(one)}
    return chosen | {row_of[gold.id] for gold in golds}


def test_the_corpus_has_what_it_takes(sets: CandidateSets) -> None:
    assert 1 < sets.golds.shape[1] <= 4
    assert (sets.golds[:, 0] >= 0).all()
    assert (sets.golds[:, 1] < 0).any()
    assert sorted(sets.golds[sets.golds >= 0].tolist()) == list(range(sets.pairs))
    np.testing.assert_array_equal(sets.golds[sets.query_of[np.arange(sets.pairs)]].max(axis=1),
                                  sets.golds.max(axis=1)[sets.query_of])  # fmt: skip
    assert 0 < sets.unseen.sum() < sets.points


@pytest.mark.parametrize("protocol", WITH_TASKS)
@pytest.mark.parametrize("task", TASKS)
def test_candidates_and_ranks_are_those_of_slow_loops(
    corpus: Corpus, sets: CandidateSets, task: str, protocol: str
) -> None:
    costs, distances, _ = made_up(sets, 1)
    [found] = results_of(sets, costs, tasks=[task], protocols=[protocol], depth=200)
    assert len(found.queries) == (sets.points if protocol == "official" else sets.unseen.sum())
    for place, query in enumerate(found.queries):
        candidates = slow_candidates(corpus, sets, query, task, protocol)
        assert found.candidates[place] == len(candidates)
        golds = sorted(
            (row for row in sets.golds[query].tolist() if row >= 0),
            key=lambda row, query=query: distances[query, row],
        )
        others = [distances[query, row] for row in candidates - set(golds)]
        # Who ties with a gold stands before it, but for other golds.
        expected = [
            1 + number + sum(cost <= distances[query, gold] for cost in others)
            for number, gold in enumerate(golds)
        ]
        ranks = found.ranks[place]
        assert ranks[ranks > 0].tolist() == expected
        # The list of the nearest has the golds at their ranks.
        nearest = found.nearest[place]
        at = [1 + spot for spot, row in enumerate(nearest.tolist()) if row in golds]
        assert at == expected


def test_the_second_stage_re_orders_its_golds_by_score(sets: CandidateSets) -> None:
    costs, _, reranker = made_up(sets, 2)
    moved = 0
    for found in results_of(sets, costs, k=5, scorer=reranker.scorer("query"), depth=12):
        assert found.reordered is not None
        assert found.reranked_ranks is not None
        for place in range(len(found.queries)):
            golds = set(found.golds[place].tolist()) - {-1}
            order = found.reordered[place].tolist()
            inside = [1 + spot for spot, row in enumerate(order[:5]) if row in golds]
            beyond = [rank for rank in found.ranks[place].tolist() if rank > 5]
            ranks = found.reranked_ranks[place]
            assert ranks[ranks > 0].tolist() == inside + beyond
            moved += ranks.tolist() != found.ranks[place].tolist()
    assert moved > 20


@pytest.mark.parametrize("task", ["epa", "sdoc"])
def test_an_epochs_scores_are_those_of_the_records(sets: CandidateSets, task: str) -> None:
    costs, _, reranker = made_up(sets, 3)
    found = epoch_scores(sets, costs, reranker, task=task, top_k=[1, 3, 20])
    records = results_of(sets, costs, k=5, scorer=reranker.scorer("query"), tasks=[task], depth=20)
    assert found.keys() == {results.protocol for results in records}
    for results in records:
        scores = found[results.protocol]
        assert results.reranked_ranks is not None
        assert scores.retrieval == accuracy_at_1(results.ranks).mean()
        assert scores.reranked == accuracy_at_1(results.reranked_ranks).mean()
        assert scores.recall_at_10 == recall_at_10(results.ranks).mean()
        assert scores.at_k == {
            f"{stage}@{k}": accuracy(ranks, k).mean()
            for k in (3, 20)
            for stage, ranks in (
                ("retrieval", results.ranks),
                ("reranked", results.reranked_ranks),
            )
        }


def test_metrics_of_several_golds_by_hand() -> None:
    ranks = np.array([[1, 3, 15], [3, 0, 0], [7, 15, 0]])
    assert accuracy_at_1(ranks).tolist() == [1, 0, 0]
    assert reciprocal_rank(ranks).tolist() == [1, 1 / 3, 1 / 7]
    assert recall_at_10(ranks).tolist() == [2 / 3, 1, 1 / 2]
    # Discounts of the ranks 1, 2, 3, 7: 1, 1/log2(3) = 0.6309298, 1/2, 1/3.
    expected = [1.5 / (1 + 0.6309298 + 0.5), 0.5, (1 / 3) / 1.6309298]
    assert ndcg(ranks, 10).tolist() == pytest.approx(expected, abs=1e-6)


def test_ten_golds_and_more_can_fill_the_first_ten_places() -> None:
    ranks = np.arange(1, 13)[None]
    assert ndcg(ranks, 10).tolist() == pytest.approx([1.0], rel=1e-12)
    assert recall_at_10(ranks).tolist() == [10 / 12]


def test_records_keep_every_golds_rank(sets: CandidateSets, tmp_path: Path) -> None:
    costs, _, reranker = made_up(sets, 4)
    several = results_of(sets, costs, k=5, scorer=reranker.scorer("query"))
    path = tmp_path / "records.parquet"
    write_records({"dev": (sets, several)}, path)
    read = read_records(path)
    for results in several:
        part = select(read, protocol=results.protocol, task=results.task)
        assert results.reranked_ranks is not None
        for stage, ranks in (("retrieval", results.ranks), ("reranked", results.reranked_ranks)):
            found = gold_ranks(part, stage)
            np.testing.assert_array_equal(found, ranks[:, : found.shape[1]])
            assert (ranks[:, found.shape[1] :] == 0).all()


def test_an_exported_run_scores_alike_elsewhere(
    corpus: Corpus, sets: CandidateSets, tmp_path: Path
) -> None:
    costs, _, _ = made_up(sets, 6)
    dev = Corpus(corpus.split("validation"), {"validation": "validation"}, {"validation": 0})
    ranker = Ranker("made up", lambda _: costs)
    evaluate_debates(
        ranker,
        dev,
        corpus.split("training"),
        lambda: same_outputs(np.empty((0, 0), np.float32)),
        tmp_path,
        export=True,
    )
    write_arguments(corpus, tmp_path / "arguments.parquet")
    records = read_records(tmp_path / "records.parquet")
    scores = Scoring(read_debates(tmp_path / "arguments.parquet")).scores(records)
    measures = {"accuracy@1": Success @ 1, "mrr": RR, "recall@10": R @ 10, "ndcg@10": nDCG @ 10}
    for protocol in WITH_TASKS:
        stem = tmp_path / "trec" / f"validation.{protocol}.epa"
        qrels = list(ir_measures.read_trec_qrels(f"{stem}.qrels"))
        assert any(len([q for q in qrels if q.query_id == one.query_id]) > 1 for one in qrels)
        run = list(ir_measures.read_trec_run(f"{stem}.retrieval.run"))
        found = ir_measures.calc_aggregate(measures.values(), qrels, run)
        for name, measure in measures.items():
            [own] = [
                one.value
                for one in scores
                if (one.protocol, one.task, one.metric) == (protocol, "epa", name)
            ]
            assert found[measure] == pytest.approx(own, abs=1e-9), (protocol, name)


def test_legacy_shows_the_first_counter_as_the_answer(sets: CandidateSets) -> None:
    costs, _, reranker = made_up(sets, 7)
    [*_, found] = [
        results for results in query_results(sets, costs, reranker) if results.protocol == "legacy"
    ]
    np.testing.assert_array_equal(found.golds[:, 0], sets.golds[:, 0])
    assert found.ranks.shape == (sets.points, 1)
    assert set(found.candidates.tolist()) == {sets.pairs + sets.points}


def test_a_gold_that_is_itself_answered_can_come_first(tmp_path: Path) -> None:
    # A chain, as a tree of claims has it: each counter is the point of the next pair.
    chain = ["thesis", "con of it", "con of that", "con of the last"]
    lines = [f"{p}\t{c}\td\tdev" for p, c in itertools.pairwise(chain)]
    path = tmp_path / "chain.tsv"
    path.write_text("\n".join(["point\tcounter\tdebate\tsplit", "a\tb\tx\ttrain", *lines]))
    read, _ = read_pairs(path, ROLES)
    sets = candidate_sets(read, "validation")
    places = torch.tensor([[float(chain.index(read.texts[text]))] for text in sets.text])
    # Each query lies on its gold.
    costs = Euclidean(places[sets.pairs :] + 1, places)
    official, clean = results_of(sets, costs, tasks=["epa"])
    assert official.rank.tolist() == [2, 2, 1]
    assert clean.rank.tolist() == [1, 1, 1]
