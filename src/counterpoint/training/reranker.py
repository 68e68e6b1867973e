"""The second stage that reads both texts: trained on the nearest of a first stage that is finished.

Each epoch every training point gets negatives anew, mined by the first stage's vectors under the
rules of all mining; the loss is a softmax over the point's counter and its negatives
(docs/method.md, "Cross-encoder"). The vectors do not change, so they are computed once a job.
"""

import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from counterpoint.arrays import Ints
from counterpoint.config.options import CellOptions
from counterpoint.encoders.pairs import PairEncoder
from counterpoint.evaluation.cross_system import Choice, CrossEncoderSystem, Recorder
from counterpoint.evaluation.evaluate import EPOCH_TASK, Evaluation, query_results
from counterpoint.evaluation.second_stage import NOBODY_MOVES, gold_slots
from counterpoint.evaluation.system import TrainedSystem, embedding
from counterpoint.io.rng import generator, torch_seed
from counterpoint.models.cell_model import CellModel
from counterpoint.models.cross_encoder import CrossEncoder
from counterpoint.results.epoch_log import EpochRecord, Losses
from counterpoint.training.batches import batches_of_lengths
from counterpoint.training.controls import Controls
from counterpoint.training.data import CellData, CorpusData
from counterpoint.training.epochs import CheckpointDue, EpochTrainer, Event, StepTaken, weights_of
from counterpoint.training.hybrid import ranked
from counterpoint.training.memory import BackOff
from counterpoint.training.mining import Negatives, composition, mine, random_rate
from counterpoint.training.optimizer import learning_rates, make_optimizer, set_rates
from counterpoint.training.split_scores import Results, SplitScores
from counterpoint.training.state import TrainingState
from counterpoint.training.step import Measured

NO_LOSS = Losses(retrieval=None, counter=None, negative=None, total=None)


class RerankerTrainer(EpochTrainer):
    """A cross-encoder at work; see `EpochTrainer`.

    Args:
        options: of the cell.
        corpus: what all cells share.
        first: the trained first stage, on the device.
        encoder: of pairs.
        device: where to compute.

    Raises:
        InputError: see `CellData`.
    """

    def __init__(
        self,
        options: CellOptions,
        corpus: CorpusData,
        first: CellModel,
        encoder: PairEncoder,
        device: torch.device,
    ) -> None:
        self.data = CellData(corpus, options)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(options.seed, -1, "initial weights of the reranker"))
            self.model = CrossEncoder(encoder).to(device)
        training = options.reranker.training
        optimizer, self._rates = make_optimizer(self.model.head, encoder, training)
        state = TrainingState(
            self.model, optimizer, Controls(options.stopping), best=weights_of(self.model)
        )
        super().__init__(options, training, len(self.data.pairs), state, device)
        self.scores = SplitScores(self.data, options.evaluation)
        self._back_off = BackOff(encoder, device, self._note)
        self._first = first
        self._texts = corpus.size
        self._embedded: TrainedSystem | None = None
        self._mined: tuple[int, Negatives] | None = None

    @property
    def vectors(self) -> TrainedSystem:
        """The first stage with its vectors of all splits' texts.

        Raises:
            ValueError: before `events` has computed them.
        """
        if self._embedded is None:
            raise ValueError("the first stage's vectors come first")
        return self._embedded

    def _prepared(self) -> Iterator[Event]:
        numbers = torch.from_numpy(self.data.texts(("train", "dev", "test"))).to(self.device)
        with self.state.watch("embed"):
            vectors = yield from embedding(self._first, numbers, self._texts)
        with self.state.watch("evaluate"):
            self._embedded, self._weight = ranked(
                TrainedSystem(self._first, vectors, 1),
                self.data,
                self.options.evaluation.first_stage,
            )

    def negatives(self) -> Negatives:
        """Of the running epoch; the same whenever they are asked for."""
        epoch = self.state.epoch
        if self._mined is None or self._mined[0] != epoch:
            data, vectors = self.data, self.vectors.vectors
            with self.state.watch("mine"):
                mined = mine(
                    vectors["query"].e[torch.from_numpy(data.pairs.point).to(self.device)],
                    vectors["candidate"].e[torch.from_numpy(data.allowed.texts).to(self.device)],
                    data.allowed,
                    self.options.reranker.mining,
                    epoch,
                    generator(self.options.seed, epoch, "mining for the reranker"),
                    unit_length=self._first.normalised,
                )
            self._mined = epoch, mined
        return self._mined[1]

    def _steps(self) -> Iterator[StepTaken]:
        state, pairs, seed = self.state, self.data.pairs, self.options.seed
        groups = np.concatenate([[pairs.point, pairs.counter], self.negatives().text])
        tokens = self.model.encoder.tokens
        batches = batches_of_lengths(
            tokens.lengths(pairs.point, pairs.counter), self._training, seed, state.epoch
        )
        self.model.train()
        for step in range(state.running.steps, len(batches)):
            dropout = torch_seed(seed, state.epoch, f"dropout {step}")
            state.running.add(self._step(groups[:, batches[step]], self._scale(step), dropout))
            yield StepTaken(state.running.steps)

    def _step(self, groups: Ints, scale: float, seed: int) -> Measured:
        """Learn from (2 + n, B) texts: points, their counters, their negatives."""
        optimizer = self.state.optimizer
        set_rates(optimizer, self._rates, scale)
        loss = self._back_off.fitting(partial(self.gradients, groups, seed))
        optimizer.step()
        return Measured(loss.reshape(1), loss.new_empty((2, 0)))

    def gradients(self, groups: Ints, seed: int) -> Tensor:
        """The loss of (2 + n, B) texts, whose gradients the weights have from then on."""
        torch.manual_seed(seed)
        self.state.optimizer.zero_grad(set_to_none=True)
        points, others = groups[0], groups[1:].T
        asked = np.repeat(points, others.shape[1]), others.ravel()
        logits = self.model(*map(torch.from_numpy, asked)).reshape(others.shape)
        gold = torch.zeros(len(points), dtype=torch.long, device=logits.device)
        loss = functional.cross_entropy(logits, gold)
        torch.autograd.backward(loss)
        return loss.detach()

    def _trained(self) -> EpochRecord:
        state, mining = self.state, self.options.reranker.mining
        total = float(state.running.summary().losses)
        fine = math.isfinite(total)
        return EpochRecord(
            epoch=state.epoch,
            learning_rate=self._scale(0) * learning_rates(self._training)[0],
            random_rate=random_rate(state.epoch, mining),
            negatives=composition(self.negatives(), self.data.pairs, self.data.allowed),
            losses={"train": replace(NO_LOSS, total=total if fine else None)},
            distances={},
            accuracy={},
            diverged=None if fine else "the loss is not a number",
        )

    def _evaluated(self, record: EpochRecord) -> Generator[Event, None, EpochRecord]:
        yield CheckpointDue()
        tasks = (EPOCH_TASK, *self.scores.other_tasks)
        with self.state.watch("evaluate"):
            system = self._system()
            for task in tasks:
                yield from self._read(system, partial(self.scores.accuracy, task=task))
            choice = self._choice(system)
            share, mix = choice.best_mix()
            self.model.mix.copy_(torch.from_numpy(mix))
            self._note(f"the first stage's score counts {share:.2f}")
            accuracy = {task: self.scores.accuracy(system, task) for task in tasks}
        of_task = accuracy.pop(EPOCH_TASK)
        train, dev = of_task["train"]["official"].reranked, of_task["dev"]["clean"].reranked
        loss = choice.loss()
        return replace(
            record,
            losses={
                **record.losses,
                "dev": replace(NO_LOSS, total=loss if math.isfinite(loss) else None),
            },
            accuracy=of_task,
            tasks=accuracy,
            gap=None if train is None or dev is None else train - dev,
        )

    def _decided(self, *, best: bool) -> None:
        del best  # its weights are kept, and its logits are worth little
        self._next_epoch()

    def _warnings(self, record: EpochRecord) -> list[str]:
        del record
        return []

    def _final(self) -> Generator[Event, None, Results]:
        system = self._system()
        if system.reranker is not NOBODY_MOVES:
            yield from self._read(system, self.scores.final)
        return self.scores.final(system)

    def _system(self) -> CrossEncoderSystem:
        """With the weights as they are now."""
        return CrossEncoderSystem(self.vectors, self.model, self.options.rerank)

    def _read(
        self, system: CrossEncoderSystem, evaluate: Callable[[Recorder], object]
    ) -> Iterator[Event]:
        """Read all pairs that an evaluation asks for, in ever smaller batches if need be."""
        pairs = system.asked_by(evaluate)
        yield from self._back_off.fitting_parts(lambda: system.scored(*pairs))

    def _choice(self, system: CrossEncoderSystem) -> Choice:
        """What both stages say of the nearest of dev's unseen queries."""
        sets = self.data.sets("dev")
        asked = Evaluation(protocols=("clean",), tasks=(EPOCH_TASK,), depth=system.rerank)
        (results,) = query_results(sets, system.costs_of(sets), None, asked)
        rows = results.nearest[:, : system.rerank]
        there = rows >= 0
        texts = sets.text[np.where(there, rows, 0)]
        points = sets.text[sets.pairs + results.queries][:, None]
        p, c = np.broadcast_to(points, texts.shape)[there], texts[there]
        logits, first = np.zeros(texts.shape), np.zeros(texts.shape)
        logits[there], first[there] = system.logits(p, c), system.first_scores(p, c)
        gold = np.logical_or.reduce(gold_slots(rows, results.golds), axis=1)
        return Choice(logits, first, there, gold)
