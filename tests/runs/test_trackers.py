"""TensorBoard and MLflow get the epoch log's records, and change nothing of a cell."""

import re
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from counterpoint.cli.main import main
from counterpoint.config.loading import parse
from counterpoint.config.options import CellOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.errors import InputError
from counterpoint.results import epoch_log
from counterpoint.results.epoch_log import EpochRecord, EpochScores
from counterpoint.runs import progress, trackers
from counterpoint.runs.folder import RESULTS, RunFolder
from counterpoint.runs.job import Job
from tests.support.batches import a_run
from tests.support.epochs import epoch_record
from tests.support.training import JobInputs, job_inputs

RECORD = epoch_record(7, "best", train_loss=None, retrieval_loss=1.25)
SCALARS = {
    "learning_rate": 1e-3,
    "random_rate": 0.5,
    **{
        f"negatives/{kind}": float(number)
        for kind, number in asdict(RECORD.negatives).items()
        if number is not None
    },
    "losses/dev/total": 1.0,
    **{
        f"losses/{split}/{name}": value
        for split in ("train", "dev")
        for name, value in (("retrieval", 1.25), ("counter", 0.5), ("negative", 0.25))
    },
    **{
        f"distances/{split}/{name}": value
        for split in ("train", "dev")
        for name, value in (
            ("positive/mean", 1.0), ("positive/std", 0.1),
            ("negative/mean", 2.0), ("negative/std", 0.2),
        )
    },
    **{
        f"accuracy/{where}/{name}": value
        for where in ("train/official", "dev/clean")
        for name, value in (("retrieval", 0.25), ("reranked", 0.5), ("recall_at_10", 1.0))
    },
    "gap": 0.0,
    "spread": 1.0,
}  # fmt: skip


def test_the_finite_numbers_of_a_record_are_named_by_their_path() -> None:
    assert trackers.metrics(RECORD) == SCALARS


def test_no_name_has_a_sign_that_mlflow_refuses() -> None:
    scores = EpochScores(0.25, 0.5, 1.0, {"reranked@3": 0.75})
    record = replace(RECORD, accuracy={"dev": {"clean": scores}})
    found = trackers.metrics(record)
    assert found["accuracy/dev/clean/at_k/reranked_at_3"] == 0.75
    assert all(re.fullmatch(r"[\w\-. :/]+", name) for name in found)


def test_an_unknown_tracker_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'wandb': expected one of tensorboard, mlflow"):
        trackers.open("wandb", tmp_path, "cell")


@pytest.mark.parametrize("name", list(trackers.TRACKERS))
def test_a_missing_extra_says_how_to_install_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=rf"pip install '\.\[{name}\]'"):
        trackers.open(name, tmp_path, "cell")


def test_tensorboard_has_the_numbers_by_epoch(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):  # the second training replaces the first
        with trackers.opened(["tensorboard"], RunFolder(tmp_path), "a/b") as (tracker,):
            for epoch in range(3):
                tracker.epoch(replace(RECORD, epoch=epoch))
    found = EventAccumulator(str(tmp_path / "tensorboard" / "a" / "b")).Reload()
    assert sorted(found.Tags()["scalars"]) == sorted(SCALARS)
    for name, value in SCALARS.items():
        assert [(each.step, each.value) for each in found.Scalars(name)] == [
            (epoch, value) for epoch in range(3)
        ]


def test_mlflow_has_the_numbers_by_epoch(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")
    run = RunFolder(tmp_path / "mini")
    with trackers.opened(["mlflow"], run, "a/b") as (tracker,):
        for epoch in range(3):
            tracker.epoch(replace(RECORD, epoch=epoch))
    with pytest.raises(RuntimeError, match="half-way"), trackers.opened(["mlflow"], run, "a/b"):
        raise RuntimeError("half-way")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mini' / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mini")
    runs = {run.info.status: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"FINISHED", "FAILED"}
    assert {run.info.run_name for run in runs.values()} == {"a/b"}
    whole = runs["FINISHED"]
    assert whole.data.metrics == SCALARS
    for name, value in SCALARS.items():
        history = client.get_metric_history(whole.info.run_id, name)
        assert [(each.step, each.value) for each in history] == [(e, value) for e in range(3)]


def test_mlflow_ends_the_run_of_a_job_that_was_killed(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")
    killed, other = (trackers.open("mlflow", tmp_path / "mini", cell) for cell in ("a/b", "a/c"))
    killed.epoch(RECORD)
    with trackers.opened(["mlflow"], RunFolder(tmp_path / "mini"), "a/b"):
        pass
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mini' / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mini")
    runs = client.search_runs([experiment.experiment_id])
    assert sorted((run.info.run_name, run.info.status) for run in runs) == [
        ("a/b", "FINISHED"),
        ("a/b", "KILLED"),
        ("a/c", "RUNNING"),
    ]
    other.close()


class Listener:
    """A tracker that keeps what it gets."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.records: list[EpochRecord] = []
        self.ends: list[bool] = []
        self.done: list[int] = []

    def epoch(self, record: EpochRecord) -> None:
        found = progress.read(self.state)
        assert found is not None
        self.done.append(found[0].done)
        self.records.append(record)

    def close(self, *, failed: bool = False) -> None:
        self.ends.append(failed)


@pytest.fixture
def inputs(
    small: Corpus, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> JobInputs:
    monkeypatch.setattr(trackers, "require_installed", lambda name: None)
    x = rng.normal(size=(len(small.texts), 8)).astype(np.float32)
    given = job_inputs(small, x, tmp_path)
    del given["out"]  # each test's own
    return given


def test_a_tracker_gets_the_epoch_log_and_changes_no_result(
    inputs: JobInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Listener(inputs["state"])
    monkeypatch.setattr(trackers, "TRACKERS", {"listener": lambda folder, cell: listener})
    monkeypatch.setattr(progress, "WRITE_SECONDS", 0.0)  # each epoch, however short
    options = parse(CellOptions, {"training": {"epochs": 3, "batch_size": 4}}, "test")
    Job(options=options, out=tmp_path / "plain", **{**inputs, "state": tmp_path / "other"}).run()
    Job(options=options, out=tmp_path / "told", tracker_names=["listener"], **inputs).run()
    assert listener.records == epoch_log.read(tmp_path / "told" / "epochs.jsonl")
    assert listener.done == list(range(1, len(listener.records) + 1))
    assert listener.ends == [False]
    for name in set(RESULTS) - {"seconds.json"}:
        assert (tmp_path / "told" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


def test_a_tracker_learns_that_a_job_failed(
    inputs: JobInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Listener(inputs["state"])
    monkeypatch.setattr(trackers, "TRACKERS", {"listener": lambda folder, cell: listener})
    options = parse(CellOptions, {"training": {"batch_size": 99}}, "test")
    with pytest.raises(InputError, match=r"training\.batch_size"):
        Job(options=options, out=tmp_path / "out", tracker_names=["listener"], **inputs).run()
    assert listener.ends == [True]


def test_a_tracker_of_a_resumed_job_gets_the_epochs_before(
    inputs: JobInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listeners: list[Listener] = []

    def listen(folder: Path, cell: str) -> Listener:
        listeners.append(Listener(inputs["state"]))
        return listeners[-1]

    monkeypatch.setattr(trackers, "TRACKERS", {"listener": listen})
    options = parse(CellOptions, {"training": {"epochs": 4, "batch_size": 4}}, "test")
    job = Job(options=options, out=tmp_path / "out", tracker_names=["listener"], **inputs)
    append = epoch_log.append

    def killed(path: Path, record: EpochRecord) -> None:
        if record.epoch == 2:
            raise KeyboardInterrupt
        append(path, record)

    with monkeypatch.context() as patch:
        patch.setattr(epoch_log, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            job.run()
    job.run()
    before, after = listeners
    assert [record.epoch for record in before.records] == [0, 1]
    assert after.records == epoch_log.read(tmp_path / "out" / "epochs.jsonl")


def test_the_cells_of_a_run_tell_the_trackers_that_it_names(
    corpus: Corpus, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = a_run(tmp_path, corpus, tiny_bert, trackers=["mlflow", "tensorboard"])
    told: list[tuple[str, str]] = []

    def begin(name: str) -> Callable[[Path, str], Listener]:
        def listen(folder: Path, cell: str) -> Listener:
            told.append((name, cell))
            return Listener(batch.folder.state(cell).path)

        return listen

    monkeypatch.setattr(trackers, "TRACKERS", {name: begin(name) for name in trackers.TRACKERS})
    monkeypatch.setattr(trackers, "require_installed", lambda name: None)
    command = ["train", "--run", str(tmp_path), *(cell.name for cell in batch.cells)]
    assert main(command) == 0
    assert told == [(name, cell.name) for cell in batch.cells for name in ("mlflow", "tensorboard")]
