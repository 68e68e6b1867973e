"""Ranks of the gold to figures (docs/method.md, "Evaluation"). There is one gold a query."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Ranks = npt.NDArray[np.int64]


def accuracy_at_1(ranks: Ranks) -> float:
    """Share of queries whose gold ranks first; (n,) ranks counted from 1."""
    return float((ranks == 1).mean())


def recall_at_10(ranks: Ranks) -> float:
    """Share of queries whose gold is among the first ten."""
    return float((ranks <= 10).mean())


def mean_reciprocal_rank(ranks: Ranks) -> float:
    """Mean of 1 / rank."""
    return float((1.0 / ranks).mean())


def ndcg_at_10(ranks: Ranks) -> float:
    """Mean of 1 / log2(1 + rank) where the rank is at most 10, else 0.

    Järvelin, Kekäläinen, *Cumulated gain-based evaluation of IR techniques* (TOIS 2002); with one
    relevant document the ideal gain is 1.
    """
    return float(np.where(ranks <= 10, 1.0 / np.log2(1.0 + ranks), 0.0).mean())


METRICS: dict[str, Callable[[Ranks], float]] = {
    "accuracy@1": accuracy_at_1,
    "mrr": mean_reciprocal_rank,
    "recall@10": recall_at_10,
    "ndcg@10": ndcg_at_10,
}
