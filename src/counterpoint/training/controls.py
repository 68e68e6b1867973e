"""What is decided between epochs: best so far, halve the learning rate, stop, warn.

Decisions look at the dev split alone (docs/method.md, "One training job"). A control that is
switched off never acts.
"""

import math
from dataclasses import dataclass, field

from counterpoint.config.options import RetrievalLossOptions, StoppingOptions
from counterpoint.results.epoch_log import EpochRecord

ROUNDING = 1e-12
"""A value that has risen by no more has not risen."""

COLLAPSED = 0.01
"""Share of the first spread below which vectors count as collapsed, with the loss at the margin."""

AT_MARGIN = 0.99
"""Share of the margin above which a triplet loss says that no distance tells texts apart."""


@dataclass(frozen=True)
class Decision:
    """What one epoch's scores lead to."""

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


@dataclass
class Rises:
    """How many times in a row a value has risen, by more than rounding."""

    count: int = 0
    last: float | None = None
    """None before the first, and for what is not a number: nothing rises from or to it."""

    def update(self, value: float | None) -> None:
        """Count the next value."""
        if value is not None and math.isnan(value):
            value = None
        rises = value is not None and self.last is not None and value > self.last + ROUNDING
        self.count = self.count + 1 if rises else 0
        self.last = value


@dataclass
class Memory:
    """What controls remember from epoch to epoch."""

    best: float | None = None
    """Dev accuracy of the best epoch; None before the first."""
    best_epoch: int = -1
    halved_epoch: int = -1
    loss_rises: Rises = field(default_factory=Rises)
    gap_rises: Rises = field(default_factory=Rises)


class Controls:
    """The controls of one cell, fed once an epoch, in order."""

    def __init__(self, options: StoppingOptions) -> None:
        self._options = options
        self.memory = Memory()

    def update(self, record: EpochRecord) -> Decision:
        """Decide after an epoch that could be evaluated."""
        memory, epoch = self.memory, record.epoch
        dev_accuracy = record.accuracy["dev"]["clean"].reranked
        best = dev_accuracy is not None and dev_accuracy > (
            -math.inf if memory.best is None else memory.best
        )
        if best:
            memory.best, memory.best_epoch = dev_accuracy, epoch
        memory.loss_rises.update(record.losses["dev"].total)
        memory.gap_rises.update(record.gap)
        return Decision(
            best=best, halve=self._halve(epoch), stop=self._stop(epoch), warning=self._warning()
        )

    def _halve(self, epoch: int) -> bool:
        after, memory = self._options.halve_after, self.memory
        if after is None or epoch - max(memory.best_epoch, memory.halved_epoch) < after:
            return False
        memory.halved_epoch = epoch
        return True

    def _stop(self, epoch: int) -> str | None:
        options, memory = self._options, self.memory
        loss_rises, gap_rises = memory.loss_rises.count, memory.gap_rises.count
        if options.patience is not None and epoch - memory.best_epoch >= options.patience:
            return f"dev accuracy has not risen for {options.patience} epochs"
        if options.dev_loss_rises is not None and loss_rises >= options.dev_loss_rises:
            return f"dev loss has risen for {loss_rises} epochs in a row"
        if options.gap_stop is not None and gap_rises >= options.gap_stop:
            return f"the gap between train and dev accuracy has grown for {gap_rises} epochs"
        return None

    def _warning(self) -> str | None:
        after, gap_rises = self._options.gap_warning, self.memory.gap_rises.count
        if after is not None and gap_rises >= after:
            return f"the gap between train and dev accuracy has grown for {gap_rises} epochs"
        return None


def collapsed(record: EpochRecord, first: float | None, options: RetrievalLossOptions) -> bool:
    """Whether all vectors have become nearly the same: no distance tells texts apart any more.

    Args:
        record: of an epoch.
        first: the spread before training.
        options: of the retrieval loss, whose margin a triplet loss then stands at.
    """
    loss = record.losses["train"].retrieval
    if first is None or record.spread is None or loss is None:
        return False
    if record.spread > COLLAPSED * first:
        return False
    return options.kind != "triplet" or loss > AT_MARGIN * options.margin
