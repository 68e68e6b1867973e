"""Ranks of the gold to figures and intervals (docs/method.md, "Evaluation").

There is one gold a query. A metric gives each query a value; the figure is their mean. Queries of
one debate are not independent, so intervals come from a bootstrap over debates.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Ranks = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

CUTOFF = 10
"""How far recall@10 and nDCG@10 look."""


def accuracy_at_1(ranks: Ranks) -> Values:
    """1 where the gold ranks first; (n,) ranks counted from 1 to (n,) values."""
    return np.where(ranks == 1, 1.0, 0.0)


def recall_at_10(ranks: Ranks) -> Values:
    """1 where the gold is among the first ten."""
    return np.where(ranks <= CUTOFF, 1.0, 0.0)


def reciprocal_rank(ranks: Ranks) -> Values:
    """1 / rank."""
    return 1.0 / ranks


def ndcg_at_10(ranks: Ranks) -> Values:
    """1 / log2(1 + rank) where the rank is at most 10, else 0.

    Järvelin, Kekäläinen, *Cumulated gain-based evaluation of IR techniques* (TOIS 2002); with one
    relevant document the ideal gain is 1.
    """
    return np.where(ranks <= CUTOFF, 1.0 / np.log2(1.0 + ranks), 0.0)


METRICS: dict[str, Callable[[Ranks], Values]] = {
    "accuracy@1": accuracy_at_1,
    "mrr": reciprocal_rank,
    "recall@10": recall_at_10,
    "ndcg@10": ndcg_at_10,
}
