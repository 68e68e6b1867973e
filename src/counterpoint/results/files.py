"""The JSON files that a cell or baseline leaves, as types; each is read and written here."""

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

    REMEDY: ClassVar[str] = "delete its folder to make it anew"
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


NEARLY_ALL = 0.9
"""Share of the queries."""


@dataclass(frozen=True)
class Ties(JsonFile):
    """Queries all of whose candidates cost the same, so that their ranks say nothing of a system.

    Ties count against it: the rank of such a query is the number of its candidates.
    """

    queries: int
    """With two candidates or more."""
    tied: int
    """Those of them that tie."""

    def __add__(self, other: "Ties") -> "Ties":
        return Ties(self.queries + other.queries, self.tied + other.tied)

    @property
    def everywhere(self) -> bool:
        """Whether (nearly) all queries tie; then the system has no scores worth the name."""
        return self.queries > 0 and self.tied >= NEARLY_ALL * self.queries

    def told(self, system: str) -> list[str]:
        """A line about a system that ties everywhere, or none."""
        if not self.everywhere:
            return []
        return [
            f"{system}: every text ties for {self.tied:,} of {self.queries:,} queries, so its "
            "scores say nothing and nothing is compared with it; check the texts and their "
            "language (corpus.language, or --language)"
        ]


@dataclass(frozen=True)
class HybridWeight(JsonFile):
    """How much BM25 weighs in a first stage that adds up z-scores, and what told so on dev."""

    bm25_weight: float
    """From 0 to 1; the dense search has the rest."""
    queries: int
    """Unseen dev queries that it was chosen by; 0 where there was none, and it is 0.5."""
    accuracy_at_1: Mapping[str, float]
    """On them, by weight: those that were tried."""

    def told(self, system: str) -> str:
        """A line about a system's weight."""
        if not self.queries:
            return f"{system}: BM25 weighs {self.bm25_weight}; no unseen dev query to choose it by"
        return (
            f"{system}: BM25 weighs {self.bm25_weight}, chosen by accuracy@1 of "
            f"{self.queries:,} unseen dev queries"
        )


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
    encoder_commit: str | None = None
    """Of an encoder on the hub; None for one on the machine, and in files older than this."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """By role, what was put before each text; empty in results older than prompts."""
    first_stage: str | None = None
    """Of a cell with a cross-encoder, the cell of the run that its candidates are from."""
