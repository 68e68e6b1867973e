"""Ranks of the golds to figures and intervals (docs/method.md, "Evaluation").

A metric gives each query a value; the figure is their mean. Queries of one debate are not
independent, so intervals come from a bootstrap over debates. Ranks are (n, G) int64, those of each
query's golds, ascending, counted from 1, then 0; or (n,) where each query has one gold.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Ranks = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

CUTOFF = 10
"""How far recall@10 and nDCG@10 look."""


def accuracy_at_1(ranks: Ranks) -> Values:
    """1 where a gold ranks first; ranks to (n,) values."""
    return np.where(_of_golds(ranks)[:, 0] == 1, 1.0, 0.0)


def recall_at_10(ranks: Ranks) -> Values:
    """The share of the golds that are among the first ten."""
    ranks = _of_golds(ranks)
    there = ranks > 0
    found: Values = ((ranks <= CUTOFF) & there).sum(axis=1) / there.sum(axis=1)
    return found


def reciprocal_rank(ranks: Ranks) -> Values:
    """1 / rank of the best gold."""
    return 1.0 / _of_golds(ranks)[:, 0]


def ndcg_at_10(ranks: Ranks) -> Values:
    """The sum of 1 / log2(1 + rank) over the golds among the first ten, by the most it could be.

    Järvelin, Kekäläinen, *Cumulated gain-based evaluation of IR techniques* (TOIS 2002); with one
    relevant document the most is 1.
    """
    ranks = _of_golds(ranks)
    there = ranks > 0
    # Where there is no gold the logarithm is of 2, and counts nothing.
    discounts = 1.0 / np.log2(1.0 + np.where(there, ranks, 1))
    gains = np.where(there & (ranks <= CUTOFF), discounts, 0.0).sum(axis=1)
    ideal = np.cumsum(1.0 / np.log2(np.arange(2, CUTOFF + 2)))
    best: Values = gains / ideal[np.minimum(there.sum(axis=1), CUTOFF) - 1]
    return best


def _of_golds(ranks: Ranks) -> Ranks:
    return ranks[:, None] if ranks.ndim == 1 else ranks


METRICS: dict[str, Callable[[Ranks], Values]] = {
    "accuracy@1": accuracy_at_1,
    "mrr": reciprocal_rank,
    "recall@10": recall_at_10,
    "ndcg@10": ndcg_at_10,
}
