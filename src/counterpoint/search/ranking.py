"""Who comes first: blocked distances, the nearest k, what precedes the gold. No model here.

Matrix products in float32 are off by rounding, enough to turn ties and near ties with the size of
a block. So they only make a shortlist; whatever lies within their error is decided by direct
differences in float64. The answer is the same for every block size, thread count and backend
(docs/method.md, "Negatives").
"""

import torch
from torch import Tensor

from counterpoint.search.distances import Block

SPARE = 8
"""How many more than the k nearest are shortlisted at first."""

CHUNK = 64
"""Columns whose smallest cost is looked for at a time; among 16 to 128 the fastest on a CPU."""


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
    cost, columns = smallest(block.cost, min(k + 1, m))
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


def smallest(cost: Tensor, width: int) -> tuple[Tensor, Tensor]:
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
    cost, columns = smallest(block.cost, width)
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
