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
from tests.support.beir import DOCUMENTS, HAND, JUDGED, PLACE, QUERIES, jsonl, pack, qrels
from tests.support.beir_arguana import write_beir_arguana
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
    """The scores as BEIR asks; those without copies agree too."""
    table = pd.read_csv(folder / "figures.csv")
    assert set(table.stage) == set(stages)
    assert set(table.protocol) == {"beir", "beir-without-copies"}
    judged = list(ir_measures.read_trec_qrels(str(folder / "trec" / "beir.qrels")))
    for (protocol, stage), rows in table.groupby(["protocol", "stage"]):
        listed = list(ir_measures.read_trec_run(str(folder / "trec" / f"{protocol}.{stage}.run")))
        own = rows.set_index("metric")["value"]
        measures = {"ndcg@10": nDCG @ 10, "accuracy@1": Success @ 1, "recall@100": R @ 100}
        found = ir_measures.calc_aggregate(list(measures.values()), judged, listed)
        assert own.to_dict() == pytest.approx(
            {name: found[by] for name, by in measures.items()}, abs=1e-9
        )
    return table[table.protocol == "beir"]


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


def evaluates_as_published(
    corpus: str, system: str, folder: Path, captured: Captured
) -> tuple[int, "pd.Series[float]"]:
    """BEIR's ArguAna made of a corpus; the number of its queries, and the scores as BEIR asks."""
    lacking = write_beir_arguana(corpus, "validation", folder / "arguana")
    given = ["--corpus", folder / "arguana", "--trec", "--out", folder / "out"]
    evaluate(system, *given)
    said = captured.readouterr().err
    assert "the corpus lacks, which counts as not found (1): qrels/test.tsv:2 " in said
    table = agree_with_ir_measures(folder / "out", ["retrieval"])
    queries = (folder / "arguana" / "queries.jsonl").read_text().count("\n")
    assert set(table.n) == {queries}
    qrels_written = (folder / "out" / "trec" / "beir.qrels").read_text()
    assert f"0 {lacking} 1\n" in qrels_written
    assert main(["evaluate", system, *map(str, given), "--bad-files", "stop"]) == 2
    return queries, table.set_index("metric")["value"]


@pytest.mark.parametrize("system", ["baseline/bm25", "baseline/untrained"])
def test_the_published_shape_of_arguana_is_evaluated_as_other_programs_do(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    queries, values = evaluates_as_published("sample", system, tmp_path, capsys)
    # What is lacking cannot be found.
    assert values["recall@100"] <= (queries - 1) / queries


def test_so_is_that_of_the_real_corpus(
    arguana: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    queries, values = evaluates_as_published(arguana, "baseline/bm25", tmp_path, capsys)
    assert queries == 1287
    assert values["recall@100"] < 1
    without = pd.read_csv(tmp_path / "out" / "figures.csv").query(
        "protocol == 'beir-without-copies' and metric == 'accuracy@1'"
    )
    # The texts that the publisher lists in several debates stand before their own counters.
    assert without["value"].item() > values["accuracy@1"]


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
    monkeypatch.setitem(baselines.BASELINES, "line", on_a_line)
    monkeypatch.chdir(tmp_path)
    evaluate("baseline/line", "--corpus", write_tree(HAND), "--trec", "--out", "out")
    table = agree_with_ir_measures(tmp_path / "out", ["retrieval"]).set_index("metric")
    third = 1 / math.log2(3)
    sums = 2 * third + 1 / math.log2(5) + 1 / 2 + 2 / math.log2(6)
    assert table["value"].to_dict() == pytest.approx(
        {"ndcg@10": (1 + sums / (2 + third)) / 3, "accuracy@1": 1 / 3, "recall@100": 1}
    )
    assert "| test | beir | retrieval | 3 | 70.9 (" in capsys.readouterr().out


def on_a_line(search: Search) -> Costs:
    def rows(texts: Sequence[str]) -> Tensor:
        return torch.tensor([[PLACE[text]] for text in texts])

    return Euclidean(rows(search.queries), rows(search.collection))


def test_a_judged_document_that_is_lacking_counts_as_not_found(
    write_tree: WriteTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """By hand: d, of gain 1, is lost; it was fourth for query 1 and the only one of query 2."""
    monkeypatch.setitem(baselines.BASELINES, "line", on_a_line)
    monkeypatch.chdir(tmp_path)
    documents = {name: text for name, text in DOCUMENTS.items() if name != "d"}
    given = ["baseline/line", "--corpus", write_tree({**HAND, "corpus.jsonl": jsonl(documents)})]
    evaluate(*given, "--trec", "--out", "out")
    table = agree_with_ir_measures(tmp_path / "out", ["retrieval"]).set_index("metric")
    assert set(table.n) == {3}
    third = 1 / math.log2(3)
    # Query 1: b, of gain 2, is second. Query 3: b, c, then a, of 1, and q1, of 2.
    of_queries = [2 * third / (2 + third), 0, (1 / 2 + 2 / math.log2(5)) / (2 + third)]
    assert table["value"].to_dict() == pytest.approx(
        {"ndcg@10": sum(of_queries) / 3, "accuracy@1": 0, "recall@100": (1 / 2 + 0 + 1) / 3}
    )
    printed = capsys.readouterr()
    assert (
        "counterpoint: judgements of a document that the corpus lacks, which counts as not "
        "found (2): qrels/test.tsv:3 ('d' of 'q1'); qrels/test.tsv:5 ('d' of 'q2')\n"
    ) in printed.err
    assert "counterpoint: wrote figures.csv, trec into out\n" in printed.err
    assert (tmp_path / "out" / "trec" / "beir.qrels").read_text().startswith("q1 0 b 2\nq1 0 d 1\n")
    assert main(["evaluate", *map(str, given), "--out", "no", "--bad-files", "stop"]) == 2
    refused = capsys.readouterr().err
    assert "judgements of a document that the corpus lacks" in refused
    assert "--bad-files skip" in refused
    assert not (tmp_path / "no").exists()


def test_scores_without_copies_of_the_query_stand_in_a_second_line(
    write_tree: WriteTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """By hand: two documents copy query 1, at 0; a title does not hide the copy."""
    monkeypatch.setitem(baselines.BASELINES, "line", on_a_line)
    monkeypatch.setitem(PLACE, "a title zero", 0.5)
    monkeypatch.chdir(tmp_path)
    copies = {"x": "zero", "y": {"title": "a title", "text": "zero"}}
    documents: dict[str, Any] = {**DOCUMENTS, **copies}
    judged = qrels([("q1", "a", 1), ("q2", "d", 1)])
    tree = {"corpus.jsonl": jsonl(documents), "queries.jsonl": jsonl(QUERIES)}
    folder = write_tree({**tree, "qrels/test.tsv": judged})
    evaluate("baseline/line", "--corpus", folder, "--trec", "--out", "out")
    with_copies = agree_with_ir_measures(tmp_path / "out", ["retrieval"]).set_index("metric")
    # Query 1: x, y, then a; query 2: d at once.
    assert with_copies["value"].to_dict() == pytest.approx(
        {"ndcg@10": (1 / 2 + 1) / 2, "accuracy@1": 1 / 2, "recall@100": 1}
    )
    table = pd.read_csv(tmp_path / "out" / "figures.csv")
    without = table[table.protocol == "beir-without-copies"]
    assert set(without["value"]) == {1}
    assert set(without.n) == {2}
    printed = capsys.readouterr()
    assert "| test | beir | retrieval | 2 | 75.0" in printed.out
    assert "| test | beir, without copies of the query | retrieval | 2 | 100.0" in printed.out
    assert "1 of 2 queries stand among the documents under another id too" in printed.err
    listed = run_lines(tmp_path / "out" / "trec" / "beir-without-copies.retrieval.run")
    assert listed["q1"] == ["a", "b", "c", "d"]
    assert listed["q2"][:2] == ["d", "c"]
    assert {"x", "y", "q1"} < set(listed["q2"])


def test_a_copy_that_is_relevant_stays(
    write_tree: WriteTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(baselines.BASELINES, "line", on_a_line)
    monkeypatch.chdir(tmp_path)
    documents = jsonl({**DOCUMENTS, "x": "zero"})
    judged = qrels([*JUDGED, ("q1", "x", 1)])
    folder = write_tree({**HAND, "corpus.jsonl": documents, "qrels/test.tsv": judged})
    evaluate("baseline/line", "--corpus", folder, "--trec", "--out", "out")
    agree_with_ir_measures(tmp_path / "out", ["retrieval"])
    for protocol in ("beir", "beir-without-copies"):
        listed = run_lines(tmp_path / "out" / "trec" / f"{protocol}.retrieval.run")
        assert listed["q1"][0] == "x"


def test_a_baseline_that_ties_everywhere_is_told(
    write_tree: WriteTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """To words in English a Chinese text is one word; by pairs of characters it is searched."""
    monkeypatch.chdir(tmp_path)
    texts = ["死刑应该废除", "学校应该有考试", "租金应该有上限", "监狱不能改造犯人", "陪审团没有用"]
    documents = {f"d{number}": text for number, text in enumerate(texts)}
    queries = {"q1": "废除死刑", "q2": "考试对学校不好"}
    judged = qrels([("q1", "d0", 1), ("q2", "d1", 1)])
    tree = {"corpus.jsonl": jsonl(documents), "queries.jsonl": jsonl(queries)}
    folder = write_tree({**tree, "qrels/test.tsv": judged})
    for name in ("tfidf", "bm25"):
        given = [f"baseline/{name}", "--corpus", folder, "--out", name]
        evaluate(*given)
        said = capsys.readouterr().err
        assert f"baseline/{name}: every text ties for 2 of 2 queries" in said
        assert "letters are in another script than 'en' is written in (CJK" in said
        evaluate(*given, "--language", "zh")
        printed = capsys.readouterr()
        assert "ties" not in printed.err
        assert "script" not in printed.err
        table = pd.read_csv(tmp_path / name / "figures.csv")
        assert set(table["value"]) == {1.0}


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
