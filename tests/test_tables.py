"""Records and logs to tables: what is there is counted, what is missing is named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from counterpoint import config, files, formats, matrix, plots, tables
from counterpoint.config import RunConfig
from counterpoint.corpus import Corpus
from counterpoint.errors import InputError
from counterpoint.evaluation import Records, write_records
from counterpoint.runlog import append
from counterpoint.tasks import Pool, make_pool

CONFIG: dict[str, Any] = {
    "run": "mini",
    "matrix": {
        "axes": {"fusion": ["cls", "concat"], "head": ["relu"], "decrease_rate": [0, 0.01]},
        "include": [{"fusion": "cls", "head": "relu", "initial_random_rate": 0, "margin": 0.8}],
    },
}


def records(pool: Pool, rank: list[int], reranked: list[int] | None) -> list[Records]:
    n = pool.pairs
    own = np.repeat(np.arange(n)[:, None], 2, axis=1)
    return [
        Records(
            task="epa",
            protocol=protocol,
            queries=np.arange(n),
            candidates=np.full(n, 9),
            rank=np.resize(rank, n),
            nearest=own,
            reranked=None if reranked is None else np.resize(reranked, n),
            reordered=None if reranked is None else own,
        )
        for protocol in ("official", "clean")
    ]


def finish(
    folder: Path, pool: Pool, ranks: list[int], *, status: str = "finished", code: str = "a"
) -> None:
    """Leave what a finished cell leaves: half of the golds first before re-ranking."""
    folder.mkdir(parents=True)
    both = records(pool, [1, 2], ranks)
    write_records({"dev": (pool, both), "test": (pool, both)}, folder / "records.parquet")
    files.write_json(folder / "outcome.json", {"status": status, "reason": "because"})
    files.write_json(folder / "provenance.json", {"code": code})
    files.write_json(
        folder / "seconds.json",
        {
            "started": "2026-11-23T10:00:00+00:00",
            "ended": "2026-11-23T10:01:40+00:00",
            "total": 100.0,
        },
    )
    figure = {"retrieval": 0.5, "reranked": 0.25, "recall@10": 1.0}
    for epoch in range(3):
        accuracy = {"train": {"official": figure}, "dev": {"clean": figure}}
        append(folder / "epochs.jsonl", {"epoch": epoch, "accuracy": accuracy})


@pytest.fixture
def pool(small: Corpus) -> Pool:
    return make_pool(small, "validation")


@pytest.fixture
def run(tmp_path: Path, pool: Pool) -> Path:
    """Five planned cells: three done (one of them best), one failed, one missing; a baseline."""
    folder = tmp_path / "results" / "mini"
    cells = matrix.expand(config.load(CONFIG, "test"), "test")
    rows = matrix.rows(cells)
    files.write_text(folder / "matrix.csv", formats.csv_text(rows))
    files.write_json(folder / "config.json", {"baselines": ["random", "tfidf"]})
    names = [cell.name for cell in cells]
    for name, ranks in zip(names, ([1, 2, 3, 4], [1, 1, 2, 2], [3], []), strict=False):
        if ranks:
            finish(folder / "cells" / name, pool, ranks)
    (folder / "state" / names[3]).mkdir(parents=True)
    files.write_json(folder / "state" / names[3] / "failure.json", {"reason": "InputError: no"})
    own = {"dev": (pool, records(pool, [1, 1, 1, 2], None))}
    own["test"] = own["dev"]
    write_records(own, folder / "baselines" / "tfidf" / "records.parquet")
    return folder


def test_cells_csv_has_its_columns_and_the_figures_of_the_records(run: Path) -> None:
    tables.write_tables(tables.read_run(run), run / "tables", 1)
    table = pd.read_csv(run / "tables" / "cells.csv")
    assert list(table.columns) == [
        "kind", "cell", "fusion", "head", "decrease_rate", "initial_random_rate", "seed",
        "retrieval_loss.margin", "split", "protocol", "task", "stage", "metric", "value", "low",
        "high", "n",
    ]  # fmt: skip
    chosen = table[(table.metric == "accuracy@1") & (table.split == "dev")]
    chosen = chosen[chosen.protocol == "clean"]
    second = chosen[(chosen.fusion == "cls") & (chosen.decrease_rate == 0.01)]
    second = second[second.initial_random_rate == 1]
    assert dict(zip(second.stage, second.value, strict=True)) == {
        "retrieval": 0.5,
        "reranked": 0.5,
    }
    assert set(second.n) == {8}
    assert set(second.seed) == {1}
    baseline = chosen[chosen.kind == "baseline"]
    assert baseline.cell.tolist() == ["baseline/tfidf"]
    assert baseline.stage.tolist() == ["retrieval"]
    assert baseline.value.tolist() == [0.75]
    assert baseline[["fusion", "head", "decrease_rate", "seed"]].isna().all(axis=None)
    reciprocal = table[(table.metric == "mrr") & (table.stage == "reranked")]
    # 1, 1/2, 1/3, 1/4 over the first cell's eight queries, twice each
    assert reciprocal.value.iloc[0] == pytest.approx(25 / 48)


def test_the_summary_names_the_best_the_failed_and_the_missing(run: Path) -> None:
    text = tables.write_tables(tables.read_run(run), run / "tables", 1)
    assert "3 of 5 cells trained" in text
    assert "Best cell on dev: fusion~cls/head~relu/initial_random_rate~1/decrease_rate~0.01" in text
    assert "1 cells failed:" in text
    assert "InputError: no" in text
    assert "1 cells missing:" in text
    assert "5 min 00 s in all, 1 min 40 s from the first start" in text
    assert "Warning" not in text
    assert text == (run / "tables" / "summary.txt").read_text()


def test_comparison_marks_the_best_and_leaves_gaps_for_what_is_missing(run: Path) -> None:
    tables.write_tables(tables.read_run(run), run / "tables", 1)
    text = (run / "tables" / "comparison.md").read_text()
    assert "| cls | relu | 25.0 | **50.0** |" in text
    assert "| concat | relu | 0.0 | – |" in text
    assert "| tfidf | 75.0 | 75.0 |" in text
    rows = pd.read_csv(run / "tables" / "comparison.csv")
    assert rows[rows.best]["dev_reranked"].tolist() == [0.5]
    assert set(rows.kind) == {"cell", "baseline"}


def test_protocols_stand_side_by_side_and_the_leaking_one_is_named(run: Path, pool: Pool) -> None:
    name = pd.read_csv(run / "matrix.csv").cell[1]
    leaking = records(pool, [1, 2], [1])[0]
    object.__setattr__(leaking, "protocol", "legacy")
    both = [*records(pool, [1, 2], [1, 1, 2, 2]), leaking]
    write_records({"dev": (pool, both)}, run / "cells" / name / "records.parquet")
    tables.write_tables(tables.read_run(run), run / "tables", 0)
    text = (run / "tables" / "protocols.md").read_text()
    header = next(line for line in text.splitlines() if line.startswith("| system"))
    assert header == "| system | figure | dev official | dev clean | dev legacy (leaks) |"
    row = next(line for line in text.splitlines() if "accuracy@1, reranked" in line)
    assert row.startswith(f"| {name} |")
    assert [part.split()[0] for part in row.strip("| ").split("|")[2:]] == ["50", "50", "100"]
    assert "| baseline/tfidf | accuracy@1, retrieval | 75 (" in text


def test_diverged_cells_and_differing_code_are_told(run: Path, pool: Pool) -> None:
    names = pd.read_csv(run / "matrix.csv").cell.tolist()
    finish(run / "cells" / names[4], pool, [2], status="diverged", code="b")
    text = tables.write_tables(tables.read_run(run), run / "tables", 1)
    assert "1 cells diverged:" in text
    assert "trained by 2 different states of the code" in text


def test_seeds_are_averaged_and_a_missing_seed_is_no_silent_mean(
    tmp_path: Path, pool: Pool
) -> None:
    values = {"run": "s", "matrix": {"axes": {"seed": [1, 2], "decrease_rate": [0, 0.01]}}}
    cells = matrix.expand(config.parse(RunConfig, values, "test"), "test")
    run = tmp_path / "s"
    files.write_text(run / "matrix.csv", formats.csv_text(matrix.rows(cells)))
    files.write_json(run / "config.json", {"baselines": []})
    for cell, ranks in zip(cells, ([1], [1], [2]), strict=False):
        finish(run / "cells" / cell.name, pool, ranks)
    tables.write_tables(tables.read_run(run), run / "tables", 2)
    rows = pd.read_csv(run / "tables" / "comparison.csv").set_index("decrease_rate")
    assert rows.loc[0, "dev_reranked"] == 0.5
    assert rows.loc[0, "seeds"] == 2
    assert rows.loc[0.01, "dev_reranked"] == 1.0
    assert rows.loc[0.01, "seeds"] == 1


def test_a_run_without_any_record_still_has_tables(run: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    for name in ("matrix.csv", "config.json"):
        files.write_text(empty / name, (run / name).read_text())
    text = tables.write_tables(tables.read_run(empty), empty / "tables", 1)
    assert "0 of 5 cells trained" in text
    assert "5 cells missing" in text
    assert (
        plots.draw_curves(tables.curves(tables.read_run(empty)), empty / "plots", "png", 60) == []
    )


def test_a_folder_that_is_no_run_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"matrix\.csv: no such file"):
        tables.read_run(tmp_path)


@pytest.mark.parametrize(
    ("initial", "decrease", "name"),
    [
        (0.0, 0.0, "hard only"),
        (0.8, 0.0, "fixed"),
        (0.8, 0.02, "decreasing"),
        (1.0, 0.0, "purely random"),
        (1.0, 0.05, "decreasing"),
    ],
)
def test_strategies_have_their_names(initial: float, decrease: float, name: str) -> None:
    assert tables.strategy_name(initial, decrease) == name


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(42.4, "42 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (59.7, "1 min 00 s")],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert tables.duration(seconds) == text


def test_curves_have_a_point_for_each_epoch_and_split(run: Path) -> None:
    curves = tables.curves(tables.read_run(run))
    assert len(curves) == 3 * 3 * 2  # cells, epochs, splits in the log
    assert set(curves.split) == {"train", "dev"}
    assert set(curves.value) == {0.25}


@pytest.mark.parametrize("file_format", ["png", "svg", "pdf"])
def test_one_figure_a_fusion_and_head_the_same_each_time(run: Path, file_format: str) -> None:
    curves = tables.curves(tables.read_run(run))
    first = plots.draw_curves(curves, run / "plots", file_format, 60)
    assert [path.name for path in first] == [
        f"accuracy-cls-relu.{file_format}",
        f"accuracy-concat-relu.{file_format}",
    ]
    if file_format == "png":
        contents = [path.read_bytes() for path in first]
        assert contents == [
            path.read_bytes() for path in plots.draw_curves(curves, run / "plots", "png", 60)
        ]
        assert all(content.startswith(b"\x89PNG") for content in contents)


def test_results_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "file.json"
    files.write_json(target, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(target, {"a": float("nan")})
    with (  # noqa: PT012  the body must fail half-way
        pytest.raises(RuntimeError, match="half"),
        files.replacing(target) as temporary,
    ):
        temporary.write_text("half")
        raise RuntimeError("half")
    assert json.loads(target.read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["file.json"]
