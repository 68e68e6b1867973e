"""Cells in one process: each as if it were alone, whatever happens to the others."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from counterpoint.config import loading
from counterpoint.config.run_options import RunConfig
from counterpoint.corpus.arguments import Corpus
from counterpoint.errors import InputError, Interrupted
from counterpoint.results.files import Failure, Outcome
from counterpoint.runs.batch import Batch
from counterpoint.runs.folder import RESULTS, RunFolder
from counterpoint.runs.job import Job
from counterpoint.training.trainer import Trainer
from tests.support.batches import a_run


def results(run: RunFolder, name: str) -> dict[str, bytes]:
    """What the same cell always leaves; the identity has the hash of the file of features."""
    out = run.cell(name).path
    others = ("seconds.json", "identity.json")
    return {each: (out / each).read_bytes() for each in RESULTS if each not in others}


def test_cells_of_a_batch_are_those_of_processes_of_their_own(
    corpus: Corpus, tiny_bert: Path, tmp_path: Path
) -> None:
    axes = {"seed": [1, 2], "trainable": ["none", "all"], "dropout": [0.1]}
    together = a_run(tmp_path / "together", corpus, tiny_bert, matrix={"axes": axes})
    alone = a_run(tmp_path / "alone", corpus, tiny_bert, matrix={"axes": axes})
    together.run()
    for cell in alone.cells:
        Batch(alone.folder, alone.config, [cell]).run()
    for cell in together.cells:
        assert results(together.folder, cell.name) == results(alone.folder, cell.name), cell.name
        log = together.folder.cell_log(cell.name).read_text()
        assert "epoch   1" in log
        assert "epoch   2" not in log
    assert len(together.cells) == 4


def test_a_cell_that_raises_and_one_that_diverges_cost_no_other_anything(
    corpus: Corpus, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = {"axes": {"seed": [1, 2, 3], "learning_rate": [1e-3, 1e30]}, "include": []}
    batch = a_run(tmp_path, corpus, tiny_bert, matrix=rates)
    broken, too_fast = batch.cells[0], batch.cells[1]
    events = Trainer.events

    def fail_once(trainer: Trainer) -> Any:
        if trainer.options == broken.options:
            raise ZeroDivisionError("by design")
        return events(trainer)

    monkeypatch.setattr(Trainer, "events", fail_once)
    with pytest.raises(InputError) as told:
        batch.run()
    assert f"1 of 6 cells failed:\n  {broken.name}\n    ZeroDivisionError: by design" in str(
        told.value
    )
    assert Failure.read(batch.folder.state(broken.name).failure).reason.startswith("ZeroDivision")
    assert "Traceback" in batch.folder.cell_log(broken.name).read_text()
    assert Outcome.read(batch.folder.cell(too_fast.name).outcome).status == "diverged"
    for cell in batch.cells[2:]:
        assert batch.folder.cell(cell.name).is_whole, cell.name
    monkeypatch.undo()
    trained: list[str] = []
    monkeypatch.setattr(
        Trainer, "events", lambda self: trained.append(str(self.options)) or events(self)
    )
    batch.run()
    assert trained == [str(broken.options)]
    assert batch.folder.cell(broken.name).is_whole


def test_asked_to_stop_it_begins_no_other_cell(
    corpus: Corpus, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = a_run(tmp_path, corpus, tiny_bert)
    train = Job.train

    def train_and_ask(job: Job, worker: Any) -> None:
        train(job, worker)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Job, "train", train_and_ask)
    with pytest.raises(Interrupted, match="1 cells are not begun"):
        batch.run()
    first, second = batch.cells
    assert batch.folder.cell(first.name).is_whole
    assert not batch.folder.cell(second.name).path.exists()


def test_cells_are_named_by_name_or_folder(corpus: Corpus, tiny_bert: Path, tmp_path: Path) -> None:
    batch = a_run(tmp_path, corpus, tiny_bert)
    first = batch.cells[0]
    for name in (
        first.name,
        str(batch.folder.cell(first.name).path),
        f"{tmp_path}/cells/{first.name}/",
    ):
        assert [cell.name for cell in Batch.of_run(tmp_path, [name]).cells] == [first.name]
    with pytest.raises(InputError, match=r"'fusion~x': no cell of run batch.*matrix\.csv has"):
        Batch.of_run(tmp_path, ["fusion~x"])
    with pytest.raises(InputError, match=r"config\.json: no such file"):
        Batch.of_run(tmp_path / "nowhere", [first.name])


def test_the_configuration_of_a_batch_is_that_of_its_run(
    corpus: Corpus, tiny_bert: Path, tmp_path: Path
) -> None:
    batch = a_run(tmp_path, corpus, tiny_bert)
    assert batch.config == loading.load_written(RunConfig, batch.folder.config)
    assert json.loads(batch.folder.config.read_text())["run"] == "batch"
