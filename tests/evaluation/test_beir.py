"""A corpus in BEIR's layout: hand-worked figures, another program's, and what is refused."""

import json
import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pandas as pd
import pytest
import torch
from ir_measures import Qrel, R, ScoredDoc, Success, nDCG
from torch import Tensor

from counterpoint.cli.main import main
from counterpoint.corpus.beir import BeirCorpus, read_beir
from counterpoint.corpus.sources import open_source
from counterpoint.errors import InputError
from counterpoint.evaluation import baselines
from counterpoint.evaluation.baselines import Search
from counterpoint.evaluation.beir_ranking import measure, rank
from counterpoint.reporting import scores
from counterpoint.runs import folder as folder_module
from counterpoint.search.distances import Costs, Euclidean
from tests.evaluation.test_external import Trained, run_lines, trained

__all__ = ["trained"]

WriteTree = Callable[..., Path]
Captured = pytest.CaptureFixture[str]


def jsonl(rows: Mapping[str, str | Mapping[str, str]]) -> str:
    """Id to text, or to title and text."""
    parts = {
        name: {"text": value} if isinstance(value, str) else value for name, value in rows.items()
    }
    return "".join(f"{json.dumps({'_id': name, **part})}\n" for name, part in parts.items())


def qrels(rows: Sequence[tuple[str, str, int]]) -> str:
    lines = [f"{query}\t{document}\t{score}\n" for query, document, score in rows]
    return "".join(["query-id\tcorpus-id\tscore\n", *lines])


DOCUMENTS = {"a": "one", "b": "two", "c": "three", "d": "four", "q1": "zero"}
QUERIES = {"q1": "zero", "q2": "ten", "q3": "two and a bit", "unjudged": "nobody asks"}
JUDGED = [
    ("q1", "b", 2),
    ("q1", "d", 1),
    ("q1", "q1", 1),  # its own document
    ("q2", "d", 1),
    ("q2", "a", 0),
    ("q3", "a", 1),
    ("q3", "q1", 2),
]

HAND = {
    "corpus.jsonl": jsonl(DOCUMENTS),
    "queries.jsonl": jsonl(QUERIES),
    "qrels/test.tsv": qrels(JUDGED),
}

# Where texts lie on a line; query 3 lies on b.
PLACE = {"zero": 0.0, "one": 1.0, "two": 2.0, "three": 3.0, "four": 4.0, "ten": 10.0}
PLACE["two and a bit"] = 2.0


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


# Reading


def test_a_folder_by_hand(hand: BeirCorpus) -> None:
    assert hand.documents == ("a", "b", "c", "d", "q1")
    assert hand.document_texts == ("one", "two", "three", "four", "zero")
    assert hand.queries == ("q1", "q2", "q3")
    assert hand.query_texts == ("zero", "ten", "two and a bit")
    # The own document of query 1 and a judgement of 0 are none.
    assert hand.relevant == ({1: 2, 3: 1}, {3: 1}, {0: 1, 4: 2})
    assert hand.own.tolist() == [4, -1, -1]
    assert hand.texts == ["one", "two", "three", "four", "zero", "ten", "two and a bit"]
    assert hand.numbers(hand.query_texts).tolist() == [4, 5, 6]


def test_titles_marks_line_ends_and_folders_are_read(write_tree: WriteTree) -> None:
    documents = {
        "1": {"title": "A title", "text": "and  its\ntext"},
        "2": {"title": "", "text": "no title\u2028at all"},
    }
    tree = {
        "scifact/corpus.jsonl": f"\ufeff{jsonl(documents)}\n\n".replace("\n", "\r\n"),
        "scifact/queries.jsonl": '{"_id": "q", "text": "caf\u00e9", "title": "not read"}',
        # No header; several splits.
        "scifact/qrels/dev.tsv": "q\t2\t1",
        "scifact/qrels/test.tsv": "query-id\tcorpus-id\tscore\r\nq\t1\t1\r\nq\t2\t-1\r\n",
    }
    source = open_source(str(write_tree(tree)))
    corpus = read_beir(source)
    assert corpus.document_texts == ("A title and its text", "no title at all")
    assert corpus.query_texts == ("caf\u00e9",)
    assert corpus.relevant == ({0: 1},)
    assert read_beir(source, "dev").relevant == ({1: 1},)


def pack(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"beir/{file.relative_to(folder)}")
    return path


def test_a_zip_is_the_same_corpus(hand: BeirCorpus, tmp_path: Path) -> None:
    packed = read_beir(open_source(str(pack(tmp_path / "corpus", tmp_path / "hand.zip"))))
    assert (packed.documents, packed.document_texts) == (hand.documents, hand.document_texts)
    assert (packed.queries, packed.relevant) == (hand.queries, hand.relevant)


REFUSALS: dict[str, tuple[dict[str, str | bytes], list[str]]] = {
    "unknown document": (
        {"qrels/test.tsv": qrels([("q1", "b", 1), ("q1", "x", 1)])},
        ["qrels/test.tsv:3", "document 'x' is not in corpus.jsonl"],
    ),
    "unknown query": (
        {"qrels/test.tsv": qrels([("q9", "b", 1)])},
        ["qrels/test.tsv:2", "query 'q9' is not in queries.jsonl"],
    ),
    "no JSON": (
        {"corpus.jsonl": HAND["corpus.jsonl"] + '{"_id": "e", "text": \n'},
        ["corpus.jsonl:6", "not JSON"],
    ),
    "too long a number": (
        {"corpus.jsonl": f'{{"_id": "e", "text": "", "n": {"9" * 5000}}}'},
        ["corpus.jsonl:1", "not JSON"],
    ),
    "too many brackets": ({"corpus.jsonl": "[" * 200_000}, ["corpus.jsonl:1", "not JSON"]),
    "no object": ({"queries.jsonl": '\n["q1", "zero"]'}, ["queries.jsonl:2", '"_id"', '"text"']),
    "no text": ({"queries.jsonl": '{"_id": "q1"}'}, ["queries.jsonl:1", '"text"']),
    "a number as id": ({"queries.jsonl": '{"_id": 1, "text": "x"}'}, ["queries.jsonl:1", '"_id"']),
    "an empty id": ({"corpus.jsonl": '{"_id": "", "text": "x"}'}, ["corpus.jsonl:1", '"_id"']),
    "half a surrogate pair": (
        {"corpus.jsonl": '{"_id": "e", "text": "\\ud800 x"}'},
        ["corpus.jsonl:1", "surrogate"],
    ),
    "half a surrogate pair in an id": (
        {"queries.jsonl": '{"_id": "\\udfff", "text": "x"}'},
        ["queries.jsonl:1", "surrogate"],
    ),
    "the same id twice": (
        {"corpus.jsonl": HAND["corpus.jsonl"] + jsonl({"b": "another"})},
        ["corpus.jsonl:6", "'b' stands there twice"],
    ),
    "nothing relevant": (
        {"qrels/test.tsv": qrels([("q2", "a", 0), ("q2", "b", -1), ("q1", "q1", 1)])},
        ["qrels/test.tsv", "no judgement above 0"],
    ),
    "too few fields": (
        {"qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1 b 1\n"},
        ["qrels/test.tsv:2", "parted by tabs", "'q1 b 1'"],
    ),
    "a broken score": (
        {"qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\tb\t1.5\n"},
        ["qrels/test.tsv:2", "whole score"],
    ),
    "a score with two signs": ({"qrels/test.tsv": "q1\tb\t--1\n"}, ["qrels/test.tsv:1", "--1"]),
    "not UTF-8": (
        {"queries.jsonl": b'{"_id": "q1", "text": "caf\xe9"}'},
        ["queries.jsonl", "not UTF-8"],
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_corpus_that_cannot_be_used_is_refused_with_its_place(
    case: str, write_tree: WriteTree
) -> None:
    changed, expected = REFUSALS[case]
    root = write_tree({**HAND, **changed})
    with pytest.raises(InputError) as refused:
        read_beir(open_source(str(root)))
    message = str(refused.value)
    assert message.startswith(str(root))
    assert [part for part in expected if part not in message] == []


@pytest.mark.parametrize("missing", ["queries.jsonl", "qrels/test.tsv"])
def test_a_file_that_is_missing_is_named(missing: str, write_tree: WriteTree) -> None:
    root = write_tree({path: text for path, text in HAND.items() if path != missing})
    with pytest.raises(InputError, match=f"{root}: {missing}: no such file"):
        read_beir(open_source(str(root)))


def test_without_documents_it_is_no_corpus_of_this_layout(write_tree: WriteTree) -> None:
    root = write_tree({"queries.jsonl": HAND["queries.jsonl"]})
    with pytest.raises(InputError, match=r"no corpus\.jsonl"):
        read_beir(open_source(str(root)))


def test_several_corpora_in_one_folder_are_refused(write_tree: WriteTree) -> None:
    root = write_tree({"one/corpus.jsonl": "", "two/corpus.jsonl": ""})
    with pytest.raises(InputError, match=r"one/corpus\.jsonl, two/corpus\.jsonl"):
        read_beir(open_source(str(root)))


# Ranking and figures


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

    found = rank(hand, on_a_line(hand), k=2, scorer=scorer)
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
    found = rank(corpus, many_costs(), k=120, scorer=lambda q, d: (d == int(wanted)).float())
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


# The command


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


def evaluate(*arguments: object) -> None:
    assert main.main(["evaluate", *map(str, arguments)]) == 0


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
    assert main.main(["evaluate", *given]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_best_is_found_for_a_foreign_corpus_too(
    trained: Trained, write_tree: WriteTree, tmp_path: Path
) -> None:
    given = ["--run", trained.folder, "--corpus", write_tree(made()), "--out", tmp_path / "out"]
    evaluate("best", *given)
    best = scores.best_of_run(folder_module.read_run(trained.folder))
    assert set(pd.read_csv(tmp_path / "out" / "figures.csv").system) == {best}
