"""The first stage of a cell: embed, mine, train, evaluate, epoch after epoch (docs/method.md)."""

import math
from collections.abc import Generator, Iterator

import torch
from torch import nn

from counterpoint.config.options import CellOptions
from counterpoint.encoders.encoder import Encoder
from counterpoint.errors import InputError
from counterpoint.evaluation.system import RoleVectors, embedding
from counterpoint.io.rng import generator, torch_seed
from counterpoint.models.cell_model import CellModel
from counterpoint.results.epoch_log import EpochRecord
from counterpoint.training.batches import batches_of_epoch
from counterpoint.training.checkpoint import Checkpoint
from counterpoint.training.controls import Controls, collapsed
from counterpoint.training.data import CellData, CorpusData
from counterpoint.training.epochs import CheckpointDue, EpochTrainer, Event, StepTaken, weights_of
from counterpoint.training.evaluation import CellEvaluation
from counterpoint.training.memory import BackOff
from counterpoint.training.mining import Negatives, composition, mine, random_rate
from counterpoint.training.optimizer import learning_rates, make_optimizer
from counterpoint.training.split_scores import Results
from counterpoint.training.state import TrainingState
from counterpoint.training.step import Step, TripleLosses


class Trainer(EpochTrainer):
    """The first stage of a cell at work; see `EpochTrainer`.

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
        self.data = CellData(corpus, options)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(options.seed, -1, "initial weights"))
            self.model = CellModel(options, encoder).to(device)
        optimizer, rates = make_optimizer(
            nn.ModuleList([self.model.projections, self.model.head]), encoder, options.training
        )
        state = TrainingState(
            self.model, optimizer, Controls(options.stopping), best=weights_of(self.model)
        )
        super().__init__(options, options.training, len(self.data.pairs), state, device)
        self.losses = TripleLosses(self.model, options, device)
        self.evaluation = CellEvaluation(self.model, self.data, options, self.losses)
        self._back_off = BackOff(encoder, device, self._note)
        self.step = Step(self.model, self.losses, optimizer, rates, self._back_off)
        self._texts = corpus.size
        # Of the best epoch, where this process has embedded it.
        self._best_vectors: RoleVectors | None = None
        # Of the epoch that was evaluated last; none of one that diverged.
        self._vectors: RoleVectors = {}

    def _prepared(self) -> Iterator[Event]:
        if self.state.negatives is None:
            yield from self._first_pass()
            yield CheckpointDue()

    def _final(self) -> Generator[Event, None, Results]:
        vectors = self._best_vectors
        if vectors is None or "test" not in self.evaluation.held_out:
            vectors = yield from self.embedded(("train", "dev", "test"))
        results, self._weight = self.evaluation.final(vectors)
        return results

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from where a trainer of the same options, corpus and encoder was."""
        super().restore(checkpoint)
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
        """An epoch's negatives of every training pair."""
        data = self.data
        return mine(
            vectors["query"].e[torch.from_numpy(data.pairs.point).to(self.device)],
            vectors["candidate"].e[torch.from_numpy(data.allowed.texts).to(self.device)],
            data.allowed,
            self.options.mining,
            epoch,
            generator(self.options.seed, epoch, "mining"),
            unit_length=self.model.normalised,
        )

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

    def _evaluated(self, record: EpochRecord) -> Generator[Event, None, EpochRecord]:
        if self.model.encoder.is_slow:
            yield CheckpointDue()
        with self.state.watch("embed"):
            self._vectors = yield from self.embedded(("train", *self.evaluation.held_out))
        with self.state.watch("evaluate"):
            return self.evaluation.evaluated(record, self._vectors)

    def _decided(self, *, best: bool) -> None:
        if best:
            self._best_vectors = self._vectors
        self._next_epoch()
        if self.state.ended is None:
            self._mine(self._vectors)
        self._vectors = {}

    def _warnings(self, record: EpochRecord) -> list[str]:
        if collapsed(record, self.state.first_spread, self.options.retrieval_loss):
            return ["warning: all vectors have become nearly the same"]
        return []

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
