"""An old log, read: its epochs, and where it came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from counterpoint.config.scalars import Scalar
from counterpoint.results.files import JsonFile
from counterpoint.study.denominators import Denominator


@dataclass(frozen=True)
class OldEpoch:
    """An epoch of an old log."""

    epoch: int
    train_loss: float | None
    """Mean of its batches, where the log has any."""
    accuracy: Mapping[str, float]
    """Role to accuracy@1 on `epa`, re-ranked, under the log's protocol: a fraction."""

    def to_json(self, protocol: str) -> dict[str, Any]:
        """The keys that the epoch log of a cell has for the same."""
        return {
            "epoch": self.epoch,
            "losses": {} if self.train_loss is None else {"train": {"total": self.train_loss}},
            "accuracy": {
                role: {protocol: {"reranked": value}} for role, value in self.accuracy.items()
            },
        }

    @classmethod
    def from_json(cls, values: Any, protocol: str) -> "OldEpoch":
        """Read what `to_json` gives.

        Raises:
            KeyError, TypeError, AttributeError: the values are no such object.
        """
        return cls(
            int(values["epoch"]),
            values["losses"].get("train", {}).get("total"),
            {role: float(of[protocol]["reranked"]) for role, of in values["accuracy"].items()},
        )


@dataclass(frozen=True)
class Source(JsonFile):
    """Where an imported log came from, and what is known of it."""

    REMEDY: ClassVar[str] = "import the log again"

    file: str
    sha256: str
    encoding: str
    lines: int
    protocol: str
    notes: list[str]
    """What was left out, in words."""
    queries: Mapping[str, Denominator] = field(default_factory=dict)
    """Role to how many queries its accuracies are over; older imports do not know it."""
    axes: Mapping[str, Scalar] = field(default_factory=dict)
    """What the person who imported it says that it was trained with, as tables name axes."""


@dataclass(frozen=True)
class OldLog:
    """An old log, read."""

    name: str
    epochs: list[OldEpoch]
    """In order."""
    source: Source

    @property
    def system(self) -> str:
        """What tables call it."""
        return f"imported/{self.name}"

    def n(self, role: str) -> int | None:
        """How many queries a split's accuracies are over, where that is known."""
        found = self.source.queries.get(role)
        return None if found is None else found.n
