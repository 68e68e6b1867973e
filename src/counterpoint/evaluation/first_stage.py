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
from counterpoint.tasks.candidates import BLOCK, CandidateSets, blocks


@dataclass(frozen=True)
class AskedBlock:
    """Some queries that a protocol asks, with the costs of all rows to them."""

    protocol: str
    queries: Ints
    block: Block
    golds: Tensor
    """(n, G) int64: the rows of each query's golds, then -1."""
    preceding: Callable[[], Tensor]
    """(n, G, rows) bool: for each of a query's golds, the nearest first, the rows that rank before
    it wherever they are candidates, without the other golds."""
    score: Callable[[Tensor], Tensor]
    """See `Costs.score`."""

    def scores(self, rows: Tensor) -> Tensor:
        """(n, depth) float32 of rows, higher is nearer; where a row is -1 it means nothing."""
        return row_scores(self.block, rows, self.score)


def row_scores(block: Block, rows: Tensor, score: Callable[[Tensor], Tensor]) -> Tensor:
    """The same of any block's rows (n, depth)."""
    each = torch.arange(len(rows), device=rows.device)[:, None].expand_as(rows)
    return score(block.exact(each, rows.clamp(min=0))).float()


def asked_blocks(
    sets: CandidateSets, costs: Costs, protocols: Sequence[str], queries: Ints | None
) -> Iterator[AskedBlock]:
    """The queries of each protocol, block by block; costs are computed once for all protocols.

    Args:
        sets: the pairs of a split.
        costs: of all its rows to its queries.
        protocols: by name; those that ask the tasks.
        queries: (n,) only these, where a protocol asks them; all by default.
    """
    of_protocol = {protocol: sets.queries(protocol) for protocol in protocols}
    asked = np.arange(sets.points) if queries is None else np.sort(queries)
    # What precedes each gold is held at once.
    for numbers in blocks(asked, max(1, BLOCK // sets.golds.shape[1])):
        block = costs.block(torch.from_numpy(numbers).to(costs.device))
        golds = torch.from_numpy(sets.golds[numbers]).to(costs.device)
        preceding = cache(partial(_preceding, block, golds))
        for protocol, wanted in of_protocol.items():
            inner = np.flatnonzero(np.isin(numbers, wanted))
            if len(inner):
                rows = torch.from_numpy(inner).to(costs.device)
                yield AskedBlock(
                    protocol,
                    numbers[inner],
                    block.rows(rows),
                    golds[rows],
                    partial(_rows, preceding, rows),
                    costs.score,
                )


def _rows(table: Callable[[], Tensor], rows: Tensor) -> Tensor:
    return table()[rows]


def _preceding(block: Block, golds: Tensor) -> Tensor:
    """See `AskedBlock.preceding`; nothing precedes a gold that is not there."""
    n, most = golds.shape
    if most == 1:
        return precedes(block, golds[:, 0])[:, None]
    each = torch.arange(n, device=golds.device)[:, None].expand_as(golds)
    there = golds >= 0
    exact = torch.full(golds.shape, torch.inf, dtype=torch.float64, device=golds.device)
    exact[there] = block.exact(each[there], golds[there]).double()
    order = torch.sort(exact, dim=1, stable=True).indices
    result = torch.zeros(n, most, block.cost.shape[1], dtype=torch.bool, device=golds.device)
    for slot, gold in enumerate(golds.gather(1, order).T):
        rows = (gold >= 0).nonzero()[:, 0]
        if len(rows):
            result[rows, slot] = precedes(block.rows(rows), gold[rows])
    return result.masked_fill_(_is_any(golds, block.cost.shape[1])[:, None], False)


def _is_any(golds: Tensor, rows: int) -> Tensor:
    """(n, rows) bool: which rows are golds of each query."""
    result = torch.zeros(len(golds), rows, dtype=torch.bool, device=golds.device)
    queries, slots = (golds >= 0).nonzero(as_tuple=True)
    result[queries, golds[queries, slots]] = True
    return result


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
        self._there = asked.golds >= 0
        self._golds = torch.where(
            self._there, torch.searchsorted(self._columns, asked.golds.contiguous()), -1
        )

    def ranks(self, preceding: Tensor) -> Tensor:
        """(n, G) int64: the golds' ranks, ascending, then 0; from the rows that precede each."""
        ahead = preceding.index_select(2, self._columns) & self._candidates[:, None]
        before = torch.arange(ahead.shape[1], device=ahead.device)
        return torch.where(self._ordered_there(), 1 + before + ahead.sum(dim=2), 0)

    def _ordered_there(self) -> Tensor:
        # By cost, those that are not there stand last.
        return self._there.sort(dim=1, descending=True).values

    def nearest(self, depth: int) -> Tensor:
        """(n, depth) int64: rows of the nearest candidates, -1 where there are fewer."""
        near = nearest(self._block, depth, last=self._golds)
        return torch.where(near >= 0, self._columns[near], -1)


def ranks_among(nearest: Tensor, golds: Tensor, beyond: int) -> Tensor:
    """(n, G) int64: where the golds stand among the nearest, ascending; `beyond` where not.

    Args:
        nearest: (n, depth) rows.
        golds: (n, G) rows, then -1, which have the rank 0 and come last.
        beyond: what is more than any rank among the nearest.
    """
    is_gold = nearest[:, None] == golds[:, :, None]
    ranks = torch.where(is_gold.any(dim=2), 1 + is_gold.int().argmax(dim=2), beyond)
    ranks = torch.where(golds >= 0, ranks, beyond + 1).sort(dim=1).values
    return torch.where(ranks > beyond, 0, ranks)


@dataclass(frozen=True)
class BlockResults:
    """First-stage results of a block of n queries, where they were computed."""

    queries: Ints
    candidates: Ints
    ranks: Tensor
    """(n, G)"""
    nearest: Tensor
    """(n, depth)"""
    scores: Tensor | None = None
    """(n, depth) of the nearest."""


def joined(
    protocol: str, task: str, parts: Sequence[BlockResults], depth: int, golds: Ints
) -> QueryResults:
    """The blocks' results as those of one task and protocol; there may be no block.

    Args:
        protocol: by name.
        task: by name.
        parts: the blocks.
        depth: of their nearest.
        golds: (Q, G) of the candidate sets.
    """

    def whole(arrays: list[Ints]) -> Ints:
        return np.concatenate([np.empty(0, dtype=np.int64), *arrays])

    def fetched(tensors: list[Tensor], *width: int) -> Ints:
        if not tensors:
            return np.empty((0, *width), dtype=np.int64)
        array: Ints = torch.cat(tensors).cpu().numpy()
        return array

    scores = [part.scores for part in parts if part.scores is not None]

    queries = whole([part.queries for part in parts])
    return QueryResults(
        task=task,
        protocol=protocol,
        queries=queries,
        golds=golds[queries],
        candidates=whole([part.candidates for part in parts]),
        ranks=fetched([part.ranks for part in parts], golds.shape[1]),
        nearest=fetched([part.nearest for part in parts], depth),
        nearest_scores=torch.cat(scores).cpu().numpy() if scores else None,
    )
