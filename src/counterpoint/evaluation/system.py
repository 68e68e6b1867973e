"""A model with the vectors of some texts: what can be evaluated (docs/method.md, "Evaluation")."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from counterpoint.arrays import Ints
from counterpoint.encoders.encoder import gathered
from counterpoint.evaluation.evaluate import Scorer, evaluate, evaluate_legacy
from counterpoint.evaluation.records import QueryResults
from counterpoint.models.fusion import Vectors
from counterpoint.models.retriever import Retriever
from counterpoint.search.distances import Costs, Euclidean
from counterpoint.tasks.candidates import TASKS, CandidateSets
from counterpoint.tasks.protocols import LEGACY, PROTOCOLS


@torch.no_grad()
def embed(model: Retriever, texts: Tensor, total: int) -> dict[str, Vectors]:
    """Vectors of some texts in each role: x (total, H), e (total, d).

    An encoder that serves both roles sees each text once.

    Args:
        model: on the device of `texts`.
        texts: (n,) int64 unique text numbers.
        total: how many texts there are; the rows of those not asked for are zero.
    """

    def table(x: Tensor, role: str) -> Vectors:
        found = model.project(x, role)
        if len(texts) == total:
            return found
        whole = [part.new_zeros((total, part.shape[1])) for part in found]
        for empty, part in zip(whole, found, strict=True):
            empty[texts] = part
        return Vectors(*whole)

    x = gathered(model.encode(texts, "query"), len(texts))
    query = table(x, "query")
    if not model.roles_differ:
        return {"query": query, "candidate": query}
    if model.encoder.towers_differ:
        x = gathered(model.encode(texts, "candidate"), len(texts))
    return {"query": query, "candidate": table(x, "candidate")}


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

    def pool_costs(self, sets: CandidateSets) -> Costs:
        """Distances of all rows of a pool to its queries."""
        return self.costs(sets.text[sets.pairs :], sets.text)

    def costs(self, queries: Ints, candidates: Ints) -> Costs:
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


DEPTH = 10
"""How many of the nearest are recorded: what recall@10 and nDCG@10 look at."""


class SecondStage(Protocol):
    """What follows the first stage: a trained model's classifier, or nothing."""

    @property
    def rerank(self) -> int:
        """How many of the nearest are re-ordered where there is a scorer."""

    @property
    def device(self) -> torch.device:
        """Where costs and scores are computed."""

    def scorer(self, role: str) -> Scorer | None:
        """The scorer with the first text of a pair in a role; None for a first stage alone."""


@dataclass(frozen=True)
class NoSecondStage:
    """Of a system whose first stage is all."""

    rerank: int = 10

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    def scorer(self, role: str) -> None:
        """None."""


@torch.no_grad()
def records(
    sets: CandidateSets,
    costs: Costs,
    second: SecondStage,
    *,
    tasks: Sequence[str] = TASKS,
    protocols: Sequence[str] = tuple(PROTOCOLS),
    queries: Ints | None = None,
    depth: int = DEPTH,
    brief: bool = False,
) -> list[QueryResults]:
    """Records of a pool's queries under some protocols, `legacy` among them or not.

    See `evaluation.evaluate` and `evaluate_legacy` for what is returned; never fewer are recorded
    than the second stage re-orders.
    """
    wanted = [protocol for protocol in protocols if PROTOCOLS[protocol].has_tasks]
    found = evaluate(
        sets,
        costs,
        tasks=tasks,
        protocols=wanted,
        queries=queries,
        k=second.rerank,
        depth=depth,
        scorer=second.scorer("query"),
        brief=brief,
        device=second.device,
    )
    if LEGACY.name in protocols:
        legacy = evaluate_legacy(
            sets,
            costs,
            queries=queries,
            k=second.rerank,
            depth=depth,
            # The gold stands in the query's place, and keeps its candidate's vectors.
            scorer=second.scorer("candidate"),
            device=second.device,
        )
        found.append(legacy)
    return found
