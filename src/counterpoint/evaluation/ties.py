"""Queries all of whose candidates cost the same: what a system that cannot read texts leaves."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from counterpoint.arrays import Ints
from counterpoint.results.files import Ties
from counterpoint.search.distances import Block, Costs
from counterpoint.tasks.candidates import CandidateSets, blocks
from counterpoint.tasks.protocols import OFFICIAL

TASK = "epa"
"""Whose candidates are looked at: where they tie, those of every other task do."""


def ties_of(sets: CandidateSets, costs: Costs) -> Ties:
    """The ties among the candidates of all queries of a split, on `epa`, `official`."""
    total = Ties(0, 0)
    for queries in blocks(np.arange(sets.points)):
        mask = torch.from_numpy(sets.candidates(TASK, OFFICIAL.name, queries)).to(costs.device)
        total += block_ties(costs.block(torch.from_numpy(queries).to(costs.device)), mask)
    return total


def block_ties(block: Block, candidates: Tensor) -> Ties:
    """The ties among the candidates, (n, m) bool, of a block of n queries."""
    several = candidates.sum(dim=1) > 1
    low = block.cost.masked_fill(~candidates, torch.inf).amin(dim=1)
    high = block.cost.masked_fill(~candidates, -torch.inf).amax(dim=1)
    alike = several & (high - low <= 2 * block.tolerance[:, 0])
    tied = sum(_ties_exactly(block, candidates, row) for row in _numbers(alike))
    return Ties(int(several.sum()), tied)


def _numbers(mask: Tensor) -> Iterator[int]:
    found: Ints = mask.nonzero()[:, 0].cpu().numpy()
    yield from map(int, found)


def _ties_exactly(block: Block, candidates: Tensor, row: int) -> bool:
    columns = candidates[row].nonzero()[:, 0]
    exact = block.exact(torch.full_like(columns, row), columns)
    return bool((exact == exact[0]).all())
