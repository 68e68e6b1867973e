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
from counterpoint.evaluation import Records, Scorer, evaluate
from counterpoint.mining import (
    Negatives,
    composition,
    draw_random,
    mine,
    negative_pool,
    random_rate,
)
from counterpoint.model import Retriever, Vectors
from counterpoint.ranking import Euclidean
from counterpoint.seeding import generator, torch_seed
from counterpoint.tasks import PROTOCOLS, TASKS, Pool, make_pool, training_pairs

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
        self.pairs = training_pairs(self.pool("train"))
        self.negatives = negative_pool(self.pairs)
        if len(self.pairs) < options.training.batch:
            raise InputError(
                f"training.batch: {options.training.batch} is more than the {len(self.pairs)} "
                "different training pairs; give a smaller batch"
            )
        self.dev_pairs = training_pairs(self.pool("dev"))
        dev_pool = negative_pool(self.dev_pairs)
        # One random negative a dev point, drawn once a seed: mined ones get harder as the random
        # rate falls, and the dev loss would rise for that alone.
        self.dev_negatives = dev_pool.texts[
            draw_random(dev_pool, generator(options.seed, -1, "dev negatives"))
        ]
        self.train_queries = self._train_sample(options)

    def pool(self, role: str) -> Pool:
        """The pool of a role's folder."""
        return self.pools[self.folders[role]]

    def _train_sample(self, options: CellOptions) -> Ints:
        pairs = self.pool("train").pairs
        rng = generator(options.seed, -1, "train sample")
        size = min(options.evaluation.train_sample, pairs)
        return np.sort(rng.choice(pairs, size=size, replace=False))

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
        self.controls = Controls(options.stopping)

    def run(self, on_epoch: Callable[[dict[str, Any]], None]) -> Outcome:
        """Train to the end and leave the model with its best weights.

        Args:
            on_epoch: gets each epoch's record as the epoch ends.
        """
        best = self._weights()
        status, reason = "finished", f"all {self.options.training.epochs} epochs"
        epochs = 0
        with self.watch("embed"):
            vectors = self.embed(("train",))
        for epoch in range(self.options.training.epochs):
            record, vectors = self._epoch(epoch, vectors)
            epochs += 1
            if not math.isfinite(record["losses"]["total"]):
                record["events"] = ["the loss is not a number"]
                on_epoch(record)
                status, reason = "diverged", f"the loss is not a number in epoch {epoch}"
                break
            decision = self.controls.update(
                epoch,
                dev_accuracy=record["accuracy"]["dev"]["clean"]["reranked"],
                dev_loss=record["dev_loss"],
                train_accuracy=record["accuracy"]["train"]["official"]["reranked"],
            )
            if decision.best:
                best = self._weights()
            if decision.halve:
                for group in self.optimizer.param_groups:
                    group["lr"] /= 2
            record["events"] = [
                *(["best"] if decision.best else []),
                *(["learning rate halved"] if decision.halve else []),
                *([f"warning: {decision.warning}"] if decision.warning else []),
                *([f"stop: {decision.stop}"] if decision.stop else []),
            ]
            on_epoch(record)
            if decision.stop is not None:
                status, reason = "stopped", decision.stop
                break
        self.model.load_state_dict(best)
        return Outcome(
            status=status,  # type: ignore[arg-type]
            reason=reason,
            epochs=epochs,
            best_epoch=self.controls.best_epoch,
            parameters=self.model.parameter_count(),
        )

    def records(self) -> dict[str, tuple[Pool, list[Records]]]:
        """Per-query records of the current weights by role: all tasks and protocols.

        The train split, every query of which is seen, has the sample and `official` alone.
        """
        vectors = self.embed(("train", "dev", "test"))
        return {
            role: (self.data.pool(role), self._evaluate(role, vectors, TASKS))
            for role in ("train", "dev", "test")
        }

    def _weights(self) -> dict[str, Tensor]:
        return copy.deepcopy(self.model.state_dict())

    def _epoch(
        self, epoch: int, vectors: dict[str, Vectors]
    ) -> tuple[dict[str, Any], dict[str, Vectors]]:
        rate = self.optimizer.param_groups[0]["lr"]
        with self.watch("mine"):
            negatives = self.mine(epoch, vectors)
            facts = composition(negatives, self.data.pairs, self.data.negatives)
        with self.watch("train"):
            figures = self._train(epoch, negatives)
        roles = (
            ("train", "dev", "test")
            if self.options.evaluation.test_every_epoch
            else ("train", "dev")
        )
        with self.watch("embed"):
            vectors = self.embed(roles)
        with self.watch("evaluate"):
            accuracy = self._accuracy(roles, vectors)
            dev_loss = self._dev_loss(vectors)
        record = {
            "epoch": epoch,
            "learning_rate": rate,
            "random_rate": random_rate(epoch, self.options.mining),
            **figures,
            "negatives": facts,
            "dev_loss": dev_loss,
            "accuracy": accuracy,
            "gap": accuracy["train"]["official"]["reranked"] - accuracy["dev"]["clean"]["reranked"],
        }
        return record, vectors

    def embed(self, roles: tuple[str, ...]) -> dict[str, Vectors]:
        """Vectors of all texts of some splits in each role: x (texts, H), e (texts, d).

        Rows are text numbers of the whole corpus; those of other splits are left undefined.
        """
        numbers = torch.from_numpy(self.data.texts(roles)).to(self.device)

        def table(role: str) -> Vectors:
            found = self.model.embed(numbers, role)
            if len(numbers) == self.texts:
                return found
            whole = [part.new_zeros((self.texts, part.shape[1])) for part in found]
            for empty, part in zip(whole, found, strict=True):
                empty[numbers] = part
            return Vectors(*whole)

        query = table("query")
        return {
            "query": query,
            "candidate": table("candidate") if self.model.roles_differ else query,
        }

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

    def _train(self, epoch: int, negatives: Negatives) -> dict[str, Any]:
        """One pass over the shuffled triples; losses stay on the device until its end."""
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
        mean = torch.stack(parts).mean(dim=0)
        spread = torch.cat(distances, dim=1).double()
        std, centre = torch.std_mean(spread, dim=1, correction=0)
        return {
            "losses": {
                **dict(zip(("retrieval", "counter", "negative"), mean.tolist(), strict=True)),
                "total": float(self._total(mean)),
            },
            "distances": {
                name: {"mean": float(centre[i]), "std": float(std[i])}
                for i, name in enumerate(("positive", "negative"))
            },
        }

    def _total(self, terms: Tensor) -> Tensor:
        w_t, w_c = self.options.retrieval_loss.weight, self.options.classifier_loss.weight
        return w_t * terms[0] + w_c * (terms[1] + terms[2])

    def _losses(self, triples: Tensor) -> tuple[Tensor, Tensor]:
        """The three losses of a batch of triples, and its distances without gradients.

        Args:
            triples: (3, B) int64 texts: points, counters, negatives.

        Returns:
            (3,) retrieval, counter and negative; (2, B) positive and negative distances.
        """
        texts = triples[1:].reshape(-1)
        point = self.model(triples[0], "query")
        if not self.model.roles_differ:
            others, as_candidate = self.model(texts, "candidate"), point.e
        elif self.options.retrieval_loss.kind == "infonce":
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
        twice = Vectors(torch.cat([point.x, point.x]), torch.cat([point.e, point.e]))
        logits = self.model.logits(twice, others)
        terms = torch.stack(
            [
                loss(batch, self.options.retrieval_loss),
                losses.classifier(logits[:size], 1),
                losses.classifier(logits[size:], 0),
            ]
        )
        with torch.no_grad():
            spread = torch.stack(
                [losses.distance(point.e, counter), losses.distance(point.e, negative)]
            )
        return terms, spread

    @torch.no_grad()
    def _dev_loss(self, vectors: dict[str, Vectors]) -> float:
        """The loss of the dev triples, in batches as large as training's, in the corpus's order."""
        pairs = self.data.dev_pairs
        triples = torch.from_numpy(
            np.stack([pairs.point, pairs.counter, self.data.dev_negatives])
        ).to(self.device)
        # infonce depends on who shares a batch; the others do not, and may go in one.
        in_batches = self.options.retrieval_loss.kind == "infonce"
        size = self.options.training.batch if in_batches else len(pairs)
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for start in range(0, len(pairs), size):
            part = triples[:, start : start + size]
            point = vectors["query"].rows(part[0])
            others = vectors["candidate"].rows(part[1:].reshape(-1))
            as_candidate = vectors["candidate"].e[part[0]]
            terms, _ = self._terms(part, point, others, as_candidate)
            total += self._total(terms).double() * part.shape[1]
        return float(total / len(pairs))

    @torch.no_grad()
    def _evaluate(
        self, role: str, vectors: dict[str, Vectors], tasks: tuple[str, ...]
    ) -> list[Records]:
        pool = self.data.pool(role)
        texts = torch.from_numpy(pool.text).to(self.device)
        costs = Euclidean(vectors["query"].e[texts[pool.pairs :]], vectors["candidate"].e[texts])
        train = role == "train"
        self.model.eval()
        return evaluate(
            pool,
            costs,
            tasks=tasks,
            protocols=("official",) if train else PROTOCOLS,
            queries=self.data.train_queries if train else None,
            k=self.options.evaluation.rerank,
            scorer=self._scorer(vectors),
            device=self.device,
        )

    def _scorer(self, vectors: dict[str, Vectors]) -> Scorer:
        def score(queries: Tensor, candidates: Tensor) -> Tensor:
            return self.model.score(
                vectors["query"].rows(queries), vectors["candidate"].rows(candidates)
            )

        return score

    def _accuracy(
        self, roles: tuple[str, ...], vectors: dict[str, Vectors]
    ) -> dict[str, dict[str, dict[str, float]]]:
        by_folder: dict[str, dict[str, dict[str, float]]] = {}
        result = {}
        for role in roles:
            # Dev and test may be the same folder; the train role has its own queries.
            key = role if role == "train" else self.data.folders[role]
            if key not in by_folder:
                by_folder[key] = {
                    records.protocol: epoch_figures(records)
                    for records in self._evaluate(role, vectors, ("epa",))
                    if len(records.queries)
                }
            result[role] = by_folder[key]
        return result


def epoch_figures(records: Records) -> dict[str, float]:
    """An epoch's figures of one task and protocol: accuracy@1 of both stages, recall@10."""
    if records.reranked is None:
        raise ValueError("an epoch's figures need both stages")
    return {
        "retrieval": metrics.accuracy_at_1(records.rank),
        "reranked": metrics.accuracy_at_1(records.reranked),
        "recall@10": metrics.recall_at_10(records.rank),
    }
