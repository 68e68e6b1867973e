"""Hard negatives that may be answers: those nearer than the gold and a margin allow.

The filters are those of sentence-transformers' `mine_hard_negatives` (docs/method.md, "Negatives"),
by squared distances, which mining orders by.
"""

import torch
from torch import Tensor

from counterpoint.config.options import MiningOptions
from counterpoint.search.distances import Block, squared_distance
from counterpoint.training.allowed import AllowedNegatives


def limits(gold: Tensor, options: MiningOptions, *, unit_length: bool) -> Tensor:
    """Squared distances below which a hard candidate is left out, (n,) float64; 0 leaves none out.

    Without a margin (0) it is the gold's own, so that a candidate as near as the gold stays.

    Args:
        gold: (n,) float64, squared distances of the points to their golds.
        options: one margin or both; the one that leaves out more decides.
        unit_length: whether all vectors have length 1. Then the score is the cosine 1 − d²/2, else
            the distance, negated.
    """
    found = torch.zeros_like(gold)
    absolute, relative = options.absolute_margin, options.relative_margin
    if absolute is not None:
        distance = gold.sqrt()
        limit = (
            gold + 2 * absolute
            if unit_length
            # The square of d + m, which is the gold's own to the last digit where m is 0.
            else (gold + 2 * absolute * distance + absolute**2) * (distance > -absolute)
        )
        found = torch.maximum(found, limit)
    if relative is not None:
        limit = (
            gold + 2 * relative * (1 - gold / 2).abs()
            if unit_length
            else gold * (1 + relative) ** 2
        )
        found = torch.maximum(found, limit)
    return found


def nearer(block: Block, limit: Tensor) -> Tensor:
    """Which candidates of a block lie nearer than a limit, (n, m) bool.

    Args:
        block: n queries, m candidates.
        limit: (n,) float64 costs. Whoever lies within rounding of one is decided by the true costs.
    """
    bound = limit[:, None].to(block.cost.dtype)
    result = block.cost < bound - block.tolerance
    rows, columns = ((block.cost <= bound + block.tolerance) & ~result).nonzero(as_tuple=True)
    result[rows, columns] = block.exact(rows, columns) < limit[rows]
    return result


def to_golds(queries: Tensor, candidates: Tensor, allowed: AllowedNegatives) -> Tensor:
    """(n,) float64, the squared distance from each query to the farthest gold of its point."""
    golds = torch.from_numpy(allowed.golds).to(queries.device)
    rows, columns = (golds >= 0).nonzero(as_tuple=True)
    cost = torch.zeros(golds.shape, dtype=torch.float64, device=queries.device)
    cost[rows, columns] = squared_distance(
        queries[rows].double(), candidates[golds[rows, columns]].double()
    )
    return cost.amax(dim=1)
