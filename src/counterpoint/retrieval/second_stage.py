"""What the second stage says of texts that were found: a classifier, or a cross-encoder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from counterpoint.arrays import Floats, Floats64, Ints
from counterpoint.models.fusion import Vectors
from counterpoint.retrieval.loaded import LoadedModel


@dataclass(frozen=True)
class Encoded:
    """Texts with their vectors in one role."""

    texts: Sequence[str]
    vectors: Vectors

    def rows(self, rows: Sequence[int]) -> "Encoded":
        """Some of them."""
        return Encoded([self.texts[row] for row in rows], self.vectors.rows(torch.tensor(rows)))


@dataclass(frozen=True)
class Candidates:
    """What is searched, by (n,) int64 rows, each asked for where a second stage needs it."""

    vectors: Callable[[Tensor], Vectors]
    """In the role `candidate`."""
    texts: Callable[[Tensor], Sequence[str]]


@dataclass(frozen=True)
class FoundPairs:
    """Which candidates were found for which points: n pairs."""

    points: Ints
    """(n,) places among the points."""
    candidates: Ints
    """(n,) rows of what is searched."""
    distances: Floats64
    """(n,) between their vectors."""


def scores(
    loaded: LoadedModel, points: Encoded, candidates: Candidates, pairs: FoundPairs
) -> Floats:
    """(n,) float32 scores of n pairs, higher for likelier counters.

    Args:
        loaded: a system with a second stage.
        points: in the role `query`.
        candidates: what is searched.
        pairs: at least one.
    """
    unique, of_candidates = np.unique(pairs.candidates, return_inverse=True)
    rows = torch.from_numpy(unique)
    if loaded.pairs is not None:
        texts = candidates.texts(rows)
        return loaded.pairs.scores(
            [points.texts[place] for place in pairs.points],
            [texts[place] for place in of_candidates],
            pairs.distances,
        )
    vectors = candidates.vectors(rows)
    device = points.vectors.e.device
    asked = (torch.from_numpy(part).to(device) for part in (pairs.points, of_candidates))
    scored: Floats = loaded.model.score(points.vectors, vectors, *asked).float().cpu().numpy()
    return scored
