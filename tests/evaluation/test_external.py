"""A trained cell or a baseline on a corpus of the user's, and what other programs make of it."""

import csv
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pandas as pd
import pytest
from ir_measures import RR, R, Success, nDCG

from counterpoint.cli.main import main
from counterpoint.config.run_options import RunConfig
from counterpoint.corpus.arguments import Texts
from counterpoint.encoders.features import Outputs, same_outputs
from counterpoint.encoders.tokens import tokenise
from counterpoint.evaluation import baselines
from counterpoint.evaluation.baselines import Search
from counterpoint.evaluation.external import readable
from counterpoint.evaluation.scoring import Score
from counterpoint.reporting import scores
from counterpoint.results.files import HybridWeight
from counterpoint.runs import external as external_module
from counterpoint.runs import folder as folder_module
from counterpoint.runs import trained as trained_module
from counterpoint.runs.external import default_folder
from counterpoint.search.distances import Costs
from counterpoint.tasks.candidates import TASKS
from counterpoint.tasks.protocols import PROTOCOLS
from tests.support.debates import debate
from tests.support.trained import SYSTEMS, Trained, evaluate, rows, run_lines

Captured = pytest.CaptureFixture[str]
WriteTree = Callable[..., Path]


# The run's own corpus


@pytest.mark.parametrize("name", SYSTEMS)
def test_on_its_own_corpus_a_system_has_the_very_same_records(
    trained: Trained, name: str, tmp_path: Path
) -> None:
    system = trained.system(name)
    evaluate(system, "--run", trained.folder, "--out", tmp_path)
    folder_of = {"dev": "validation", "test": "test"}
    expected = [
        {**row, "split": folder_of[row["split"]]}
        for row in rows(trained.records(system))
        if row["split"] != "train"
    ]
    assert {row["protocol"] for row in expected} == set(PROTOCOLS)
    assert rows(tmp_path / "records.parquet") == expected


def test_best_is_the_best_cell_of_the_run(trained: Trained, tmp_path: Path) -> None:
    evaluate("best", "--run", trained.folder, "--out", tmp_path, "--splits", "test")
    best = scores.best_of_run(folder_module.read_run(trained.folder))
    table = pd.read_csv(tmp_path / "figures.csv")
    assert set(table.system) == {best} <= {trained.frozen, trained.live}
    assert set(table.split) == {"test"}


def test_a_split_of_seen_queries_alone_has_no_clean_figures(
    trained: Trained, tmp_path: Path, capsys: Captured
) -> None:
    given = ["--splits", "training", "--trec", "--out", tmp_path]
    evaluate(trained.frozen, "--run", trained.folder, *given)
    table = pd.read_csv(tmp_path / "figures.csv")
    assert set(table.protocol) == {"official", "legacy", "legacy-subset"}
    assert not [path for path in (tmp_path / "trec").iterdir() if ".clean." in path.name]
    printed = capsys.readouterr().out
    assert "| training | official | reranked | 41 |" in printed  # 42 pairs less an orphan
    assert "| training | legacy (leaks) | reranked | 41 |" in printed
    assert "| training | legacy-subset (leaks) | reranked | 3 |" in printed
    assert "clean" not in printed


def test_without_stored_features_they_are_computed_again(trained: Trained, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained.folder, copy, ignore=shutil.ignore_patterns("features.safetensors"))
    evaluate(trained.frozen, "--run", copy, "--out", tmp_path / "out")
    stored = [row for row in rows(trained.records(trained.frozen)) if row["split"] != "train"]
    again = rows(tmp_path / "out" / "records.parquet")
    assert [row["rank"] for row in again] == [row["rank"] for row in stored]


# The run's tokens and features on other corpora


def part_of_the_run(trained: Trained, folder: Path, *, with_new: bool) -> Path:
    """The run's validation split, on its own or with a debate of texts that the run lacks."""
    source = trained.folder.parents[1] / "debates" / "02-extracted-arguments" / "validation"
    shutil.copytree(source, folder / "validation")
    if with_new:
        for path, text in debate("validation", "x", "y", {"pro": 2, "con": 2}).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
    return folder


@pytest.mark.parametrize("name", ["frozen", "live", "baseline/untrained"])
def test_what_the_run_has_of_a_text_is_not_computed_again(
    name: str, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def counted(texts: Texts, *given: Any) -> Any:
        asked.append(len(texts.texts))
        return tokenise(texts, *given)

    monkeypatch.setattr(trained_module, "tokenise", counted)
    part = part_of_the_run(trained, tmp_path / "part", with_new=False)
    more = part_of_the_run(trained, tmp_path / "more", with_new=True)
    system = trained.system(name)
    evaluate(system, "--run", trained.folder, "--corpus", part, "--out", tmp_path / "a")
    assert asked == []
    evaluate(system, "--run", trained.folder, "--corpus", more, "--out", tmp_path / "b")
    assert asked == [8]
    # The very same as without anything stored.
    copy = tmp_path / "run"
    patterns = shutil.ignore_patterns("features.safetensors", "tokens.safetensors")
    shutil.copytree(trained.folder, copy, ignore=patterns)
    for corpus, out in ((part, "a"), (more, "b")):
        evaluate(system, "--run", copy, "--corpus", corpus, "--out", tmp_path / f"{out}-again")
        assert rows(tmp_path / f"{out}-again" / "records.parquet") == rows(
            tmp_path / out / "records.parquet"
        )


# Files for other programs


@pytest.fixture(scope="module")
def exported(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder that `evaluate --trec` of a system on the run's own corpus wrote."""
    folder = tmp_path_factory.mktemp("exported")

    def export(name: str) -> Path:
        out = folder / name
        if not out.exists():
            evaluate(trained.system(name), "--run", trained.folder, "--trec", "--out", out)
        return out

    return export


MEASURES = {"accuracy@1": Success @ 1, "mrr": RR, "recall@10": R @ 10, "ndcg@10": nDCG @ 10}


@pytest.mark.parametrize("name", ["frozen", "live", "baseline/bm25", "baseline/untrained"])
def test_ir_measures_gives_our_figures(name: str, exported: Callable[[str], Path]) -> None:
    folder = exported(name)
    table = pd.read_csv(folder / "figures.csv")
    where = ["split", "protocol", "task", "stage"]
    own = {key: group.set_index("metric")["value"] for key, group in table.groupby(where)}
    paths = {tuple(path.name.split(".")[:4]): path for path in folder.glob("trec/*.run")}
    assert set(paths) == set(own)
    assert {key[0] for key in own} == {"validation", "test"}
    assert {key[1] for key in own} == set(PROTOCOLS)
    assert {key[2] for key in own} == set(TASKS)
    stages = {"retrieval"} if name.startswith("baseline/") else {"retrieval", "reranked"}
    assert {key[3] for key in own} == stages
    for key, path in paths.items():
        qrels = path.with_name(".".join(key[:3]) + ".qrels")
        found = ir_measures.calc_aggregate(
            list(MEASURES.values()),
            list(ir_measures.read_trec_qrels(str(qrels))),
            list(ir_measures.read_trec_run(str(path))),
        )
        for metric, measure in MEASURES.items():
            assert found[measure] == pytest.approx(own[key][metric], abs=1e-9), (key, metric)


def test_rankings_go_down_to_the_gold_and_to_ten_at_least(
    trained: Trained, exported: Callable[[str], Path]
) -> None:
    folder, deep, few = exported("frozen"), 0, 0
    for row in rows(folder / "records.parquet"):
        stem = folder / "trec" / f"{row['split']}.{row['protocol']}.{row['task']}"
        gold = row["query"][:-1] + "b"
        for stage, rank, first in (
            ("retrieval", row["rank"], row["nearest"]),
            ("reranked", row["reranked"], row["reordered"]),
        ):
            ids = run_lines(stem.with_name(f"{stem.name}.{stage}.run"))[row["query"]]
            assert ids.index(gold) + 1 == rank
            assert len(ids) == min(max(rank, 10), row["candidates"])
            assert ids[:10] == first[:10]
            assert len(set(ids)) == len(ids)
            deep, few = deep + (rank > 10), few + (row["candidates"] < 10)
    assert deep > 0
    assert few > 0


def test_a_gold_that_ties_is_listed_behind(
    trained: Trained, exported: Callable[[str], Path]
) -> None:
    """A point of validation has the text, and so the vectors, of another pair's counter."""
    point, gold = trained.twins
    for system in ("frozen", "baseline/untrained"):
        for path in exported(system).glob("trec/validation.official.epa.*.run"):
            ids = run_lines(path)[gold[:-1] + "a"]
            assert ids.index(point) == ids.index(gold) - 1, path


# Another corpus


@pytest.fixture
def other(trained: Trained, write_tree: WriteTree) -> Path:
    """Exam has six queries, of which the run's training folder has one point and one gold."""
    own = {split: trained.corpus.split(split) for split in ("training", "validation")}
    orphan = own["training"][-1]
    assert orphan.kind == "point"
    tree = debate("exam", "law", "juries", {"pro": 2, "con": 2})
    tree |= debate("exam", "sport", "boxing", {"pro": 2})
    tree |= debate("training", "law", "bail", {"pro": 2})
    tree |= {
        "exam/law/juries/pro/pro01a-point.txt": f"  {own['training'][0].text}\n\n",
        "exam/sport/boxing/pro/pro02b-counter.txt": orphan.text,
        # Neither the run's other folders nor this corpus's own training folder count.
        "exam/law/juries/con/con01a-point.txt": own["validation"][4].text,
        "exam/law/juries/con/con02a-point.txt": tree["training/law/bail/pro/pro01a-point.txt"],
    }
    return write_tree(tree, name="other")


UNSEEN = {
    "exam/law/juries/con01a",
    "exam/law/juries/con02a",
    "exam/law/juries/pro02a",
    "exam/sport/boxing/pro01a",
}


def asked(path: Path, protocol: str, split: str = "exam") -> set[str]:
    return {
        row["query"]
        for row in rows(path / "records.parquet")
        if (row["split"], row["protocol"]) == (split, protocol)
    }


@pytest.mark.parametrize("name", ["frozen", "live", "baseline/tfidf", "baseline/untrained"])
def test_unseen_is_what_the_runs_training_folder_lacks(
    trained: Trained, other: Path, name: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    evaluate(trained.system(name), "--run", trained.folder, "--corpus", other, "--out", out)
    assert asked(out, "clean") == UNSEEN
    seen = {"exam/law/juries/pro01a", "exam/sport/boxing/pro02a"}
    assert asked(out, "official") == asked(out, "legacy") == UNSEEN | seen
    assert len(asked(out, "clean", "training")) == 2
    table = pd.read_csv(out / "figures.csv")
    assert set(table.split) == {"exam", "training"}
    assert set(table[(table.split == "exam") & (table.protocol == "clean")].n) == {4}


def test_a_cell_scores_another_corpus_as_it_would_its_own(trained: Trained, tmp_path: Path) -> None:
    """The run's own debates under another name: encoded anew, and ranked alike."""
    for system in (trained.frozen, trained.live):
        out = tmp_path / system.replace("/", "-")
        given = ["--corpus", trained.folder.parents[1] / "debates", "--out", out]
        evaluate(system, "--run", trained.folder, *given, "--splits", "validation", "test")
        own = [row for row in rows(trained.records(system)) if row["split"] != "train"]
        found = rows(out / "records.parquet")
        keys = ("protocol", "task", "query", "rank", "reranked")
        assert [[row[key] for key in keys] for row in found] == [
            [row[key] for key in keys] for row in own
        ]


def test_splits_are_those_that_are_named(trained: Trained, other: Path, tmp_path: Path) -> None:
    given = ["--corpus", other, "--splits", "training", "--out", tmp_path / "out"]
    evaluate(trained.frozen, "--run", trained.folder, *given)
    assert {row["split"] for row in rows(tmp_path / "out" / "records.parquet")} == {"training"}


def write_pairs(path: Path, pairs: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(pairs[0]))
        writer.writeheader()
        writer.writerows(pairs)
    return path


def pairs_of(splits: Mapping[str, int]) -> list[dict[str, str]]:
    return [
        {
            "point": f"point {number} of {split} on juries",
            "counter": f"counter {number} of {split} on juries",
            "debate": f"debate {number % 2}",
            "split": split,
        }
        for split, count in splits.items()
        for number in range(count)
    ]


def test_a_file_of_pairs_with_splits_and_without(trained: Trained, tmp_path: Path) -> None:
    counts = {"train": 2, "dev": 3, "test": 4}
    split = write_pairs(tmp_path / "split.csv", pairs_of(counts))
    bare = [{**pair, "split": ""} for pair in pairs_of(counts)]
    whole = write_pairs(tmp_path / "whole.csv", bare)
    for path, expected in ((split, counts), (whole, {"all": 9})):
        out = tmp_path / path.stem
        evaluate(trained.frozen, "--run", trained.folder, "--corpus", path, "--out", out)
        found = {name: len(asked(out, "clean", name)) for name in expected}
        assert found == expected
        assert {row["split"] for row in rows(out / "records.parquet")} == set(expected)


def test_names_of_splits_make_no_folders(trained: Trained, tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "odd.csv", pairs_of({"../../../up": 3, "a b": 3}))
    out = tmp_path / "one" / "two" / "out"
    evaluate("baseline/bm25", "--run", trained.folder, "--corpus", path, "--trec", "--out", out)
    written = {each for each in tmp_path.rglob("*") if each.is_file()} - {path}
    assert {each.parent for each in written} == {out, out / "trec"}
    assert len([each for each in written if each.name.endswith("epa.qrels")]) == 8
    [runs] = out.glob("trec/a%20b.official.epa.*.run")
    assert set(run_lines(runs)) == {
        f"a%20b/all/debate%20{name}a" for name in ("0/pro01", "0/pro02", "1/pro01")
    }


def test_a_corpus_of_one_pair_has_nothing_to_choose_from(
    trained: Trained, write_tree: WriteTree, tmp_path: Path, capsys: Captured
) -> None:
    one = write_tree(debate("exam", "law", "juries", {"pro": 1}), name="one")
    given = ["--corpus", one, "--trec", "--out", tmp_path / "out"]
    evaluate(trained.frozen, "--run", trained.folder, *given)
    # The eight tasks are left out; without them the point itself competes too.
    asked = {row["protocol"] for row in rows(tmp_path / "out" / "records.parquet")}
    assert asked == {"legacy", "legacy-subset"}
    printed = capsys.readouterr()
    assert "| exam | legacy (leaks) | retrieval | 1 |" in printed.out
    assert f"exam: no query has a wrong candidate in {', '.join(TASKS)}; left out" in printed.err


def test_a_file_with_other_names_of_columns_and_other_k(tmp_path: Path, capsys: Captured) -> None:
    pairs = [
        {"claim": f"claim {n} on juries", "reply": f"reply {n} {k} on juries", "debate": str(n % 3)}
        for n in range(6)
        for k in range(2)
    ]
    path = write_pairs(tmp_path / "pairs.csv", pairs)
    out = tmp_path / "out"
    given = ["--corpus", path, "--out", out, "--top-k", "1", "2"]
    assert main(["evaluate", "baseline/bm25", *map(str, given)]) == 2
    assert "if 'claim' is the point and 'reply' is the counter" in capsys.readouterr().err
    assert not out.exists()
    evaluate("baseline/bm25", *given, "--columns", "point=claim", "counter=reply")
    printed = capsys.readouterr()
    assert "columns: point from 'claim', counter from 'reply', debate" in printed.err
    table = pd.read_csv(out / "figures.csv")
    assert {"accuracy@1", "accuracy@2", "recall@2", "ndcg@2"} <= set(table.metric)
    # Six points with two counters each: a recall at two of a half or one.
    asked = table[(table.metric == "accuracy@2") & ~table.protocol.str.startswith("legacy")]
    assert set(asked.n) == {6}
    assert all(len(row["further_ranks"]) == 1 for row in rows(out / "records.parquet")
               if not row["protocol"].startswith("legacy"))  # fmt: skip


# A baseline and its run


def test_without_a_run_unseen_is_what_the_corpus_own_training_lacks(
    other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    evaluate("baseline/bm25", "--corpus", other)
    out = tmp_path / "evaluations" / "baseline" / "bm25" / "other"
    assert sorted(path.name for path in out.iterdir()) == ["figures.csv", "records.parquet"]
    assert asked(out, "official") - asked(out, "clean") == {"exam/law/juries/con02a"}
    assert len(asked(out, "official")) == 6
    printed = capsys.readouterr()
    assert "| exam | clean | retrieval | 5 |" in printed.out
    assert "reranked" not in printed.out
    assert "no unseen query in training: no clean score" in printed.err
    assert "exam has 2 debates; intervals" in printed.err


def test_without_run_or_training_folder_every_query_is_unseen(
    write_tree: WriteTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_tree(debate("exam", "law", "juries", {"pro": 2, "con": 2}), name="alone")
    evaluate("baseline/tfidf", "--corpus", folder, "--out", "out")
    assert asked(tmp_path / "out", "clean") == asked(tmp_path / "out", "official")
    assert len(asked(tmp_path / "out", "clean")) == 4


def test_among_several_runs_a_baseline_needs_none(
    write_tree: WriteTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        (tmp_path / "results" / name / "corpus").mkdir(parents=True)
        (tmp_path / "results" / name / "corpus" / "arguments.parquet").touch()
    folder = write_tree(debate("exam", "law", "juries", {"pro": 2}), name="alone")
    evaluate("baseline/bm25", "--corpus", folder, "--out", "out")
    assert len(asked(tmp_path / "out", "official")) == 2


def test_the_only_run_is_found(
    trained: Trained, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained.folder.parents[1])
    for system in ("baseline/bm25", trained.frozen):
        out = tmp_path / system.replace("/", "-")
        evaluate(system, "--corpus", other, "--out", out)
        assert asked(out, "clean") == UNSEEN


@pytest.fixture
def some_outputs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The untrained encoder's outputs are made up; how many texts each call asked for."""
    asked: list[int] = []

    def made_up(texts: Texts, *_: object) -> Outputs:
        asked.append(len(texts.texts))
        values = np.random.default_rng(1).standard_normal((len(texts.texts), 6))
        return same_outputs(values.astype(np.float32))

    monkeypatch.setattr(external_module, "encoder_outputs", made_up)
    return asked


def test_without_a_run_bm25_is_weighed_on_the_corpus_own_dev_split(
    write_tree: WriteTree,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
    some_outputs: list[int],
) -> None:
    monkeypatch.chdir(tmp_path)
    files = debate("exam", "law", "juries", {"pro": 2, "con": 2})
    files |= debate("dev", "law", "courts", {"pro": 2, "con": 1})
    folder = write_tree(files, name="two")
    chosen = "baseline/hybrid: BM25 weighs 0."
    by = "chosen by accuracy@1 of 3 unseen dev queries"
    # Of both splits at once, of one that is the dev split, and of one that is not.
    for splits, texts in (([], [14]), (["dev"], [6]), (["exam"], [6, 8])):
        some_outputs.clear()
        given = ["--splits", *splits] if splits else []
        evaluate("baseline/hybrid", "--corpus", folder, "--out", tmp_path / "out", *given)
        told = capsys.readouterr().err
        assert chosen in told
        assert by in told
        assert some_outputs == texts
    shutil.rmtree(folder / "dev")
    evaluate("baseline/hybrid", "--corpus", folder, "--out", tmp_path / "out")
    assert f"{chosen}5; no unseen dev query to choose it by" in capsys.readouterr().err


@pytest.mark.parametrize("layout", ["debates", "beir"])
def test_with_a_run_bm25_is_weighed_on_its_dev_split(
    trained: Trained, other: Path, tmp_path: Path, capsys: Captured, layout: str
) -> None:
    weight = HybridWeight.read(trained.folder / "baselines" / "hybrid" / "hybrid.json")
    corpus = other
    if layout == "beir":
        corpus = tmp_path / "beir"
        for path, text in TINY_BEIR.items():
            (corpus / path).parent.mkdir(parents=True, exist_ok=True)
            (corpus / path).write_text(text)
    given = ["--run", trained.folder, "--corpus", corpus, "--out", tmp_path / "out"]
    evaluate("baseline/hybrid", *given)
    assert weight.told("baseline/hybrid") in capsys.readouterr().err


TINY_BEIR = {
    "corpus.jsonl": '{"_id": "a", "text": "juries decide"}\n{"_id": "b", "text": "courts vote"}\n',
    "queries.jsonl": '{"_id": "q", "text": "who decides in courts"}\n',
    "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq\ta\t1\n",
}


def test_tfidf_is_fitted_on_the_training_folder_or_else_on_what_is_searched(
    trained: Trained, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def texts(folder: Path) -> list[str]:
        return sorted(path.read_text() for path in folder.rglob("*.txt"))

    fitted: list[list[str]] = []

    def spy(search: Search) -> Costs:
        fitted.append(list(search.training))
        return baselines.tfidf(search)

    monkeypatch.setitem(baselines.BASELINES, "tfidf", spy)
    monkeypatch.chdir(tmp_path)
    evaluate("baseline/tfidf", "--corpus", other, "--splits", "exam")
    evaluate("baseline/tfidf", "--corpus", other, "--splits", "exam", "--run", trained.folder)
    assert sorted(fitted[0]) == texts(other / "training")
    assert fitted[1] == [each.text for each in trained.corpus.split("training")]
    shutil.rmtree(other / "training")
    evaluate("baseline/tfidf", "--corpus", other, "--splits", "exam")
    assert sorted(fitted[2]) == texts(other / "exam")


@pytest.mark.parametrize(
    ("corpus", "with_run", "expected"),
    [
        (None, True, "results/tiny/evaluations/best/own"),
        ("data/other.zip", True, "results/tiny/evaluations/best/other.zip"),
        ("debates-1.1", True, "results/tiny/evaluations/best/debates-1.1"),
        ("pairs.csv", False, "evaluations/best/pairs.csv"),
    ],
)
def test_where_an_evaluation_goes(corpus: str | None, with_run: bool, expected: str) -> None:
    folder = folder_module.RunFolder(Path("results/tiny")) if with_run else None
    run = folder_module.Run(folder, RunConfig(run="tiny"), []) if folder else None
    assert default_folder("best", run, corpus) == Path(expected)


# What is printed


def test_the_printed_scores_are_those_on_all_arguments() -> None:
    first = Score("test", "clean", "epa", "retrieval", "accuracy@1", 0.25, 4, 0.1, 0.5)
    assert readable(
        [
            first,
            replace(first, metric="mrr", value=0.5, low=0.25, high=0.75),
            replace(first, task="sdoc"),
            replace(first, protocol="legacy", value=1.0, low=1.0, high=1.0),
        ]
    ) == [
        {
            "split": "test",
            "protocol": "clean",
            "stage": "retrieval",
            "n": 4,
            "accuracy@1": "25.0 (10.0–50.0)",
            "mrr": "50.0 (25.0–75.0)",
        },
        {
            "split": "test",
            "protocol": "legacy (leaks)",
            "stage": "retrieval",
            "n": 4,
            "accuracy@1": "100.0 (100.0–100.0)",
        },
    ]


# Refusals


@pytest.fixture
def world(
    trained: Trained, other: Path, write_tree: WriteTree, tmp_path: Path
) -> dict[str, object]:
    """What the commands below are given."""
    swapped = tmp_path / "swapped"
    shutil.copytree(trained.folder, swapped)
    weights = [trained.folder / "cells" / trained.live, swapped / "cells" / trained.frozen]
    shutil.copy(*(path / "model.safetensors" for path in weights))
    several = tmp_path / "several"
    for name in ("one", "two"):
        shutil.copytree(trained.folder, several / "results" / name)
    (tmp_path / "empty").mkdir()
    tree = debate("exam", "law", "juries", {"pro": 2})
    bad = tree | {"exam/law/juries/pro/notes.txt": "x", "exam/law/juries/con/con01a-point.txt": ""}
    pairs = write_pairs(tmp_path / "pairs.csv", pairs_of({"train": 2, "test": 2}))
    return {
        "run": trained.folder,
        "frozen": trained.frozen,
        "swapped": swapped,
        "several": several,
        "empty": tmp_path / "empty",
        "other": other,
        "bad": write_tree(bad, name="bad"),
        "pairs": pairs,
        "bare": write_tree({"notes.md": "no debates"}, name="bare"),
    }


# The folder to stand in, the arguments, what the message has; {} as in `world`.
CASES = {
    "unknown cell": (
        "empty",
        "no-such-cell --run {run}",
        ["'no-such-cell' is no trained cell", "baseline/bm25", "best"],
    ),
    "unknown baseline": (
        "empty",
        "baseline/bm26 --run {run} --corpus {other}",
        ["'bm26'", "no such baseline", "bm25"],
    ),
    "unknown split of the run": (
        "empty",
        "{frozen} --run {run} --splits exam",
        ["--splits", "'exam'", "test, training, validation"],
    ),
    "unknown split of another corpus": (
        "empty",
        "{frozen} --run {run} --corpus {other} --splits exam final",
        ["other", "final", "exam, training"],
    ),
    "unknown split of a file of pairs": (
        "empty",
        "{frozen} --run {run} --corpus {pairs} --splits validation",
        ["pairs.csv", "'validation'", "train, test"],
    ),
    "a cell without a run": ("empty", "best --corpus {other}", ["found none", "--run"]),
    "a baseline without run or corpus": (
        "empty",
        "baseline/bm25",
        ["'baseline/bm25'", "--corpus", "--run"],
    ),
    "several runs": (
        "several",
        "best --corpus {other}",
        ["found results/one, results/two", "--run"],
    ),
    "no run there": ("empty", "best --run {empty}", ["matrix.csv", "no such file"]),
    "weights of another model": (
        "empty",
        "{frozen} --run {swapped} --corpus {other}",
        ["model.safetensors", "weights of another model", "encoder.models"],
    ),
    "bad files": (
        "empty",
        "{frozen} --run {run} --corpus {bad}",
        ["2 problems", "exam/law/juries/pro/notes.txt", "exam/law/juries/con/con01a-point.txt"],
    ),
    "no debates": ("empty", "{frozen} --run {run} --corpus {bare}", ["bare", "no SPLIT/THEME"]),
    "nothing there": ("empty", "{frozen} --run {run} --corpus no/such.zip", ["no/such.zip"]),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_evaluated_is_refused_and_leaves_nothing(
    case: str,
    world: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    place, arguments, expected = CASES[case]
    monkeypatch.chdir(str(world[place]))
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    given = [*arguments.format(**world).split(), "--trec", "--out", str(tmp_path / "out")]
    assert main(["evaluate", *given]) == 2
    printed = capsys.readouterr()
    assert re.search(r"(^|[\r\n])counterpoint: ", printed.err)
    assert "Traceback" not in printed.err
    assert [part for part in expected if part not in printed.err] == []
    assert printed.out == ""
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before
