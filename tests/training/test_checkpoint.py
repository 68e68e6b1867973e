"""A checkpoint on disk: whole or not at all, and of one identity."""

import errno
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from counterpoint.errors import InputError
from counterpoint.io import atomic
from counterpoint.training.checkpoint import (
    CHECKPOINT,
    Checkpoint,
    CheckpointFolder,
    Facts,
    differing,
)
from counterpoint.training.controls import Memory, Rises
from tests.support.training import an_identity

IDENTITY = an_identity()
FACTS = Facts(
    epoch=2,
    steps=1,
    events=["best"],
    halved=1,
    ended=("stopped", "enough"),
    first_spread=0.1 + 0.2,
    pieces=2,
    controls=Memory(best=0.5, best_epoch=1, halved_epoch=0, loss_rises=Rises(2, 1 / 3)),
    seconds={"train": 1.5},
)
SAVED = Checkpoint({"w": torch.arange(3.0)}, FACTS)


def test_a_state_survives_the_disk_to_the_last_bit(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, IDENTITY)
    assert folder.load() is None
    folder.save(SAVED)
    found = CheckpointFolder(tmp_path, IDENTITY).load()
    assert found is not None
    assert torch.equal(found.tensors["w"], SAVED.tensors["w"])
    assert found.facts == SAVED.facts


def test_another_configuration_begins_anew_beside_it(tmp_path: Path) -> None:
    CheckpointFolder(tmp_path, IDENTITY).save(SAVED)
    other = CheckpointFolder(tmp_path, an_identity(threads=2))
    assert other.load() is None
    assert CheckpointFolder(tmp_path, IDENTITY).load() is not None
    assert other.path.parent == tmp_path


def test_differences_are_named_by_their_path() -> None:
    found = {"options": {"seed": 1, "training": {"batch_size": 4}}, "threads": 1, "torch": "2"}
    now = {"options": {"seed": 1, "training": {"batch_size": 8}}, "threads": 1}
    assert list(differing(found, now)) == [
        "options.training.batch_size (4 there, 8 now)",
        'torch ("2" there, null now)',
    ]


def test_a_state_that_is_not_what_its_folder_says_is_refused(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, IDENTITY)
    changed = an_identity(options={"seed": 1, "training": {"batch_size": 4}})
    atomic.write_json(folder.path / "identity.json", asdict(changed))
    with pytest.raises(InputError, match=r"options\.training\.batch_size \(4 there, 8 now\)"):
        CheckpointFolder(tmp_path, IDENTITY)


@pytest.mark.parametrize("content", [b"", b"half of a file", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_damaged_checkpoint_is_an_input_error(tmp_path: Path, content: bytes) -> None:
    folder = CheckpointFolder(tmp_path, IDENTITY)
    (folder.path / CHECKPOINT).write_bytes(content)
    with pytest.raises(InputError, match=r"checkpoint\.safetensors: not a checkpoint"):
        folder.load()


def test_a_checkpoint_that_does_not_say_whose_it_is_is_damaged(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, IDENTITY)
    save_file({"w": torch.ones(1)}, folder.path / CHECKPOINT, metadata={"facts": "{}"})
    with pytest.raises(InputError, match=r"checkpoint\.safetensors: not a checkpoint"):
        folder.load()


def test_the_checkpoint_of_another_folder_is_refused(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, IDENTITY)
    folder.save(SAVED)
    other = CheckpointFolder(tmp_path, an_identity(threads=2))
    (folder.path / CHECKPOINT).rename(other.path / CHECKPOINT)
    with pytest.raises(InputError, match="of another configuration"):
        other.load()


def test_a_full_disk_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = CheckpointFolder(tmp_path, IDENTITY)
    folder.save(SAVED)

    def full(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"the first half")
        # So does safetensors put it.
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match="No space left") as caught:
        folder.save(Checkpoint({"w": torch.zeros(3)}, replace(FACTS, epoch=3)))
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename.endswith("checkpoint.safetensors")
    found = folder.load()
    assert found is not None
    assert found.facts.epoch == 2
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "checkpoint.safetensors",
        "identity.json",
    ]


def test_what_a_killed_save_has_left_is_removed(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, IDENTITY)
    folder.save(SAVED)
    (folder.path / ".checkpoint-abc.safetensors").write_bytes(b"half")
    assert CheckpointFolder(tmp_path, IDENTITY).load() is not None
    assert not list(folder.path.glob(".*"))


def test_the_fingerprint_is_that_of_the_values_and_not_of_their_order() -> None:
    turned = an_identity(options={"training": {"batch_size": 8}, "seed": 1})
    assert turned.fingerprint == IDENTITY.fingerprint
    assert an_identity(threads=2).fingerprint != IDENTITY.fingerprint


def test_an_identity_that_cannot_be_read_is_an_input_error(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, IDENTITY)
    (folder.path / "identity.json").write_text("{}")
    with pytest.raises(InputError, match=r"identity\.json: not an identity of this version"):
        CheckpointFolder(tmp_path, IDENTITY)
