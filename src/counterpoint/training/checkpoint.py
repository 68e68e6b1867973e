"""A cell's checkpoint on disk, so that a job that is killed goes on where it was.

A checkpoint belongs to one *identity*: all that changes a cell's results. It lies in a folder named
by the identity's fingerprint, so another configuration begins anew beside it and neither disturbs
the other (docs/method.md, "Checkpoints").
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.io import atomic
from counterpoint.results.files import Ending
from counterpoint.training.controls import Memory

IDENTITY = "identity.json"
CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """All that changes a cell's results."""

    options: Mapping[str, object]
    """Of the cell, as JSON."""
    corpus: str
    """Hash of ids, texts and roles."""
    inputs: str
    """Hash of the file of features or tokens."""
    encoder: str | None
    """Hash of a live encoder's weights."""
    threads: int
    """On a CPU they change how sums are rounded."""
    device: str
    torch: str
    numpy: str
    """Its generators choose the negatives and the order."""
    transformers: str
    training_version: int
    code: str
    """Hash of the packages that a cell computes with."""

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that name it."""
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]

    @property
    def results_of(self) -> tuple[object, ...]:
        """What must be the same for finished results to stand.

        Libraries, device and code are left out: they change digits, and what must be trained anew
        for them has another training version.
        """
        return (
            self.options,
            self.corpus,
            self.inputs,
            self.encoder,
            self.threads,
            self.training_version,
        )

    @classmethod
    def read(cls, path: Path) -> "Identity":
        """Read what a `CheckpointFolder` wrote.

        Raises:
            InputError: it is not an identity.
        """
        try:
            return TypeAdapter(cls).validate_python(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, ValidationError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{path}: not an identity of this version ({reason}); delete the folder to train "
                "the cell anew"
            ) from error


def differing(there: object, now: object, path: str = "") -> Iterator[str]:
    """The paths at which two JSON values differ, such as `options.training.batch_size`."""
    if isinstance(there, Mapping) and isinstance(now, Mapping):
        for key in sorted(there.keys() | now.keys()):
            inner = f"{path}.{key}" if path else str(key)
            yield from differing(there.get(key), now.get(key), inner)
    elif there != now:
        yield f"{path} ({json.dumps(there)} there, {json.dumps(now)} now)"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What of a checkpoint is no tensor; see `training.state` for what each means."""

    epoch: int
    steps: int
    events: list[str]
    halved: int
    ended: tuple[Ending, str] | None
    first_spread: float | None
    pieces: int
    controls: Memory
    seconds: dict[str, float]


@dataclass(frozen=True)
class Checkpoint:
    """What a trainer needs to go on: tensors by name, and facts beside them."""

    tensors: Mapping[str, Tensor]
    facts: Facts


class CheckpointFolder:
    """Where one identity of a cell keeps its checkpoint, and its results until they are whole.

    Args:
        parent: the cell's state folder.
        identity: that it belongs to.

    Raises:
        InputError: what lies there is of another identity than its name says.
    """

    def __init__(self, parent: Path, identity: Identity) -> None:
        self.path = parent / identity.fingerprint
        known = self.path / IDENTITY
        if known.exists():
            there = Identity.read(known)
            if names := list(differing(asdict(there), asdict(identity))):
                raise InputError(
                    f"{known}: the state of another configuration than its folder's name says; "
                    f"these differ: {', '.join(names)}. Delete the folder to train the cell anew"
                )
        else:
            atomic.write_json(known, asdict(identity))
        # What a job that was killed while it wrote has left; nobody else writes here.
        for left in self.path.glob(".*"):
            left.unlink()

    def save(self, checkpoint: Checkpoint) -> None:
        """Put a checkpoint in the place of the last one, whole or not at all.

        Raises:
            OSError: the disk is full; the last one is still there.
        """
        tensors = {name: tensor.detach().cpu() for name, tensor in checkpoint.tensors.items()}
        stored = {
            "fingerprint": self.path.name,
            "facts": json.dumps(asdict(checkpoint.facts), allow_nan=False),
        }
        atomic.write_safetensors(self.path / CHECKPOINT, tensors, stored)

    def load(self) -> Checkpoint | None:
        """The last checkpoint, on the CPU, or None before the first.

        Raises:
            InputError: it is damaged, or was made by another configuration.
        """
        path = self.path / CHECKPOINT
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as stored:
                beside = stored.metadata() or {}
                made_by = beside["fingerprint"]
                facts = TypeAdapter(Facts).validate_json(beside["facts"])
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  it is no dict
        except (SafetensorError, KeyError, ValidationError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{path}: not a checkpoint that can be read ({reason}); delete it to train the "
                "cell anew"
            ) from error
        if made_by != self.path.name:
            raise InputError(
                f"{path}: the checkpoint of another configuration; delete it to train the cell anew"
            )
        return Checkpoint(tensors, facts)

    def remove(self) -> None:
        """Remove the checkpoint, which no finished cell needs."""
        (self.path / CHECKPOINT).unlink(missing_ok=True)
