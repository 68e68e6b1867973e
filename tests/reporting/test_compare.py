"""Two systems side by side."""

import dataclasses
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from counterpoint.cli.main import main
from counterpoint.errors import InputError
from counterpoint.evaluation.records import write_records
from counterpoint.io import atomic
from counterpoint.reporting import compare
from counterpoint.reporting.scores import best_of_run
from counterpoint.results.files import Ties
from counterpoint.runs.folder import Run, RunFolder, read_run
from counterpoint.tasks.candidates import CandidateSets
from tests.support.runs import THREE_SEEDS, finish, plan, query_results, seeded, short


def test_the_best_cell_against_a_baseline(run: Path) -> None:
    rows = compare.compare(read_run(run), "best", "baseline/tfidf")
    assert [(row.split, row.protocol, row.task) for row in rows] == [
        (split, protocol, "epa") for split in ("dev", "test") for protocol in ("official", "clean")
    ]
    for row in rows:
        # Re-ranked 1, 1, 2, 2 against the baseline's 1, 1, 1, 2, over eight queries.
        assert (row.a, row.b, row.difference, row.n) == (0.5, 0.75, -0.25, 8)
        assert row.low <= -0.25 <= row.high
        assert row.p_holm == min(1.0, 4 * row.p)


def test_any_metric_is_compared(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = compare.compare(read_run(run), "best", "baseline/tfidf", metric="mrr")
    # Half of the ranks are 1 and half 2, against three quarters and one.
    assert {(row.a, row.b) for row in rows} == {(0.75, 0.875)}
    rows = compare.compare(read_run(run), "best", "baseline/tfidf", metric="accuracy@2")
    assert {(row.a, row.b) for row in rows} == {(1.0, 1.0)}
    asked = ["compare", "best", "baseline/tfidf", "--run", str(run), "--metric", "map@3"]
    assert main(asked) == 2
    assert "'map@3': expected mrr, accuracy@K" in capsys.readouterr().err


def test_nothing_is_compared_with_what_ties_everywhere(run: Path) -> None:
    Ties(16, 16).write(RunFolder(run).baseline_ties("tfidf"))
    for pair in (("best", "baseline/tfidf"), ("baseline/tfidf", "best")):
        with pytest.raises(InputError, match=r"baseline/tfidf: every text ties for 16 of 16"):
            compare.compare(read_run(run), *pair)
    Ties(16, 3).write(RunFolder(run).baseline_ties("tfidf"))
    assert compare.compare(read_run(run), "best", "baseline/tfidf")


def test_a_folder_that_is_dev_and_test_is_compared_once(run: Path) -> None:
    options = json.loads((run / "config.json").read_text())
    options["corpus"]["splits"]["test"] = "validation"
    atomic.write_json(run / "config.json", options)
    rows = compare.compare(read_run(run), "best", "baseline/tfidf")
    assert [(row.split, row.protocol) for row in rows] == [
        ("dev", "official"),
        ("dev", "clean"),
    ]


def test_a_cell_by_its_name_against_itself(run: Path) -> None:
    name = pd.read_csv(run / "matrix.csv").cell[0]
    rows = compare.compare(read_run(run), name, name)
    assert all(row.difference == row.low == row.high == 0 for row in rows)
    assert all(row.p == 1 for row in rows)
    assert compare.readable(rows)[0]["A − B"] == "+0.0"


def test_the_command_says_who_is_best_and_what_to_doubt(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "best", "baseline/tfidf", "--run", str(run)]) == 0
    said = capsys.readouterr().err
    assert f"best: {best_of_run(read_run(run))}" in said
    assert re.search(r"dev has \d debates; intervals and p-values over fewer than 10", said)
    assert "no clean score" not in said


def test_without_unseen_queries_there_is_no_best_and_the_gap_is_told(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in run.glob("**/records.parquet"):
        table = pd.read_parquet(path)
        table[table["protocol"] != "clean"].to_parquet(path)
    read = read_run(run)
    with pytest.raises(InputError, match="no unseen query to choose by"):
        compare.compare(read, "best", "baseline/tfidf")
    name = read.with_status("done")[0].name
    assert main(["compare", name, "baseline/tfidf", "--run", str(run)]) == 0
    assert "no unseen query in dev: no clean score" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["no-such-cell", "baseline/none", "tfidf"])
def test_a_system_that_is_not_there_is_named(run: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' is no trained cell.*baseline/tfidf"):
        compare.compare(read_run(run), name, "best")


def test_records_that_miss_a_query_are_refused(run: Path, sets: CandidateSets) -> None:
    part = short(sets)
    path = RunFolder(run).baseline("random")
    write_records({"dev": (sets, part), "test": (sets, part)}, path)
    for order in (("best", "baseline/random"), ("baseline/random", "baseline/tfidf")):
        with pytest.raises(InputError, match=r"random/records.parquet: misses 1 of the 8 queries"):
            compare.compare(read_run(run), *order)


def test_records_that_lack_a_split_are_refused(run: Path, sets: CandidateSets) -> None:
    path = RunFolder(run).baseline("random")
    write_records({"dev": (sets, query_results(sets, [1], None))}, path)
    with pytest.raises(InputError, match=r"misses 8 of the 8 .*\(test, official, epa\)"):
        compare.compare(read_run(run), "best", "baseline/random")


def two_settings(tmp_path: Path, sets: CandidateSets) -> Run:
    """Re-ranked accuracy@1 of three seeds: relu 0.5, 0.75 and 1, linear 0, 0.5 and 0.5."""
    seeded(tmp_path / "seeded", sets, THREE_SEEDS, [1, 2, 3])
    values = {"axes": {"seed": [1, 2, 3], "head": ["relu", "linear"], "decrease_rate": [0]}}
    values["axes"] |= {"fusion": ["cls"]}
    cells = plan(tmp_path / "seeded", {"baselines": [], "matrix": values}, sets.ids)
    for cell, ranks in zip(
        [cell for cell in cells if cell.options.head.kind == "linear"][1:],
        ([1, 2], [2, 1]),
        strict=True,
    ):
        finish(RunFolder(tmp_path / "seeded").cell(cell.name), sets, ranks)
    return read_run(tmp_path / "seeded")


def cell_of(run: Run, head: str, seed: int) -> str:
    return next(
        cell.name for cell in run.cells if (cell.axes["head"], cell.axes["seed"]) == (head, seed)
    )


def test_over_seeds_the_seed_is_the_unit(tmp_path: Path, sets: CandidateSets) -> None:
    run = two_settings(tmp_path, sets)
    a, b = cell_of(run, "relu", 3), cell_of(run, "linear", 1)
    rows = compare.compare_over_seeds(run, a, b)
    assert [(row.split, row.protocol, row.task) for row in rows] == [
        (split, protocol, "epa") for split in ("dev", "test") for protocol in ("official", "clean")
    ]
    for row in rows:
        # Differences 0.5, 0.25, 0.5: mean 5/12, sd √(1/48), so t = (5/12) / √(1/144) = 5.
        assert (row.seeds, row.a) == (3, 0.75)
        assert row.b == pytest.approx(1 / 3)
        assert row.difference == pytest.approx(5 / 12)
        assert row.sd == pytest.approx((1 / 48) ** 0.5)
        assert row.low == pytest.approx(5 / 12 - 4.30265 / 12, abs=1e-5)
        assert row.high == pytest.approx(5 / 12 + 4.30265 / 12, abs=1e-5)
        # With two degrees of freedom p = 1 − t / √(2 + t²).
        assert row.p == pytest.approx(1 - 5 / 27**0.5)
        assert row.p_holm == pytest.approx(4 * row.p)
    shown = compare.readable(rows)[0]
    assert (shown["seeds"], shown["A − B"], shown["sd"]) == (3, "+41.7", "14.4")
    # Any cell stands for its setting, and `best` is a cell of it.
    assert compare.compare_over_seeds(run, "best", cell_of(run, "linear", 2)) == rows


def test_a_setting_does_not_differ_from_itself_over_seeds(
    tmp_path: Path, sets: CandidateSets
) -> None:
    rows = compare.compare_over_seeds(two_settings(tmp_path, sets), "best", "best")
    assert all(row.difference == row.sd == 0 and row.p == 1 for row in rows)


def test_over_seeds_needs_three_shared_seeds_of_cells(tmp_path: Path, sets: CandidateSets) -> None:
    run = two_settings(tmp_path, sets)
    a, b = cell_of(run, "relu", 1), cell_of(run, "linear", 2)
    fewer = dataclasses.replace(run, cells=[cell for cell in run.cells if cell.name != a])
    with pytest.raises(InputError, match=r"needs 3 .* A with seeds 2, 3 and B with seeds 1, 2, 3"):
        compare.compare_over_seeds(fewer, "best", b)


def test_a_baseline_has_no_seeds(run: Path) -> None:
    with pytest.raises(InputError, match=r"baseline/tfidf has no seeds"):
        compare.compare_over_seeds(read_run(run), "best", "baseline/tfidf")


def test_over_seeds_every_seed_answers_the_same_queries(
    tmp_path: Path, sets: CandidateSets
) -> None:
    run = two_settings(tmp_path, sets)
    a, b = cell_of(run, "relu", 1), cell_of(run, "linear", 2)
    path = run.folder.cell(b).records
    write_records({"dev": (sets, short(sets))}, path)
    with pytest.raises(InputError, match=r"seed~2/.*: misses 1 of the 8 queries"):
        compare.compare_over_seeds(run, a, b)


def test_the_command_finds_the_only_run(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run.parent.parent)
    assert main(["compare", "best", "baseline/tfidf"]) == 0
    assert "| dev | clean | epa | 8 | 50.0 | 75.0 | -25.0 |" in capsys.readouterr().out
    assert main(["compare", "best", "best", "--over-seeds"]) == 2
    assert "found A with seeds 1 and B with seeds 1" in capsys.readouterr().err
    (run.parent / "other").mkdir()
    (run.parent / "other" / "matrix.csv").touch()
    assert main(["compare", "best", "baseline/tfidf"]) == 2
    assert "found results/mini, results/other" in capsys.readouterr().err


def test_without_a_trained_cell_there_is_no_best(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("matrix.csv", "config.json"):
        (tmp_path / "empty" / name).write_text((run / name).read_text())
    with pytest.raises(InputError, match="best: no cell has been trained yet"):
        compare.compare(read_run(tmp_path / "empty"), "best", "best")
