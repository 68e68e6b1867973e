"""A model with the vectors of some texts: what can be evaluated (docs/method.md, "Evaluation")."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from counterpoint.evaluation import Records, Scorer, evaluate, evaluate_legacy
from counterpoint.model import Retriever, Vectors
from counterpoint.ranking import Euclidean
from counterpoint.tasks import PROTOCOLS, TASKS, Pool

Ints = npt.NDArray[np.int64]


def embed(model: Retriever, texts: Tensor, total: int) -> dict[str, Vectors]:
    """Vectors of some texts in each role: x (total, H), e (total, d).

    Args:
        model: on the device of `texts`.
        texts: (n,) int64 unique text numbers.
        total: how many texts there are; the rows of those not asked for are zero.
    """

    def table(role: str) -> Vectors:
        found = model.embed(texts, role)
        if len(texts) == total:
            return found
        whole = [part.new_zeros((total, part.shape[1])) for part in found]
        for empty, part in zip(whole, found, strict=True):
            empty[texts] = part
        return Vectors(*whole)

    query = table("query")
    return {"query": query, "candidate": table("candidate") if model.roles_differ else query}


@dataclass(frozen=True)
class System:
    """A model and its vectors; rows of `vectors`, by role, are text numbers."""

    model: Retriever
    vectors: Mapping[str, Vectors]
    rerank: int
    """How many of the nearest candidates the classifier re-orders."""

    @property
    def device(self) -> torch.device:
        """Where the vectors lie."""
        return self.vectors["query"].e.device

    def costs(self, queries: Ints, candidates: Ints) -> Euclidean:
        """Distances of m candidates to q queries, each given by their text numbers."""
        q, c = (torch.from_numpy(texts).to(self.device) for texts in (queries, candidates))
        return Euclidean(self.vectors["query"].e[q], self.vectors["candidate"].e[c])

    def scorer(self, role: str) -> Scorer:
        """The classifier on pairs of texts, the first of each in a role of its own."""

        def score(first: Tensor, candidates: Tensor) -> Tensor:
            return self.model.score(
                self.vectors[role], self.vectors["candidate"], first, candidates
            )

        return score

    @torch.no_grad()
    def evaluate(
        self,
        pool: Pool,
        *,
        tasks: Sequence[str] = TASKS,
        protocols: Sequence[str] = PROTOCOLS,
        queries: Ints | None = None,
        depth: int | None = None,
        beyond: bool = True,
    ) -> list[Records]:
        """Records of the pool's queries, both stages; see `evaluation.evaluate`."""
        self.model.eval()
        return evaluate(
            pool,
            self.costs(pool.text[pool.pairs :], pool.text),
            tasks=tasks,
            protocols=protocols,
            queries=queries,
            k=self.rerank,
            depth=depth,
            scorer=self.scorer("query"),
            beyond=beyond,
            device=self.device,
        )

    @torch.no_grad()
    def evaluate_legacy(
        self, pool: Pool, *, queries: Ints | None = None, depth: int | None = None
    ) -> Records:
        """Records of the protocol that leaks the answer; see `evaluation.evaluate_legacy`."""
        self.model.eval()
        return evaluate_legacy(
            pool,
            self.costs(pool.text[pool.pairs :], pool.text),
            queries=queries,
            k=self.rerank,
            depth=depth,
            # The gold stands in the query's place, and keeps its candidate's vectors.
            scorer=self.scorer("candidate"),
            device=self.device,
        )
