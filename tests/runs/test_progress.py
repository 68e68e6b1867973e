"""A running job: the line and the bar it shows, the file it leaves for others, whether it lives."""

import dataclasses
import io
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from counterpoint.config.loading import parse
from counterpoint.config.options import CellOptions, StoppingOptions
from counterpoint.runs import progress
from counterpoint.runs.folder import StateFolder
from counterpoint.runs.progress import Progress, Reporter
from tests.support.epochs import epoch_record

HERE = socket.gethostname()


def said(**values: Any) -> Progress:
    facts = {"pid": os.getpid(), "host": HERE, "epochs": 10, "done": 4, "epoch_seconds": 20.0}
    return Progress(**{**facts, "stops": False, **values})


def options(epochs: int = 3) -> CellOptions:
    return parse(CellOptions, {"training": {"epochs": epochs}}, "test")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (3600, "1 h 00 min"), (7500, "2 h 05 min")],
)
def test_seconds_in_words(seconds: float, words: str) -> None:
    assert progress.duration(seconds) == words


def test_what_is_left_is_the_epochs_to_come_at_their_mean() -> None:
    assert said().left == 6 * 20
    assert said().left_text() == "left 2 min 00 s"
    assert said(stops=True).left_text() == "left at most 2 min 00 s"
    assert said(done=0, epoch_seconds=None).left_text() == ""
    assert said(done=10).left_text() == ""


@pytest.mark.parametrize("name", ["patience", "dev_loss_rises", "gap_stop"])
def test_each_control_that_stops_makes_it_an_upper_bound(name: str) -> None:
    never = {"patience": None, "dev_loss_rises": None, "gap_stop": None}
    assert not progress.may_stop(StoppingOptions(**never))
    assert progress.may_stop(StoppingOptions(**{**never, name: 2}))


def test_a_log_gets_a_line_an_epoch_with_the_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter([0.0, 100.0, 130.0, 170.0, 190.0])  # made, begun, and the ends of three epochs
    monkeypatch.setattr("time.perf_counter", lambda: next(seconds))
    stream = io.StringIO()
    with Reporter(tmp_path, options(), stream) as reporter:
        reporter.begin()
        for epoch in range(3):
            reporter.epoch(epoch_record(epoch))
    # 30 s and two to come; 70 s for two and one to come; the last has nothing to say.
    assert stream.getvalue().splitlines() == [
        f"{progress.epoch_line(epoch_record(0))}  left at most 1 min 00 s",
        f"{progress.epoch_line(epoch_record(1))}  left at most 35 s",
        progress.epoch_line(epoch_record(2)),
    ]


def test_an_epoch_in_a_line() -> None:
    line = progress.epoch_line(epoch_record(7, "best", train=0.5, dev=0.25, train_loss=0.51239))
    assert line == (
        "epoch   7  random 0.500  train loss 0.5124  dev loss 1.0000"
        "  train 25.0% → 50.0%  dev 12.5% → 25.0%  best"
    )
    assert "train loss nan" in progress.epoch_line(epoch_record(0, dev=None, train_loss=None))


def test_an_epoch_that_stops_the_cell_has_no_time_left(tmp_path: Path) -> None:
    stream = io.StringIO()
    with Reporter(tmp_path, options(), stream) as reporter:
        reporter.begin()
        ended = epoch_record(0, "best", "stop: the loss is not a number")
        reporter.epoch(ended)
    assert stream.getvalue() == f"{progress.epoch_line(ended)}\n"


def test_a_terminal_gets_a_bar(tmp_path: Path) -> None:
    stream = Terminal()
    with Reporter(tmp_path, options(), stream) as reporter:
        reporter.begin()
        reporter.epoch(epoch_record(0, dev=0.345, train_loss=0.51239))
    shown = stream.getvalue()
    assert "epoch 0/3 |" in shown
    assert "epoch 1/3 |" in shown
    assert "loss 0.5124  dev 34.5%  left at most" in shown
    assert "random" not in shown


def test_a_record_without_dev_scores_has_a_bar_too() -> None:
    assert progress.bar_text(epoch_record(dev=None, train_loss=None)) == "loss nan"


def test_others_can_read_it_until_the_job_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "WRITE_SECONDS", 0.0)
    assert progress.read(tmp_path) is None
    with Reporter(tmp_path, options(), io.StringIO()) as reporter:
        found = progress.read(tmp_path)
        assert found is not None
        assert dataclasses.asdict(found[0]) == {
            "pid": os.getpid(),
            "host": HERE,
            "epochs": 3,
            "done": 0,
            "epoch_seconds": None,
            "stops": True,
        }
        reporter.begin()
        reporter.epoch(epoch_record(0))
        found = progress.read(tmp_path)
        assert found is not None
        assert found[0] == reporter.progress
        assert found[0].done == 1
        assert found[1] < 60
        assert progress.sign_of_death(*found) is None
    assert list(tmp_path.iterdir()) == []


def test_short_epochs_are_told_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter([0.0, 100.0, 100.4, 100.9, 101.1])  # made, begun, and the ends of three epochs
    monkeypatch.setattr("time.perf_counter", lambda: next(seconds))
    told = []
    with Reporter(tmp_path, options(), io.StringIO()) as reporter:
        reporter.begin()
        for epoch in range(3):
            reporter.epoch(epoch_record(epoch))
            told.append(json.loads(StateFolder(tmp_path).progress.read_text())["done"])
    assert told == [0, 0, 3]


def test_nothing_is_left_of_a_job_that_fails(tmp_path: Path) -> None:
    with (  # noqa: PT012  the body must fail half-way
        pytest.raises(RuntimeError, match="half-way"),
        Reporter(tmp_path, options()),
    ):
        assert json.loads(StateFolder(tmp_path).progress.read_text())["done"] == 0
        raise RuntimeError("half-way")
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_is_gone_was_killed() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert "killed" in str(progress.sign_of_death(said(pid=ended.pid), 0.0))
    assert progress.sign_of_death(said(pid=1), 1e9) is None  # someone else's, alive


@pytest.mark.parametrize(
    ("epoch_seconds", "age", "lives"),
    [
        (20.0, 599, True),
        (20.0, 601, False),
        (1000.0, 2999, True),
        (1000.0, 3001, False),
        (None, 3599, True),
        (None, 3601, False),
    ],
)
def test_a_job_of_another_host_is_judged_by_its_last_word(
    epoch_seconds: float | None, age: float, lives: bool
) -> None:
    found = said(pid=2**22 + 1, host="elsewhere", epoch_seconds=epoch_seconds)
    death = progress.sign_of_death(found, age)
    assert (death is None) == lives
    assert lives or "no word from elsewhere for" in str(death)
