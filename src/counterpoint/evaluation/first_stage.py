"""First stage: a task's candidates in the order of their costs, and the rank of the gold.

Ties count against the system: whoever ties with the gold ranks before it (docs/method.md,
"Evaluation"). Masks are made as arrays; all else is computed where the costs lie, and comes back
at the end.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

from counterpoint.arrays import Ints
from counterpoint.evaluation.records import QueryResults
from counterpoint.search.distances import Block, Costs
from counterpoint.search.ranking import nearest, precedes
from counterpoint.tasks.candidates import CandidateSets, blocks


@dataclass(frozen=True)
class AskedBlock:
    """Some queries that a protocol asks, with the costs of all rows to them."""

    protocol: str
    queries: Ints
    block: Block
    preceding: Callable[[], Tensor]
    """(n, 2N) bool: the rows that rank before the gold wherever they are candidates."""


def asked_blocks(
    sets: CandidateSets, costs: Costs, protocols: Sequence[str], queries: Ints | None
) -> Iterator[AskedBlock]:
    """The queries of each protocol, block by block; costs are computed once for all protocols.

    Args:
        sets: the pairs of a split.
        costs: of all its 2N rows to its N queries.
        protocols: by name; those that ask the tasks.
        queries: (n,) only these, where a protocol asks them; all by default.
    """
    of_protocol = {protocol: sets.queries(protocol) for protocol in protocols}
    for numbers in blocks(np.arange(sets.pairs) if queries is None else np.sort(queries)):
        gold = torch.from_numpy(numbers).to(costs.device)
        block = costs.block(gold)
        preceding = cache(partial(precedes, block, gold))
        for protocol, asked in of_protocol.items():
            inner = np.flatnonzero(np.isin(numbers, asked))
            if len(inner):
                rows = torch.from_numpy(inner).to(costs.device)
                yield AskedBlock(
                    protocol,
                    numbers[inner],
                    block.rows(rows),
                    partial(_rows, preceding, rows),
                )


def _rows(table: Callable[[], Tensor], rows: Tensor) -> Tensor:
    return table()[rows]


class Contest:
    """The candidates of some queries in one task.

    Args:
        sets: the pairs of a split.
        task: by name.
        asked: the queries.
    """

    def __init__(self, sets: CandidateSets, task: str, asked: AskedBlock) -> None:
        device = asked.block.cost.device
        mask = sets.candidates(task, asked.protocol, asked.queries)
        # A block's queries lie in few debates and themes: most columns are nobody's candidates.
        columns = np.flatnonzero(mask.any(axis=0))
        self.candidates: Ints = mask.sum(axis=1)
        """(n,) how many each query has."""
        self._columns = torch.from_numpy(columns).to(device)
        self._candidates = torch.from_numpy(mask[:, columns]).to(device)
        self._block = asked.block.among(self._columns, self._candidates)
        self._gold = torch.from_numpy(np.searchsorted(columns, asked.queries)).to(device)

    def ranks(self, preceding: Tensor) -> Tensor:
        """(n,) int64: the gold's ranks, from the rows (n, 2N) that precede it."""
        ahead = preceding.index_select(1, self._columns) & self._candidates
        return 1 + ahead.sum(dim=1)

    def nearest(self, depth: int) -> Tensor:
        """(n, depth) int64: rows of the nearest candidates, -1 where there are fewer."""
        near = nearest(self._block, depth, last=self._gold[:, None])
        return torch.where(near >= 0, self._columns[near], -1)


def rank_among(nearest: Tensor, gold: Tensor, beyond: Tensor | int) -> Tensor:
    """(n,) int64: where the gold (n,) stands among the nearest (n, depth); `beyond` where not."""
    is_gold = nearest == gold[:, None]
    return torch.where(is_gold.any(dim=1), 1 + is_gold.int().argmax(dim=1), beyond)


@dataclass(frozen=True)
class BlockResults:
    """First-stage results of a block of n queries, where they were computed."""

    queries: Ints
    candidates: Ints
    rank: Tensor
    nearest: Tensor
    """(n, depth)"""


def joined(protocol: str, task: str, parts: Sequence[BlockResults], depth: int) -> QueryResults:
    """The blocks' results as those of one task and protocol; there may be no block."""

    def whole(arrays: list[Ints]) -> Ints:
        return np.concatenate([np.empty(0, dtype=np.int64), *arrays])

    def fetched(tensors: list[Tensor], *width: int) -> Ints:
        if not tensors:
            return np.empty((0, *width), dtype=np.int64)
        array: Ints = torch.cat(tensors).cpu().numpy()
        return array

    return QueryResults(
        task=task,
        protocol=protocol,
        queries=whole([part.queries for part in parts]),
        candidates=whole([part.candidates for part in parts]),
        rank=fetched([part.rank for part in parts]),
        nearest=fetched([part.nearest for part in parts], depth),
    )
