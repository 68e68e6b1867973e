"""The JSON files that a finished or failed cell leaves, as types; each is read and written here."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import TypeAdapter, ValidationError

from counterpoint.errors import InputError
from counterpoint.io.atomic import write_json

Ending = Literal["finished", "stopped", "diverged"]


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}
"""What validates each type; made once, because a run has many files of each."""


class JsonFile:
    """A dataclass that one JSON file holds, key by key."""

    REMEDY: ClassVar[str] = "delete the cell's folder to train it anew"
    """What to do about a file that cannot be read."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote; unknown keys are ignored, so that newer runs can be read.

        Raises:
            InputError: it is no JSON, or not of this kind.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if cls not in _ADAPTERS:
                _ADAPTERS[cls] = TypeAdapter(cls)
            found: Self = _ADAPTERS[cls].validate_python(cls.from_json(values))

        except (ValueError, ValidationError, KeyError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{path}: not what this version writes ({reason}); {cls.REMEDY}"
            ) from error
        return found

    @classmethod
    def from_json(cls, values: Any) -> Any:
        """What the fields are validated from."""
        return values

    def to_json(self) -> dict[str, Any]:
        """The object that the file holds."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]  # of dataclasses alone

    def write(self, path: Path) -> None:
        """Write through a temporary name in the same folder."""
        write_json(path, self.to_json())


@dataclass(frozen=True)
class Outcome(JsonFile):
    """How a cell ended."""

    status: Ending
    reason: str
    """In words: why it stopped, or that it ran to the last epoch."""
    epochs: int
    best_epoch: int
    """-1 where no epoch ended: the initial weights."""
    parameters: Mapping[str, int]
    """Number of trained weights of each part of the model."""


@dataclass(frozen=True)
class Failure(JsonFile):
    """Why a job ended without a result."""

    reason: str


@dataclass(frozen=True)
class Seconds(JsonFile):
    """When a job ran, and its seconds by stage; never part of the epoch log."""

    started: str
    """ISO 8601, UTC."""
    ended: str
    total: float
    stages: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, values: Any) -> Any:
        """Stages stand beside the other keys in the file."""
        known = {"started", "ended", "total"}
        stages = {key: value for key, value in values.items() if key not in known}
        return {**{key: values[key] for key in known}, "stages": stages}

    def to_json(self) -> dict[str, Any]:
        """Stages stand beside the other keys in the file."""
        return {
            "started": self.started,
            "ended": self.ended,
            **self.stages,
            "total": self.total,
        }


@dataclass(frozen=True)
class Provenance(JsonFile):
    """What produced a result: versions, code, commit, machine. Holds no time."""

    counterpoint: str
    training_version: int
    code: str
    """Hash of the packages that a cell computes with."""
    commit: str | None
    corpus: str
    """Hash of ids, texts and roles."""
    seed: int
    device: str
    threads: int
    python: str
    platform: str
    processors: int | None
    packages: Mapping[str, str | None]
