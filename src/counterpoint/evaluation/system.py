"""A trained model with the vectors of some texts: what is evaluated, and what mining draws from."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from counterpoint.arrays import Ints
from counterpoint.encoders.encoder import gathered
from counterpoint.evaluation.second_stage import PairScorer, Reranker
from counterpoint.models.cell_model import CellModel
from counterpoint.models.fusion import Vectors
from counterpoint.search.distances import Costs, Euclidean
from counterpoint.tasks.candidates import CandidateSets

T = TypeVar("T")

RoleVectors = dict[str, Vectors]
"""By role (query, candidate); rows are text numbers."""


@dataclass(frozen=True)
class PartEmbedded:
    """A part of an embedding pass is done; a job may stop here, and embed anew later."""


@torch.no_grad()
def embedding(
    model: CellModel, texts: Tensor, total: int
) -> Generator[PartEmbedded, None, RoleVectors]:
    """Vectors of some texts in each role: x (total, H), e (total, d); a pause after each part.

    An encoder that serves both roles sees each text once.

    Args:
        model: on the device of `texts`.
        texts: (n,) int64 unique text numbers.
        total: how many texts there are; the rows of those not asked for are zero.

    Returns:
        The vectors, when all parts are done.
    """

    def encoded(role: str) -> Generator[PartEmbedded, None, Tensor]:
        parts = []
        for part in model.encode(texts, role):
            parts.append(part)
            yield PartEmbedded()
        return gathered(parts, len(texts))

    def table(x: Tensor, role: str) -> Vectors:
        vectors = model.project(x, role)
        if len(texts) == total:
            return vectors
        whole = [part.new_zeros((total, part.shape[1])) for part in vectors]
        for empty, part in zip(whole, vectors, strict=True):
            empty[texts] = part
        return Vectors(*whole)

    x = yield from encoded("query")
    query = table(x, "query")
    if not model.roles_differ:
        return {"query": query, "candidate": query}
    if model.encoder.roles_differ:
        x = yield from encoded("candidate")
    return {"query": query, "candidate": table(x, "candidate")}


def embed(model: CellModel, texts: Tensor, total: int) -> RoleVectors:
    """What `embedding` returns, without a pause."""
    return returned(embedding(model, texts, total))


def returned(steps: Generator[object, None, T]) -> T:
    """What a generator returns, whatever it yields on the way."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


@dataclass(frozen=True)
class TrainedSystem:
    """A model and the vectors that it gives to the texts of a corpus."""

    model: CellModel
    vectors: RoleVectors
    rerank: int
    """How many of the nearest candidates the classifier re-orders."""
    fused: Callable[[CandidateSets, Costs], Costs] | None = None
    """Makes of a split's distances what its candidates are ranked by; None for the distances."""

    @property
    def device(self) -> torch.device:
        """Where the vectors lie."""
        return self.vectors["query"].e.device

    def costs_of(self, sets: CandidateSets) -> Costs:
        """Of all rows of a split to its queries: distances, unless they are fused with others."""
        dense = self.costs(sets.text[sets.pairs :], sets.text)
        return dense if self.fused is None else self.fused(sets, dense)

    def costs(self, queries: Ints, candidates: Ints) -> Costs:
        """Distances of m candidates to q queries, each given by their text numbers."""
        q, c = (torch.from_numpy(texts).to(self.device) for texts in (queries, candidates))
        return Euclidean(self.vectors["query"].e[q], self.vectors["candidate"].e[c])

    @property
    def reranker(self) -> Reranker:
        """The classifier as a second stage."""
        return Reranker(self.rerank, self._scorer, self.device)

    def _scorer(self, role: str) -> PairScorer:
        first, second = self.vectors[role], self.vectors["candidate"]
        return lambda points, others: self.model.score(first, second, points, others)
