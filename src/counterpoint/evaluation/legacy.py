"""The original study's evaluation, which shows the classifier the answer (docs/method.md)."""

import numpy as np
import torch
from torch import Tensor

from counterpoint.arrays import Ints
from counterpoint.evaluation.first_stage import BlockResults, joined, row_scores
from counterpoint.evaluation.records import DEPTH, QueryResults
from counterpoint.evaluation.second_stage import Reranker, reorder
from counterpoint.search.distances import Costs
from counterpoint.search.ranking import nearest, precedes
from counterpoint.tasks.candidates import CandidateSets, blocks
from counterpoint.tasks.protocols import LEGACY

TASK = "epa"
"""The task whose name its records have: all counters and points are candidates."""


def legacy_results(
    sets: CandidateSets,
    costs: Costs,
    reranker: Reranker | None = None,
    *,
    protocol: str = LEGACY.name,
    queries: Ints | None = None,
    depth: int = DEPTH,
) -> QueryResults:
    """Rank the N counters and the Q points for every query, nothing excluded.

    Of the k rows nearest to the point, ties to the lower row, the classifier scores each as the
    counter of the *gold counter*; the first with the highest score is the answer. So the score
    lies close to recall@k of the first stage, and nothing is ever ranked by it.

    The original study knew one counter a point; where there are several, the first is the gold.

    Args:
        sets: the pairs of a split.
        costs: of all its rows to its queries.
        reranker: gets the gold's text in the place of the query's, in the candidate's role; None
            for a system without a second stage.
        protocol: which of those without tasks; it says which queries are asked.
        queries: (n,) only these, where the protocol asks them; all by default.
        depth: how many of the nearest are recorded, never fewer than are re-ranked.
    """
    depth = max(depth, reranker.size) if reranker else depth
    asked = sets.queries(protocol)
    parts = []
    for numbers in blocks(asked if queries is None else asked[np.isin(asked, queries)]):
        gold = torch.from_numpy(sets.golds[numbers, 0]).to(costs.device)
        block = costs.block(torch.from_numpy(numbers).to(costs.device))
        rows = nearest(block, depth)
        beyond = 1 + precedes(block, gold, lower_ties=True).sum(dim=1)
        parts.append(
            BlockResults(
                queries=numbers,
                candidates=np.full(len(numbers), len(sets.ids)),
                ranks=_ranks(rows, gold, beyond),
                nearest=rows,
                scores=row_scores(block, rows, costs.score),
            )
        )
    results = joined(protocol, TASK, parts, depth, sets.golds[:, :1])
    if reranker is None:
        return results
    pairs = (sets.text[results.golds[:, 0]], sets.text[results.nearest[:, : reranker.size]])
    [scores] = reranker.scores("candidate", [pairs])
    return reorder(results, scores, gold_last=False)


def _ranks(nearest: Tensor, gold: Tensor, beyond: Tensor) -> Tensor:
    """(n, 1) int64: where the gold (n,) stands among the nearest (n, depth); `beyond` where not."""
    is_gold = nearest == gold[:, None]
    return torch.where(is_gold.any(dim=1), 1 + is_gold.int().argmax(dim=1), beyond)[:, None]
