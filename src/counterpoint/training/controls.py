"""What is decided between epochs: best so far, halve the learning rate, stop, warn.

Decisions look at the dev split alone (docs/method.md, "One training job"). A control that is
switched off never acts.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from counterpoint.config.options import RetrievalLossOptions, StoppingOptions


@dataclass(frozen=True)
class Decision:
    """What one epoch's figures lead to."""

    best: bool
    """Dev accuracy rose above every epoch before."""
    halve: bool
    """Halve the learning rate from the next epoch on."""
    stop: str | None
    """Why to stop, or None."""
    warning: str | None

    def events(self) -> list[str]:
        """In words, for the epoch's record."""
        return [
            *(["best"] if self.best else []),
            *(["learning rate halved"] if self.halve else []),
            *([f"warning: {self.warning}"] if self.warning else []),
            *([f"stop: {self.stop}"] if self.stop else []),
        ]


class _Rises:
    """How many times in a row a value has risen, by more than rounding."""

    def __init__(self) -> None:
        self.count = 0
        self._last = math.nan

    def update(self, value: float) -> int:
        self.count = self.count + 1 if value > self._last + 1e-12 else 0
        self._last = value
        return self.count

    def state(self) -> dict[str, Any]:
        return {"count": self.count, "last": None if math.isnan(self._last) else self._last}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.count = state["count"]
        self._last = math.nan if state["last"] is None else state["last"]


class Controls:
    """The controls of one cell, fed once an epoch, in order."""

    def __init__(self, options: StoppingOptions) -> None:
        self._options = options
        self._best = -math.inf
        self.best_epoch = -1
        self._halved_epoch = -1
        self._loss_rises = _Rises()
        self._gap_rises = _Rises()

    def state(self) -> dict[str, Any]:
        """All that is remembered, for JSON."""
        return {
            "best": None if self._best == -math.inf else self._best,
            "best_epoch": self.best_epoch,
            "halved_epoch": self._halved_epoch,
            "loss_rises": self._loss_rises.state(),
            "gap_rises": self._gap_rises.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` gave."""
        self._best = -math.inf if state["best"] is None else state["best"]
        self.best_epoch = state["best_epoch"]
        self._halved_epoch = state["halved_epoch"]
        self._loss_rises.restore(state["loss_rises"])
        self._gap_rises.restore(state["gap_rises"])

    def update(
        self, epoch: int, *, dev_accuracy: float, dev_loss: float, train_accuracy: float
    ) -> Decision:
        """Decide after an epoch; accuracies are fractions."""
        best = dev_accuracy > self._best
        if best:
            self._best, self.best_epoch = dev_accuracy, epoch
        loss_rises = self._loss_rises.update(dev_loss)
        gap_rises = self._gap_rises.update(train_accuracy - dev_accuracy)
        return Decision(
            best=best,
            halve=self._halve(epoch),
            stop=self._stop(epoch, loss_rises, gap_rises),
            warning=self._warning(gap_rises),
        )

    def _halve(self, epoch: int) -> bool:
        after = self._options.halve_after
        if after is None or epoch - max(self.best_epoch, self._halved_epoch) < after:
            return False
        self._halved_epoch = epoch
        return True

    def _stop(self, epoch: int, loss_rises: int, gap_rises: int) -> str | None:
        options = self._options
        if options.patience is not None and epoch - self.best_epoch >= options.patience:
            return f"dev accuracy has not risen for {options.patience} epochs"
        if options.dev_loss_rises is not None and loss_rises >= options.dev_loss_rises:
            return f"dev loss has risen for {loss_rises} epochs in a row"
        if options.gap_stop is not None and gap_rises >= options.gap_stop:
            return f"the gap between train and dev accuracy has grown for {gap_rises} epochs"
        return None

    def _warning(self, gap_rises: int) -> str | None:
        after = self._options.gap_warning
        if after is not None and gap_rises >= after:
            return f"the gap between train and dev accuracy has grown for {gap_rises} epochs"
        return None


COLLAPSED = 0.01
"""Share of the first spread below which vectors count as collapsed, with the loss at the margin."""


def collapsed(
    record: Mapping[str, Any], first: float | None, options: RetrievalLossOptions
) -> bool:
    """Whether all vectors have become nearly the same: no distance tells texts apart any more."""
    if first is None or record["spread"] is None or record["spread"] > COLLAPSED * first:
        return False
    at_margin = record["losses"]["train"]["retrieval"] > 0.99 * options.margin
    return options.kind != "triplet" or at_margin
