"""A cell's state on disk, so that a job that is killed goes on where it was.

A state belongs to one *identity*: all that changes a cell's results. It lies in a folder named by
the identity's fingerprint, so another configuration begins anew beside it and neither disturbs the
other (docs/method.md, "Checkpoints").
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.io import atomic

IDENTITY = "identity.json"
STATE = "checkpoint.safetensors"


@dataclass(frozen=True)
class State:
    """What a trainer needs to go on: tensors by name, and facts that JSON can hold."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def fingerprint(identity: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that name an identity."""
    text = json.dumps(identity, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def differing(found: Any, expected: Any, path: str = "") -> Iterator[str]:
    """The paths at which two JSON values differ, such as `options.training.batch_size`."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted(found.keys() | expected.keys()):
            inner = f"{path}.{key}" if path else str(key)
            yield from differing(found.get(key), expected.get(key), inner)
    elif found != expected:
        yield f"{path} ({json.dumps(found)} there, {json.dumps(expected)} now)"


class Folder:
    """Where one identity of a cell keeps its state.

    Args:
        parent: the cell's state folder.
        identity: see `identity_of`.

    Raises:
        InputError: what lies there is of another identity than its name says.
    """

    def __init__(self, parent: Path, identity: Mapping[str, Any]) -> None:
        self.path = parent / fingerprint(identity)
        known = self.path / IDENTITY
        if known.exists():
            try:
                found = json.loads(known.read_text(encoding="utf-8"))
            except ValueError as error:
                raise InputError(
                    f"{known}: not JSON ({error}); delete the folder to train the cell anew"
                ) from error
            if names := list(differing(found, dict(identity))):
                raise InputError(
                    f"{known}: the state of another configuration than its folder's name says; "
                    f"these differ: {', '.join(names)}. Delete the folder to train the cell anew"
                )
        else:
            atomic.write_json(known, dict(identity))
        # What a job that was killed while it wrote has left; nobody else writes here.
        for left in self.path.glob(".*"):
            left.unlink()

    def save(self, state: State) -> None:
        """Put a state in the place of the last one, whole or not at all.

        Raises:
            OSError: the disk is full; the last one is still there.
        """
        facts = {"fingerprint": self.path.name, **state.facts}
        tensors = {name: tensor.detach().cpu() for name, tensor in state.tensors.items()}
        stored = {"facts": json.dumps(facts, allow_nan=False)}
        atomic.write_safetensors(self.path / STATE, tensors, stored)

    def load(self) -> State | None:
        """The last state, on the CPU, or None before the first.

        Raises:
            InputError: it is damaged, or was made by another configuration.
        """
        path = self.path / STATE
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as stored:
                facts = json.loads((stored.metadata() or {})["facts"])
                made_by = facts.pop("fingerprint")
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  it is no dict
        except (SafetensorError, KeyError, ValueError) as error:
            raise InputError(
                f"{path}: not a checkpoint that can be read ({error}); delete it to train the cell "
                "anew"
            ) from error
        if made_by != self.path.name:
            raise InputError(
                f"{path}: the checkpoint of another configuration; delete it to train the cell anew"
            )
        return State(tensors, facts)
