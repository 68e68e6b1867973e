"""Who comes first: blocked distances, the nearest k, what precedes the gold. No model here.

Matrix products in float32 are off by rounding, enough to turn ties and near ties with the size of
a block. So they only make a shortlist; whatever lies within their error is decided by direct
differences in float64. The answer is the same for every block size, thread count and backend
(docs/method.md, "Negatives").
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

SPARE = 8
"""How many more than the k nearest are shortlisted at first."""

PIECE = 1 << 16
"""Pairs whose exact distances are computed at a time."""

CHUNK = 64
"""Columns whose smallest cost is looked for at a time; among 16 to 128 the fastest on a CPU."""

UNIT = 2.0**-24
"""Relative rounding error of one float32 operation."""


@dataclass(frozen=True)
class Block:
    """Costs of all candidates to a block of queries; lower is nearer.

    `cost` is (n, m) float32 and off by at most `tolerance` (n, 1); infinite for whoever is no
    candidate. `exact(rows, columns)` takes positions of the same shape, rows counted within the
    block, and gives the true costs in float64.
    """

    cost: Tensor
    tolerance: Tensor
    exact: Callable[[Tensor, Tensor], Tensor]

    def only(self, candidates: Tensor) -> "Block":
        """The same block with the candidates that a mask (n, m) names."""
        return Block(self.cost.masked_fill(~candidates, torch.inf), self.tolerance, self.exact)

    def among(self, columns: Tensor, candidates: Tensor) -> "Block":
        """Some columns (c,) alone, of which a mask (n, c) names the candidates."""
        cost = self.cost.index_select(1, columns).masked_fill_(~candidates, torch.inf)
        return Block(cost, self.tolerance, lambda rows, inner: self.exact(rows, columns[inner]))

    def rows(self, rows: Tensor) -> "Block":
        """Some of the block's queries, ascending."""
        if len(rows) == len(self.cost):
            return self
        return Block(
            self.cost[rows],
            self.tolerance[rows],
            lambda inner, columns: self.exact(rows[inner], columns),
        )


class Costs(Protocol):
    """Costs of m candidates to queries, a block at a time."""

    def block(self, queries: Tensor) -> Block:
        """The block of some queries, (n,) int64."""


def squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distance by direct differences: (…, d) float64 twice to (…) float64.

    The one routine that decides; another order of the same sum would turn exact ties.
    """
    return (a - b).square().sum(dim=-1)


class Euclidean:
    """Squared Euclidean distances between vectors.

    Args:
        queries: (q, d) float32.
        candidates: (m, d) float32, on the same device.
    """

    def __init__(self, queries: Tensor, candidates: Tensor) -> None:
        self._queries = queries
        self._candidates = candidates
        squares = candidates.square().sum(dim=1, keepdim=True)
        # |q|² − 2qc + |c|² as one product, which passes over the block once: (d + 2, m).
        self._factors = torch.cat([-2 * candidates, torch.ones_like(squares), squares], dim=1).T
        self._longest = candidates.norm(dim=1).max() if len(candidates) else torch.tensor(0.0)

    def block(self, queries: Tensor) -> Block:
        """See `Costs`."""
        vectors = self._queries[queries]
        squares = vectors.square().sum(dim=1, keepdim=True)
        rows = torch.cat([vectors, squares, torch.ones_like(squares)], dim=1)
        cost = rows @ self._factors
        # Higham, Accuracy and Stability of Numerical Algorithms (2002), section 3.1: a sum of n
        # products is off by at most n units of the product of the lengths.
        width = vectors.shape[1] + 8
        tolerance = 2 * width * UNIT * (squares.sqrt() + self._longest).square()
        return Block(cost, tolerance, lambda rows, columns: self._exact(vectors, rows, columns))

    def _exact(self, vectors: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        # In pieces, because a shortlist grows to all candidates where their vectors collapse.
        pieces = zip(
            torch.split(rows.flatten(), PIECE), torch.split(columns.flatten(), PIECE), strict=True
        )
        found = [
            squared_distance(vectors[i].double(), self._candidates[j].double()) for i, j in pieces
        ]
        return torch.cat(found).reshape(rows.shape) if found else vectors.new_zeros(rows.shape)


class Similarities:
    """Costs from similarities that are known exactly, such as TF-IDF cosines.

    Args:
        similarity: (n,) int64 queries to their similarities, (n, m) float32, higher is nearer.
    """

    def __init__(
        self, similarity: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]]
    ) -> None:
        self._similarity = similarity

    def block(self, queries: Tensor) -> Block:
        """See `Costs`."""
        cost = -torch.from_numpy(self._similarity(queries.cpu().numpy()))
        tolerance = torch.zeros((len(cost), 1))
        return Block(cost, tolerance, lambda rows, columns: cost[rows, columns].double())


def nearest(block: Block, k: int, last: Tensor | None = None) -> Tensor:
    """The k nearest candidates of each query of a block, nearest first.

    Args:
        block: n queries, m candidates.
        k: how many.
        last: (n, r) int64, for each query the candidates that go behind all that tie with them;
            -1 for none.

    Returns:
        (n, k) int64 columns; ties otherwise go to the lower column; -1 where there are fewer
        candidates.
    """
    n, m = block.cost.shape
    found = torch.full((n, k), -1, dtype=torch.int64, device=block.cost.device)
    cost, columns = _smallest(block.cost, min(k + 1, m))
    sure = _in_order(cost, block.tolerance)
    columns = columns.masked_fill(torch.isinf(cost), -1)[:, :k]
    found[sure, : columns.shape[1]] = columns[sure]
    open_rows = (~sure).nonzero()[:, 0]
    width = min(k + SPARE, m)
    while len(open_rows):
        part = block if len(open_rows) == n else block.rows(open_rows)
        order, closed = _shortlist(part, width, k, None if last is None else last[open_rows])
        found[open_rows, : order.shape[1]] = order
        open_rows = open_rows[~closed]
        width = min(4 * width, m)
    return found


def _smallest(cost: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """`torch.topk(cost, width, dim=1, largest=False)`, faster over long rows.

    The `width` smallest of a row lie in the `width` chunks whose own smallest are smallest.
    """
    n, m = cost.shape
    chunks = m // CHUNK
    if cost.device.type != "cpu" or chunks <= 2 * width:
        return torch.topk(cost, width, dim=1, largest=False)
    whole = cost[:, : chunks * CHUNK].reshape(n, chunks, CHUNK)
    chosen = torch.topk(whole.amin(dim=2), width, dim=1, largest=False, sorted=False).indices
    within = torch.arange(CHUNK)
    columns = (chosen[:, :, None] * CHUNK + within).flatten(1)
    rest = torch.arange(chunks * CHUNK, m).expand(n, -1)
    columns = torch.cat([columns, rest], dim=1)
    values, places = torch.topk(cost.gather(1, columns), width, dim=1, largest=False)
    return values, columns.gather(1, places)


def _in_order(cost: Tensor, tolerance: Tensor) -> Tensor:
    """(n,) whether ascending float32 costs (n, w) are in their true order, without a tie.

    So they are where neighbours lie further apart than both can be off.
    """
    apart = cost[:, 1:] - cost[:, :-1] > 2 * tolerance
    return (apart | torch.isinf(cost[:, 1:])).all(dim=1)


def _shortlist(block: Block, width: int, k: int, last: Tensor | None) -> tuple[Tensor, Tensor]:
    """The first k of the `width` nearest; for each query, whether nobody else can be among them."""
    cost, columns = _smallest(block.cost, width)
    rows = torch.arange(len(cost), device=cost.device)[:, None].expand_as(columns)
    exact = block.exact(rows, columns).masked_fill(torch.isinf(cost), torch.inf)
    # Stable sorts from the least significant key to the most: column, the last one, distance.
    keys = [columns, exact]
    if last is not None:
        keys.insert(1, (columns[:, :, None] == last[:, None, :]).any(dim=2))
    order = torch.arange(width, device=cost.device).expand_as(columns)
    for key in keys:
        order = order.gather(1, torch.sort(key.gather(1, order), dim=1, stable=True).indices)
    exact = exact.gather(1, order)
    columns = columns.gather(1, order).masked_fill(torch.isinf(exact), -1)
    worst = exact[:, min(k, width) - 1]
    beyond = cost[:, -1] - block.tolerance[:, 0]
    closed = (beyond > worst) | torch.isinf(cost[:, -1])
    if width == block.cost.shape[1]:
        closed[:] = True
    return columns[:, :k], closed


def precedes(block: Block, gold: Tensor, *, lower_ties: bool = False) -> Tensor:
    """Which candidates rank before the gold: the nearer ones, and those that tie with it.

    Args:
        block: n queries, m candidates.
        gold: (n,) int64 columns.
        lower_ties: of those that tie, only the lower columns.

    Returns:
        (n, m) bool; whoever is no candidate in the block does not precede.
    """
    n = len(gold)
    each = torch.arange(n, device=gold.device)
    limit = block.exact(each, gold)
    bound = limit[:, None].float()
    # Negated, so that a cost that is not a number counts against the system.
    result = ~(block.cost >= bound - block.tolerance)
    near = (block.cost <= bound + block.tolerance) & ~result
    near[each, gold] = True
    rows, columns = near.nonzero(as_tuple=True)
    exact = block.exact(rows, columns)
    # The gold's own cost again, from the same call: on some devices the order of a sum depends on
    # the shape of what is summed.
    own = columns == gold[rows]
    limit[rows[own]] = exact[own]
    ties = exact == limit[rows]
    if lower_ties:
        ties &= columns < gold[rows]
    result[rows, columns] = (exact < limit[rows]) | ties
    result[each, gold] = False
    return result
