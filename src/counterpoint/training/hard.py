"""Hard negatives: the nearest that may be one, by either backend (docs/method.md, "Negatives")."""

from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from counterpoint.arrays import Ints
from counterpoint.search.distances import Euclidean, squared_distance
from counterpoint.search.ranking import nearest
from counterpoint.training.allowed import AllowedNegatives
from counterpoint.training.margins import nearer

BLOCK_COSTS = 1 << 26
"""Costs held at a time: 256 MiB. The more points they are of, the faster the product."""

SPARE, WIDER = 8, 4
"""How many more than may be needed the BallTree gives at first, and how many times as many next."""

BALLTREE_ROUNDING = 1e-9
"""Relative; far above the tree's own."""


class Hard(NamedTuple):
    """The k nearest allowed places of n pairs, and how many were left out for being too near.

    `place` (n, k) int64 is nearest first, -1 where there are fewer; `filtered` is (n,) int64.
    """

    place: Ints
    filtered: Ints


class HardSearch(Protocol):
    """A backend; see `hard_exact`."""

    def __call__(
        self,
        queries: Tensor,
        candidates: Tensor,
        allowed: AllowedNegatives,
        k: int,
        *,
        limit: Tensor | None = None,
    ) -> Hard:
        """The k nearest allowed places of each pair."""


def hard_exact(
    queries: Tensor,
    candidates: Tensor,
    allowed: AllowedNegatives,
    k: int,
    *,
    limit: Tensor | None = None,
    block: int | None = None,
) -> Hard:
    """The k nearest allowed places of each pair, by blocked matrix products.

    Args:
        queries: (n, d) float32, e of each pair's point as a query.
        candidates: (m, d) float32, e of each allowed text as a candidate.
        allowed: m texts, and what n pairs may not have.
        k: how many.
        limit: (n,) float64 squared distances; whoever is nearer is left out. None leaves out none.
        block: points at a time, by default as many as `BLOCK_COSTS` allows; no choice depends on
            it.
    """
    costs = Euclidean(queries, candidates)
    forbidden = torch.from_numpy(allowed.forbidden).to(queries.device)

    # A function, so that one block's costs are gone before the next one's are there.
    def nearest_allowed(rows: Tensor) -> tuple[Tensor, Tensor]:
        part = costs.block(rows)
        places = forbidden[rows]
        inner, slot = (places >= 0).nonzero(as_tuple=True)
        part.cost[inner, places[inner, slot]] = torch.inf
        filtered = torch.zeros(len(rows), dtype=torch.int64)
        if limit is not None:
            near = nearer(part, limit[rows])
            part.cost.masked_fill_(near, torch.inf)
            filtered = near.sum(dim=1).cpu()
        return nearest(part, k).cpu(), filtered

    block = block or max(1, BLOCK_COSTS // len(candidates))
    rows = torch.arange(len(queries), device=queries.device)
    parts = [nearest_allowed(part) for part in torch.split(rows, block)]
    return Hard(*(torch.cat(of_blocks).numpy() for of_blocks in zip(*parts, strict=True)))


def hard_balltree(
    queries: Tensor,
    candidates: Tensor,
    allowed: AllowedNegatives,
    k: int,
    *,
    limit: Tensor | None = None,
) -> Hard:
    """The same choice by scikit-learn's BallTree, as the original study searched."""
    from sklearn.neighbors import BallTree

    q, c = queries.cpu().double(), candidates.cpu().double()
    least = np.zeros(len(q)) if limit is None else limit.cpu().numpy()
    tree = BallTree(c.numpy())
    chosen = np.full((len(q), k), -1, dtype=np.int64)
    filtered = np.zeros(len(q), dtype=np.int64)
    rows = np.arange(len(q))
    width = min(k + allowed.forbidden.shape[1] + SPARE, len(c))
    while len(rows):
        distance, places = tree.query(q[rows].numpy(), k=width)
        closed = np.zeros(len(rows), dtype=bool)
        for i, row in enumerate(rows):
            usable = places[i][~np.isin(places[i], allowed.forbidden[row])]
            cost = squared_distance(q[row], c[usable]).numpy()
            filtered[row] = (cost < least[row]).sum()
            usable, cost = usable[cost >= least[row]], cost[cost >= least[row]]
            order = np.lexsort((usable, cost))[:k]
            chosen[row, : len(order)] = usable[order]
            # Whoever lies beyond what was asked for cannot be nearer.
            closed[i] = width == len(c) or (
                len(order) == k and distance[i, -1] ** 2 * (1 - BALLTREE_ROUNDING) > cost[order[-1]]
            )
        rows = rows[~closed]
        width = min(WIDER * width, len(c))
    return Hard(chosen, filtered)


BACKENDS: dict[str, HardSearch] = {
    "exact": hard_exact,
    "balltree": hard_balltree,
}
