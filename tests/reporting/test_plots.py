"""Plots: which are drawn, and the same ones each time."""

from pathlib import Path

import pandas as pd
import pytest

from counterpoint.cli.main import main
from counterpoint.io.atomic import write_text
from counterpoint.reporting import plots
from counterpoint.reporting.curves import curves
from counterpoint.reporting.scores import all_scores, current_scores
from counterpoint.runs.folder import read_run
from counterpoint.tasks.candidates import CandidateSets
from tests.support.runs import epoch_record, finish, write_epochs, write_files


@pytest.mark.parametrize("file_format", ["png", "svg", "pdf"])
def test_one_figure_a_fusion_and_head_the_same_each_time(run: Path, file_format: str) -> None:
    by_epoch = curves(read_run(run))
    first = plots.draw_curves(by_epoch, run / "plots", file_format, 60)
    assert [path.name for path in first] == [
        f"accuracy-cls-relu.{file_format}",
        f"accuracy-concat-relu.{file_format}",
    ]
    if file_format == "png":
        contents = [path.read_bytes() for path in first]
        assert contents == [
            path.read_bytes() for path in plots.draw_curves(by_epoch, run / "plots", "png", 60)
        ]
        assert all(content.startswith(b"\x89PNG") for content in contents)


def test_cells_that_have_ended_have_a_figure_though_they_diverged_at_once(
    run: Path, sets: CandidateSets
) -> None:
    """The workflow waits for it."""
    concat = [cell for cell in read_run(run).cells if cell.axes["fusion"] == "concat"]
    done, other = concat
    finish(other.folder, sets, [1], status="diverged")
    write_files(done.folder, status="diverged")
    for cell in concat:
        write_epochs(cell.folder, [epoch_record(0, accuracy={}, diverged="no number")])
    assert main(["plots", "--run", str(run), "--dpi", "60"]) == 0
    for fusion in ("cls", "concat"):
        assert (run / "plots" / f"accuracy-{fusion}-relu.png").stat().st_size > 0


def test_imported_logs_change_no_curve_of_a_cell(run: Path, imported: Path) -> None:
    by_epoch = curves(read_run(imported))
    both = plots.draw_curves(by_epoch, run / "plots", "png", 60)
    contents = [path.read_bytes() for path in both]
    assert [path.name for path in both][-1] == "imported.png"
    (run.parent / "imported").rename(run.parent / "elsewhere")
    alone = plots.draw_curves(curves(read_run(run)), run / "plots", "png", 60)
    assert [path.read_bytes() for path in alone] == contents[:-1]


def test_imported_logs_are_drawn_without_any_cell(
    run: Path, imported: Path, tmp_path: Path
) -> None:
    empty = run.parent / "empty"
    for name in ("matrix.csv", "config.json"):
        write_text(empty / name, (run / name).read_text())
    by_epoch = curves(read_run(empty))
    assert len(by_epoch) == 2 * 3 + 2 * 2  # epochs times splits of either log
    paths = plots.draw_curves(by_epoch, tmp_path / "plots", "svg", 60)
    assert [path.name for path in paths] == ["imported.svg"]


def test_main_scores_are_drawn_the_same_each_time(run: Path) -> None:
    scores = all_scores(read_run(run))
    drawn = [plots.draw_scores(scores, run / name, "png", 50) for name in ("a", "b")]
    assert [path.name for path in drawn[0]] == ["rates.png", "heatmap.png"]
    for one, other in zip(*drawn, strict=True):
        assert one.read_bytes() == other.read_bytes()
    written = run / "tables" / "cells.csv"
    written.parent.mkdir(exist_ok=True)
    scores.to_csv(written, index=False)
    read = current_scores(read_run(run))
    pd.testing.assert_frame_equal(read, scores, check_dtype=False)


def test_equal_seeds_are_drawn_without_a_bar(run: Path) -> None:
    scores = all_scores(read_run(run))
    chosen = (
        scores[scores["kind"] == "cell"]
        .iloc[:1]
        .assign(split="dev", protocol="clean", task="epa", stage="reranked", metric="accuracy@1")
    )
    # Their mean as floats lies outside them.
    equal = pd.concat([chosen.assign(seed=seed, value=61 / 713) for seed in (1, 2, 3)])
    assert equal.groupby("fusion")["value"].mean().iloc[0] != 61 / 713
    assert len(plots.draw_scores(equal, run / "plots", "svg", 50)) == 2


def test_without_a_cell_there_is_no_figure(run: Path) -> None:
    scores = all_scores(read_run(run))
    baselines = scores[scores["kind"] == "baseline"]
    assert plots.draw_scores(baselines, run / "plots", "svg", 50) == []
    assert not (run / "plots").exists()
