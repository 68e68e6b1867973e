"""Ranks of the golds to figures and intervals (docs/method.md, "Evaluation").

A metric gives each query a value; the figure is their mean. Queries of one debate are not
independent, so intervals come from a bootstrap over debates. Ranks are (n, G) int64, those of each
query's golds, ascending, counted from 1, then 0; or (n,) where each query has one gold.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from counterpoint.errors import InputError

Ranks = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

CUTOFF = 10
"""How far recall and nDCG look unless another k is asked for."""


def accuracy(ranks: Ranks, k: int) -> Values:
    """1 where a gold is among the first k; ranks to (n,) values."""
    return np.where(_of_golds(ranks)[:, 0] <= k, 1.0, 0.0)


def accuracy_at_1(ranks: Ranks) -> Values:
    """1 where a gold ranks first."""
    return accuracy(ranks, 1)


def recall(ranks: Ranks, k: int) -> Values:
    """The share of the golds that are among the first k."""
    ranks = _of_golds(ranks)
    there = ranks > 0
    found: Values = ((ranks <= k) & there).sum(axis=1) / there.sum(axis=1)
    return found


def recall_at_10(ranks: Ranks) -> Values:
    """The share of the golds that are among the first ten."""
    return recall(ranks, CUTOFF)


def reciprocal_rank(ranks: Ranks) -> Values:
    """1 / rank of the best gold."""
    return 1.0 / _of_golds(ranks)[:, 0]


def ndcg(ranks: Ranks, k: int) -> Values:
    """The sum of 1 / log2(1 + rank) over the golds among the first k, by the most it could be.

    Järvelin, Kekäläinen, *Cumulated gain-based evaluation of IR techniques* (TOIS 2002); with one
    relevant document the most is 1.
    """
    ranks = _of_golds(ranks)
    there = ranks > 0
    # Where there is no gold the logarithm is of 2, and counts nothing.
    discounts = 1.0 / np.log2(1.0 + np.where(there, ranks, 1))
    gains = np.where(there & (ranks <= k), discounts, 0.0).sum(axis=1)
    ideal = np.cumsum(1.0 / np.log2(np.arange(2, k + 2)))
    best: Values = gains / ideal[np.minimum(there.sum(axis=1), k) - 1]
    return best


def _of_golds(ranks: Ranks) -> Ranks:
    return ranks[:, None] if ranks.ndim == 1 else ranks


Metric = Callable[[Ranks], Values]

_AT = {"accuracy": accuracy, "recall": recall, "ndcg": ndcg}


def metric_named(name: str) -> Metric:
    """The metric of a name: `mrr`, or `accuracy`, `recall` or `ndcg` with `@k`.

    Raises:
        InputError: there is no such metric.
    """
    if name == "mrr":
        return reciprocal_rank
    function, _, k = name.partition("@")
    if function not in _AT or not re.fullmatch(r"[1-9][0-9]{0,5}", k):
        raise InputError(
            f"metric {name!r}: expected mrr, accuracy@K, recall@K or ndcg@K with a number for K"
        )
    return partial(_AT[function], k=int(k))


def metrics(top_k: Sequence[int] = (1,)) -> dict[str, Metric]:
    """The metrics of the tables, by name: accuracy@1, MRR, recall@10 and nDCG@10.

    Args:
        top_k: for each k, accuracy@k, recall@k and nDCG@k as well; at 1 accuracy says it all.
    """
    others = {k for k in top_k if k > 1}
    names = [f"accuracy@{k}" for k in sorted({1} | others)] + ["mrr"]
    names += [f"{name}@{k}" for name in ("recall", "ndcg") for k in sorted({CUTOFF} | others)]
    return {name: metric_named(name) for name in names}
