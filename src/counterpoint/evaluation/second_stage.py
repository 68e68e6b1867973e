"""Second stage: a classifier re-orders the nearest candidates (docs/method.md, "Evaluation")."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
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
    of_vectors: bool = True
    """Whether it compares vectors, so that the original study's protocols can show it the gold's in
    the place of the point's. One that reads texts is not asked there."""

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


NOBODY_MOVES = Reranker(1, lambda _: lambda points, _: torch.zeros(len(points)))
"""A second stage over one text."""


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

    Ties keep their order, but for the golds where they go last.
    """
    first = results.nearest[:, : scores.shape[1]]
    is_gold: Mask = np.logical_or.reduce(gold_slots(first, results.golds), axis=1)
    order = score_order(results.nearest, scores, is_gold & gold_last)
    reordered = results.nearest.copy()
    reordered[:, : order.shape[1]] = np.take_along_axis(results.nearest, order, axis=1)
    slots = gold_slots(reordered[:, : order.shape[1]], results.golds)
    after = np.where(slots.any(axis=2), 1 + slots.argmax(axis=2), 0)
    return dataclasses.replace(
        results,
        reranked_ranks=moved(results.ranks, after),
        reordered=reordered,
        reordered_scores=_reordered_scores(results.nearest_scores, scores, order),
    )


def _reordered_scores(first: Floats | None, scores: Floats, order: Ints) -> Floats | None:
    """(n, depth) probabilities of the first k in their new order, and the first stage's scores."""
    if first is None:
        return None
    result = first.copy()
    result[:, : order.shape[1]] = probability(np.take_along_axis(scores, order, axis=1))
    return result


def probability(logits: Floats) -> npt.NDArray[np.float64]:
    """Of class 1, from the difference of the logits of both classes."""
    result: npt.NDArray[np.float64] = torch.from_numpy(logits).double().sigmoid().numpy()
    return result


def gold_slots(rows: Ints, golds: Ints) -> Mask:
    """(n, G, k) bool: which of some rows (n, k) is which of the golds (n, G), -1 for none."""
    slots: Mask = (rows[:, None, :] == golds[:, :, None]) & (golds >= 0)[:, :, None]
    return slots


def moved(ranks: Ints, after: Ints) -> Ints:
    """(n, G) the golds' ranks, ascending, when some have moved.

    Args:
        ranks: (n, G) before, ascending, 0 for none.
        after: (n, G) of those that were re-ordered, in any order, 0 for the others. They are the
            ones that were nearest.
    """
    moved_golds = np.sort(np.where(after > 0, after, np.iinfo(np.int64).max), axis=1)
    return np.where(np.sort(after > 0, axis=1)[:, ::-1], moved_golds, ranks)


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
    several: Sequence[QueryResults], sets: CandidateSets, reranker: Reranker
) -> list[Ints]:
    """The ranks (n, G) that `rerank` gives, and no order.

    Nothing is scored where no gold can move.
    """
    firsts = [results.nearest[:, : reranker.size] for results in several]
    slots = [
        gold_slots(first, results.golds) for first, results in zip(firsts, several, strict=True)
    ]
    movable = [np.flatnonzero(gold.any(axis=(1, 2))) for gold in slots]
    pairs = [
        (sets.text[sets.pairs + results.queries[rows]], sets.text[first[rows]])
        for results, first, rows in zip(several, firsts, movable, strict=True)
    ]
    all_scores = reranker.scores("query", pairs)
    ranks = []
    for results, first, gold, rows, scores in zip(
        several, firsts, slots, movable, all_scores, strict=True
    ):
        after = np.zeros(results.ranks.shape, dtype=np.int64)
        after[rows] = _after(gold[rows], scores, first[rows] >= 0)
        ranks.append(moved(results.ranks, after))
    return ranks


def _after(slots: Mask, scores: Floats, there: Mask) -> Ints:
    """(n, G) the ranks of golds among the re-ordered, 0 for those that are not among them.

    Args:
        slots: (n, G, k) bool, which of the k is which gold.
        scores: (n, k) of them.
        there: (n, k) whether there is one.
    """
    is_gold: Mask = np.logical_or.reduce(slots, axis=1)
    ranks = np.zeros(slots.shape[:2], dtype=np.int64)
    for number in range(slots.shape[1]):
        rows = np.flatnonzero(slots[:, number].any(axis=1))
        place = slots[rows, number].argmax(axis=1)
        own = scores[rows, place][:, None]
        # Who ties with a gold stands before it, among golds the nearer one.
        ties = (scores[rows] == own) & (
            ~is_gold[rows] | (np.arange(scores.shape[1]) < place[:, None])
        )
        ahead = ((scores[rows] > own) | ties) & there[rows]
        ranks[rows, number] = 1 + ahead.sum(axis=1)
    return ranks
