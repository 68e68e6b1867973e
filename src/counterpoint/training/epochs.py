"""What the training of either stage is: epoch after epoch, and what is decided between them."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from counterpoint.config.options import CellOptions, TrainingOptions
from counterpoint.evaluation.system import PartEmbedded
from counterpoint.models.weights import restore_weights, unique_weights
from counterpoint.results.epoch_log import EpochRecord
from counterpoint.results.files import HybridWeight, Outcome
from counterpoint.training.checkpoint import Checkpoint
from counterpoint.training.optimizer import schedule
from counterpoint.training.split_scores import Results
from counterpoint.training.state import Model, RunningEpoch, TrainingState


@dataclass(frozen=True)
class StepTaken:
    """A step of the running epoch is done."""

    steps: int
    """How many of it are."""


@dataclass(frozen=True)
class CheckpointDue:
    """Much was done since the last of these, or what comes next takes long."""


@dataclass(frozen=True)
class EpochEnded:
    """An epoch was evaluated, and what follows from it decided."""

    record: EpochRecord


@dataclass(frozen=True)
class Ended:
    """Training is over, and the model has its best weights; the final evaluation comes next."""

    outcome: Outcome


@dataclass(frozen=True)
class Evaluated:
    """The last event: per-query results of the best weights."""

    results: Results
    weight: HybridWeight | None = None
    """Of BM25, where the first stage has one."""


Event = PartEmbedded | StepTaken | CheckpointDue | EpochEnded | Ended | Evaluated


class EpochTrainer(ABC):
    """A stage of a cell at work; whoever iterates over its `events` makes it work.

    Args:
        options: of the cell.
        training: of this stage.
        pairs: how many points are learnt from an epoch.
        state: of the stage's model.
        device: where to compute.
    """

    def __init__(
        self,
        options: CellOptions,
        training: TrainingOptions,
        pairs: int,
        state: TrainingState,
        device: torch.device,
    ) -> None:
        self.options = options
        self.device = device
        self.state = state
        self._training = training
        self._steps_an_epoch = pairs // training.batch_size
        # Of BM25 in the first stage, once it is chosen.
        self._weight: HybridWeight | None = None

    def events(self) -> Iterator[Event]:
        """Train to the end, then evaluate the best weights.

        At each event the state is whole: it may be saved, and whoever iterates may stop there (an
        `EpochEnded` must be told of first, for the state has that epoch behind it). Nothing goes on
        until the next event is asked for.

        Raises:
            InputError: the encoder's vectors are not numbers, or not even single texts fit into
                memory.
        """
        yield from self._prepared()
        while self.state.ended is None:
            yield from self._epoch()
            yield CheckpointDue()
        restore_weights(self.state.model, self.state.best)
        status, reason = self.state.ended
        yield Ended(
            Outcome(
                status=status,
                reason=reason,
                epochs=self.state.epoch,
                best_epoch=self.state.controls.memory.best_epoch,
                parameters=self.state.model.parameter_count(),
            )
        )
        with self.state.watch("final evaluation"):
            results = yield from self._final()
        yield Evaluated(results, self._weight)

    @abstractmethod
    def _prepared(self) -> Iterator[Event]:
        """What comes before the epochs, also those of a job that goes on."""

    @abstractmethod
    def _steps(self) -> Iterator[StepTaken]:
        """What is left of the running epoch's steps."""

    @abstractmethod
    def _trained(self) -> EpochRecord:
        """The running epoch's record, as far as its steps tell it."""

    @abstractmethod
    def _evaluated(self, record: EpochRecord) -> Generator[Event, None, EpochRecord]:
        """The record of an epoch that did not diverge in training, with its scores."""

    @abstractmethod
    def _decided(self, *, best: bool) -> None:
        """The running epoch is the best so far, or is not; it ends, and another may come."""

    @abstractmethod
    def _warnings(self, record: EpochRecord) -> list[str]:
        """What the record of an epoch that did not diverge warns of."""

    @abstractmethod
    def _final(self) -> Generator[Event, None, Results]:
        """Per-query results of the weights that the model has."""

    def checkpoint(self) -> Checkpoint:
        """The state, for the disk."""
        return self.state.checkpoint()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from where a trainer of the same options, corpus and encoder was."""
        self.state.restore(checkpoint, self.device)

    def _note(self, event: str) -> None:
        self.state.running.events.append(event)

    def _scale(self, step: int) -> float:
        """What the learning rates are multiplied with in a step of this epoch."""
        training, steps = self._training, self._steps_an_epoch
        done = (self.state.epoch * steps + step) / (training.epochs * steps)
        return schedule(done, training) * 0.5**self.state.halved

    def _epoch(self) -> Iterator[Event]:
        """Train, evaluate, decide."""
        state = self.state
        with state.watch("train"):
            yield from self._steps()
            record = self._trained()
        if record.diverged is None:
            record = yield from self._evaluated(record)
        record = self._with_decision(record)
        self._decided(best=state.controls.memory.best_epoch == state.epoch)
        yield EpochEnded(record)

    def _with_decision(self, record: EpochRecord) -> EpochRecord:
        """Let what follows from an epoch's record happen, and tell the record of it."""
        state, events = self.state, self.state.running.events
        if record.diverged is not None:
            state.ended = "diverged", f"{record.diverged} in epoch {state.epoch}"
            return replace(record, events=[*events, f"stop: {record.diverged}"])
        decision = state.controls.update(record)
        if decision.best:
            state.best = weights_of(state.model)
        if decision.halve:
            state.halved += 1
        epochs = self._training.epochs
        if decision.stop is not None:
            state.ended = "stopped", decision.stop
        elif state.epoch + 1 == epochs:
            state.ended = "finished", f"all {epochs} epochs"
        warnings = self._warnings(record)
        return replace(record, events=[*events, *warnings, *decision.events()])

    def _next_epoch(self) -> None:
        self.state.epoch += 1
        self.state.running = RunningEpoch()


def weights_of(model: Model) -> dict[str, Tensor]:
    """A copy of the weights, each shared one once."""
    return {name: value.clone() for name, value in unique_weights(model).items()}
