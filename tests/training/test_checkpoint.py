"""A cell that is interrupted, killed or refused: what lies on disk, and what comes of it."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.features import FrozenFeatures
from counterpoint.encoders.live import LiveEncoder
from counterpoint.encoders.tokens import tokenise
from counterpoint.errors import InputError, Interrupted
from counterpoint.io import atomic
from counterpoint.models.weights import unique_weights
from counterpoint.runs.job import RESULTS, Job
from counterpoint.training import checkpoint
from counterpoint.training.checkpoint import Folder, State, differing, fingerprint
from counterpoint.training.trainer import Trainer
from tests.training.test_trainer import CPU, cell, corpus, features, inputs

__all__ = ["corpus", "inputs"]  # fixtures

IDENTITY = {"options": {"seed": 1, "training": {"batch_size": 8}}, "threads": 1}
WEIGHT = State({"w": torch.arange(3.0)}, {"epoch": 2, "best": 0.1 + 0.2})


# ---- a trainer's state ----


class After:
    """Says to stop once it has been asked so often."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def trainer_of(kind: str, corpus: Corpus, tiny_bert: Path) -> Trainer:
    if kind == "frozen":
        options = cell(stopping={"halve_after": 1}, training={"schedule": "linear"})
        return Trainer(options, corpus, FrozenFeatures(features(corpus)), CPU)
    options = cell(
        encoder={"name": str(tiny_bert), "max_tokens": 24, "trainable": "all"},
        training={"epochs": 2, "weight_decay": 0.1, "encoder_learning_rate": 1e-3},
    )
    return Trainer(
        options, corpus, LiveEncoder(options.encoder, tokenise(corpus, options.encoder)), CPU
    )


@pytest.mark.parametrize("kind", ["frozen", "live"])
@pytest.mark.parametrize("after", [0, 1, 4, 6, 8, 10])
def test_whenever_it_stops_it_goes_on_as_if_nothing_had_happened(
    corpus: Corpus, tiny_bert: Path, tmp_path: Path, kind: str, after: int
) -> None:
    whole, log = trainer_of(kind, corpus, tiny_bert), list[dict[str, Any]]()
    expected = whole.run(log.append)

    folder = Folder(tmp_path, IDENTITY)
    first, seen = trainer_of(kind, corpus, tiny_bert), list[dict[str, Any]]()
    with pytest.raises(Interrupted):
        first.run(seen.append, save=lambda: folder.save(first.state()), interrupted=After(after))
    second = trainer_of(kind, corpus, tiny_bert)
    saved = folder.load()
    assert saved is not None
    second.restore(saved)
    assert (second.epoch, second.passed.steps) == (first.epoch, first.passed.steps)
    outcome = second.run(seen.append)

    assert outcome == expected
    assert json.dumps(seen) == json.dumps(log)
    for name, weights in unique_weights(whole.model).items():
        assert torch.equal(weights, unique_weights(second.model)[name]), name


def test_a_state_that_has_ended_trains_no_further(corpus: Corpus, tiny_bert: Path) -> None:
    first = trainer_of("frozen", corpus, tiny_bert)
    expected = first.run(lambda record: None)
    second = trainer_of("frozen", corpus, tiny_bert)
    second.restore(first.state())
    seen: list[dict[str, Any]] = []
    assert second.run(seen.append) == expected
    assert seen == []


def test_a_pass_over_the_triples_is_saved_before_all_texts_are_embedded(
    corpus: Corpus, tiny_bert: Path
) -> None:
    trainer = trainer_of("live", corpus, tiny_bert)
    saved: list[tuple[int, int]] = []
    trainer.run(lambda _: None, save=lambda: saved.append((trainer.epoch, trainer.passed.steps)))
    steps = len(trainer.data.pairs) // trainer.options.training.batch_size
    assert saved == [(0, 0), (0, steps), (1, 0), (1, steps), (2, 0)]


# ---- the file ----


def test_a_state_survives_the_disk_to_the_last_bit(tmp_path: Path) -> None:
    folder = Folder(tmp_path, IDENTITY)
    assert folder.load() is None
    folder.save(WEIGHT)
    found = Folder(tmp_path, IDENTITY).load()
    assert found is not None
    assert torch.equal(found.tensors["w"], WEIGHT.tensors["w"])
    assert found.facts == WEIGHT.facts


def test_another_configuration_begins_anew_beside_it(tmp_path: Path) -> None:
    Folder(tmp_path, IDENTITY).save(WEIGHT)
    other = Folder(tmp_path, {**IDENTITY, "threads": 2})
    assert other.load() is None
    assert Folder(tmp_path, IDENTITY).load() is not None
    assert other.path.parent == tmp_path


def test_differences_are_named_by_their_path() -> None:
    found = {"options": {"seed": 1, "training": {"batch_size": 4}}, "threads": 1, "torch": "2"}
    assert list(differing(found, IDENTITY)) == [
        "options.training.batch_size (4 there, 8 now)",
        'torch ("2" there, null now)',
    ]


def test_a_state_that_is_not_what_its_folder_says_is_refused(tmp_path: Path) -> None:
    folder = Folder(tmp_path, IDENTITY)
    changed = {"options": {"seed": 1, "training": {"batch_size": 4}}, "threads": 1}
    atomic.write_json(folder.path / "identity.json", changed)
    with pytest.raises(InputError, match=r"options\.training\.batch_size \(4 there, 8 now\)"):
        Folder(tmp_path, IDENTITY)


@pytest.mark.parametrize("content", [b"", b"half of a file", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_damaged_checkpoint_is_an_input_error(tmp_path: Path, content: bytes) -> None:
    folder = Folder(tmp_path, IDENTITY)
    (folder.path / checkpoint.STATE).write_bytes(content)
    with pytest.raises(InputError, match=r"checkpoint\.safetensors: not a checkpoint"):
        folder.load()


def test_a_checkpoint_that_does_not_say_whose_it_is_is_damaged(tmp_path: Path) -> None:
    folder = Folder(tmp_path, IDENTITY)
    save_file({"w": torch.ones(1)}, folder.path / checkpoint.STATE, metadata={"facts": "{}"})
    with pytest.raises(InputError, match=r"checkpoint\.safetensors: not a checkpoint"):
        folder.load()


def test_the_checkpoint_of_another_folder_is_refused(tmp_path: Path) -> None:
    folder = Folder(tmp_path, IDENTITY)
    facts = json.dumps({"fingerprint": "0123456789abcdef"})
    save_file({"w": torch.ones(1)}, folder.path / checkpoint.STATE, metadata={"facts": facts})
    with pytest.raises(InputError, match="of another configuration"):
        folder.load()


def test_a_full_disk_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(tmp_path, IDENTITY)
    folder.save(WEIGHT)

    def full(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"the first half")
        # So does safetensors put it.
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match="No space left") as caught:
        folder.save(State({"w": torch.zeros(3)}, {"epoch": 3}))
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename.endswith("checkpoint.safetensors")
    found = folder.load()
    assert found is not None
    assert found.facts["epoch"] == 2
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "checkpoint.safetensors",
        "identity.json",
    ]


def test_what_a_killed_save_has_left_is_removed(tmp_path: Path) -> None:
    folder = Folder(tmp_path, IDENTITY)
    folder.save(WEIGHT)
    (folder.path / ".checkpoint-abc.safetensors").write_bytes(b"half")
    assert Folder(tmp_path, IDENTITY).load() is not None
    assert not list(folder.path.glob(".*"))


# ---- a job ----


class Killed(BaseException):
    """Stands for a process that is gone: nothing handles it."""


def test_a_job_killed_at_any_write_leaves_the_same_results(
    inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the first write to disk, then before the second, and so on to the end."""
    whole = {**inputs, "out": inputs["out"].with_name("whole")}
    options = cell(training={"epochs": 2, "batch_size": 4})
    Job(options=options, **{**whole, "state": inputs["state"].with_name("other")}).run()
    real = atomic.os.replace
    writes, kills = 0, 0

    def replace(source: object, target: object) -> None:
        nonlocal writes
        writes -= 1
        if writes == 0:
            raise Killed
        real(source, target)

    monkeypatch.setattr(atomic.os, "replace", replace)
    while True:
        writes = kills + 1
        try:
            Job(options=options, checkpoint_steps=5, **inputs).run()
            break
        except Killed:
            kills += 1
    assert kills > len(RESULTS) + 2
    for name in RESULTS:
        if name != "seconds.json":
            assert (inputs["out"] / name).read_bytes() == (whole["out"] / name).read_bytes(), name


def test_a_log_that_was_cut_is_an_input_error(
    inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("counterpoint.evaluation.records.write_records", stop)
        with pytest.raises(Killed):
            Job(options=cell(), **inputs).run()
    (log,) = inputs["state"].glob("*/epochs.jsonl")
    log.write_bytes(log.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"epochs\.jsonl: the log of 3 epochs was cut"):
        Job(options=cell(), **inputs).run()


def test_the_fingerprint_is_that_of_the_values_and_not_of_their_order() -> None:
    turned = {"threads": 1, "options": {"training": {"batch_size": 8}, "seed": 1}}
    assert fingerprint(turned) == fingerprint(IDENTITY)
    assert fingerprint({**turned, "threads": 2}) != fingerprint(IDENTITY)
