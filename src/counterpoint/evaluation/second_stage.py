"""Second stage: a classifier re-orders the nearest candidates (docs/method.md, "Evaluation")."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from counterpoint.arrays import Floats, Ints, Mask
from counterpoint.evaluation.records import QueryResults
from counterpoint.tasks.candidates import CandidateSets

PairScorer = Callable[[Tensor, Tensor], Tensor]
"""(n,) query texts and (n,) candidate texts to (n,) float32, higher for likelier counters."""


CPU = torch.device("cpu")


@dataclass(frozen=True)
class Reranker:
    """A system's second stage."""

    size: int
    """How many of the nearest it re-orders."""
    scorer: Callable[[str], PairScorer]
    """From the role (query, candidate) that the first text of each pair has."""
    device: torch.device = CPU
    """Where it computes."""

    def scores(self, role: str, pairs: Sequence[tuple[Ints, Ints]]) -> list[Floats]:
        """For each (n,) first texts and (n, k) candidate texts, scores (n, k).

        Each pair of texts is scored once, so that equal pairs get equal scores, which a matrix
        product over several copies would not promise.
        """
        count = 1 + max((int(part.max(initial=0)) for pair in pairs for part in pair), default=0)
        codes = [first[:, None] * count + candidates for first, candidates in pairs]
        if not any(code.size for code in codes):
            return [np.empty(code.shape, np.float32) for code in codes]
        unique, inverse = np.unique(
            np.concatenate([code.ravel() for code in codes]), return_inverse=True
        )
        asked = torch.from_numpy(unique).to(self.device)
        scores = self.scorer(role)(asked // count, asked % count).float().cpu().numpy()[inverse]
        ends = np.cumsum([code.size for code in codes])[:-1]
        parts = np.split(scores, ends)
        return [part.reshape(code.shape) for part, code in zip(parts, codes, strict=True)]


def rerank(
    several: Sequence[QueryResults], sets: CandidateSets, reranker: Reranker
) -> list[QueryResults]:
    """Results of a first stage with those of the second; ties put the gold last."""
    pairs = [
        (sets.text[sets.pairs + results.queries], sets.text[results.nearest[:, : reranker.size]])
        for results in several
    ]
    return [
        reorder(results, scores, gold_last=True)
        for results, scores in zip(several, reranker.scores("query", pairs), strict=True)
    ]


def reorder(results: QueryResults, scores: Floats, *, gold_last: bool) -> QueryResults:
    """Re-order the first k by their scores (n, k), and leave the rest.

    Ties keep their order, but for the gold where it goes last.
    """
    gold = results.nearest[:, : scores.shape[1]] == results.queries[:, None]
    order = score_order(results.nearest, scores, gold & gold_last)
    reordered = results.nearest.copy()
    reordered[:, : order.shape[1]] = np.take_along_axis(results.nearest, order, axis=1)
    within = gold.any(axis=1)
    after = 1 + np.take_along_axis(gold, order, axis=1).argmax(axis=1)
    return dataclasses.replace(
        results, reranked=np.where(within, after, results.rank), reordered=reordered
    )


def score_order(nearest: Ints, scores: Floats, last: Mask) -> Ints:
    """(n, k) int64 positions of the first k by score, best first.

    Args:
        nearest: (n, depth) rows, -1 for none, which stays behind.
        scores: (n, k) of the first k of them.
        last: (n, k) who goes behind all that tie with it; others keep their order.
    """
    scores = np.where(nearest[:, : scores.shape[1]] >= 0, scores, -np.inf)
    # lexsort's last key weighs most: score, then who goes last, then the first stage.
    position = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    order: Ints = np.lexsort((position, last, -scores), axis=1)
    return order


def reranked_ranks(
    several: Sequence[tuple[Ints, Ints]], sets: CandidateSets, reranker: Reranker
) -> list[Ints]:
    """The ranks of the golds among the nearest that `rerank` gives, and no order.

    Nothing is scored where the gold cannot move.

    Args:
        several: (n,) queries and (n, depth) rows of their nearest candidates.
        sets: of the queries.
        reranker: the second stage.

    Returns:
        For each, (n,) int64, 0 where the gold is not among those that are re-ordered.
    """
    firsts = [nearest[:, : reranker.size] for _, nearest in several]
    golds = [first == queries[:, None] for (queries, _), first in zip(several, firsts, strict=True)]
    movable = [np.flatnonzero(gold.any(axis=1)) for gold in golds]
    pairs = [
        (sets.text[sets.pairs + queries[rows]], sets.text[first[rows]])
        for (queries, _), first, rows in zip(several, firsts, movable, strict=True)
    ]
    result = []
    for first, gold, rows, scores in zip(
        firsts, golds, movable, reranker.scores("query", pairs), strict=True
    ):
        ranks = np.zeros(len(first), dtype=np.int64)
        limit = scores[gold[rows]][:, None]
        # The gold is one of them itself.
        ranks[rows] = ((scores >= limit) & (first[rows] >= 0)).sum(axis=1)
        result.append(ranks)
    return result
