"""Exact search over many vectors that lie in several files, a stretch of rows at a time.

As in `search.ranking`, products in float32 make a shortlist, and whatever lies within their error
is decided by direct differences in float64. Here the shortlist is of all rows, which no block of
costs could hold.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from counterpoint.search.distances import PIECE, distance_tolerance, squared_distance
from counterpoint.search.ranking import SPARE, smallest

ROWS = 1 << 16
"""Rows that are compared at a time: few enough that their costs take little memory."""

QUERIES = 64
"""Queries that are compared at a time."""

SHORTLISTED = 1 << 22
"""Rows in the shortlists of the queries that are compared at a time."""


class Searchable(Protocol):
    """What finds the nearest of its rows."""

    def __len__(self) -> int:
        """Number of rows."""

    def nearest(
        self,
        queries: Tensor,
        k: int,
        *,
        allowed: Tensor | None = None,
        excluded: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """See `StoredVectors.nearest`."""


def vectors_of_rows(parts: Sequence[Tensor], rows: Tensor) -> Tensor:
    """Vectors (…, d) float32 of (…) int64 rows, which are counted through all parts."""
    starts = torch.tensor([0, *(len(part) for part in parts)]).cumsum(0)
    flat = rows.flatten()
    owner = torch.searchsorted(starts, flat, right=True) - 1
    width = parts[0].shape[1]
    vectors = torch.empty((len(flat), width))
    for number in sorted(set(owner.tolist())):
        here = owner == number
        vectors[here] = parts[number][flat[here] - starts[number]].float()
    return vectors.reshape(*rows.shape, width)


def excluded_rows(rows: Sequence[Sequence[int]]) -> Tensor:
    """(q, r) int64: the rows that each query may not get, -1 where others may not get more."""
    width = max(map(len, rows), default=0)
    padded = [[*own, *[-1] * (width - len(own))] for own in rows]
    return torch.tensor(padded, dtype=torch.int64).reshape(len(rows), width)


def in_order(costs: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Costs and rows (q, n), each query's by cost and then by row."""
    # Stable sorts from the least significant key to the most.
    order = rows.argsort(dim=1, stable=True)
    order = order.gather(1, costs.gather(1, order).argsort(dim=1, stable=True))
    return costs.gather(1, order), rows.gather(1, order)


class StoredVectors:
    """Vectors to search among; rows are counted through all parts.

    Args:
        parts: (n, d) float32 or float16 each, on the CPU; they may be mapped from files.
    """

    def __init__(self, parts: Sequence[Tensor]) -> None:
        self._parts = parts
        self._count = sum(len(part) for part in parts)
        norms = [stretch.norm(dim=1) for _, stretch in self.stretches()]
        # Once, because a query would read all vectors twice.
        self._squares = torch.cat(norms).square() if norms else torch.empty(0)
        self._longest = self._squares.max().sqrt() if len(self) else torch.tensor(0.0)

    def __len__(self) -> int:
        """Number of rows."""
        return self._count

    def rows(self, rows: Tensor) -> Tensor:
        """(…, d) float32 vectors of (…) int64 rows."""
        return vectors_of_rows(self._parts, rows)

    def squared_distances(self, queries: Tensor, rows: Tensor) -> Tensor:
        """Squared distances (q, n) float64 of q queries, each to rows of its own (q, n)."""
        pieces = [
            squared_distance(self.rows(some).double(), queries[:, None].double())
            for some in torch.split(rows, max(1, PIECE // len(queries)), dim=1)
        ]
        return torch.cat(pieces, dim=1) if pieces else torch.empty(rows.shape, dtype=torch.float64)

    def nearest(
        self,
        queries: Tensor,
        k: int,
        *,
        allowed: Tensor | None = None,
        excluded: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The k nearest rows of each query (Euclidean), nearest first; ties go to the lower row.

        Args:
            queries: (q, d) float32, on the CPU.
            k: how many.
            allowed: (rows,) bool, which rows any query may get; None for all.
            excluded: (q, r) int64, rows that a query may not get, -1 for none.

        Returns:
            (q, k) int64 rows, -1 where there are fewer, and (q, k) float64 distances.
        """
        if excluded is None:
            excluded = torch.empty((len(queries), 0), dtype=torch.int64)
        found = torch.full((len(queries), k), -1, dtype=torch.int64)
        costs = torch.full((len(queries), k), torch.inf, dtype=torch.float64)
        first = min(k + SPARE, len(self))
        at_once = max(1, min(QUERIES, SHORTLISTED // max(first, 1)))
        for some in torch.split(torch.arange(len(queries)), at_once):
            width = first
            while len(some):
                rows, cost, closed = self._shortlist(
                    queries[some], width, allowed, excluded[some], k
                )
                shown = min(k, width)
                found[some, :shown], costs[some, :shown] = rows[:, :shown], cost[:, :shown]
                some, width = some[~closed], min(4 * width, len(self))  # noqa: PLW2901
        return found, costs.sqrt()

    def _shortlist(
        self, queries: Tensor, width: int, allowed: Tensor | None, excluded: Tensor, k: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The `width` nearest in order: rows, squared distances, whether the first k are sure."""
        cost, rows = self._by_product(queries, width, allowed, excluded)
        gone = torch.isinf(cost)
        rows = rows.masked_fill(gone, 0)
        exact = self.squared_distances(queries, rows).masked_fill(gone, torch.inf)
        exact, rows = in_order(exact, rows.masked_fill(gone, -1))
        lengths = queries.norm(dim=1, keepdim=True)
        tolerance = distance_tolerance(queries.shape[1], lengths, self._longest)[:, 0]
        beyond = cost.max(dim=1).values
        closed = (beyond - tolerance > exact[:, min(k, width) - 1]) | torch.isinf(beyond)
        return rows, exact, closed | (width == len(self))

    def _by_product(
        self, queries: Tensor, width: int, allowed: Tensor | None, excluded: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The `width` smallest costs by products, in any order, and their rows: (q, width) each."""
        best = torch.full((len(queries), width), torch.inf)
        rows = torch.full((len(queries), width), -1, dtype=torch.int64)
        lengths = queries.square().sum(dim=1, keepdim=True)
        for start, vectors in self.stretches():
            end = start + len(vectors)
            # |c|² − 2qc + |q|². With the many rows on the left this is twice as fast.
            squares = self._squares[start:end, None]
            cost = torch.addmm(squares, vectors, queries.T, alpha=-2).T.contiguous().add_(lengths)
            if allowed is not None:
                cost[:, ~allowed[start:end]] = torch.inf
            own, place = ((excluded >= start) & (excluded < end)).nonzero(as_tuple=True)
            cost[own, excluded[own, place] - start] = torch.inf
            few, columns = smallest(cost, min(width, len(vectors)))
            best, order = torch.topk(torch.cat([best, few], dim=1), width, largest=False)
            rows = torch.cat([rows, start + columns], dim=1).gather(1, order)
        return best, rows

    def stretches(self) -> Iterator[tuple[int, Tensor]]:
        """The rows in stretches, (n, d) float32, each with the number of its first row."""
        start = 0
        for part in self._parts:
            for stretch in torch.split(part, ROWS):
                yield start, stretch.float()
                start += len(stretch)
