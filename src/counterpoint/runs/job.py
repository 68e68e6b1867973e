"""One training job as a process: lease a device, train, leave the results beside each other.

What must survive a job that is killed (checkpoint, epoch log, the reason of a failure) lies in a
state folder that Snakemake does not know; results go to the output folder when all are there.
"""

import contextlib
import dataclasses
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from counterpoint.config import options as options_module
from counterpoint.corpus import arguments as arguments_module
from counterpoint.encoders import features as features_module
from counterpoint.encoders import live as live_module
from counterpoint.encoders import tokens as tokens_module
from counterpoint.encoders.encoder import Encoder
from counterpoint.errors import InputError, Interrupted
from counterpoint.evaluation import records
from counterpoint.io import atomic
from counterpoint.models.weights import save_weights
from counterpoint.results import epoch_log
from counterpoint.runs import devices, progress, trackers
from counterpoint.runs.provenance import identity_of, provenance
from counterpoint.training import checkpoint
from counterpoint.training.memory import out_of_memory
from counterpoint.training.trainer import Outcome, Trainer

LOCK_SECONDS = 5.0

RESULTS = (
    "epochs.jsonl",
    "records.parquet",
    "model.safetensors",
    "options.json",
    "provenance.json",
    "seconds.json",
    "outcome.json",
)
"""The files that a cell leaves; with the last, `outcome.json`, it is whole."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A cell to train, what it reads, and where it writes; see `counterpoint train --help`."""

    options: options_module.CellOptions
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
    checkpoint_steps: int | None = None
    """Save the state every so many steps too, and not after each epoch alone."""
    tracker_names: Sequence[str] = ()
    """Names of `trackers.TRACKERS` that get the epoch log too; they change no result."""

    def run(self) -> None:
        """Train the cell, from where it was if it was killed, and write its results.

        Raises:
            InputError: the inputs do not fit together, or another process trains this cell.
            Interrupted: SIGTERM or Ctrl-C came; the state is saved.
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
            # Not at once, for `counterpoint clean` holds it for a moment.
            lock.acquire(timeout=LOCK_SECONDS)
        except Timeout:
            raise InputError(
                f"{self.state}: another process is training this cell; wait for it"
            ) from None
        try:
            failure = self.state / "failure.json"
            failure.unlink(missing_ok=True)
            try:
                with (
                    devices.no_denormals(),
                    progress.Reporter(self.state, self.options) as reporter,
                    trackers.opened(self.tracker_names, self.out) as followers,
                    terminated() as interrupted,
                    _lack_of_memory_told(),
                ):
                    self._train(reporter, followers, interrupted)
            except Interrupted:
                raise
            except Exception as error:
                # The summary tells of failed cells; the error itself goes on to whoever called,
                # even where the disk is full.
                with contextlib.suppress(OSError):
                    atomic.write_json(failure, {"reason": f"{type(error).__name__}: {error}"})
                raise
        finally:
            lock.release()

    def _train(
        self,
        reporter: progress.Reporter,
        followers: Sequence[trackers.Tracker],
        interrupted: Callable[[], bool],
    ) -> None:
        started = time.time()
        devices.keep_freed_memory()
        torch.set_num_threads(self.threads)
        read = arguments_module.read_arguments(self.arguments)
        with devices.device_for_job(self.jobs_per_gpu, interrupted) as name:
            if name == "cuda":
                # The same cell on the same machine gives the same log; kernels that cannot promise
                # it warn.
                os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
                torch.use_deterministic_algorithms(True, warn_only=True)
                # Nothing here reads memory that it has not written; torch declares no such field.
                deterministic: Any = torch.utils.deterministic
                deterministic.fill_uninitialized_memory = False
            device = torch.device(name)
            encoder_module, inputs = self._encoder(read)
            folder = checkpoint.Folder(
                self.state,
                identity_of(
                    self.options, read, inputs, encoder_module, self.threads, device_name(device)
                ),
            )
            log = folder.path / "epochs.jsonl"
            if (folder.path / RESULTS[-1]).exists():
                _follow(log, followers)
                print("trained before; its results are put in place", file=sys.stderr)
            else:
                trainer = Trainer(self.options, read, encoder_module, device)
                self._resume(trainer, folder, log, reporter)
                _follow(log, followers)
                trainer.watch.seconds["load"] += time.time() - started
                outcome = self._epochs(trainer, folder, log, reporter, followers, interrupted)
                self._write_results(trainer, outcome, read, folder.path, started)
        publish(folder.path, self.out)

    def _epochs(
        self,
        trainer: Trainer,
        folder: checkpoint.Folder,
        log: Path,
        reporter: progress.Reporter,
        followers: Sequence[trackers.Tracker],
        interrupted: Callable[[], bool],
    ) -> Outcome:
        """Train to the end; log and state are kept up to date on the way."""

        def save() -> None:
            with trainer.watch("save"):
                folder.save(trainer.state())

        def on_epoch(record: dict[str, Any]) -> None:
            epoch_log.append(log, record)
            reporter.epoch(record, epoch_line(record))
            for follower in followers:
                follower.epoch(record)

        reporter.begin()
        outcome = trainer.run(
            on_epoch, save=save, save_steps=self.checkpoint_steps, interrupted=interrupted
        )
        reporter.close_bar()
        print(f"{outcome.status}: {outcome.reason}", file=sys.stderr, flush=True)
        return outcome

    def _write_results(
        self,
        trainer: Trainer,
        outcome: Outcome,
        read: arguments_module.Corpus,
        folder: Path,
        started: float,
    ) -> None:
        """What `RESULTS` names beside the log, into the state's folder; the outcome last."""
        with trainer.watch("final evaluation"):
            records.write_records(trainer.records(), folder / "records.parquet")
        save_weights(trainer.model, folder / "model.safetensors")
        facts = provenance(
            read,
            device=device_name(trainer.device),
            threads=self.threads,
            seed=self.options.seed,
        )
        ended = time.time()
        stages = {**trainer.watch.seconds, "total": sum(trainer.watch.seconds.values())}
        atomic.write_json(folder / "options.json", self.options.model_dump(mode="json"))
        atomic.write_json(folder / "provenance.json", facts)
        atomic.write_json(
            folder / "seconds.json",
            {
                "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
                "ended": datetime.fromtimestamp(ended, UTC).isoformat(timespec="seconds"),
                **{stage: round(seconds, 3) for stage, seconds in stages.items()},
            },
        )
        atomic.write_json(folder / RESULTS[-1], dataclasses.asdict(outcome))

    def _resume(
        self,
        trainer: Trainer,
        folder: checkpoint.Folder,
        log: Path,
        reporter: progress.Reporter,
    ) -> None:
        """Take up a saved state; the log loses what was written after it."""
        saved = folder.load()
        if saved is None:
            log.unlink(missing_ok=True)
            return
        trainer.restore(saved)
        epoch_log.truncate(log, trainer.epoch)
        reporter.resume(trainer.epoch)
        print(
            f"goes on in epoch {trainer.epoch}, after {trainer.passed.steps} steps of it",
            file=sys.stderr,
            flush=True,
        )

    def _encoder(
        self, read: arguments_module.Corpus
    ) -> tuple[Encoder, Path]:
        """The encoder, and the file that it was made from."""
        if self.features is not None:
            features = features_module.read_features(self.features, read, self.options.encoder)
            return features_module.FrozenFeatures(features), self.features
        if self.tokens is None:
            raise InputError("a live encoder needs --tokens")
        tokens = tokens_module.read_tokens(self.tokens, read, self.options.encoder)
        live = live_module.LiveEncoder(self.options.encoder, tokens)
        if isinstance(self.options.encoder.trainable, int) and not live.computes_lower_layers_once:
            print(
                "encoder.trainable: the layers that do not learn are computed in every step; with "
                "encoder.dropout: 0 and compile: false they are computed once",
                file=sys.stderr,
                flush=True,
            )
        return live, self.tokens


def _follow(log: Path, followers: Sequence[trackers.Tracker]) -> None:
    """Tell the followers of the epochs that are in the log already."""
    for record in epoch_log.read(log) if log.exists() else []:
        for follower in followers:
            follower.epoch(record)


@contextlib.contextmanager
def _lack_of_memory_told() -> Iterator[None]:
    """A lack of memory beyond the encoder's batches, which the trainer cuts by itself."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(
            "out of memory outside the encoder's batches; lower resources.jobs_per_gpu, "
            f"encoder.batch_tokens or training.batch_size ({reason})"
        ) from error


@contextlib.contextmanager
def terminated() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or Ctrl-C has come, which for the time being ends nothing.

    A second Ctrl-C ends the process at once; where Ctrl-C is ignored, as in a background job of a
    shell, it stays so.
    """
    came = False
    signs = (signal.SIGTERM, signal.SIGINT)
    before = {sign: signal.getsignal(sign) for sign in signs}
    before = {sign: handler for sign, handler in before.items() if handler != signal.SIG_IGN}

    def note(number: int, frame: object) -> None:  # noqa: ARG001  as signal wants it
        nonlocal came
        came = True
        # Unlike print, of use in the middle of anything.
        os.write(2, b"asked to stop: saves and stops after this step\n")
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, before[signal.SIGINT])

    # Only a process's main thread may handle signals; tests and notebooks have others.
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    try:
        for sign in before:
            signal.signal(sign, note)
        yield lambda: came
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def publish(state: Path, out: Path) -> None:
    """Put a cell's results beside each other.

    The state keeps them too, as links where the disk has such: Snakemake deletes the outputs of a
    job that is killed before it has heard of its end, and the next run takes them from there.
    `counterpoint clean` removes them.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name in RESULTS:
        with atomic.replacing(out / name) as temporary:
            temporary.unlink()
            try:
                os.link(state / name, temporary)
            except OSError:  # another disk, or one without links
                shutil.copyfile(state / name, temporary)
    (state / checkpoint.STATE).unlink(missing_ok=True)


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
