"""One training job as a process: lease a device, train, leave the results beside each other.

What must survive a job that is killed (the epoch log, the reason of a failure) lies in a state
folder that Snakemake does not know; results are moved to the output folder when all are there.
"""

import dataclasses
import errno
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from counterpoint import (
    config,
    corpus,
    devices,
    encoder,
    evaluation,
    files,
    progress,
    runlog,
    trackers,
)
from counterpoint.errors import InputError
from counterpoint.model import save_weights
from counterpoint.provenance import provenance
from counterpoint.training import Trainer

RESULTS = (
    "epochs.jsonl",
    "records.parquet",
    "model.safetensors",
    "options.json",
    "provenance.json",
    "seconds.json",
    "outcome.json",
)
"""The files that a cell leaves, in the order they are moved in: with the last it is whole."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A cell to train, what it reads, and where it writes; see `counterpoint train --help`."""

    options: config.CellOptions
    arguments: Path
    features: Path | None
    """Outputs of a frozen encoder."""
    tokens: Path | None
    """Tokens for a live one."""
    threads: int
    jobs_per_gpu: int
    state: Path
    """Folder for what a running job leaves; of this cell alone."""
    out: Path
    tracker_names: Sequence[str] = ()
    """Names of `trackers.TRACKERS` that get the epoch log too; they change no result."""

    def run(self) -> None:
        """Train the cell and write its results.

        Raises:
            InputError: the inputs do not fit together, or another process trains this cell.
        """
        frozen = self.options.encoder.trainable == "none"
        if frozen != (self.features is not None):
            wanted = "--features" if frozen else "--tokens"
            raise InputError(
                f"encoder.trainable: {self.options.encoder.trainable!r} needs {wanted}"
            )
        self.state.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.state / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"{self.state}: another process is training this cell; wait for it"
            ) from None
        try:
            failure = self.state / "failure.json"
            failure.unlink(missing_ok=True)
            try:
                with (
                    progress.Reporter(self.state, self.options) as reporter,
                    trackers.opened(self.tracker_names, self.out) as followers,
                ):
                    self._train(reporter, followers)
            except Exception as error:
                # The summary tells of failed cells; the error itself goes on to whoever called.
                files.write_json(failure, {"reason": f"{type(error).__name__}: {error}"})
                raise
        finally:
            lock.release()

    def _train(self, reporter: progress.Reporter, followers: Sequence[trackers.Tracker]) -> None:
        started = time.time()
        torch.set_num_threads(self.threads)
        read = corpus.read_arguments(self.arguments)
        with devices.device_for_job(self.jobs_per_gpu) as name:
            if name == "cuda":
                # The same cell on the same machine gives the same log; kernels that cannot promise
                # it warn.
                os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
                torch.use_deterministic_algorithms(True, warn_only=True)
            device = torch.device(name)
            trainer = Trainer(self.options, read, self._encoder(read), device)
            log = self.state / "epochs.jsonl"
            log.unlink(missing_ok=True)
            ready = time.time()

            def on_epoch(record: dict[str, Any]) -> None:
                runlog.append(log, record)
                reporter.epoch(record, epoch_line(record))
                for follower in followers:
                    follower.epoch(record)

            reporter.begin()
            outcome = trainer.run(on_epoch)
            reporter.close_bar()
            print(f"{outcome.status}: {outcome.reason}", file=sys.stderr, flush=True)
            with trainer.watch("final evaluation"):
                evaluation.write_records(trainer.records(), self.state / "records.parquet")
            save_weights(trainer.model, self.state / "model.safetensors")
            facts = provenance(
                read, device=device_name(device), threads=self.threads, seed=self.options.seed
            )
        ended = time.time()
        stages = {"load": ready - started, **trainer.watch.seconds, "total": ended - started}
        files.write_json(self.state / "options.json", self.options.model_dump(mode="json"))
        files.write_json(self.state / "outcome.json", dataclasses.asdict(outcome))
        files.write_json(self.state / "provenance.json", facts)
        files.write_json(
            self.state / "seconds.json",
            {
                "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
                "ended": datetime.fromtimestamp(ended, UTC).isoformat(timespec="seconds"),
                **{stage: round(seconds, 3) for stage, seconds in stages.items()},
            },
        )
        _move(self.state, self.out)

    def _encoder(self, read: corpus.Corpus) -> encoder.FrozenFeatures | encoder.LiveEncoder:
        if self.features is not None:
            return encoder.FrozenFeatures(encoder.read_features(self.features, read))
        if self.tokens is None:
            raise InputError("a live encoder needs --tokens")
        tokens = encoder.read_tokens(self.tokens, read)
        return encoder.LiveEncoder(self.options.encoder, tokens)


def _move(state: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name in RESULTS:
        try:
            os.replace(state / name, out / name)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # The state lies on another disk: copy beside the target first.
            with files.replacing(out / name) as temporary:
                shutil.copyfile(state / name, temporary)
            (state / name).unlink()


def device_name(device: torch.device) -> str:
    """What a result's provenance calls the device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def epoch_line(record: dict[str, Any]) -> str:
    """One epoch in one line, for a person who watches."""
    parts = [f"epoch {record['epoch']:3d}", f"random {record['random_rate']:.3f}"]
    parts += [f"{role} loss {loss['total']:.4f}" for role, loss in record["losses"].items()]
    for role, protocol in (("train", "official"), ("dev", "clean"), ("test", "clean")):
        figures = record["accuracy"].get(role, {}).get(protocol)
        if figures:
            parts.append(f"{role} {figures['retrieval']:.1%} → {figures['reranked']:.1%}")
    return "  ".join([*parts, *record["events"]])
