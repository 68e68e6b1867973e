"""The losses of docs/method.md, "The model", as pure functions of tensors."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from counterpoint.config.options import RetrievalLossOptions


@dataclass(frozen=True)
class Batch:
    """Embedding vectors of a batch of B points, float32, and their texts.

    `point` (B, d) is in the query's role; `point_as_candidate` (B, d) and `others` (1 + k, B, d),
    the counters and k negatives of each point, are in the candidate's. `texts` (2 + k + g, B) int64
    are the points, counters and negatives, and the points' other counters, -1 for none.
    """

    point: Tensor
    point_as_candidate: Tensor
    others: Tensor
    texts: Tensor

    @cached_property
    def distances(self) -> Tensor:
        """‖e_p − e_c‖ and ‖e_p − e_n‖ of the triplets, (2, k · B); each point has k of them."""
        found = distance(self.point, self.others)
        positive, negative = found[:1], found[1:]
        return torch.stack([positive.expand_as(negative), negative]).flatten(1)


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance of rows: (…, B, d), (…, B, d) to (…, B)."""
    result: Tensor = torch.linalg.vector_norm(a - b, dim=-1)
    return result


def margin_violation(distances: Tensor, options: RetrievalLossOptions) -> Tensor:
    """‖e_p − e_c‖ − ‖e_p − e_n‖ + m of n triplets: (2, n) distances to (n,).

    A triplet is *active*, and has a gradient, where this is above 0.
    """
    positive, negative = distances.unbind()
    return positive - negative + options.margin


def triplet(batch: Batch, options: RetrievalLossOptions) -> Tensor:
    """Mean of max(0, ‖e_p − e_c‖ − ‖e_p − e_n‖ + m) over all triplets; scalar.

    Schroff, Kalenichenko, Philbin, *FaceNet* (CVPR 2015), equation 1, with distances that are not
    squared.
    """
    return functional.relu(margin_violation(batch.distances, options)).mean()


def infonce(batch: Batch, options: RetrievalLossOptions) -> Tensor:
    """Softmax over the batch's counters, points and negatives at temperature τ; scalar.

    van den Oord, Li, Vinyals, *Representation Learning with Contrastive Predictive Coding* (2018),
    equation 4, on vectors of length 1. Columns whose text is the same as the row's query or as one
    of its golds are masked out: they would push the query away from itself or from an answer.
    """
    columns = torch.cat([batch.point_as_candidate, *batch.others])
    parts = 1 + len(batch.others)
    texts = batch.texts[:parts].flatten()
    logits = batch.point @ columns.T / options.temperature
    size = len(batch.point)
    rows = torch.arange(size, device=logits.device)
    gold = size + rows
    masked = (texts == batch.texts[1, :, None]) | (texts == batch.texts[0, :, None])
    for others in batch.texts[parts:]:
        masked |= texts == others[:, None]
    masked[rows, gold] = False
    return functional.cross_entropy(logits.masked_fill(masked, -torch.inf), gold)


@dataclass(frozen=True)
class RetrievalLoss:
    """A retrieval loss, and what the model and training must know of it."""

    function: Callable[[Batch, RetrievalLossOptions], Tensor]
    unit_length: bool
    """Whether e has length 1 everywhere: in training, mining and retrieval."""
    across_batch: bool
    """Whether a triple's loss depends on who shares its batch, the points as candidates too."""
    violation: Callable[[Tensor, RetrievalLossOptions], Tensor] | None
    """Of a loss with a margin, what it is above 0 for; of (2, B) distances."""

    def __call__(self, batch: Batch, options: RetrievalLossOptions) -> Tensor:
        """The mean over a batch; scalar."""
        return self.function(batch, options)


RETRIEVAL_LOSSES: dict[str, RetrievalLoss] = {
    "triplet": RetrievalLoss(
        triplet, unit_length=False, across_batch=False, violation=margin_violation
    ),
    "infonce": RetrievalLoss(infonce, unit_length=True, across_batch=True, violation=None),
}


def classifier(logits: Tensor) -> Tensor:
    """Mean cross-entropy of (1 + k, B, 2) logits, of counters as class 1 and of k negatives as 0.

    With two classes it is softplus of how far the other one's logit lies above.

    Returns:
        (2,) one loss for the counters, one for the negatives.
    """
    other, own = logits.unbind(dim=-1)
    margin = other - own
    # Signs in a tensor would have to be copied to a GPU, for which everything waits.
    each = functional.softplus(torch.cat([margin[:1], -margin[1:]])).mean(dim=1)
    return torch.cat([each[:1], each[1:].mean(dim=0, keepdim=True)])
