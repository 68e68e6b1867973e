"""One training job: embed, mine, train, evaluate, decide, epoch after epoch (docs/method.md)."""

import copy
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from counterpoint import losses, metrics
from counterpoint.config import CellOptions
from counterpoint.controls import Controls
from counterpoint.corpus import Corpus
from counterpoint.encoder import FrozenFeatures, LiveEncoder
from counterpoint.errors import InputError
from counterpoint.evaluation import Records
from counterpoint.mining import (
    Negatives,
    composition,
    draw_random,
    mine,
    negative_pool,
    random_rate,
)
from counterpoint.model import Retriever, Vectors
from counterpoint.seeding import generator, torch_seed
from counterpoint.system import System, embed, records
from counterpoint.tasks import (
    LEGACY,
    PROTOCOLS,
    TASKS,
    Pool,
    make_pool,
    trainable,
    training_pairs,
)

Ints = npt.NDArray[np.int64]

Status = Literal["finished", "stopped", "diverged"]


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
    """Seconds by stage; never part of a log."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add what the body takes to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start


class Data:
    """What a cell needs of the corpus, as numbers: pools by role, training pairs, dev triples."""

    def __init__(self, corpus: Corpus, options: CellOptions) -> None:
        self.folders = dict(corpus.roles)
        self.pools = {folder: make_pool(corpus, folder) for folder in set(corpus.roles.values())}
        if not self.pool("dev").unseen.any():
            raise InputError(
                f"corpus.splits: the dev split {self.folders['dev']!r} has no query unseen in "
                "training, so no epoch can be called best; choose another folder"
            )
        self.trained = trainable(corpus, self.pool("train"))
        self.pairs = training_pairs(self.pool("train"), self.trained)
        if not len(self.pairs):
            raise InputError(
                "corpus.decontaminate: every training pair shares a text with dev or test; set it "
                "to none, or choose another training folder"
            )
        self.negatives = negative_pool(self.pairs, "training")
        if len(self.pairs) < options.training.batch:
            raise InputError(
                f"training.batch: {options.training.batch} is more than the {len(self.pairs)} "
                "different training pairs; give a smaller batch"
            )
        self.held_out = {role: self._triples(role, options) for role in ("dev", "test")}
        self.train_queries = self._train_sample(options)

    def _triples(self, role: str, options: CellOptions) -> Ints:
        """(3, n) texts: the points and counters of a split, and a random negative of each.

        Drawn once a seed: mined ones get harder as the random rate falls, and the loss on them
        would rise for that alone.
        """
        pairs = training_pairs(self.pool(role))
        pool = negative_pool(pairs, role)
        drawn = draw_random(pool, generator(options.seed, -1, f"{role} negatives"))
        return np.stack([pairs.point, pairs.counter, pool.texts[drawn]])

    def pool(self, role: str) -> Pool:
        """The pool of a role's folder."""
        return self.pools[self.folders[role]]

    def _train_sample(self, options: CellOptions) -> Ints:
        rng = generator(options.seed, -1, "train sample")
        size = min(options.evaluation.train_sample, len(self.trained))
        return np.sort(rng.choice(self.trained, size=size, replace=False))

    def texts(self, roles: tuple[str, ...]) -> Ints:
        """The unique texts of some roles' pools."""
        return np.unique(np.concatenate([self.pool(role).text for role in roles]))


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
        encoder: FrozenFeatures | LiveEncoder,
        device: torch.device,
    ) -> None:
        self.options = options
        self.device = device
        self.data = Data(corpus, options)
        self.watch = Stopwatch()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(options.seed, -1, "initial weights"))
            self.model = Retriever(options, encoder).to(device)
        learning = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(learning, lr=options.training.learning_rate, fused=True)
        self.texts = len(corpus.texts)
        w_t, w_c = options.retrieval_loss.weight, options.classifier_loss.weight
        self.weights = torch.tensor([w_t, w_c, w_c], device=device)
        self.controls = Controls(options.stopping)

    def run(self, on_epoch: Callable[[dict[str, Any]], None]) -> Outcome:
        """Train to the end and leave the model with its best weights.

        Args:
            on_epoch: gets each epoch's record as the epoch ends.
        """
        best = self._weights()
        status: Status = "finished"
        reason = f"all {self.options.training.epochs} epochs"
        epochs = 0
        with self.watch("embed"):
            vectors = self.embed(("train",))
        for epoch in range(self.options.training.epochs):
            record, vectors = self._epoch(epoch, vectors)
            epochs += 1
            if record["diverged"]:
                status, reason = "diverged", f"{record['diverged']} in epoch {epoch}"
                record["events"] = [f"stop: {record['diverged']}"]
                on_epoch(record)
                break
            decision = self.controls.update(
                epoch,
                dev_accuracy=record["accuracy"]["dev"]["clean"]["reranked"],
                dev_loss=record["losses"]["dev"]["total"],
                train_accuracy=record["accuracy"]["train"]["official"]["reranked"],
            )
            if decision.best:
                best = self._weights()
            if decision.halve:
                for group in self.optimizer.param_groups:
                    group["lr"] /= 2
            record["events"] = decision.events()
            on_epoch(record)
            if decision.stop is not None:
                status, reason = "stopped", decision.stop
                break
        self.model.load_state_dict(best)
        return Outcome(
            status=status,
            reason=reason,
            epochs=epochs,
            best_epoch=self.controls.best_epoch,
            parameters=self.model.parameter_count(),
        )

    def records(self) -> dict[str, tuple[Pool, list[Records]]]:
        """Per-query records of the current weights by role: all tasks and protocols, and `legacy`.

        The train split, every query of which is seen, has the sample and `official` alone.
        """
        vectors = self.embed(("train", "dev", "test"))
        return {
            role: (
                self.data.pool(role),
                self._evaluate(role, vectors, protocols=(*PROTOCOLS, LEGACY)),
            )
            for role in ("train", "dev", "test")
        }

    def _weights(self) -> dict[str, Tensor]:
        return copy.deepcopy(self.model.state_dict())

    def _epoch(
        self, epoch: int, vectors: dict[str, Vectors]
    ) -> tuple[dict[str, Any], dict[str, Vectors]]:
        """Mine, train, embed, evaluate: the epoch's record, and the vectors at its end.

        Where weights, vectors or losses are no numbers any more there is nothing to evaluate: the
        record says so under `diverged`.
        """
        record: dict[str, Any] = {
            "epoch": epoch,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "random_rate": random_rate(epoch, self.options.mining),
            "losses": {},
            "distances": {},
            "accuracy": {},
            "gap": None,
            "diverged": None,
        }
        with self.watch("mine"):
            negatives = self.mine(epoch, vectors)
            record["negatives"] = composition(negatives, self.data.pairs, self.data.negatives)
        with self.watch("train"):
            self._note(record, "train", *self._train(epoch, negatives))
        if not math.isfinite(record["losses"]["train"]["total"]):
            record["diverged"] = "the loss is not a number"
            return record, vectors
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
        record["accuracy"] = accuracy
        record["gap"] = (
            accuracy["train"]["official"]["reranked"] - accuracy["dev"]["clean"]["reranked"]
        )
        return record, vectors

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
        return embed(self.model, numbers, self.texts)

    def mine(self, epoch: int, vectors: dict[str, Vectors]) -> Negatives:
        """This epoch's negative of every training pair."""
        data = self.data
        return mine(
            vectors["query"].e[torch.from_numpy(data.pairs.point).to(self.device)],
            vectors["candidate"].e[torch.from_numpy(data.negatives.texts).to(self.device)],
            data.negatives,
            self.options.mining,
            epoch,
            generator(self.options.seed, epoch, "mining"),
        )

    def _train(self, epoch: int, negatives: Negatives) -> tuple[Tensor, Tensor]:
        """One pass over the shuffled triples; losses stay on the device until its end.

        Returns:
            (3,) the mean of each loss; (2, n) positive and negative distances.
        """
        options = self.options
        torch.manual_seed(torch_seed(options.seed, epoch, "dropout"))
        order = generator(options.seed, epoch, "order").permutation(len(self.data.pairs))
        triples = torch.from_numpy(
            np.stack([self.data.pairs.point, self.data.pairs.counter, negatives.text])[:, order]
        ).to(self.device)
        size = options.training.batch
        self.model.train()
        parts: list[Tensor] = []
        distances: list[Tensor] = []
        for start in range(0, triples.shape[1] - size + 1, size):
            terms, spread = self._losses(triples[:, start : start + size])
            self.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(self._total(terms))
            self.optimizer.step()
            parts.append(terms.detach())
            distances.append(spread)
        return torch.stack(parts).mean(dim=0), torch.cat(distances, dim=1)

    def _total(self, terms: Tensor) -> Tensor:
        return terms @ self.weights.to(terms)

    def _losses(self, triples: Tensor) -> tuple[Tensor, Tensor]:
        """The three losses of a batch of triples, and its distances without gradients.

        Args:
            triples: (3, B) int64 texts: points, counters, negatives.

        Returns:
            (3,) retrieval, counter and negative; (2, B) positive and negative distances.
        """
        size = triples.shape[1]
        if not self.model.roles_differ:
            every = self.model(triples.reshape(-1), "query")
            point, others = every.rows(slice(size)), every.rows(slice(size, None))
            return self._terms(triples, point, others, point.e)
        texts = triples[1:].reshape(-1)
        point = self.model(triples[0], "query")
        if self.options.retrieval_loss.kind == "infonce":
            others = self.model(torch.cat([texts, triples[0]]), "candidate")
            as_candidate = others.e[len(texts) :]
            others = others.rows(slice(len(texts)))
        else:
            others = self.model(texts, "candidate")
            as_candidate = point.e  # no other loss looks at it
        return self._terms(triples, point, others, as_candidate)

    def _terms(
        self, triples: Tensor, point: Vectors, others: Vectors, as_candidate: Tensor
    ) -> tuple[Tensor, Tensor]:
        size = triples.shape[1]
        counter, negative = others.e[:size], others.e[size:]
        batch = losses.Batch(point.e, as_candidate, counter, negative, *triples)
        loss = losses.RETRIEVAL_LOSSES[self.options.retrieval_loss.kind]
        logits = self.model.logits(point, others)
        terms = torch.stack(
            [
                loss(batch, self.options.retrieval_loss),
                losses.classifier(logits[:size], 1),
                losses.classifier(logits[size:], 0),
            ]
        )
        spread = torch.stack([batch.positive_distance, batch.negative_distance]).detach()
        return terms, spread

    @torch.no_grad()
    def _held_out_losses(self, role: str, vectors: dict[str, Vectors]) -> tuple[Tensor, Tensor]:
        """The losses (3,) and distances (2, n) of a split's triples, in the corpus's order."""
        self.model.eval()
        triples = torch.from_numpy(self.data.held_out[role]).to(self.device)
        # infonce depends on who shares a batch; the others do not, and may go in one.
        in_batches = self.options.retrieval_loss.kind == "infonce"
        size = self.options.training.batch if in_batches else triples.shape[1]
        parts, distances = [], []
        for part in torch.split(triples, size, dim=1):
            point = vectors["query"].rows(part[0])
            others = vectors["candidate"].rows(part[1:].reshape(-1))
            as_candidate = vectors["candidate"].e[part[0]]
            terms, spread = self._terms(part, point, others, as_candidate)
            parts.append(terms.double() * part.shape[1])
            distances.append(spread)
        return torch.stack(parts).sum(dim=0) / triples.shape[1], torch.cat(distances, dim=1)

    def _evaluate(
        self,
        role: str,
        vectors: dict[str, Vectors],
        *,
        tasks: tuple[str, ...] = TASKS,
        protocols: tuple[str, ...] = PROTOCOLS,
        beyond: bool = True,
    ) -> list[Records]:
        self.model.eval()
        system = System(self.model, vectors, self.options.evaluation.rerank)
        pool = self.data.pool(role)
        train = role == "train"
        return records(
            pool,
            system.pool_costs(pool),
            system,
            tasks=tasks,
            # Every query of the train split is seen.
            protocols=[p for p in protocols if not (train and p == "clean")],
            queries=self.data.train_queries if train else None,
            beyond=beyond,
        )

    def _accuracy(
        self, roles: tuple[str, ...], vectors: dict[str, Vectors]
    ) -> dict[str, dict[str, dict[str, float]]]:
        # The figures of an epoch ask no more than whether the gold is among the first ten.
        beyond = self.options.evaluation.rerank < 10
        by_folder: dict[str, dict[str, dict[str, float]]] = {}
        result = {}
        for role in roles:
            # Dev and test may be the same folder; the train role has its own queries.
            key = role if role == "train" else self.data.folders[role]
            if key not in by_folder:
                by_folder[key] = {
                    each.protocol: epoch_figures(each)
                    for each in self._evaluate(role, vectors, tasks=("epa",), beyond=beyond)
                    if len(each.queries)
                }
            result[role] = by_folder[key]
        return result


def epoch_figures(found: Records) -> dict[str, float]:
    """An epoch's figures of one task and protocol: accuracy@1 of both stages, recall@10."""
    if found.reranked is None:
        raise ValueError("an epoch's figures need both stages")
    return {
        "retrieval": float(metrics.accuracy_at_1(found.rank).mean()),
        "reranked": float(metrics.accuracy_at_1(found.reranked).mean()),
        "recall@10": float(metrics.recall_at_10(found.rank).mean()),
    }
