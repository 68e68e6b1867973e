"""What a trained epoch is worth: held-out losses, accuracy, spread, and at the end the records."""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from counterpoint.config.options import CellOptions
from counterpoint.evaluation.evaluate import EPOCH_TASK
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
from counterpoint.results.files import HybridWeight
from counterpoint.training.data import CellData
from counterpoint.training.hybrid import ranked
from counterpoint.training.split_scores import Results, SplitScores
from counterpoint.training.step import Measured, TripleLosses

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of distances, as `epoch_log.Quantiles` names them."""


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
        self._scores = SplitScores(data, options.evaluation)
        self.held_out = self._scores.held_out
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
            tasks={task: self.accuracy(vectors, task) for task in self._scores.other_tasks},
            gap=None if train is None or dev is None else train - dev,
            spread=self.spread(vectors),
        )

    def accuracy(
        self, vectors: RoleVectors, task: str = EPOCH_TASK
    ) -> dict[str, dict[str, EpochScores]]:
        """By split and protocol the scores of an epoch on a task."""
        return self._scores.accuracy(self._system(vectors), task)

    def spread(self, vectors: RoleVectors) -> float:
        """Root mean square distance of the training texts' e to their mean, as candidates."""
        e = vectors["candidate"].e
        e = e[torch.from_numpy(self._data.allowed.texts).to(e.device)]
        return float((e - e.mean(dim=0)).square().sum(dim=1).mean().sqrt())

    def final(self, vectors: RoleVectors) -> tuple[Results, HybridWeight | None]:
        """Per-query results by split: all tasks and protocols; see `SplitScores`.

        And the weight of BM25 where the first stage has one.
        """
        kind = self._options.evaluation.first_stage
        system, weight = ranked(self._system(vectors), self._data, kind)
        return self._scores.final(system), weight

    def _system(self, vectors: RoleVectors) -> TrainedSystem:
        self._model.eval()
        return TrainedSystem(self._model, vectors, self._options.rerank)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _quantiles(distances: Tensor) -> list[Quantiles]:
    """Of each row of (2, n) distances."""
    # By numpy, because torch's own refuses more than 16 million numbers.
    values = distances.double().cpu().numpy()
    if not values.size or not np.isfinite(values).all():
        return [Quantiles(None, None, None, None, None)] * 2
    return [Quantiles(*row) for row in np.quantile(values, QUANTILES, axis=1).T.tolist()]
