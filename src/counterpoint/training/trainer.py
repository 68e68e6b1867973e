"""One training job: embed, mine, train, evaluate, decide, epoch after epoch (docs/method.md)."""

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from counterpoint.config.options import CellOptions
from counterpoint.encoders.encoder import Encoder
from counterpoint.errors import InputError
from counterpoint.evaluation.system import PartEmbedded, RoleVectors, embedding
from counterpoint.io.rng import generator, torch_seed
from counterpoint.models.cell_model import CellModel
from counterpoint.models.weights import restore_weights, unique_weights
from counterpoint.results.epoch_log import EpochRecord
from counterpoint.results.files import Outcome
from counterpoint.training.batches import batches_of_epoch
from counterpoint.training.checkpoint import Checkpoint
from counterpoint.training.controls import Controls, collapsed
from counterpoint.training.data import CellData, CorpusData
from counterpoint.training.evaluation import CellEvaluation, Results
from counterpoint.training.memory import BackOff
from counterpoint.training.mining import Negatives, composition, mine, random_rate
from counterpoint.training.optimizer import learning_rates, make_optimizer, schedule
from counterpoint.training.state import RunningEpoch, TrainingState
from counterpoint.training.step import Step, TripleLosses


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


Event = PartEmbedded | StepTaken | CheckpointDue | EpochEnded | Ended | Evaluated


class Trainer:
    """A cell at work; whoever iterates over its `events` makes it work.

    Args:
        options: of the cell.
        corpus: what all its cells share.
        encoder: live, or frozen features.
        device: where to compute.

    Raises:
        InputError: see `CellData`.
    """

    def __init__(
        self, options: CellOptions, corpus: CorpusData, encoder: Encoder, device: torch.device
    ) -> None:
        self.options = options
        self.device = device
        self.data = CellData(corpus, options)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(options.seed, -1, "initial weights"))
            self.model = CellModel(options, encoder).to(device)
        optimizer, rates = make_optimizer(self.model, options.training)
        self.state = TrainingState(
            self.model, optimizer, Controls(options.stopping), best=self._weights()
        )
        self.losses = TripleLosses(self.model, options, device)
        self.evaluation = CellEvaluation(self.model, self.data, options, self.losses)
        self._back_off = BackOff(encoder, device, self._note)
        self.step = Step(self.model, self.losses, optimizer, rates, self._back_off)
        self._texts = corpus.size
        # Of the best epoch, where this process has embedded it.
        self._best_vectors: RoleVectors | None = None

    def events(self) -> Iterator[Event]:
        """Train to the end, then evaluate the best weights.

        At each event the state is whole: it may be saved, and whoever iterates may stop there (an
        `EpochEnded` must be told of first, for the state has that epoch behind it). Nothing goes on
        until the next event is asked for.

        Raises:
            InputError: the encoder's vectors are not numbers, or not even single texts fit into
                memory.
        """
        if self.state.negatives is None:
            yield from self._first_pass()
            yield CheckpointDue()
        while self.state.ended is None:
            yield from self._epoch()
            yield CheckpointDue()
        restore_weights(self.model, self.state.best)
        status, reason = self.state.ended
        yield Ended(
            Outcome(
                status=status,
                reason=reason,
                epochs=self.state.epoch,
                best_epoch=self.state.controls.memory.best_epoch,
                parameters=self.model.parameter_count(),
            )
        )
        with self.state.watch("final evaluation"):
            vectors = self._best_vectors
            if vectors is None or "test" not in self.evaluation.held_out:
                vectors = yield from self.embedded(("train", "dev", "test"))
            results = self.evaluation.final(vectors)
        yield Evaluated(results)

    def checkpoint(self) -> Checkpoint:
        """The state, for the disk."""
        return self.state.checkpoint()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from where a trainer of the same options, corpus and encoder was."""
        self.state.restore(checkpoint, self.device)
        self._best_vectors = None

    def embedded(self, roles: tuple[str, ...]) -> Generator[Event, None, RoleVectors]:
        """Vectors of all texts of some splits in each role: x (texts, H), e (texts, d).

        Rows are text numbers of the whole corpus; those of other splits are zero.
        """
        numbers = torch.from_numpy(self.data.texts(roles)).to(self.device)
        return (
            yield from self._back_off.fitting_parts(
                lambda: embedding(self.model, numbers, self._texts)
            )
        )

    def mined(self, epoch: int, vectors: RoleVectors) -> Negatives:
        """An epoch's negative of every training pair."""
        data = self.data
        return mine(
            vectors["query"].e[torch.from_numpy(data.pairs.point).to(self.device)],
            vectors["candidate"].e[torch.from_numpy(data.allowed.texts).to(self.device)],
            data.allowed,
            self.options.mining,
            epoch,
            generator(self.options.seed, epoch, "mining"),
        )

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in unique_weights(self.model).items()}

    def _note(self, event: str) -> None:
        self.state.running.events.append(event)

    def _first_pass(self) -> Iterator[Event]:
        """Embed before anything is learnt, and mine for the first epoch."""
        state = self.state
        with state.watch("embed"):
            vectors = yield from self.embedded(("train",))
        state.first_spread = self.evaluation.spread(vectors)
        if not math.isfinite(state.first_spread):
            raise InputError(
                f"encoder.name {self.options.encoder.name!r}: its vectors of the training texts "
                "are not all finite numbers; give another encoder, or make its features again"
            )
        self._mine(vectors)

    def _mine(self, vectors: RoleVectors) -> None:
        with self.state.watch("mine"):
            self.state.negatives = self.mined(self.state.epoch, vectors)

    def _epoch(self) -> Iterator[Event]:
        """Train, embed, evaluate, decide, and mine for the next epoch."""
        state = self.state
        with state.watch("train"):
            yield from self._steps()
            record = self._trained()
        vectors: RoleVectors = {}
        if record.diverged is None:
            if self.model.encoder.is_slow:
                yield CheckpointDue()
            with state.watch("embed"):
                vectors = yield from self.embedded(("train", *self.evaluation.held_out))
            with state.watch("evaluate"):
                record = self.evaluation.evaluated(record, vectors)
        record = self._decided(record)
        if state.controls.memory.best_epoch == state.epoch:
            self._best_vectors = vectors
        state.epoch += 1
        state.running = RunningEpoch()
        if state.ended is None:
            self._mine(vectors)
        yield EpochEnded(record)

    def _steps(self) -> Iterator[StepTaken]:
        """What is left of one pass over the shuffled triples."""
        state, pairs = self.state, self.data.pairs
        batches = batches_of_epoch(pairs, self.model.encoder, self.options, state.epoch)
        triples = torch.from_numpy(pairs.triples(self._negatives.text))
        self.model.train()
        for step in range(state.running.steps, len(batches)):
            batch = triples[:, torch.from_numpy(batches[step])]
            draws = self.model.encoder.draws
            seed = torch_seed(self.options.seed, state.epoch, f"dropout {step}") if draws else None
            state.running.add(self.step.take(batch, self._scale(step), seed))
            yield StepTaken(state.running.steps)

    @property
    def _negatives(self) -> Negatives:
        if self.state.negatives is None:
            raise ValueError("an epoch needs its negatives")
        return self.state.negatives

    def _scale(self, step: int) -> float:
        """What the learning rates are multiplied with in a step of this epoch."""
        training, state = self.options.training, self.state
        steps = len(self.data.pairs) // training.batch_size
        done = (state.epoch * steps + step) / (training.epochs * steps)
        return schedule(done, training) * 0.5**state.halved

    def _trained(self) -> EpochRecord:
        """The running epoch's record, as far as its steps tell it."""
        state = self.state
        losses, distances = self.evaluation.summary(state.running.summary())
        return EpochRecord(
            epoch=state.epoch,
            learning_rate=self._scale(0) * learning_rates(self.options.training)[0],
            random_rate=random_rate(state.epoch, self.options.mining),
            negatives=composition(self._negatives, self.data.pairs, self.data.allowed),
            losses={"train": losses},
            distances={"train": distances},
            accuracy={},
            diverged="the loss is not a number" if losses.total is None else None,
        )

    def _decided(self, record: EpochRecord) -> EpochRecord:
        """Let what follows from an epoch's record happen, and tell the record of it."""
        state, events = self.state, self.state.running.events
        if record.diverged is not None:
            state.ended = "diverged", f"{record.diverged} in epoch {state.epoch}"
            return replace(record, events=[*events, f"stop: {record.diverged}"])
        decision = state.controls.update(record)
        if decision.best:
            state.best = self._weights()
        if decision.halve:
            state.halved += 1
        if collapsed(record, state.first_spread, self.options.retrieval_loss):
            events = [*events, "warning: all vectors have become nearly the same"]
        epochs = self.options.training.epochs
        if decision.stop is not None:
            state.ended = "stopped", decision.stop
        elif state.epoch + 1 == epochs:
            state.ended = "finished", f"all {epochs} epochs"
        return replace(record, events=[*events, *decision.events()])
