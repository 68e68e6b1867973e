"""TensorBoard and MLflow, as extras: the epoch log once more, for those who look there.

They get the very records of the epoch log and change no result. Each import waits until the tracker
is asked for.
"""

import dataclasses
import importlib.util
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock

from counterpoint.errors import InputError
from counterpoint.results.epoch_log import EpochRecord
from counterpoint.runs.folder import RunFolder


class Tracker(Protocol):
    """One cell's place in a tracker."""

    def epoch(self, record: EpochRecord) -> None:
        """Add an epoch's record."""

    def close(self, *, failed: bool = False) -> None:
        """End it."""


def metrics(record: EpochRecord) -> dict[str, float]:
    """The numbers of a record but `epoch`, by path: `accuracy/dev/clean/recall_at_10`.

    What is no number is left out. MLflow takes no `@` in a name.
    """
    values = dataclasses.asdict(record)
    del values["epoch"]
    return dict(_numbers(values, ""))


def _numbers(values: Mapping[str, object], prefix: str) -> Iterator[tuple[str, float]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and math.isfinite(value):
            yield (prefix + key).replace("@", "_at_"), float(value)


class _TensorBoard:
    def __init__(self, folder: Path, cell: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        events = folder / "tensorboard" / cell
        # It would draw the curves of an earlier training of the cell on top.
        shutil.rmtree(events, ignore_errors=True)
        self._writer: Any = SummaryWriter(str(events))

    def epoch(self, record: EpochRecord) -> None:
        for name, value in metrics(record).items():
            self._writer.add_scalar(name, value, record.epoch)
        self._writer.flush()

    def close(self, *, failed: bool = False) -> None:  # noqa: ARG002  it has no word for it
        self._writer.close()


class _MLflow:
    def __init__(self, folder: Path, cell: str) -> None:
        # It would tell its makers about each call.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient
        from mlflow.entities import Metric

        self._metric = Metric
        store = (folder / "mlflow").absolute()
        store.mkdir(parents=True, exist_ok=True)
        # Cells that start together would each create the tables and the experiment; later on
        # SQLite gives up on a file that another one holds for long.
        self._lock = FileLock(store / "lock")
        with self._lock:
            # MLflow takes no plain folder of files any more.
            self._client = MlflowClient(tracking_uri=f"sqlite:///{store / 'mlflow.db'}")
            name = folder.absolute().name
            experiment_of_run = self._client.get_experiment_by_name(name)
            experiment = (
                experiment_of_run.experiment_id
                if experiment_of_run
                else self._client.create_experiment(name, (store / "artifacts").as_uri())
            )
            # A kill left them open; the job that takes the cell up tells of all its epochs.
            for run in self._client.search_runs([experiment], "attributes.status = 'RUNNING'"):
                if run.info.run_name == cell:
                    self._client.set_terminated(run.info.run_id, "KILLED")
            self._run = self._client.create_run(experiment, run_name=cell).info.run_id

    def epoch(self, record: EpochRecord) -> None:
        now = int(time.time() * 1000)
        values = [
            self._metric(name, value, now, record.epoch) for name, value in metrics(record).items()
        ]
        with self._lock:
            self._client.log_batch(self._run, metrics=values)

    def close(self, *, failed: bool = False) -> None:
        with self._lock:
            self._client.set_terminated(self._run, "FAILED" if failed else "FINISHED")


TRACKERS: Mapping[str, Callable[[Path, str], Tracker]] = {
    "tensorboard": _TensorBoard,
    "mlflow": _MLflow,
}
"""Name, which is also the extra's and the package's, to what writes there."""


def open(name: str, folder: Path, cell: str) -> Tracker:
    """Begin a cell in a tracker: `folder/tensorboard/CELL`, or a run of `folder/mlflow/mlflow.db`.

    Args:
        name: of `TRACKERS`.
        folder: of the run.
        cell: its name.

    Raises:
        InputError: see `require_installed`.
    """
    require_installed(name)
    return TRACKERS[name](folder, cell)


def require_installed(name: str) -> None:
    """Look for a tracker's package, without importing it.

    Raises:
        InputError: there is no such tracker, or its extra is not installed.
    """
    if name not in TRACKERS:
        raise InputError(f"tracker {name!r}: expected one of {', '.join(TRACKERS)}")
    if importlib.util.find_spec(name) is None:
        raise InputError(
            f"tracker {name!r} needs the package {name}, which is not installed; run "
            f"pip install '.[{name}]'"
        )


@contextmanager
def opened(names: Sequence[str], run: RunFolder, cell: str) -> Iterator[list[Tracker]]:
    """The trackers of a job while its body runs; ended as failed where that raises.

    Args:
        names: of `TRACKERS`.
        run: that the cell belongs to.
        cell: its name.

    Raises:
        InputError: as `open`.
    """
    trackers: list[Tracker] = []
    failed = True
    try:
        for name in dict.fromkeys(names):
            # One after the other, so that those begun are ended where the next one cannot be.
            trackers.append(open(name, run.path, cell))  # noqa: PERF401
        yield trackers
        failed = False
    finally:
        for tracker in trackers:
            tracker.close(failed=failed)
