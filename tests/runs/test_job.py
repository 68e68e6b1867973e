"""A job: all its files, killed at any write, refused, failed, or told to stop."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from filelock import FileLock

from counterpoint.corpus.arguments import Corpus, write_arguments
from counterpoint.encoders.features import same_outputs, write_features
from counterpoint.encoders.tokens import tokenise, write_tokens
from counterpoint.errors import InputError
from counterpoint.results import epoch_log
from counterpoint.results.files import Failure, Outcome, Provenance
from counterpoint.runs.folder import RESULTS, CellFolder, StateFolder, result_files
from counterpoint.runs.job import Job
from counterpoint.training.checkpoint import CheckpointFolder
from counterpoint.training.evaluation import CellEvaluation
from counterpoint.training.trainer import Trainer
from tests.support.training import JobInputs, cell, contaminated, features


def test_a_job_leaves_all_its_files_and_is_the_same_byte_for_byte(inputs: JobInputs) -> None:
    again = {key: inputs[key] for key in inputs} | {
        key: inputs[key].with_name(f"another-{key}") for key in ("state", "out")
    }
    Job(options=cell(), **inputs).run()
    Job(options=cell(), **again).run()
    assert sorted(path.name for path in inputs["out"].iterdir()) == sorted(RESULTS)
    for name in RESULTS:
        if name != "seconds.json":
            assert (inputs["out"] / name).read_bytes() == (again["out"] / name).read_bytes(), name
    left = CellFolder(inputs["out"])
    assert len(epoch_log.read(left.epochs)) == Outcome.read(left.outcome).epochs
    # The state keeps them, for when Snakemake never hears that the job has ended.
    (state,) = (path for path in inputs["state"].iterdir() if path.name != "lock")
    assert sorted(path.name for path in state.iterdir()) == sorted(RESULTS)


def test_results_that_were_deleted_are_put_back_without_training(
    inputs: JobInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    Job(options=cell(), **inputs).run()
    expected = {name: (inputs["out"] / name).read_bytes() for name in RESULTS}
    shutil.rmtree(inputs["out"])

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("trains")

    monkeypatch.setattr(Trainer, "events", refuse)
    Job(options=cell(), **inputs).run()
    assert {name: (inputs["out"] / name).read_bytes() for name in RESULTS} == expected


def test_a_finished_cell_is_left_alone_also_without_its_state(
    inputs: JobInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    Job(options=cell(), **inputs).run()
    shutil.rmtree(inputs["state"])
    before = {path: path.stat().st_ino for path in inputs["out"].iterdir()}

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("trains")

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "events", refuse)
        # As after an update of the program that changes no result.
        patch.setattr("counterpoint.runs.provenance.running_code", lambda: "other code")
        Job(options=cell(), **inputs).run()
        assert {path: path.stat().st_ino for path in inputs["out"].iterdir()} == before
        with pytest.raises(AssertionError, match="trains"):
            Job(options=cell(seed=2), **inputs).run()
    Job(options=cell(seed=2), **inputs).run()
    assert json.loads((inputs["out"] / "options.json").read_text())["seed"] == 2


@pytest.mark.parametrize(("seconds", "saves"), [(0.0, 4), (3600.0, 0)])
def test_a_checkpoint_is_written_when_there_is_something_to_lose(
    inputs: JobInputs, monkeypatch: pytest.MonkeyPatch, seconds: float, saves: int
) -> None:
    """Before the first epoch and after each of three, or never."""
    written = []
    monkeypatch.setattr(CheckpointFolder, "save", lambda _, checkpoint: written.append(checkpoint))
    Job(options=cell(), checkpoint_seconds=seconds, **inputs).run()
    assert len(written) == saves


class Killed(BaseException):
    """Stands for a process that is gone: nothing handles it."""


@pytest.mark.parametrize("first_stage", ["dense", "zscores"])
def test_a_job_killed_at_any_write_leaves_the_same_results(
    inputs: JobInputs, monkeypatch: pytest.MonkeyPatch, first_stage: str
) -> None:
    """Killed before the first write to disk, then before the second, and so on to the end."""
    whole = {**inputs, "out": inputs["out"].with_name("whole")}
    options = cell(training={"epochs": 2, "batch_size": 4}, evaluation={"first_stage": first_stage})
    Job(options=options, **{**whole, "state": inputs["state"].with_name("other")}).run()
    real = os.replace
    writes, kills = 0, 0

    def replace(source: Path, target: Path) -> None:
        nonlocal writes
        writes -= 1
        if writes == 0:
            raise Killed
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    while True:
        writes = kills + 1
        try:
            Job(options=options, checkpoint_seconds=0, checkpoint_steps=5, **inputs).run()
            break
        except Killed:
            kills += 1
    # Training, each of the results, and putting each in place.
    assert kills > len(result_files(options)) >= len(RESULTS)
    for name in result_files(options):
        if name != "seconds.json":
            assert (inputs["out"] / name).read_bytes() == (whole["out"] / name).read_bytes(), name


def test_a_log_that_was_cut_is_an_input_error(
    inputs: JobInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("counterpoint.runs.job.write_records", stop)
        with pytest.raises(Killed):
            Job(options=cell(), checkpoint_seconds=0, **inputs).run()
    (log,) = inputs["state"].glob("*/epochs.jsonl")
    log.write_bytes(log.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"epochs\.jsonl: the log of 3 epochs was cut"):
        Job(options=cell(), **inputs).run()


def test_a_lack_of_memory_beyond_the_encoder_is_an_input_error(
    inputs: JobInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nMore.")

    monkeypatch.setattr(CellEvaluation, "accuracy", full)
    with pytest.raises(InputError, match=r"jobs_per_gpu.*\(CUDA out of memory\.\)"):
        Job(options=cell(), **inputs).run()


@pytest.mark.parametrize(
    "changes", [{"max_tokens": 16}, {"pooling": "cls"}, {"revision": "v1"}], ids=str
)
def test_features_made_with_other_options_are_refused(
    corpus: Corpus, inputs: JobInputs, changes: dict[str, Any]
) -> None:
    made = cell(encoder={"max_tokens": 24}).encoder
    write_features(same_outputs(features(corpus)), corpus, inputs["features"], made)
    Job(options=cell(encoder={"max_tokens": 24}), **inputs).run()
    other = cell(encoder={"max_tokens": 24, **changes})
    with pytest.raises(
        InputError, match=rf"features\.safetensors: made with.*{next(iter(changes))}"
    ):
        Job(options=other, **inputs).run()


@pytest.mark.parametrize("commit", [None, "c" * 40])
def test_the_commit_of_an_encoder_on_the_hub_is_in_the_provenance(
    corpus: Corpus, inputs: JobInputs, commit: str | None
) -> None:
    outputs = replace(same_outputs(features(corpus)), commit=commit)
    write_features(outputs, corpus, inputs["features"])
    Job(options=cell(), **inputs).run()
    assert Provenance.read(CellFolder(inputs["out"]).provenance).encoder_commit == commit


def test_a_failed_job_leaves_its_reason_and_no_result(inputs: JobInputs) -> None:
    with pytest.raises(InputError, match=r"training\.batch_size"):
        Job(options=cell(training={"batch_size": 99}), **inputs).run()
    failure = StateFolder(inputs["state"]).failure
    assert "training.batch_size: 99" in Failure.read(failure).reason
    assert not inputs["out"].exists()
    Job(options=cell(), **inputs).run()
    assert not failure.exists()


def test_a_second_trainer_of_the_same_cell_is_refused(
    inputs: JobInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("counterpoint.runs.job.LOCK_SECONDS", 0)
    inputs["state"].mkdir()
    with (
        FileLock(StateFolder(inputs["state"]).lock),
        pytest.raises(InputError, match="another process is training this cell"),
    ):
        Job(options=cell(), **inputs).run()


def test_frozen_needs_features_and_live_needs_tokens(
    inputs: JobInputs, corpus: Corpus, tiny_bert: Path, tmp_path: Path
) -> None:
    encoder = {"name": str(tiny_bert), "max_tokens": 24, "trainable": "all"}
    options = cell(encoder=encoder, training={"epochs": 1, "batch_size": 4})
    with pytest.raises(InputError, match="needs tokens"):
        Job(options=options, **inputs).run()
    write_tokens(tokenise(corpus, options.encoder), corpus, tmp_path / "tokens.safetensors")
    live = {**inputs, "features": None, "tokens": tmp_path / "tokens.safetensors"}
    Job(options=options, **live).run()
    assert (inputs["out"] / "model.safetensors").stat().st_size > 1_000_000


def test_a_job_trains_on_what_the_table_of_arguments_says(
    corpus: Corpus, inputs: JobInputs
) -> None:
    shared, dropped = contaminated(corpus)
    write_features(same_outputs(features(shared)), shared, inputs["features"])
    queries = {}
    for value in ("none", "train"):
        write_arguments(replace(shared, decontaminate=value), inputs["arguments"])
        out = inputs["out"].with_name(value)
        Job(options=cell(), **{**inputs, "out": out}).run()
        table = pd.read_parquet(out / "records.parquet", columns=["split", "protocol", "query"])
        # `legacy-subset` asks the first pairs, trained on or not.
        asked = (table.split == "train") & (table.protocol == "official")
        queries[value] = set(table[asked]["query"])
        facts = epoch_log.read(CellFolder(out).epochs)[0].negatives
        drawn = facts.random + facts.hard_point + facts.hard_counter
        assert drawn == len(queries[value])
    assert queries["none"] - queries["train"] == dropped
