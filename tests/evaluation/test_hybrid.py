"""The encoder and BM25 together: ranks by slow loops, and the weight that dev chooses."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from counterpoint.cli.main import main
from counterpoint.corpus.arguments import Corpus, write_arguments
from counterpoint.encoders.features import read_features, same_outputs, write_features
from counterpoint.evaluation import baselines, hybrid
from counterpoint.evaluation.baselines import Search, bm25, evaluate_baseline, untrained
from counterpoint.evaluation.evaluate import Evaluation, query_results
from counterpoint.results.files import HybridWeight
from counterpoint.search.distances import Similarities
from counterpoint.tasks.candidates import CandidateSets, blocks, candidate_sets
from tests.support.candidates import argument, brute_candidates, folded

ROLES = {"train": "training", "dev": "validation", "test": "validation"}
HYBRIDS = ["hybrid-rrf", "hybrid"]


@pytest.fixture
def features(sample: Corpus, tmp_path: Path) -> Path:
    """Random outputs for every text of the sample."""
    values = np.random.default_rng(5).standard_normal((len(sample.texts), 12))
    path = tmp_path / "features.safetensors"
    write_features(same_outputs(values.astype(np.float32)), sample, path)
    return path


def searched(corpus: Corpus, role: str, features: Path) -> tuple[CandidateSets, Search]:
    folder = corpus.roles[role]
    sets, arguments = candidate_sets(corpus, folder), corpus.split(folder)
    found = baselines.search_of(
        arguments, sets, folder, [], lambda: read_features(features, corpus), corpus.language
    )
    return sets, found


def slow_scores(corpus: Corpus, role: str, features: Path, weight: float | None):
    """{(query id, candidate id): score} by loops over the texts of a split."""
    sets, search = searched(corpus, role, features)
    every = torch.arange(sets.points)
    both = [costs.exact(every).tolist() for costs in (untrained(search), bm25(search))]
    text = {one.id: folded(one.text) for one in corpus.arguments}
    result = {}
    for query in range(sets.points):
        name = sets.ids[sets.pairs + query]
        others = [row for row, one in enumerate(sets.ids) if text[one] != text[name]]
        parts = []
        for costs in both:
            values = np.array([costs[query][row] for row in others])
            if weight is None:
                parts.append([60 + int((values <= cost).sum()) for cost in costs[query]])
                continue
            spread = values.std() or math.inf
            parts.append([(values.mean() - cost) / spread for cost in costs[query]])
        for row, one in enumerate(sets.ids):
            a, b = parts[0][row], parts[1][row]
            score = (a + b) / (a * b) if weight is None else (1 - weight) * a + weight * b
            result[name, one] = score
    return result


@pytest.mark.parametrize("name", HYBRIDS)
def test_ranks_of_every_task_and_protocol_are_those_of_slow_loops(sample, features, name) -> None:
    evaluated = evaluate_baseline(name, sample, features)
    weight = None if evaluated.weight is None else evaluated.weight.bm25_weight
    assert (weight is None) == (name == "hybrid-rrf")
    for role, (sets, found) in evaluated.by_split.items():
        folder = sample.roles[role]
        arguments, training = sample.split(folder), sample.split("training")
        score = slow_scores(sample, role, features, weight)
        for records in found[:-2]:
            assert records.reranked is None
            expected = {}
            asked = brute_candidates(arguments, training, records.task, records.protocol)
            for query, candidates in asked.items():
                gold = query[:-1] + "b"
                own = score[query, gold]
                expected[query] = 1 + sum(
                    score[query, one] >= own for one in candidates if one != gold
                )
            names = [sets.ids[sets.pairs + query] for query in records.queries]
            assert dict(zip(names, records.rank.tolist(), strict=True)) == expected
            assert len(expected) > 50


@pytest.mark.parametrize("name", HYBRIDS)
@pytest.mark.parametrize("size", [1, 7])
def test_no_record_depends_on_the_block(sample, features, monkeypatch, name, size) -> None:
    whole = evaluate_baseline(name, sample, features)

    def small_blocks(queries, _size=None):
        return blocks(queries, size)

    for module in ("first_stage", "legacy", "ties", "hybrid"):
        monkeypatch.setattr(f"counterpoint.evaluation.{module}.blocks", small_blocks)
    other = evaluate_baseline(name, sample, features)
    assert (other.weight, other.ties) == (whole.weight, whole.ties)
    for role, (_, found) in whole.by_split.items():
        for one, two in zip(found, other.by_split[role][1], strict=True):
            for field in ("queries", "candidates", "ranks", "nearest", "nearest_scores"):
                np.testing.assert_array_equal(getattr(one, field), getattr(two, field))


def accuracy_of(sets, costs) -> float:
    [epa] = query_results(sets, costs, None, Evaluation(tasks=("epa",), protocols=("clean",)))
    return float((epa.ranks[:, 0] == 1).mean())


def test_the_weight_is_the_one_whose_own_records_are_best_on_dev(sample, features) -> None:
    sets, search = searched(sample, "dev", features)
    chosen = baselines.hybrid_weight(sets, search)
    by_weight = {
        weight: accuracy_of(sets, baselines.hybrid(replace(search, bm25_weight=weight)))
        for weight in hybrid.WEIGHTS
    }
    assert chosen.accuracy_at_1 == {str(weight): value for weight, value in by_weight.items()}
    assert len(set(by_weight.values())) > 3
    best = max(by_weight.values())
    assert chosen.bm25_weight == min(w for w, value in by_weight.items() if value == best)
    assert chosen.queries == len(sets.queries("clean"))
    # At the ends one of the two ranks alone.
    assert by_weight[0.0] == accuracy_of(sets, untrained(search))
    assert by_weight[1.0] == accuracy_of(sets, bm25(search))


# Two debates of a pair each; the training split shares no text with them.
PAIRS = {
    "law/juries/pro01a": "p",
    "law/juries/pro01b": "gold of p",
    "law/courts/pro01a": "q",
    "law/courts/pro01b": "gold of q",
}


def two_queries() -> Corpus:
    arguments = [argument("validation", *item) for item in PAIRS.items()]
    arguments.append(argument("training", "law/juries/pro01a", "elsewhere"))
    return Corpus(arguments, ROLES, {})


def weight_by_hand(dense: list[list[float]], lexical: list[list[float]]) -> HybridWeight:
    """Chosen from similarities to the two counters and the two points, (2, 4) each."""
    sets = candidate_sets(two_queries(), "validation")

    def costs(table):
        rows = np.array(table, dtype=np.float32)
        return Similarities(lambda asked: rows[asked])

    def counted(queries):
        return sets.text[None, :] != sets.text[sets.pairs + queries][:, None]

    return hybrid.choose_weight(
        sets, hybrid.standardised(costs(dense), hybrid.Lexical(costs(lexical), counted))
    )


def gold_first(similarity: float, others: list[float]) -> list[list[float]]:
    """Two rows (2, 4): each query's gold, then the other counter and the other point; its own 9."""
    sets = candidate_sets(two_queries(), "validation")
    rows = []
    for query in range(2):
        row = [0.0] * 4
        gold = int(sets.golds[query, 0])
        row[gold], row[1 - gold] = similarity, others[0]
        row[2 + query], row[3 - query] = 9.0, others[1]
        rows.append(row)
    return rows


def test_of_equal_weights_the_smallest_is_chosen() -> None:
    good = gold_first(3.0, [1.0, 2.0])
    chosen = weight_by_hand(good, good)
    assert chosen == HybridWeight(0.0, 2, {str(tenths / 10): 1.0 for tenths in range(11)})


def test_the_weight_by_hand() -> None:
    # z-scores over gold, counter, point. Dense 2, 0, 4: 0, -1.22, 1.22. BM25 4, 1, 1: 1.41, -0.71
    # twice. The gold beats the point where w · 1.41 > (1 - w) · 1.22 - w · 0.71, w > 0.366.
    chosen = weight_by_hand(gold_first(2.0, [0.0, 4.0]), gold_first(4.0, [1.0, 1.0]))
    assert chosen.bm25_weight == 0.4
    expected = {str(tenths / 10): float(tenths >= 4) for tenths in range(11)}
    assert chosen.accuracy_at_1 == expected


def test_a_tie_is_no_right_answer_when_the_weight_is_chosen() -> None:
    chosen = weight_by_hand(gold_first(2.0, [2.0, 1.0]), gold_first(2.0, [2.0, 1.0]))
    assert set(chosen.accuracy_at_1.values()) == {0.0}
    assert chosen.bm25_weight == 0.0


def test_without_an_unseen_query_both_weigh_the_same(sample, features) -> None:
    sets, search = searched(sample, "dev", features)
    seen = replace(sets, unseen=np.zeros_like(sets.unseen))
    chosen = baselines.hybrid_weight(seen, search)
    assert chosen == hybrid.UNCHOSEN
    assert "no unseen dev query" in chosen.told("hybrid")


def test_the_querys_own_text_and_its_copies_do_not_count(sample, features) -> None:
    sets, search = searched(sample, "dev", features)
    others = search.others(np.arange(sets.points))
    text = {one.id: folded(one.text) for one in sample.arguments}
    for query in range(sets.points):
        own = text[sets.ids[sets.pairs + query]]
        assert others[query].tolist() == [text[one] != own for one in sets.ids]
    copies = np.zeros_like(others)
    copies[:, 3] = True
    marked = replace(search, copies=lambda asked: copies[asked]).others(np.arange(sets.points))
    assert not marked[:, 3].any()
    np.testing.assert_array_equal(np.delete(marked, 3, axis=1), np.delete(others, 3, axis=1))


def test_the_command_writes_the_weight_where_it_tells_it(
    sample, features, tmp_path, capsys
) -> None:
    write_arguments(sample, tmp_path / "arguments.parquet")
    command = ["baselines", *HYBRIDS, "--arguments", tmp_path / "arguments.parquet"]
    command += ["--features", features, "--out", tmp_path]
    assert main([str(part) for part in command]) == 0
    assert all((tmp_path / name / "records.parquet").is_file() for name in HYBRIDS)
    assert not (tmp_path / "hybrid-rrf" / "hybrid.json").exists()
    path = tmp_path / "hybrid" / "hybrid.json"
    written = HybridWeight.read(path)
    assert json.loads(path.read_text())["bm25_weight"] == written.bm25_weight
    assert written == evaluate_baseline("hybrid", sample, features).weight
    assert written.told("baseline hybrid") in capsys.readouterr().err


def test_a_hybrid_without_features_is_an_input_error(sample, capsys, tmp_path) -> None:
    write_arguments(sample, tmp_path / "arguments.parquet")
    command = ["baselines", "hybrid", "--arguments", str(tmp_path / "arguments.parquet")]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    assert "needs --features" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
