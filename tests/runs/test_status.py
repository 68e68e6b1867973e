"""Where a run stands: each cell's state, the grid, what failed, the time left."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from counterpoint.cli.main import main
from counterpoint.config import loading, matrix
from counterpoint.io import atomic
from counterpoint.io import text as text_module
from counterpoint.results.files import Ending, Failure, Outcome, Seconds
from counterpoint.runs import status
from counterpoint.runs.folder import RunFolder, read_run

AXES = {"fusion": ["cls", "concat"], "head": ["relu", "linear"], "decrease_rate": [0, 0.005]}


def planned(folder: Path, axes: dict[str, Any]) -> list[str]:
    """A run of which nothing is there yet; the names of its cells."""
    read = loading.load({"run": "mini", "matrix": {"axes": axes}}, "test")
    cells = matrix.expand(read, "test")
    atomic.write_text(RunFolder(folder).matrix, text_module.csv_text(matrix.rows(cells)))
    atomic.write_json(RunFolder(folder).config, read.model_dump(mode="json"))
    return [cell.name for cell in cells]


def finish(folder: Path, name: str, seconds: float, ended: Ending = "finished") -> None:
    cell = RunFolder(folder).cell(name)
    Outcome(ended, "x", epochs=1, best_epoch=0, parameters={}).write(cell.outcome)
    Seconds("", "", seconds).write(cell.seconds)
    atomic.write_text(cell.records, "")


def begin(folder: Path, name: str, **values: Any) -> None:
    """A job at work, as `progress.Reporter` writes it."""
    facts = {"pid": os.getpid(), "host": socket.gethostname(), "epochs": 10, "done": 4}
    facts |= {"epoch_seconds": 20.0, "stops": True, **values}
    atomic.write_json(RunFolder(folder).state(name).progress, facts)


def fail(folder: Path, name: str, reason: str) -> None:
    Failure(reason).write(RunFolder(folder).state(name).failure)


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, list[str]]:
    """Eight cells: two done, one diverged, one running, one failed, one killed, two waiting."""
    folder = tmp_path / "results" / "mini"
    names = planned(folder, AXES)
    finish(folder, names[0], 100)
    finish(folder, names[1], 200)
    finish(folder, names[2], 1, "diverged")
    begin(folder, names[3])
    fail(folder, names[4], "InputError: no\nmore of it")
    begin(folder, names[5], pid=2**22 + 1)  # above the kernel's largest
    atomic.write_text(RunFolder(folder).cell_log(names[4]), "")
    return folder, names


def test_each_cell_is_in_the_state_that_its_files_tell(run: tuple[Path, list[str]]) -> None:
    found = status.look(read_run(run[0]))
    assert [cell.state for cell in found] == [
        "done", "done", "diverged", "running", "failed", "failed", "waiting", "waiting",
    ]  # fmt: skip
    assert found[3].progress is not None
    assert found[3].progress.done == 4
    assert "killed" in found[5].reason


def test_a_cell_that_is_trained_again_runs_and_is_not_what_it_was(
    run: tuple[Path, list[str]],
) -> None:
    begin(run[0], run[1][0])
    fail(run[0], run[1][0], "last time")
    assert status.look(read_run(run[0]))[0].state == "running"


def test_the_grid_reads_as_it_should(run: tuple[Path, list[str]]) -> None:
    text = status.text(read_run(run[0]))
    assert text.startswith(
        "Run mini: 8 cells: 2 done, 1 diverged, 1 running, 2 failed, 2 waiting.\n\n"
        "fusion  head    δ 0       δ 0.005\n"
        "cls     relu    done      done\n"
        "cls     linear  diverged  4/10 2m\n"
        "concat  relu    FAILED    FAILED\n"
        "concat  linear  .         .\n\n"
    )


def test_the_failed_cells_have_their_reason_and_log(run: tuple[Path, list[str]]) -> None:
    folder, names = run
    found = read_run(folder)
    failures = status.failures(found, status.look(found))
    assert failures == (
        "FAILED cells (2):\n"
        f"  {names[4]}\n    InputError: no\n    more of it\n"
        f"    log: {folder}/logs/cells/{names[4]}.log\n"
        f"  {names[5]}\n    killed: its process is gone without a word\n    log: none\n"
    )
    assert failures in status.text(found)


def test_time_left_is_worked_by_hand(run: tuple[Path, list[str]]) -> None:
    """The median of 100 and 200 s for each of two waiting cells, and 6 epochs of 20 s."""
    folder, names = run
    cells = status.look(read_run(folder))
    assert status.time_left(cells) == 2 * 150 + 6 * 20
    begin(folder, names[6], epoch_seconds=None)  # a second job, just begun: a whole cell's
    cells = status.look(read_run(folder))
    assert status.time_left(cells) == (150 + 6 * 20 + 150) / 2
    assert "Time left: about 3 min 30 s with 2 at a time" in status.time_left_text(
        read_run(folder), cells
    )


def test_before_a_cell_has_finished_the_running_ones_tell(tmp_path: Path) -> None:
    names = planned(tmp_path, AXES)
    cells = status.look(read_run(tmp_path))
    assert status.time_left(cells) is None
    assert "`counterpoint plan --run" in status.text(read_run(tmp_path))
    begin(tmp_path, names[0])
    cells = status.look(read_run(tmp_path))
    assert status.time_left(cells) == 7 * 10 * 20 + 6 * 20


def test_nothing_is_left_where_all_ended(tmp_path: Path) -> None:
    for name in planned(tmp_path, AXES):
        finish(tmp_path, name, 10)
    text = status.text(read_run(tmp_path))
    assert "Nothing is left to run." in text
    assert "FAILED cells" not in text


def test_each_seed_and_further_axis_has_a_grid(tmp_path: Path) -> None:
    names = planned(tmp_path, {"fusion": ["cls"], "margin": [1.0, 0.8], "seed": [1]})
    finish(tmp_path, names[1], 10)
    lines = status.text(read_run(tmp_path)).splitlines()
    first = lines.index("seed 1, retrieval_loss.margin 1")
    second = lines.index("seed 1, retrieval_loss.margin 0.8")
    assert lines[first + 2].split() == ["cls", "layernorm_relu", "."]
    assert lines[second + 2].split() == ["cls", "layernorm_relu", "done"]


def test_many_seeds_are_counted_in_one_grid(tmp_path: Path) -> None:
    names = planned(tmp_path, {"seed": [1, 2, 3, 4, 5], "initial_random_rate": [1, 0.8]})
    finish(tmp_path, names[0], 10)
    finish(tmp_path, names[2], 10, "diverged")
    begin(tmp_path, names[4])
    fail(tmp_path, names[6], "no")
    text = status.text(read_run(tmp_path))
    assert "Counted over seed." in text
    assert "concat  layernorm_relu  1    2/5 1r 1F\n" in text
    assert "concat  layernorm_relu  0.8  0/5\n" in text


def watched(folder: Path, sleeps: list[Any]) -> list[str]:
    """What `watch` shows while each sleep does something; the last one stays."""
    shown: list[str] = []
    steps = iter(sleeps)
    status.watch(folder, 10, shown.append, lambda seconds: next(steps, lambda: None)())
    return shown


def test_watch_goes_on_until_nothing_runs(tmp_path: Path) -> None:
    first, second = planned(tmp_path, {"fusion": ["cls", "concat"]})

    def end(name: str) -> None:
        RunFolder(tmp_path).state(name).progress.unlink()
        finish(tmp_path, name, 10)

    begin(tmp_path, first)
    # Between two jobs nothing runs for a while; with the second all is done.
    shown = watched(
        tmp_path,
        [lambda: end(first), lambda: None, lambda: begin(tmp_path, second), lambda: end(second)],
    )
    heads = [text.splitlines()[0].removeprefix(f"Run {tmp_path.name}: 2 cells: ") for text in shown]
    assert heads == [
        "1 running, 1 waiting.",
        "1 done, 1 waiting.",
        "1 done, 1 waiting.",
        "1 done, 1 running.",
        "2 done.",
    ]


def test_watch_goes_on_while_cells_wait(tmp_path: Path) -> None:
    (name,) = planned(tmp_path, {"fusion": ["cls"]})
    looks = [lambda: None] * 5 + [lambda: finish(tmp_path, name, 10)]
    assert len(watched(tmp_path, looks)) == 7


def test_control_c_ends_watch_quietly(tmp_path: Path) -> None:
    begin(tmp_path, planned(tmp_path, {"fusion": ["cls"]})[0])

    def interrupt() -> None:
        raise KeyboardInterrupt

    assert len(watched(tmp_path, [lambda: None, interrupt])) == 2


def test_the_command_finds_the_only_run(
    run: tuple[Path, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(run[0].parents[1])
    assert main(["status"]) == 0
    assert "concat  relu    FAILED    FAILED\n" in capsys.readouterr().out
    assert main(["status", "--run", str(run[0]), "--failed"]) == 0
    assert capsys.readouterr().out.startswith("FAILED cells (2):\n")


def test_the_command_says_that_no_cell_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planned(tmp_path, AXES)
    assert main(["status", "--run", str(tmp_path), "--failed"]) == 0
    assert "No cell" in capsys.readouterr().out


def test_the_command_watches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in planned(tmp_path, AXES):
        finish(tmp_path, name, 10)
    assert main(["status", "--run", str(tmp_path), "--watch"]) == 0
    assert "8 done" in capsys.readouterr().out
