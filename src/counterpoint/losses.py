"""The losses of docs/method.md, "The model", as pure functions of tensors."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from counterpoint.config import RetrievalLossOptions


@dataclass(frozen=True)
class Batch:
    """Embedding vectors of a batch of triples, each (B, d) float32, and their texts (B,) int64.

    `point` is in the query's role; `point_as_candidate`, `counter` and `negative` in the
    candidate's.
    """

    point: Tensor
    point_as_candidate: Tensor
    counter: Tensor
    negative: Tensor
    point_text: Tensor
    counter_text: Tensor
    negative_text: Tensor

    @cached_property
    def positive_distance(self) -> Tensor:
        """‖e_p − e_c‖, (B,)."""
        return distance(self.point, self.counter)

    @cached_property
    def negative_distance(self) -> Tensor:
        """‖e_p − e_n‖, (B,)."""
        return distance(self.point, self.negative)


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance of rows: (B, d), (B, d) to (B,)."""
    result: Tensor = torch.linalg.vector_norm(a - b, dim=-1)
    return result


def triplet(batch: Batch, options: RetrievalLossOptions) -> Tensor:
    """Mean of max(0, ‖e_p − e_c‖ − ‖e_p − e_n‖ + m); scalar.

    Schroff, Kalenichenko, Philbin, *FaceNet* (CVPR 2015), equation 1, with distances that are not
    squared.
    """
    apart = batch.positive_distance - batch.negative_distance
    return functional.relu(apart + options.margin).mean()


def infonce(batch: Batch, options: RetrievalLossOptions) -> Tensor:
    """Softmax over the batch's counters, points and negatives at temperature τ; scalar.

    van den Oord, Li, Vinyals, *Representation Learning with Contrastive Predictive Coding* (2018),
    equation 4, on vectors of length 1. Columns whose text is the same as the row's gold or query
    are masked out: they would push the query away from itself.
    """
    columns = torch.cat([batch.counter, batch.point_as_candidate, batch.negative])
    texts = torch.cat([batch.counter_text, batch.point_text, batch.negative_text])
    logits = batch.point @ columns.T / options.temperature
    gold = torch.arange(len(batch.point), device=logits.device)
    masked = (texts == batch.counter_text[:, None]) | (texts == batch.point_text[:, None])
    masked[gold, gold] = False
    return functional.cross_entropy(logits.masked_fill(masked, -torch.inf), gold)


RETRIEVAL_LOSSES: dict[str, Callable[[Batch, RetrievalLossOptions], Tensor]] = {
    "triplet": triplet,
    "infonce": infonce,
}

NORMALISED = frozenset({"infonce"})
"""Losses under which e has length 1 everywhere: in training, mining and retrieval."""


def classifier(logits: Tensor, label: int) -> Tensor:
    """Mean cross-entropy of (B, 2) logits, every row of the same class; scalar.

    With two classes it is softplus of how far the other one's logit lies above.
    """
    return functional.softplus(logits[:, 1 - label] - logits[:, label]).mean()
