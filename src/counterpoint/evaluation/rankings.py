"""The scores by which candidates are ranked, as a person reads them, and rankings with them.

First stage: minus the distance, or the similarity of a baseline. Second stage: the probability that
the classifier gives. What is not re-ordered keeps minus its distance, which is below every
probability, so that one column orders the whole list.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from counterpoint.arrays import Floats, Ints
from counterpoint.evaluation.second_stage import Reranker, probability
from counterpoint.evaluation.trec import Ranked
from counterpoint.search.distances import Costs
from counterpoint.tasks.candidates import blocks

Scores = npt.NDArray[np.float64]
"""Higher is better."""


def retrieval_scores(costs: Costs, queries: Ints, rows: Ints) -> Scores:
    """(n, depth) float64 of the first stage; what stands where there is no row means nothing.

    Args:
        costs: of all candidates to all queries.
        queries: (n,) numbers of queries.
        rows: (n, depth) candidates of each, -1 for none.
    """
    parts = [np.empty((0, rows.shape[1]))]
    for places in blocks(np.arange(len(queries))):
        block = costs.block(torch.from_numpy(queries[places]).to(costs.device))
        columns = torch.from_numpy(np.maximum(rows[places], 0)).to(costs.device)
        each = torch.arange(len(places), device=costs.device)[:, None].expand_as(columns)
        parts.append(costs.score(block.exact(each, columns)).cpu().numpy())
    return np.concatenate(parts)


def reranked_scores(
    reranker: Reranker, role: str, texts: Ints, candidates: Ints, first: Scores
) -> Scores:
    """(n, depth) float64: the classifier's probabilities of the first k, and the rest of `first`.

    Args:
        reranker: the second stage.
        role: of the texts in the query's place.
        texts: (n,) numbers of these texts.
        candidates: (n, depth) text numbers in the order of the second stage.
        first: (n, depth) what the first stage gives the same candidates.
    """
    [logits] = reranker.scores(role, [(texts, candidates[:, : reranker.size])])
    result = first.copy()
    result[:, : reranker.size] = probability(logits)
    return result


def named(
    queries: Sequence[str], rows: Ints, names: Sequence[str], scores: Scores | Floats
) -> Iterator[Ranked]:
    """Each query with the names of its rows, -1 being none, and their scores (n, depth)."""
    for query, ranked, of_query in zip(queries, rows, scores, strict=True):
        there = ranked >= 0
        yield Ranked(query, [names[row] for row in ranked[there].tolist()], of_query[there])
