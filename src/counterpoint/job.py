"""One training job as a process: lease a device, train, leave the results beside each other.

What must survive a job that is killed (the epoch log, the reason of a failure) lies in a state
folder that Snakemake does not know; results are moved to the output folder when all are there.
"""

import errno
import os
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from counterpoint import config, corpus, devices, encoder, evaluation, files, runlog
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


def run_cell(
    options: config.CellOptions,
    *,
    arguments: Path,
    features: Path | None,
    tokens: Path | None,
    threads: int,
    jobs_per_gpu: int,
    state: Path,
    out: Path,
) -> None:
    """Train one cell and write its results; see `counterpoint train --help`.

    Raises:
        InputError: the inputs do not fit together, or another process trains this cell.
    """
    frozen = options.encoder.trainable == "none"
    if frozen != (features is not None):
        wanted = "--features" if frozen else "--tokens"
        raise InputError(f"encoder.trainable: {options.encoder.trainable!r} needs {wanted}")
    state.mkdir(parents=True, exist_ok=True)
    lock = FileLock(state / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"{state}: another process is training this cell; wait for it") from None
    try:
        failure = state / "failure.json"
        failure.unlink(missing_ok=True)
        try:
            _train(options, arguments, features, tokens, threads, jobs_per_gpu, state, out)
        except Exception as error:
            # The summary tells of failed cells; the error itself goes on to whoever called.
            files.write_json(failure, {"reason": f"{type(error).__name__}: {error}"})
            raise
    finally:
        lock.release()


def _train(
    options: config.CellOptions,
    arguments: Path,
    features: Path | None,
    tokens: Path | None,
    threads: int,
    jobs_per_gpu: int,
    state: Path,
    out: Path,
) -> None:
    started = time.time()
    torch.set_num_threads(threads)
    read = corpus.read_arguments(arguments)
    with devices.device_for_job(jobs_per_gpu) as name:
        device = torch.device(name)
        if name == "cuda":
            # The same cell on the same machine gives the same log; kernels that cannot promise it
            # warn.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True, warn_only=True)
        texts = _encoder(options, read, features, tokens)
        trainer = Trainer(options, read, texts, device)
        log = state / "epochs.jsonl"
        log.unlink(missing_ok=True)
        ready = time.time()

        def on_epoch(record: dict[str, Any]) -> None:
            runlog.append(log, record)
            print(epoch_line(record), file=sys.stderr, flush=True)

        outcome = trainer.run(on_epoch)
        print(f"{outcome.status}: {outcome.reason}", file=sys.stderr, flush=True)
        with trainer.watch("final evaluation"):
            evaluation.write_records(trainer.records(), state / "records.parquet")
        save_weights(trainer.model, state / "model.safetensors")
        facts = provenance(read, device=device_name(device), threads=threads, seed=options.seed)
    files.write_json(state / "options.json", options.model_dump(mode="json"))
    files.write_json(
        state / "outcome.json",
        {
            "status": outcome.status,
            "reason": outcome.reason,
            "epochs": outcome.epochs,
            "best_epoch": outcome.best_epoch,
            "parameters": dict(outcome.parameters),
        },
    )
    files.write_json(state / "provenance.json", facts)
    ended = time.time()
    stages = {"load": ready - started, **trainer.watch.seconds, "total": ended - started}
    files.write_json(
        state / "seconds.json",
        {
            "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
            "ended": datetime.fromtimestamp(ended, UTC).isoformat(timespec="seconds"),
            **{stage: round(seconds, 3) for stage, seconds in stages.items()},
        },
    )
    _move(state, out)


def _encoder(
    options: config.CellOptions, read: corpus.Corpus, features: Path | None, tokens: Path | None
) -> encoder.FrozenFeatures | encoder.LiveEncoder:
    if features is not None:
        return encoder.FrozenFeatures(encoder.read_features(features, read))
    if tokens is None:
        raise InputError("a live encoder needs --tokens")
    return encoder.LiveEncoder(options.encoder, encoder.read_tokens(tokens, read))


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
