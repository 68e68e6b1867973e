"""An old log, read: its epochs, and where it came from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from counterpoint.results.files import JsonFile
from counterpoint.tasks.protocols import LEGACY


@dataclass(frozen=True)
class OldEpoch:
    """An epoch of an old log."""

    epoch: int
    train_loss: float | None
    """Mean of its batches, where the log has any."""
    accuracy: Mapping[str, float]
    """Role to accuracy@1 on `epa`, re-ranked, protocol `legacy`: a fraction."""

    def to_json(self) -> dict[str, Any]:
        """The keys that the epoch log of a cell has for the same."""
        return {
            "epoch": self.epoch,
            "losses": {} if self.train_loss is None else {"train": {"total": self.train_loss}},
            "accuracy": {
                role: {LEGACY.name: {"reranked": value}} for role, value in self.accuracy.items()
            },
        }

    @classmethod
    def from_json(cls, values: Any) -> "OldEpoch":
        """Read what `to_json` gives.

        Raises:
            KeyError, TypeError, AttributeError: the values are no such object.
        """
        return cls(
            int(values["epoch"]),
            values["losses"].get("train", {}).get("total"),
            {role: float(of[LEGACY.name]["reranked"]) for role, of in values["accuracy"].items()},
        )


@dataclass(frozen=True)
class Source(JsonFile):
    """Where an imported log came from."""

    file: str
    sha256: str
    encoding: str
    lines: int
    protocol: str
    notes: list[str]
    """What was left out, in words."""


@dataclass(frozen=True)
class OldLog:
    """An old log, read."""

    name: str
    epochs: list[OldEpoch]
    """In order."""
    source: Source
