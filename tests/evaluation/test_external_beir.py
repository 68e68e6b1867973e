"""A corpus in BEIR's layout by the command: scores by hand, another program's, and refusals."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pandas as pd
import pytest
import torch
from ir_measures import R, Success, nDCG
from torch import Tensor

from counterpoint.cli.main import main
from counterpoint.evaluation import baselines
from counterpoint.evaluation.baselines import Search
from counterpoint.reporting import scores
from counterpoint.runs import folder as folder_module
from counterpoint.search.distances import Costs, Euclidean
from tests.support.beir import DOCUMENTS, HAND, PLACE, jsonl, pack, qrels
from tests.support.trained import Trained, evaluate, run_lines

WriteTree = Callable[..., Path]
Captured = pytest.CaptureFixture[str]


WORDS = ["juries", "judges", "boxing", "gloves", "prisons", "bail", "schools", "tests", "rents"]


def made(seed: int = 1, documents: int = 140) -> dict[str, str]:
    """Debates in words, each query a document too, a few judgements with gains 1 and 2."""
    rng = np.random.default_rng(seed)

    def text() -> str:
        return " ".join(rng.choice(WORDS, 6))

    corpus: dict[str, Any] = {f"d {n}": {"title": text(), "text": text()} for n in range(documents)}
    queries = {f"d {n}": f"{corpus[f'd {n}']['title']} {text()}" for n in range(12)}
    # Equal texts tie; only one of them is relevant.
    corpus["d 20"] = corpus["d 21"]
    queries["elsewhere"] = f"{corpus['d 21']['title']} {corpus['d 21']['text']}"
    judged = [
        (query, f"d {row}", int(rng.integers(0, 3)))
        for query in queries
        for row in rng.choice(np.arange(22, documents), 6, replace=False)
    ]
    judged.append(("elsewhere", "d 20", 2))
    return {
        "corpus.jsonl": jsonl(corpus),
        "queries.jsonl": jsonl(queries),
        "qrels/test.tsv": qrels(judged),
        "qrels/dev.tsv": qrels([("elsewhere", "d 3", 1)]),
    }


def agree_with_ir_measures(folder: Path, stages: Sequence[str]) -> pd.DataFrame:
    table = pd.read_csv(folder / "figures.csv")
    assert set(table.stage) == set(stages)
    judged = list(ir_measures.read_trec_qrels(str(folder / "trec" / "beir.qrels")))
    for stage in stages:
        listed = list(ir_measures.read_trec_run(str(folder / "trec" / f"beir.{stage}.run")))
        own = table[table.stage == stage].set_index("metric")["value"]
        measures = {"ndcg@10": nDCG @ 10, "accuracy@1": Success @ 1, "recall@100": R @ 100}
        found = ir_measures.calc_aggregate(list(measures.values()), judged, listed)
        assert own.to_dict() == pytest.approx(
            {name: found[by] for name, by in measures.items()}, abs=1e-9
        )
    return table


@pytest.mark.parametrize("name", ["random", "tfidf", "bm25"])
def test_a_baseline_without_a_run(
    name: str,
    write_tree: WriteTree,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_tree(made(), name="arguana")
    evaluate(f"baseline/{name}", "--corpus", folder, "--trec")
    out = tmp_path / "evaluations" / "baseline" / name / "arguana"
    table = agree_with_ir_measures(out, ["retrieval"])
    assert set(table.n) == {13}
    assert (table.low <= table.value).all()
    assert (table.value <= table.high).all()
    for query, ids in run_lines(out / "trec" / "beir.retrieval.run").items():
        assert query not in ids
        assert len(ids) == len(set(ids)) == 100
    assert "| test | beir | retrieval | 13 |" in capsys.readouterr().out
    # A zip has the same figures, whatever it is called.
    evaluate(f"baseline/{name}", "--corpus", pack(folder, tmp_path / "x.zip"))
    packed = out.parent / "x.zip" / "figures.csv"
    assert packed.read_bytes() == (out / "figures.csv").read_bytes()


def test_the_judgements_written_are_those_that_count(
    write_tree: WriteTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    evaluate("baseline/bm25", "--corpus", write_tree(HAND), "--trec", "--out", "out")
    assert (tmp_path / "out" / "trec" / "beir.qrels").read_text() == (
        "q1 0 b 2\nq1 0 d 1\nq2 0 d 1\nq3 0 a 1\nq3 0 q1 2\n"
    )


def test_judged_queries_without_a_relevant_document_are_named(
    write_tree: WriteTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    judged = qrels([("q1", "b", 1), ("q2", "a", 0), ("q2", "b", -1), ("q3", "q3", 1)])
    documents = jsonl({**DOCUMENTS, "q3": "three"})
    tree = {**HAND, "qrels/test.tsv": judged, "corpus.jsonl": documents}
    evaluate("baseline/bm25", "--corpus", write_tree(tree), "--out", "out")
    said = "2 of 3 judged queries have no relevant document but their own and are left out: q2, q3"
    assert said in capsys.readouterr().err
    assert set(pd.read_csv(tmp_path / "out" / "figures.csv").n) == {1}


def test_by_the_command_the_figures_are_those_by_hand(
    write_tree: WriteTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def line(search: Search) -> Costs:
        def rows(texts: Sequence[str]) -> Tensor:
            return torch.tensor([[PLACE[text]] for text in texts])

        return Euclidean(rows(search.queries), rows(search.collection))

    monkeypatch.setitem(baselines.BASELINES, "line", line)
    monkeypatch.chdir(tmp_path)
    evaluate("baseline/line", "--corpus", write_tree(HAND), "--trec", "--out", "out")
    table = agree_with_ir_measures(tmp_path / "out", ["retrieval"]).set_index("metric")
    third = 1 / math.log2(3)
    sums = 2 * third + 1 / math.log2(5) + 1 / 2 + 2 / math.log2(6)
    assert table["value"].to_dict() == pytest.approx(
        {"ndcg@10": (1 + sums / (2 + third)) / 3, "accuracy@1": 1 / 3, "recall@100": 1}
    )
    assert "| test | beir | retrieval | 3 | 70.9 (" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["frozen", "live", "baseline/untrained"])
def test_a_cell_has_its_second_stage(
    name: str, trained: Trained, write_tree: WriteTree, tmp_path: Path
) -> None:
    folder, out = write_tree(made(), name="arguana"), tmp_path / "out"
    given = ["--run", trained.folder, "--corpus", folder, "--trec", "--out", out]
    evaluate(trained.system(name), *given)
    stages = ["retrieval"] if name == "baseline/untrained" else ["retrieval", "reranked"]
    agree_with_ir_measures(out, stages)
    first, last = (run_lines(out / "trec" / f"beir.{stages[n]}.run") for n in (0, -1))
    for query, ids in first.items():
        # Ten are re-ordered, and the others stay.
        assert sorted(ids[:10]) == sorted(last[query][:10])
        assert ids[10:] == last[query][10:]
    assert (first == last) == (len(stages) == 1)
    assert first["elsewhere"][:2] == ["d%2021", "d%2020"]
    assert last["elsewhere"].index("d%2021") == last["elsewhere"].index("d%2020") - 1
    assert set(pd.read_csv(out / "figures.csv").system) == {trained.system(name)}


def test_another_split_is_its_own_judgements(
    write_tree: WriteTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_tree(made(), name="arguana")
    evaluate("baseline/bm25", "--corpus", folder, "--splits", "dev", "--out", "out")
    table = pd.read_csv(tmp_path / "out" / "figures.csv")
    assert set(table.split) == {"dev"}
    assert set(table.n) == {1}


@pytest.mark.parametrize(
    ("splits", "expected"),
    [(["final"], "qrels/final.tsv: no such file"), (["dev", "test"], "one split at a time")],
)
def test_splits_that_cannot_be_are_refused(
    splits: list[str],
    expected: str,
    write_tree: WriteTree,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_tree(made(), name="arguana")
    given = ["baseline/bm25", "--corpus", str(folder), "--out", "out", "--splits", *splits]
    assert main(["evaluate", *given]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_best_is_found_for_a_foreign_corpus_too(
    trained: Trained, write_tree: WriteTree, tmp_path: Path
) -> None:
    given = ["--run", trained.folder, "--corpus", write_tree(made()), "--out", tmp_path / "out"]
    evaluate("best", *given)
    best = scores.best_of_run(folder_module.read_run(trained.folder))
    assert set(pd.read_csv(tmp_path / "out" / "figures.csv").system) == {best}
