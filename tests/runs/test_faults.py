"""A cell with a live encoder, killed at random moments and run again: the results are the same."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterpoint.corpus.arguments import Corpus
from counterpoint.errors import Interrupted
from counterpoint.runs.batch import Batch
from counterpoint.runs.folder import RESULTS, RunFolder
from tests.support.batches import a_run

# A test run in the background of a shell ignores Ctrl-C, and so would its children.
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
from counterpoint.cli.main import run
run()
"""
COMMAND = (sys.executable, "-c", PROGRAM, "train")


class Cell:
    """The command of one cell, in as many runs as it is trained in.

    Args:
        corpus: of the runs.
        tiny_bert: their encoder.
        folder: that they go into.
        values: of the configuration, which has one cell; a first stage that it needs is trained
            without a fault.
    """

    def __init__(self, corpus: Corpus, tiny_bert: Path, folder: Path, **values: Any) -> None:
        self.folder = folder
        self._inputs = corpus, tiny_bert
        self._values = {"run": "faults", "matrix": {}, **values}
        self.cell = self._batch("whole").cells[-1]

    def _batch(self, name: str) -> Batch:
        corpus, tiny_bert = self._inputs
        return a_run(self.folder / name, corpus, tiny_bert, **self._values)

    def run(self, name: str) -> RunFolder:
        """A run of its own, ready to train."""
        run = RunFolder(self.folder / name)
        if not run.logs.exists():
            batch = self._batch(name)
            Batch(batch.folder, batch.config, batch.cells[:-1]).run()
            run.logs.mkdir(exist_ok=True)
        return run

    def start(self, name: str) -> "subprocess.Popen[bytes]":
        """Start a process that trains it in a run."""
        command = [*COMMAND, "--run", str(self.run(name).path), self.cell.name]
        return subprocess.Popen(command, stderr=subprocess.PIPE)

    def state(self, name: str) -> Path:
        """Where its state lies in a run."""
        return self.run(name).state(self.cell.name).path

    def log(self, name: str) -> str:
        """What it printed in a run, the last time."""
        return self.run(name).cell_log(self.cell.name).read_text(encoding="utf-8")

    def results(self, name: str) -> dict[str, bytes]:
        """What the same cell always leaves."""
        out = self.run(name).cell(self.cell.name).path
        # The identity has the hash of the file of tokens, whose facts stand in any order.
        others = ("seconds.json", "identity.json")
        return {each: (out / each).read_bytes() for each in RESULTS if each not in others}


@pytest.fixture
def live(corpus: Corpus, tiny_bert: Path, tmp_path: Path) -> Cell:
    encoder = {"name": str(tiny_bert), "max_tokens": 24, "trainable": "all"}
    training = {"epochs": 4, "batch_size": 4, "learning_rate": 1e-3}
    steps = {"checkpoint_steps": 1}
    return Cell(corpus, tiny_bert, tmp_path, encoder=encoder, training=training, resources=steps)


@pytest.fixture
def second(corpus: Corpus, tiny_bert: Path, tmp_path: Path) -> Cell:
    reranker = {
        "kind": "cross_encoder",
        "encoder": {"name": str(tiny_bert), "max_tokens": 24},
        "mining": {"negatives": 2, "top_m": 3},
        "training": {"epochs": 3, "batch_size": 4, "encoder_learning_rate": 1e-3},
    }
    steps = {"checkpoint_steps": 1}
    return Cell(corpus, tiny_bert, tmp_path, reranker=reranker, resources=steps)


def wait_for(path: Path, pattern: str, process: "subprocess.Popen[bytes]") -> None:
    while not list(path.glob(pattern)):
        assert process.poll() is None, "ended before it saved anything"
        time.sleep(0.02)


def kill_and_go_on(live: Cell, kills: int, seed: int) -> None:
    """Kill at random moments, so often; whenever the cell comes through it is compared.

    Every other kill waits until a state is saved, because on a slow start all may come too early.
    """
    whole = live.start("whole")
    began = time.monotonic()
    assert whole.wait() == 0
    seconds = time.monotonic() - began
    expected = live.results("whole")
    rng = np.random.default_rng(seed)
    done, finished = 0, 0
    while done < kills or not finished:
        name = f"killed-{finished}"
        process = live.start(name)
        state = live.state(name)
        # It may have been killed so late that nothing is left to train.
        while done < kills and done % 2 and process.poll() is None:
            if list(state.glob("*/checkpoint.safetensors")):
                break
            time.sleep(0.02)
        try:
            # At the end it may run through, so that there is something to compare.
            process.wait(timeout=rng.uniform(0, seconds) if done < kills else None)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            done += 1
            continue
        assert process.returncode == 0, process.stderr.read() if process.stderr else None
        assert live.results(name) == expected
        finished += 1


def test_three_kills_leave_the_same_results(live: Cell) -> None:
    kill_and_go_on(live, 3, seed=5)


def test_three_kills_of_a_second_stage_leave_the_same_results(second: Cell) -> None:
    kill_and_go_on(second, 3, seed=6)


@pytest.mark.faults
def test_twenty_kills_of_a_second_stage_leave_the_same_results(second: Cell) -> None:
    kill_and_go_on(second, 20, seed=7)


@pytest.mark.faults
@pytest.mark.parametrize("seed", [1, 2])
def test_twenty_kills_leave_the_same_results(live: Cell, seed: int) -> None:
    kill_and_go_on(live, 20, seed)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_when_asked_to_stop_it_saves_and_exits_with_a_status_to_retry(
    live: Cell, sign: signal.Signals
) -> None:
    whole = live.start("whole")
    process = live.start("stopped")
    state = live.state("stopped")
    wait_for(state, "*/checkpoint.safetensors", process)
    process.send_signal(sign)
    _, said = process.communicate()
    assert process.returncode == Interrupted.STATUS, said
    assert b"the same command goes on from there" in said
    assert "asked to stop: saves and stops after this step" in live.log("stopped")
    assert not (state / "failure.json").exists()
    again = live.start("stopped")
    _, said = again.communicate()
    assert again.returncode == 0, said
    assert "goes on in epoch" in live.log("stopped")
    assert whole.wait() == 0
    assert live.results("stopped") == live.results("whole")
