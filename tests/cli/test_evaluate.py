"""`counterpoint evaluate`: what it prints and writes, and what it refuses."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from counterpoint.cli import main
from tests.support.commands import BEIR, Captured, Inputs, refused


def test_evaluate_prints_the_figures_of_a_baseline(
    small_tree: dict[str, str],
    write_tree: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, tree, first in (
        ("debates", small_tree, "| test | official | retrieval | 8 |"),
        # d is the query's own text.
        ("beir", BEIR, "| test | beir | retrieval | 1 | 100.0 (100.0–100.0) |"),
    ):
        folder = str(write_tree(tree, name=name))
        assert main.main(["evaluate", "baseline/tfidf", "--corpus", folder]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[2].startswith(first)
        table = pd.read_csv(tmp_path / "evaluations" / "baseline" / "tfidf" / name / "figures.csv")
        assert set(table.system) == {"baseline/tfidf"}


def test_evaluate_refuses_and_writes_nothing(
    inputs: Inputs, write_tree: Callable, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(inputs.tmp)
    broken = write_tree(BEIR | {"qrels/test.tsv": "q\tx\t1\n"}, name="broken")
    for given, expected in (
        (["best"], "found none; name the run with --run"),
        (
            ["baseline/tfidf", "--corpus", broken, "--bad-files", "stop"],
            "judgements of a document that the corpus lacks, which counts as not found (1): "
            "qrels/test.tsv:1 ('x' of 'q')",
        ),
        (["baseline/tfidf", "--corpus", broken, "--language", "cn"], "did you mean 'zh'?"),
        (["baseline/tfidf", "--corpus", inputs.bad], "training/law/juries/pro/notes.txt"),
        (["baseline/none", "--corpus", inputs.corpus], "'none': no such baseline"),
    ):
        assert expected in refused(["evaluate", *given, "--trec"], inputs.tmp, capsys)


def test_evaluate_says_what_it_left_out_and_where_it_wrote(
    inputs: Inputs, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(inputs.tmp)
    given = ["evaluate", "baseline/tfidf", "--corpus", str(inputs.bad), "--bad-files", "skip"]
    assert main.main([*given, "--trec"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("counterpoint: left out: ")
    assert "training/law/juries/pro/notes.txt" in lines[0]
    where = "evaluations/baseline/tfidf/bad"
    assert lines[-1] == f"counterpoint: wrote figures.csv, records.parquet, trec into {where}"
    written = {path.name for path in (inputs.tmp / where).iterdir()}
    assert written == {"figures.csv", "records.parquet", "trec"}
    assert main.main([*given[:-2], "--out", "no"]) == 2
    assert not (inputs.tmp / "no").exists()
