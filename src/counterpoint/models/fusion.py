"""What the classifier sees of a pair of texts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Vectors(NamedTuple):
    """Both vectors of n texts in one role: x (n, H) and e (n, d), float32."""

    x: Tensor
    e: Tensor

    def rows(self, rows: Tensor | slice | int) -> "Vectors":
        """Those of some of the texts."""
        return Vectors(self.x[rows], self.e[rows])

    def split(self, parts: int) -> "Vectors":
        """Those of `parts` times as many texts, (parts, n, ·)."""
        return Vectors(*(part.reshape(parts, -1, part.shape[-1]) for part in self))


@dataclass(frozen=True)
class Fusion:
    """What the classifier sees of a pair: of each text alone, and of both together.

    `alone` takes the vectors of n texts to (n, w), `together` two of these to (n, v); the features
    of a pair are (n, 2w + v), those of the point alone first, then those of the candidate alone.
    """

    alone: Callable[[Vectors], Tensor]
    together: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, p: Vectors, c: Vectors) -> Tensor:
        """Features of the pairs of n points with (…, n) candidates, (…, n, 2w + v)."""
        return self.join(self.alone(p), self.alone(c))

    def join(self, p: Tensor, c: Tensor) -> Tensor:
        """The same from what is seen of each text alone."""
        return torch.cat([p.expand_as(c), c, self.together(p, c)], dim=-1)


def difference(p: Tensor, c: Tensor) -> Tensor:
    """|p − c|: (n, w)."""
    return (p - c).abs()


FUSIONS: dict[str, Fusion] = {
    "embedding": Fusion(lambda vectors: vectors.e, difference),
    "cls": Fusion(lambda vectors: vectors.x, difference),
    "concat": Fusion(lambda vectors: torch.cat([vectors.e, vectors.x], dim=-1), difference),
}
