"""What a trained epoch is worth: held-out losses, accuracy, spread, and at the end the records."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from counterpoint.arrays import Ints
from counterpoint.config.options import CellOptions
from counterpoint.evaluation.evaluate import EPOCH_TASK, Evaluation, epoch_scores, query_results
from counterpoint.evaluation.records import DEPTH, QueryResults
from counterpoint.evaluation.system import RoleVectors, TrainedSystem
from counterpoint.models.cell_model import CellModel
from counterpoint.results.epoch_log import (
    Distances,
    EpochRecord,
    EpochScores,
    Losses,
    Quantiles,
    Spread,
)
from counterpoint.tasks.candidates import TASKS, CandidateSets
from counterpoint.tasks.protocols import PROTOCOLS, WITH_TASKS
from counterpoint.training.data import CellData
from counterpoint.training.step import Measured, TripleLosses

T = TypeVar("T")

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of distances, as `epoch_log.Quantiles` names them."""

Results = dict[str, tuple[CandidateSets, list[QueryResults]]]
"""By split: its candidate sets and what became of its queries."""


class CellEvaluation:
    """Evaluates a cell by its vectors.

    Args:
        model: of the cell.
        data: of the cell.
        options: of the cell.
        triple_losses: of the cell.
    """

    def __init__(
        self,
        model: CellModel,
        data: CellData,
        options: CellOptions,
        triple_losses: TripleLosses,
    ) -> None:
        self._model = model
        self._data = data
        self._options = options
        self._losses = triple_losses
        test = options.evaluation.test_every_epoch
        self.held_out = ("dev", "test") if test else ("dev",)
        """The splits that each epoch is evaluated on, beside train."""

    @torch.no_grad()
    def held_out_losses(self, role: str, vectors: RoleVectors) -> Measured:
        """The losses and distances of a split's triples, in the corpus's order."""
        self._model.eval()
        query, candidate = vectors["query"], vectors["candidate"]
        triples = torch.from_numpy(self._data.held_out[role]).to(query.e.device)
        # Where no triple's loss depends on its batch they may go in one.
        in_batches = self._losses.depend_on_batch
        size = self._options.training.batch_size if in_batches else triples.shape[1]
        parts, distances = [], []
        for part in torch.split(triples, size, dim=1):
            point, others = query.rows(part[0]), candidate.rows(part[1:3])
            measured = self._losses.of_vectors(part, point, others, candidate.e[part[0]])
            parts.append(measured.losses.double() * part.shape[1])
            distances.append(measured.distances)
        return Measured(
            torch.stack(parts).sum(dim=0) / triples.shape[1], torch.cat(distances, dim=1)
        )

    def summary(self, measured: Measured) -> tuple[Losses, Distances]:
        """What an epoch's record says of a split's losses and distances."""
        retrieval, counter, negative = map(_finite, measured.losses.tolist())
        total = _finite(float(self._losses.total(measured.losses)))
        return Losses(retrieval, counter, negative, total), self._distances(measured.distances)

    def _distances(self, distances: Tensor) -> Distances:
        """(2, n) distances as an epoch's record has them."""
        std, mean = torch.std_mean(distances.double(), dim=1, correction=0)
        quantiles = _quantiles(distances)
        positive, negative = (
            Spread(_finite(float(mean[row])), _finite(float(std[row])), quantiles[row])
            for row in (0, 1)
        )
        active = self._losses.active(distances) if bool(distances.isfinite().all()) else None
        return Distances(positive, negative, active)

    def evaluated(self, record: EpochRecord, vectors: RoleVectors) -> EpochRecord:
        """A trained epoch's record with what its vectors tell.

        Where weights, vectors or losses are no numbers any more there is nothing to evaluate: the
        record says so under `diverged`.
        """
        losses, distances = dict(record.losses), dict(record.distances)
        for role in self.held_out:
            losses[role], distances[role] = self.summary(self.held_out_losses(role, vectors))
        record = replace(record, losses=losses, distances=distances)
        if any(loss.total is None for loss in losses.values()):
            return replace(record, diverged="the vectors or weights are not numbers")
        accuracy = self.accuracy(vectors)
        train, dev = accuracy["train"]["official"].reranked, accuracy["dev"]["clean"].reranked
        return replace(
            record,
            accuracy=accuracy,
            tasks={task: self.accuracy(vectors, task) for task in self._other_tasks()},
            gap=None if train is None or dev is None else train - dev,
            spread=self.spread(vectors),
        )

    def accuracy(
        self, vectors: RoleVectors, task: str = EPOCH_TASK
    ) -> dict[str, dict[str, EpochScores]]:
        """By split and protocol the scores of an epoch on a task."""
        roles = ("train", *self.held_out)
        return self._once_a_folder(roles, lambda role: self._scores(role, vectors, task))

    def _other_tasks(self) -> list[str]:
        asked = self._options.evaluation.epoch_tasks
        return [task for task in TASKS if task in asked and task != EPOCH_TASK]

    def spread(self, vectors: RoleVectors) -> float:
        """Root mean square distance of the training texts' e to their mean, as candidates."""
        e = vectors["candidate"].e
        e = e[torch.from_numpy(self._data.allowed.texts).to(e.device)]
        return float((e - e.mean(dim=0)).square().sum(dim=1).mean().sqrt())

    def final(self, vectors: RoleVectors) -> Results:
        """Per-query results by split: all tasks and protocols.

        The train split has its sample of queries; every one is seen, so `clean` asks none.
        """
        results = self._once_a_folder(
            ("train", "dev", "test"), lambda role: self._results(role, vectors)
        )
        return {role: (self._data.sets(role), of_role) for role, of_role in results.items()}

    def _once_a_folder(self, roles: Sequence[str], of_role: Callable[[str], T]) -> dict[str, T]:
        """By role; dev and test may be the same folder, but train has queries of its own."""
        known: dict[tuple[bool, str], T] = {}
        result = {}
        for role in roles:
            key = role == "train", self._data.folders[role]
            if key not in known:
                known[key] = of_role(role)
            result[role] = known[key]
        return result

    def _scores(self, role: str, vectors: RoleVectors, task: str) -> dict[str, EpochScores]:
        """Of an epoch, split and task, by protocol."""
        system, sets = self._system(vectors), self._data.sets(role)
        protocols, queries = self._asked(role, WITH_TASKS)
        return epoch_scores(
            sets,
            system.costs_of(sets),
            system.reranker,
            task=task,
            protocols=protocols,
            queries=queries,
            top_k=self._options.evaluation.top_k,
        )

    def _results(self, role: str, vectors: RoleVectors) -> list[QueryResults]:
        system, sets = self._system(vectors), self._data.sets(role)
        protocols, queries = self._asked(role, PROTOCOLS)
        depth = max(DEPTH, *self._options.evaluation.top_k)
        evaluation = Evaluation(protocols=protocols, queries=queries, depth=depth)
        return query_results(sets, system.costs_of(sets), system.reranker, evaluation)

    def _system(self, vectors: RoleVectors) -> TrainedSystem:
        self._model.eval()
        return TrainedSystem(self._model, vectors, self._options.rerank)

    def _asked(self, role: str, protocols: Iterable[str]) -> tuple[list[str], Ints | None]:
        """The protocols and queries of a split: every query of train is seen, and few are asked."""
        train = role == "train"
        return (
            [name for name in protocols if not (train and PROTOCOLS[name].unseen_only)],
            self._data.train_queries if train else None,
        )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _quantiles(distances: Tensor) -> list[Quantiles]:
    """Of each row of (2, n) distances."""
    # By numpy, because torch's own refuses more than 16 million numbers.
    values = distances.double().cpu().numpy()
    if not values.size or not np.isfinite(values).all():
        return [Quantiles(None, None, None, None, None)] * 2
    return [Quantiles(*row) for row in np.quantile(values, QUANTILES, axis=1).T.tolist()]
