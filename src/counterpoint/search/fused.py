"""Two ways to search as one: by reciprocal ranks, or by z-scores (docs/method.md, "Hybrid").

Everything is computed for one query at a time from exact costs, so that nothing depends on how
queries are blocked.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from counterpoint.arrays import Ints, Mask
from counterpoint.search.distances import UNIT, Block, Costs

Wide = npt.NDArray[np.float64]

RANK_CONSTANT = 60
"""k of reciprocal rank fusion, as its authors fixed it."""

KEPT = 1 << 27
"""Bytes of measures that are kept: the same queries are asked for every protocol anew."""

Measure = Callable[[Wide, Mask], Wide]
"""The costs (m,) of all candidates to a query, and which of them count, to a measure (m,)."""


def ranks(costs: Wide, counted: Mask) -> Wide:
    """(m,) the rank of each candidate: how many that count cost as much or less.

    So those that tie all have the last of their ranks: a tie counts against each. One that does not
    count may rank 0.
    """
    return np.searchsorted(np.sort(costs[counted]), costs, side="right").astype(np.float64)


def z_scores(costs: Wide, counted: Mask) -> Wide:
    """(m,) how many standard deviations each candidate is nearer than the mean of those that count.

    The deviation is the population's. Where all that count cost the same, everyone has 0.
    """
    values = costs[counted]
    if not len(values) or values.min() == values.max():
        return np.zeros_like(costs)
    scores: Wide = (values.mean() - costs) / values.std()
    return scores


class Measured:
    """What a dense and a lexical search say of all candidates, each on the scale of a measure.

    Args:
        dense: costs of one.
        lexical: costs of the other, for the same queries and candidates.
        counted: from queries (n,) to the candidates (n, m) that count in the measure.
        measure: `ranks` or `z_scores`.
    """

    def __init__(
        self, dense: Costs, lexical: Costs, counted: Callable[[Ints], Mask], measure: Measure
    ) -> None:
        self._costs = (dense, lexical)
        self._counted = counted
        self._measure = measure
        self._kept: dict[int, tuple[Wide, Wide]] = {}

    def of(self, queries: Ints) -> tuple[Wide, Wide]:
        """(n, m) of each, dense and lexical."""
        new = np.array([q for q in queries.tolist() if q not in self._kept], dtype=np.int64)
        rows = dict(zip(new.tolist(), self._rows(new), strict=True)) if len(new) else {}
        dense, lexical = zip(*(rows.get(q) or self._kept[q] for q in queries.tolist()), strict=True)
        for query, row in rows.items():
            if (len(self._kept) + 1) * 2 * row[0].nbytes <= KEPT:
                self._kept[query] = row
        return np.stack(dense), np.stack(lexical)

    def _rows(self, queries: Ints) -> list[tuple[Wide, Wide]]:
        dense, lexical = (
            costs.exact(torch.from_numpy(queries).to(costs.device)).cpu().numpy()
            for costs in self._costs
        )
        return [
            (self._measure(d, counted), self._measure(w, counted))
            for d, w, counted in zip(dense, lexical, self._counted(queries), strict=True)
        ]


Combine = Callable[[Wide, Wide], Wide]
"""Both measures, (n, m) each, to one score, higher is nearer."""


def reciprocal(dense: Wide, lexical: Wide) -> Wide:
    """The sum of 1 / (60 + rank) over both, from their ranks.

    Cormack, Clarke, Büttcher, *Reciprocal rank fusion outperforms Condorcet and individual rank
    learning methods* (SIGIR 2009).
    """
    # As one fraction of whole numbers, rounded once: sums that are equal tie.
    a, b = RANK_CONSTANT + dense, RANK_CONSTANT + lexical
    score: Wide = (a + b) / (a * b)
    return score


def weighted(weight: float) -> Combine:
    """(1 − weight) · dense + weight · lexical, from their z-scores."""
    return lambda dense, lexical: (1 - weight) * dense + weight * lexical


class Fused:
    """Costs from two measures, on the CPU.

    Args:
        measured: of both searches.
        combine: makes one score of them.
    """

    def __init__(self, measured: Measured, combine: Combine) -> None:
        self._measured = measured
        self._combine = combine

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    def block(self, queries: Tensor) -> Block:
        """See `Costs`."""
        exact = self.exact(queries)
        # Both a cost and the gold's are off by their rounding to float32; twice that.
        tolerance = 4 * UNIT * exact.abs().amax(dim=1, keepdim=True).float()
        return Block(exact.float(), tolerance, lambda rows, columns: exact[rows, columns])

    def exact(self, queries: Tensor) -> Tensor:
        """See `Costs`."""
        return -torch.from_numpy(self._combine(*self._measured.of(queries.cpu().numpy())))

    def score(self, cost: Tensor) -> Tensor:
        """The fused score; see `Costs`."""
        return -cost
