"""One cell from its inputs to its results: train, keep what a kill must not lose, publish.

What must survive a job that is killed (checkpoint, epoch log, the reason of a failure) lies in a
state folder that Snakemake does not know; results go to the output folder when all are there.
"""

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from counterpoint.config.options import CellOptions
from counterpoint.encoders.arrays import commit_in
from counterpoint.errors import InputError, Interrupted
from counterpoint.evaluation.records import write_records
from counterpoint.io import atomic
from counterpoint.models.weights import save_weights
from counterpoint.results import epoch_log
from counterpoint.results.epoch_log import EpochRecord
from counterpoint.results.files import Failure, Outcome, Provenance, Seconds
from counterpoint.runs import progress, trackers
from counterpoint.runs.folder import (
    HYBRID_WEIGHT,
    CellFolder,
    StateFolder,
    result_files,
    run_and_cell,
)
from counterpoint.runs.provenance import identity_of, provenance
from counterpoint.runs.stages import FirstStage, Stage, first_stage, second_stage
from counterpoint.runs.worker import Worker, at_work
from counterpoint.training.checkpoint import CheckpointFolder, Identity
from counterpoint.training.epochs import (
    CheckpointDue,
    Ended,
    EpochEnded,
    EpochTrainer,
    Evaluated,
    Event,
    StepTaken,
)
from counterpoint.training.memory import out_of_memory

LOCK_SECONDS = 5.0
"""How long a job waits for the cell's lock, which `counterpoint clean` holds for a moment."""

CHECKPOINT_SECONDS = 30.0
"""So much training a kill may cost, and an epoch more."""


@dataclass(frozen=True)
class Followers:
    """Who is told of each epoch while a job runs."""

    reporter: progress.Reporter
    trackers: Sequence[trackers.Tracker]

    def catch_up(self, log: Path) -> None:
        """Tell the trackers of the epochs that are in the log already."""
        for record in epoch_log.read(log) if log.exists() else []:
            self._track(record)

    def epoch(self, record: EpochRecord) -> None:
        """Tell of an epoch that has ended."""
        self.reporter.epoch(record)
        self._track(record)

    def _track(self, record: EpochRecord) -> None:
        for tracker in self.trackers:
            tracker.epoch(record)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A cell to train, what it reads, and where it writes; see `counterpoint train --help`."""

    options: CellOptions
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
    first: FirstStage | None = None
    """Of a cell with a cross-encoder, whose tokens are in `pairs`; the other texts are its own."""
    pairs: Path | None = None
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    """Save a checkpoint when so much time would be lost; an epoch's end is the next occasion."""
    checkpoint_steps: int | None = None
    """Save one every so many steps too."""
    tracker_names: Sequence[str] = ()
    """Names of `trackers.TRACKERS` that get the epoch log too; they change no result."""

    def run(self) -> None:
        """Train the cell in a process of its own; see `train`."""
        with at_work(self.threads, self.jobs_per_gpu) as worker:
            self.train(worker)

    def train(self, worker: Worker) -> None:
        """Train the cell, from where it was if it was killed, and write its results.

        A finished cell of the same options and inputs is left alone.

        Raises:
            InputError: the inputs do not fit together, or another process trains this cell.
            Interrupted: SIGTERM or Ctrl-C came; a checkpoint is saved.
        """
        self.state.mkdir(parents=True, exist_ok=True)
        state = StateFolder(self.state)
        with (
            _locked(state),
            _failure_told(state.failure),
            progress.Reporter(self.state, self.options) as reporter,
            _lack_of_memory_told(),
        ):
            started = time.time()
            stage = self._stage(worker)
            identity = identity_of(
                self.options,
                corpus=worker.inputs.corpus_hash(self.arguments),
                inputs=worker.inputs.file_hash(stage.inputs),
                encoder=stage.fingerprint,
                threads=self.threads,
                device=device_name(worker.device),
            )
            names = result_files(self.options)
            if _is_finished(CellFolder(self.out), names, identity):
                print("trained before; left alone", file=sys.stderr, flush=True)
                return
            with trackers.opened(self.tracker_names, *run_and_cell(self.out)) as opened:
                followers = Followers(reporter, opened)
                self._train(worker, stage, identity, followers, started)

    def _train(
        self,
        worker: Worker,
        stage: Stage,
        identity: Identity,
        followers: Followers,
        started: float,
    ) -> None:
        folder = CheckpointFolder(self.state, identity)
        results = CellFolder(folder.path)
        if results.outcome.exists():
            followers.catch_up(results.epochs)
            print("trained before; its results are put in place", file=sys.stderr, flush=True)
        else:
            trainer = stage.trainer(worker.inputs.data(self.arguments))
            _resume(trainer, folder, results.epochs, followers.reporter)
            followers.catch_up(results.epochs)
            trainer.state.watch.seconds["load"] += time.time() - started
            outcome, evaluated = self._events(
                trainer, folder, results.epochs, followers, worker.asked_to_stop
            )
            facts = self._facts(stage, identity)
            self._write(trainer, facts, outcome, evaluated, results, started)
        publish(results, result_files(self.options), self.out)
        folder.remove()

    def _events(
        self,
        trainer: EpochTrainer,
        folder: CheckpointFolder,
        log: Path,
        followers: Followers,
        asked_to_stop: Callable[[], bool],
    ) -> tuple[Outcome, Evaluated]:
        """Train to the end; log and checkpoint are kept up to date on the way.

        Raises:
            Interrupted: the job was asked to stop, and has saved a checkpoint.
        """
        outcome: Outcome | None = None
        saved = time.monotonic()
        followers.reporter.begin()
        for event in trainer.events():
            match event:
                case EpochEnded(record):
                    epoch_log.append(log, record)
                    followers.epoch(record)
                case Ended(outcome):
                    followers.reporter.close_bar()
                    print(f"{outcome.status}: {outcome.reason}", file=sys.stderr, flush=True)
                case Evaluated() if outcome is not None:
                    return outcome, event
            stop = asked_to_stop()
            if stop or self._saves_after(event, time.monotonic() - saved):
                with trainer.state.watch("save"):
                    folder.save(trainer.state.checkpoint())
                saved = time.monotonic()
            if stop:
                raise Interrupted(
                    "asked to stop; the state is saved, and the same command goes on from there"
                )
        raise AssertionError("a trainer's last event is `Evaluated`")

    def _saves_after(self, event: Event, unsaved: float) -> bool:
        """Whether to save now, with so many seconds of work unsaved."""
        if isinstance(event, StepTaken):
            every = self.checkpoint_steps
            return every is not None and event.steps % every == 0
        return isinstance(event, CheckpointDue) and unsaved >= self.checkpoint_seconds

    def _write(
        self,
        trainer: EpochTrainer,
        facts: Provenance,
        outcome: Outcome,
        evaluated: Evaluated,
        results: CellFolder,
        started: float,
    ) -> None:
        """What a cell leaves beside its log; the outcome last."""
        watch = trainer.state.watch
        with watch("final evaluation"):
            write_records(evaluated.results, results.records)
        if evaluated.weight is not None:
            evaluated.weight.write(results.hybrid_weight)
        save_weights(trainer.state.model, results.model)
        seconds = Seconds(
            started=_iso(started),
            ended=_iso(time.time()),
            total=round(sum(watch.seconds.values()), 3),
            stages={stage: round(spent, 3) for stage, spent in watch.seconds.items()},
        )
        atomic.write_json(results.options, self.options.model_dump(mode="json"))
        facts.write(results.provenance)
        seconds.write(results.seconds)
        outcome.write(results.outcome)

    def _facts(self, stage: Stage, identity: Identity) -> Provenance:
        return provenance(
            corpus=identity.corpus,
            encoder_commit=commit_in(stage.inputs),
            prompts=stage.prompts,
            first_stage=self.first.name if self.first else None,
            device=identity.device,
            threads=self.threads,
            seed=self.options.seed,
        )

    def _stage(self, worker: Worker) -> Stage:
        """What this job trains.

        Raises:
            InputError: its inputs cannot be used.
        """
        if self.options.reads_pairs:
            if self.first is None or self.pairs is None:
                raise InputError("reranker.kind: 'cross_encoder' needs a first stage and tokens")
            return second_stage(self.options, self.arguments, self.pairs, self.first, worker)
        frozen = self.options.encoder.trainable == "none"
        path = self.features if frozen else self.tokens
        if path is None or frozen == (self.features is None):
            wanted = "features" if frozen else "tokens"
            raise InputError(
                f"encoder.trainable: {self.options.encoder.trainable!r} needs {wanted}"
            )
        return first_stage(self.options, self.arguments, path, worker)


def _is_finished(results: CellFolder, names: Sequence[str], identity: Identity) -> bool:
    """Whether a cell's results are all there by name, and are what training it again would mean.

    Results of other code of the same training version, of other libraries or another device are
    kept, as Snakemake keeps them.
    """
    return (
        all((results.path / name).is_file() for name in names)
        and Identity.read(results.identity).results_of == identity.results_of
    )


@contextlib.contextmanager
def _locked(state: StateFolder) -> Iterator[None]:
    """Hold a cell's lock.

    Raises:
        InputError: another process trains the cell.
    """
    lock = FileLock(state.lock)
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except Timeout:
        raise InputError(
            f"{state.path}: another process is training this cell; wait for it"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _failure_told(path: Path) -> Iterator[None]:
    """Leave the reason of a failure, for the summary; the error itself goes on to the caller."""
    path.unlink(missing_ok=True)
    try:
        yield
    except Interrupted:
        raise
    except Exception as error:
        # Even where the disk is full.
        with contextlib.suppress(OSError):
            Failure(f"{type(error).__name__}: {error}").write(path)
        raise


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


def _resume(
    trainer: EpochTrainer, folder: CheckpointFolder, log: Path, reporter: progress.Reporter
) -> None:
    """Take up a saved checkpoint; the log loses what was written after it."""
    saved = folder.load()
    if saved is None:
        log.unlink(missing_ok=True)
        return
    trainer.restore(saved)
    epoch, steps = saved.facts.epoch, saved.facts.steps
    epoch_log.truncate(log, epoch)
    reporter.resume(epoch)
    print(f"goes on in epoch {epoch}, after {steps} steps of it", file=sys.stderr, flush=True)


def publish(results: CellFolder, names: Sequence[str], out: Path) -> None:
    """Put a cell's results beside each other, in the order of their names.

    The state folder keeps them too, as links where the disk has such: Snakemake deletes the outputs
    of a job that is killed before it has heard of its end, and the next run takes them from there.
    `counterpoint clean` removes them.
    """
    out.mkdir(parents=True, exist_ok=True)
    if HYBRID_WEIGHT not in names:
        (out / HYBRID_WEIGHT).unlink(missing_ok=True)  # of results that these replace
    for name in names:
        with atomic.replacing(out / name) as temporary:
            temporary.unlink()
            try:
                os.link(results.path / name, temporary)
            except OSError:  # another disk, or one without links
                shutil.copyfile(results.path / name, temporary)


def device_name(device: torch.device) -> str:
    """What a result's provenance calls the device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _iso(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
