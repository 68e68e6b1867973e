"""One training job: embed, mine, train, evaluate, decide, epoch after epoch (docs/method.md)."""

import dataclasses
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from counterpoint.arrays import Ints
from counterpoint.config.options import CellOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.encoder import Encoder
from counterpoint.errors import InputError, Interrupted
from counterpoint.evaluation.evaluate import Evaluation, epoch_scores, query_results
from counterpoint.evaluation.records import QueryResults
from counterpoint.evaluation.system import TrainedSystem, embed
from counterpoint.io.rng import generator, torch_seed
from counterpoint.models import losses
from counterpoint.models.fusion import Vectors
from counterpoint.models.retriever import Retriever
from counterpoint.models.weights import restore_weights, unique_weights
from counterpoint.tasks.candidates import CandidateSets
from counterpoint.tasks.protocols import PROTOCOLS, WITH_TASKS
from counterpoint.training.batches import bucketed, by_debate
from counterpoint.training.checkpoint import State
from counterpoint.training.controls import Controls, collapsed
from counterpoint.training.data import Data
from counterpoint.training.memory import out_of_memory
from counterpoint.training.mining import Negatives, composition, mine, random_rate
from counterpoint.training.optimizer import make_optimizer, schedule

Status = Literal["finished", "stopped", "diverged"]

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """How a cell ended."""

    status: Status
    reason: str
    """In words: why it stopped, or that it ran to the last epoch."""
    epochs: int
    best_epoch: int
    """-1 where no epoch ended: the initial weights."""
    parameters: Mapping[str, int]


@dataclass
class Stopwatch:
    """Seconds by stage, less those of stages within it; never part of a log."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add what the body takes to a stage."""
        start, others = time.perf_counter(), sum(self.seconds.values())
        try:
            yield
        finally:
            within = sum(self.seconds.values()) - others
            self.seconds[stage] += time.perf_counter() - start - within


INTERRUPTED = "asked to stop; the state is saved, and the same command goes on from there"


class Trainer:
    """A cell at work.

    Args:
        options: of the cell.
        corpus: with the roles train, dev and test.
        encoder: live, or frozen features.
        device: where to compute.
    """

    def __init__(
        self,
        options: CellOptions,
        corpus: Corpus,
        encoder: Encoder,
        device: torch.device,
    ) -> None:
        self.options = options
        self.device = device
        self.data = Data(corpus, options)
        self.watch = Stopwatch()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(options.seed, -1, "initial weights"))
            self.model = Retriever(options, encoder).to(device)
        self.optimizer, self.rates = make_optimizer(self.model, options.training)
        self.texts = len(corpus.texts)
        w_t, w_c = options.retrieval_loss.weight, options.classifier_loss.weight
        self.weights = torch.tensor([w_t, w_c, w_c], device=device)
        self.controls = Controls(options.stopping)
        # From here on all that changes; `state` and `restore` know each of it.
        self.epoch = 0
        self.halved = 0
        self.ended: tuple[Status, str] | None = None
        self.best = self._weights()
        self.first_spread: float | None = None
        self.negatives: Negatives | None = None
        self.passed = Passed()

    def run(
        self,
        on_epoch: Callable[[dict[str, Any]], None],
        *,
        save: Callable[[], None] = lambda: None,
        save_steps: int | None = None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Outcome:
        """Train to the end and leave the model with its best weights.

        Args:
            on_epoch: gets each epoch's record as the epoch ends.
            save: called when the state is worth keeping: after each epoch, and before a live
                encoder embeds all texts at its end, which takes long.
            save_steps: and after every so many steps of an epoch.
            interrupted: whether to save and stop, asked after each step.

        Raises:
            InputError: the encoder's vectors are not numbers.
            Interrupted: `interrupted` said so.
        """

        def stop_if_asked() -> None:
            if interrupted():
                save()
                raise Interrupted(INTERRUPTED)

        def after_step() -> None:
            stop_if_asked()
            if save_steps and self.passed.steps % save_steps == 0:
                save()

        if self.negatives is None:
            self._first_pass()
            save()
        while self.ended is None:
            record, vectors = self._epoch(after_step, save)
            self._decide(record)
            on_epoch(record)
            self.epoch += 1
            self.passed = Passed()
            if self.ended is None:
                self._mine(vectors)
            save()
            if self.ended is None:
                stop_if_asked()
        restore_weights(self.model, self.best)
        status, reason = self.ended
        return Outcome(
            status=status,
            reason=reason,
            epochs=self.epoch,
            best_epoch=self.controls.best_epoch,
            parameters=self.model.parameter_count(),
        )

    def _first_pass(self) -> None:
        """Embed before anything is learnt, and mine for the first epoch."""
        with self.watch("embed"):
            vectors = self.embed(("train",))
        self.first_spread = self._spread(vectors)
        if not math.isfinite(self.first_spread):
            raise InputError(
                f"encoder.name {self.options.encoder.name!r}: its vectors of the training texts "
                "are not all finite numbers; give another encoder, or make its features again"
            )
        self._mine(vectors)

    def _decide(self, record: dict[str, Any]) -> None:
        """What follows from an epoch's record, which is told of it."""
        last = self.epoch + 1 == self.options.training.epochs
        events = self.passed.events
        if record["diverged"]:
            self.ended = "diverged", f"{record['diverged']} in epoch {self.epoch}"
            record["events"] = [*events, f"stop: {record['diverged']}"]
            return
        decision = self.controls.update(
            self.epoch,
            dev_accuracy=record["accuracy"]["dev"]["clean"]["reranked"],
            dev_loss=record["losses"]["dev"]["total"],
            train_accuracy=record["accuracy"]["train"]["official"]["reranked"],
        )
        if decision.best:
            self.best = self._weights()
        if decision.halve:
            self.halved += 1
        if collapsed(record, self.first_spread, self.options.retrieval_loss):
            events = [*events, "warning: all vectors have become nearly the same"]
        record["events"] = [*events, *decision.events()]
        if decision.stop is not None:
            self.ended = "stopped", decision.stop
        elif last:
            self.ended = "finished", f"all {self.options.training.epochs} epochs"

    def state(self) -> State:
        """All that `restore` needs so that nothing differs from a run without interruption."""
        tensors = {f"model.{name}": value for name, value in unique_weights(self.model).items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        for number, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{name}": value for name, value in values.items()}
        if self.negatives is not None:
            for part in dataclasses.fields(Negatives):
                array = getattr(self.negatives, part.name)
                tensors[f"negatives.{part.name}"] = torch.from_numpy(array)
        if self.passed.steps:
            tensors["passed.terms"] = torch.stack(self.passed.terms)
            tensors["passed.distances"] = torch.cat(self.passed.distances, dim=1)
        return State(
            tensors,
            {
                "epoch": self.epoch,
                "steps": self.passed.steps,
                "events": self.passed.events,
                "halved": self.halved,
                "ended": self.ended,
                "first_spread": self.first_spread,
                "pieces": self.model.encoder.pieces,
                "controls": self.controls.state(),
                "seconds": dict(self.watch.seconds),
            },
        )

    def restore(self, state: State) -> None:
        """Take up what `state` gave, in a trainer of the same options, corpus and encoder."""
        parts: dict[str, dict[str, Tensor]] = defaultdict(dict)
        for name, value in state.tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = value.to(self.device)
        restore_weights(self.model, parts["model"])
        self.best = dict(parts["best"])
        adam: dict[int, dict[str, Tensor]] = defaultdict(dict)
        for name, value in parts["adam"].items():
            number, _, rest = name.partition(".")
            adam[int(number)][rest] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": dict(adam)})
        if "negatives" in parts:
            self.negatives = Negatives(
                **{name: value.cpu().numpy() for name, value in parts["negatives"].items()}
            )
        facts = state.facts
        self.epoch, self.halved = facts["epoch"], facts["halved"]
        self.ended = None if facts["ended"] is None else (facts["ended"][0], facts["ended"][1])
        self.first_spread = facts["first_spread"]
        self.model.encoder.pieces = facts["pieces"]
        self.controls.restore(facts["controls"])
        self.watch.seconds.update(facts["seconds"])
        self.passed = Passed(events=list(facts["events"]))
        if facts["steps"]:
            self.passed.terms = list(parts["passed"]["terms"])
            self.passed.distances = [parts["passed"]["distances"]]

    def records(self) -> dict[str, tuple[CandidateSets, list[QueryResults]]]:
        """Per-query records of the current weights by role: all tasks and protocols.

        The train split has its sample of queries; every one is seen, so `clean` asks none.
        """
        vectors = self.embed(("train", "dev", "test"))
        return {
            role: (
                self.data.sets(role),
                self._evaluate(role, vectors),
            )
            for role in ("train", "dev", "test")
        }

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in unique_weights(self.model).items()}

    def _epoch(
        self, after_step: Callable[[], None], save: Callable[[], None]
    ) -> tuple[dict[str, Any], dict[str, Vectors]]:
        """Train, embed, evaluate: the epoch's record, and the vectors at its end.

        Where weights, vectors or losses are no numbers any more there is nothing to evaluate: the
        record says so under `diverged`.
        """
        epoch, negatives = self.epoch, self.negatives
        if negatives is None:
            raise ValueError("an epoch needs its negatives")
        record: dict[str, Any] = {
            "epoch": epoch,
            "learning_rate": self._scale(0) * self.options.training.learning_rate,
            "random_rate": random_rate(epoch, self.options.mining),
            "negatives": composition(negatives, self.data.pairs, self.data.negatives),
            "losses": {},
            "distances": {},
            "accuracy": {},
            "gap": None,
            "spread": None,
            "diverged": None,
        }
        with self.watch("train"):
            self._train(negatives, after_step)
            self._note(record, "train", *self.passed.summary())
        if not math.isfinite(record["losses"]["train"]["total"]):
            record["diverged"] = "the loss is not a number"
            return record, {}
        if self.model.encoder.is_slow:
            save()
        held_out = ("dev", "test") if self.options.evaluation.test_every_epoch else ("dev",)
        with self.watch("embed"):
            vectors = self.embed(("train", *held_out))
        with self.watch("evaluate"):
            for role in held_out:
                self._note(record, role, *self._held_out_losses(role, vectors))
            if not all(math.isfinite(loss["total"]) for loss in record["losses"].values()):
                record["diverged"] = "the vectors or weights are not numbers"
                return record, vectors
            accuracy = self._accuracy(("train", *held_out), vectors)
            record["spread"] = self._spread(vectors)
        record["accuracy"] = accuracy
        record["gap"] = (
            accuracy["train"]["official"]["reranked"] - accuracy["dev"]["clean"]["reranked"]
        )
        return record, vectors

    def _spread(self, vectors: dict[str, Vectors]) -> float:
        """Root mean square distance of the training pool's e to their mean, as candidates."""
        e = vectors["candidate"].e[torch.from_numpy(self.data.negatives.texts).to(self.device)]
        return float((e - e.mean(dim=0)).square().sum(dim=1).mean().sqrt())

    def _note(self, record: dict[str, Any], role: str, terms: Tensor, spread: Tensor) -> None:
        """Put the mean losses (3,) and the distances (2, n) of a split into an epoch's record."""
        names = ("retrieval", "counter", "negative")
        record["losses"][role] = {
            **dict(zip(names, terms.tolist(), strict=True)),
            "total": float(self._total(terms)),
        }
        std, mean = torch.std_mean(spread.double(), dim=1, correction=0)
        record["distances"][role] = {
            name: {"mean": float(mean[row]), "std": float(std[row])}
            for row, name in enumerate(("positive", "negative"))
        }

    def embed(self, roles: tuple[str, ...]) -> dict[str, Vectors]:
        """Vectors of all texts of some splits in each role: x (texts, H), e (texts, d).

        Rows are text numbers of the whole corpus; those of other splits are zero.
        """
        numbers = torch.from_numpy(self.data.texts(roles)).to(self.device)
        return self._fitting(lambda: embed(self.model, numbers, self.texts))

    def _mine(self, vectors: dict[str, Vectors]) -> None:
        """Choose the coming epoch's negatives."""
        with self.watch("mine"):
            self.negatives = self.mine(self.epoch, vectors)

    def mine(self, epoch: int, vectors: dict[str, Vectors]) -> Negatives:
        """An epoch's negative of every training pair."""
        data = self.data
        return mine(
            vectors["query"].e[torch.from_numpy(data.pairs.point).to(self.device)],
            vectors["candidate"].e[torch.from_numpy(data.negatives.texts).to(self.device)],
            data.negatives,
            self.options.mining,
            epoch,
            generator(self.options.seed, epoch, "mining"),
        )

    def _batches(self) -> Ints:
        """(steps, B) the epoch's training pairs, shuffled; the last short batch is dropped."""
        seed, training, pairs = self.options.seed, self.options.training, self.data.pairs
        size = training.batch_size
        order = generator(seed, self.epoch, "order").permutation(len(pairs))
        rng = generator(seed, self.epoch, "order of batches")
        if training.batch_sampler == "debates":
            debates = np.array([min(pairs.debates[pair]) for pair in order])
            return by_debate(order, debates, size, rng)
        order = order[: len(order) - len(order) % size]
        lengths = self.model.encoder.lengths(np.stack([pairs.point, pairs.counter])[:, order])
        if lengths is None or training.batch_sampler == "plain":
            return order.reshape(-1, size)
        return bucketed(order, lengths.max(axis=0), size, rng)

    def _train(self, negatives: Negatives, after_step: Callable[[], None]) -> None:
        """What is left of one pass over the shuffled triples.

        Losses stay on the device until its end.
        """
        batches = self._batches()
        pairs = self.data.pairs
        triples = torch.from_numpy(np.stack([pairs.point, pairs.counter, negatives.text]))
        self.model.train()
        for step in range(self.passed.steps, len(batches)):
            # Numbers of texts stay on the CPU: a live encoder looks up their tokens there, and to
            # ask the device for them would wait for all that it has still to do.
            batch = triples[:, torch.from_numpy(batches[step])]
            scale = self._scale(step)
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = scale * rate
            terms, spread = self._fitting(partial(self._learn, batch, step))
            self.optimizer.step()
            self.passed.terms.append(terms)
            self.passed.distances.append(spread)
            after_step()

    def _scale(self, step: int) -> float:
        """What the learning rates are multiplied with in a step of this epoch."""
        training = self.options.training
        steps = len(self.data.pairs) // training.batch_size
        done = (self.epoch * steps + step) / (training.epochs * steps)
        return schedule(done, training) * 0.5**self.halved

    def _learn(self, triples: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """The gradients of a batch of triples; see `_losses` for what is returned."""
        if self.model.encoder.draws:
            # Each step's own, so that it can be repeated, or be the first after an interruption.
            torch.manual_seed(torch_seed(self.options.seed, self.epoch, f"dropout {step}"))
        self.optimizer.zero_grad(set_to_none=True)
        terms, spread = self._losses(triples)
        torch.autograd.backward(self._total(terms))
        return terms.detach(), spread

    def _fitting(self, work: Callable[[], T]) -> T:
        """Do it, in ever smaller pieces until it fits into memory.

        The pieces stay small from then on; a batch is the same batch, and so is the result.

        Raises:
            InputError: not even single texts fit.
        """
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                reason = str(error).partition("\n")[0]
            # Not in the handler, where the traceback still holds what was computed.
            if not self.model.encoder.back_off():
                raise InputError(
                    "out of memory, and no batch can be cut further; lower encoder.max_tokens, "
                    f"encoder.batch_tokens or training.batch_size ({reason})"
                )
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            pieces = self.model.encoder.pieces
            self.passed.events.append(f"out of memory: batches go in {pieces} pieces")

    def _total(self, terms: Tensor) -> Tensor:
        return terms @ self.weights.to(terms)

    def _losses(self, triples: Tensor) -> tuple[Tensor, Tensor]:
        """The three losses of a batch of triples, and its distances without gradients.

        Args:
            triples: (3, B) int64 texts: points, counters, negatives.

        Returns:
            (3,) retrieval, counter and negative; (2, B) positive and negative distances.
        """
        model = self.model
        if not model.roles_differ:
            every = model(triples.reshape(-1), "query").split(3)
            point = every.rows(0)
            return self._terms(triples, point, every.rows(slice(1, None)), point.e)
        # Of the losses infonce alone looks at the points as candidates.
        first = 0 if self.options.retrieval_loss.kind == "infonce" else 1
        if model.encoder.towers_differ:
            point = model(triples[0], "query")
            others = model(triples[first:].reshape(-1), "candidate").split(3 - first)
        else:
            x = model.encoder(triples.reshape(-1), "query")
            size = triples.shape[1]
            point = model.project(x[:size], "query")
            others = model.project(x[first * size :], "candidate").split(3 - first)
        as_candidate = others.e[0] if first == 0 else point.e
        return self._terms(triples, point, others.rows(slice(-2, None)), as_candidate)

    def _terms(
        self, triples: Tensor, point: Vectors, others: Vectors, as_candidate: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `_losses`; `others` are the counters and the negatives, (2, B, ·)."""
        texts = triples.to(self.device, non_blocking=True)
        batch = losses.Batch(point.e, as_candidate, others.e, texts)
        retrieval = losses.RETRIEVAL_LOSSES[self.options.retrieval_loss.kind]
        terms = torch.cat(
            [
                retrieval(batch, self.options.retrieval_loss)[None],
                losses.classifier(self.model.logits(point, others)),
            ]
        )
        return terms, batch.distances.detach()

    @torch.no_grad()
    def _held_out_losses(self, role: str, vectors: dict[str, Vectors]) -> tuple[Tensor, Tensor]:
        """The losses (3,) and distances (2, n) of a split's triples, in the corpus's order."""
        self.model.eval()
        triples = torch.from_numpy(self.data.held_out[role]).to(self.device)
        # infonce depends on who shares a batch; the others do not, and may go in one.
        in_batches = self.options.retrieval_loss.kind == "infonce"
        size = self.options.training.batch_size if in_batches else triples.shape[1]
        parts, distances = [], []
        for part in torch.split(triples, size, dim=1):
            point = vectors["query"].rows(part[0])
            others = vectors["candidate"].rows(part[1:])
            as_candidate = vectors["candidate"].e[part[0]]
            terms, spread = self._terms(part, point, others, as_candidate)
            parts.append(terms.double() * part.shape[1])
            distances.append(spread)
        return torch.stack(parts).sum(dim=0) / triples.shape[1], torch.cat(distances, dim=1)

    def _asked(self, role: str, protocols: Iterable[str]) -> tuple[list[str], Ints | None]:
        """The protocols and queries of a split: every query of train is seen, and few are asked."""
        train = role == "train"
        return (
            [name for name in protocols if not (train and PROTOCOLS[name].unseen_only)],
            self.data.train_queries if train else None,
        )

    def _evaluate(self, role: str, vectors: dict[str, Vectors]) -> list[QueryResults]:
        self.model.eval()
        system = TrainedSystem(self.model, vectors, self.options.rerank)
        sets = self.data.sets(role)
        protocols, queries = self._asked(role, PROTOCOLS)
        asked = Evaluation(protocols=protocols, queries=queries)
        return query_results(sets, system.costs_of(sets), system.reranker, asked)

    def _epoch_scores(self, role: str, vectors: dict[str, Vectors]) -> dict[str, dict[str, float]]:
        self.model.eval()
        system = TrainedSystem(self.model, vectors, self.options.rerank)
        sets = self.data.sets(role)
        protocols, queries = self._asked(role, WITH_TASKS)
        scores = epoch_scores(
            sets, system.costs_of(sets), system.reranker, protocols=protocols, queries=queries
        )
        return {
            name: {
                "retrieval": found.retrieval,
                "reranked": found.reranked,
                "recall@10": found.recall_at_10,
            }
            for name, found in scores.items()
        }

    def _accuracy(
        self, roles: tuple[str, ...], vectors: dict[str, Vectors]
    ) -> dict[str, dict[str, dict[str, float]]]:
        by_folder: dict[str, dict[str, dict[str, float]]] = {}
        result = {}
        for role in roles:
            # Dev and test may be the same folder; the train role has its own queries.
            key = role if role == "train" else self.data.folders[role]
            if key not in by_folder:
                by_folder[key] = self._epoch_scores(role, vectors)
            result[role] = by_folder[key]
        return result


@dataclass
class Passed:
    """What an epoch's steps have left so far."""

    terms: list[Tensor] = field(default_factory=list)
    """(3,) losses a step."""
    distances: list[Tensor] = field(default_factory=list)
    """(2, ·) positive and negative distances of the steps."""
    events: list[str] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """How many."""
        return len(self.terms)

    def summary(self) -> tuple[Tensor, Tensor]:
        """(3,) the mean of each loss; (2, n) positive and negative distances."""
        return torch.stack(self.terms).mean(dim=0), torch.cat(self.distances, dim=1)
