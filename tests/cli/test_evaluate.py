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
        (["baseline/tfidf", "--corpus", broken], "document 'x' is not in corpus.jsonl"),
        (["baseline/tfidf", "--corpus", inputs.bad], "training/law/juries/pro/notes.txt"),
        (["baseline/none", "--corpus", inputs.corpus], "'none': no such baseline"),
    ):
        assert expected in refused(["evaluate", *given, "--trec"], inputs.tmp, capsys)
