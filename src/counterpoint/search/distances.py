"""Costs of candidates to queries, a block at a time, and the exact ones that decide."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

PIECE = 1 << 16
"""Pairs whose exact distances are computed at a time."""

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

    @property
    def device(self) -> torch.device:
        """Where blocks of them lie."""

    def block(self, queries: Tensor) -> Block:
        """The block of some queries, (n,) int64."""

    def exact(self, queries: Tensor) -> Tensor:
        """(n, m) float64: the true costs of all candidates to some queries, (n,) int64.

        Each row is computed by itself, so that it is the same whatever others are asked with it.
        """

    def score(self, cost: Tensor) -> Tensor:
        """Costs, float64, as a person reads them, higher is nearer: −distance, or similarity."""


def squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distance by direct differences: (…, d) float64 twice to (…) float64.

    The one routine that decides; another order of the same sum would turn exact ties.
    """
    return (a - b).square_().sum(dim=-1)


def distance_tolerance(width: int, lengths: Tensor, longest: Tensor) -> Tensor:
    """(n, 1): by how much squared distances from one matrix product in float32 can be off.

    Args:
        width: of the vectors.
        lengths: (n, 1) of the queries.
        longest: length of the longest candidate, ().
    """
    # Higham, Accuracy and Stability of Numerical Algorithms (2002), section 3.1: a sum of n
    # products is off by at most n units of the product of the lengths.
    return 2 * (width + 8) * UNIT * (lengths + longest).square()


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

    @property
    def device(self) -> torch.device:
        """See `Costs`."""
        return self._candidates.device

    def block(self, queries: Tensor) -> Block:
        """See `Costs`."""
        vectors = self._queries[queries]
        squares = vectors.square().sum(dim=1, keepdim=True)
        rows = torch.cat([vectors, squares, torch.ones_like(squares)], dim=1)
        cost = rows @ self._factors
        tolerance = distance_tolerance(vectors.shape[1], squares.sqrt(), self._longest)
        return Block(cost, tolerance, lambda rows, columns: self._exact(vectors, rows, columns))

    def exact(self, queries: Tensor) -> Tensor:
        """See `Costs`."""
        # Direct differences, pair by pair and without copies of them: seven times as fast as
        # `squared_distance` over whole rows.
        return torch.cdist(
            self._queries[queries].double(),
            self._candidates.double(),
            compute_mode="donot_use_mm_for_euclid_dist",
        ).square()

    def score(self, cost: Tensor) -> Tensor:
        """Minus the distance; see `Costs`."""
        return -cost.sqrt()

    def _exact(self, vectors: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        # In pieces, because a shortlist grows to all candidates where their vectors collapse.
        pieces = zip(
            torch.split(rows.flatten(), PIECE), torch.split(columns.flatten(), PIECE), strict=True
        )
        queries = vectors.double()  # each is in many pairs
        found = [squared_distance(queries[i], self._candidates[j].double()) for i, j in pieces]
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

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    def block(self, queries: Tensor) -> Block:
        """See `Costs`."""
        cost = self._costs(queries)
        tolerance = torch.zeros((len(cost), 1))
        return Block(cost, tolerance, lambda rows, columns: cost[rows, columns].double())

    def exact(self, queries: Tensor) -> Tensor:
        """See `Costs`."""
        return self._costs(queries).double()

    def score(self, cost: Tensor) -> Tensor:
        """The similarity; see `Costs`."""
        return -cost

    def _costs(self, queries: Tensor) -> Tensor:
        return -torch.from_numpy(self._similarity(queries.cpu().numpy()))
