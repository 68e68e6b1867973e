"""A run's folder: found, read, and the axes of its cells as the values that they are."""

from pathlib import Path

import pytest

from counterpoint.errors import InputError
from counterpoint.io.atomic import write_text
from counterpoint.runs.folder import RunFolder, find_run, read_run, run_and_cell
from tests.support.runs import fail, plan, write_files


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Four cells, of which one is done, one has diverged and one failed."""
    folder = RunFolder(tmp_path / "results" / "mini")
    axes = {"fusion": ["cls", "concat"], "width": ["none", 64], "margin": [0.8]}
    names = [cell.name for cell in plan(folder.path, {"matrix": {"axes": axes}})]
    for name, status in zip(names, ("finished", "diverged"), strict=False):
        write_files(folder.cell(name), status=status)
        folder.cell(name).records.touch()
    fail(folder, names[2], "no")
    return folder


def test_cells_have_their_state_and_their_axes(run: RunFolder) -> None:
    read = read_run(run.path)
    assert [cell.status for cell in read.cells] == ["done", "diverged", "failed", "missing"]
    assert read.cells[2].reason == "no"
    assert [cell.name for cell in read.trained] == [cell.name for cell in read.cells[:2]]
    first = read.cells[0]
    assert (first.axes["fusion"], first.axes["seed"], first.seed) == ("cls", 1, 1)
    assert (first.axes["projection.width"], first.number("retrieval_loss.margin")) == ("none", 0.8)
    assert read.extra_axes == ["projection.width", "retrieval_loss.margin"]
    assert first.setting != read.cells[1].setting
    assert first.outcome().best_epoch == 1
    assert (first.seconds().total, first.provenance().code) == (100.0, "a")
    with pytest.raises(InputError, match="fusion is 'cls', which is no number"):
        first.number("fusion")


def test_an_option_has_the_values_of_its_axis_or_the_run_s(run: RunFolder) -> None:
    read = read_run(run.path)
    assert read.values("retrieval_loss.margin") == [0.8]
    assert read.values("projection.width") == ["none", "64"]
    assert read.values("encoder.pooling") == ["mean"]


def test_a_baseline_is_there_with_its_records(run: RunFolder) -> None:
    assert read_run(run.path).baselines == {}
    write_text(run.baseline("bm25"), "")
    read = read_run(run.path)
    assert read.baselines == {"bm25": run.baseline("bm25")}
    assert list(read.systems) == [*(cell.name for cell in read.trained), "baseline/bm25"]


def test_a_folder_that_is_dev_and_test_is_held_out_once(tmp_path: Path) -> None:
    same = {"train": "training", "dev": "validation", "test": "validation"}
    for name, splits, expected in (("a", {}, ("dev", "test")), ("b", same, ("dev",))):
        plan(tmp_path / name, {"corpus": {"splits": splits}} if splits else {})
        assert read_run(tmp_path / name).held_out == expected


def test_the_only_run_is_found(run: RunFolder) -> None:
    results = run.path.parent
    assert find_run(results) == run.path
    with pytest.raises(InputError, match=r"found none; name the run with --run"):
        find_run(results / "nowhere")
    write_text(RunFolder(results / "other").matrix, "cell\n")
    with pytest.raises(InputError, match=r"found .*/mini, .*/other; name the run with --run"):
        find_run(results)


def test_a_folder_that_is_no_run_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"matrix\.csv: no such file"):
        read_run(tmp_path)


def test_a_cell_knows_its_run_by_where_its_results_go(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "mini")
    assert run_and_cell(run.cell("fusion~cls/seed~1").path) == (run, "fusion~cls/seed~1")
    assert run_and_cell(tmp_path / "by-hand") == (RunFolder(tmp_path), "by-hand")
