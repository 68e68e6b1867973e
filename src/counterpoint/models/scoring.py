"""The classifier's scores of many pairs of few texts."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.models.fusion import Fusion, Vectors

PAIRS = {"cpu": 512, "cuda": 2048}
"""Pairs that are scored at a time at most, by device: on a CPU their features fit into a cache."""


def pair_scores(
    fuse: Fusion,
    head: nn.Sequential,
    vectors: tuple[Vectors, Vectors],
    pairs: tuple[Tensor, Tensor],
) -> Tensor:
    """(n,) float32, ordered as the probability of class 1.

    The difference of the logits, because probabilities near 1 are all the same in float32. What the
    first layer makes of a text alone is computed once a text and not once a pair.

    Args:
        fuse: what the head sees of a pair.
        head: the classifier.
        vectors: of texts in the points' place, and of texts in the candidates' place.
        pairs: (n,) int64 rows of the first, and (n,) of the second.
    """
    first, points = torch.unique(pairs[0], return_inverse=True)
    second, candidates = torch.unique(pairs[1], return_inverse=True)
    p = fuse.alone(vectors[0].rows(first))
    c = fuse.alone(vectors[1].rows(second))
    hidden = _first_layer(fuse, head[0], p, c)
    rest = head[1:]
    scores = []
    # Even parts: a product of very few rows alone is rounded otherwise than in a larger one.
    parts = max(1, math.ceil(len(points) / PAIRS[points.device.type]))
    for i, j in zip(points.tensor_split(parts), candidates.tensor_split(parts), strict=True):
        logits = rest(hidden(i, j))
        scores.append(logits[:, 1] - logits[:, 0])
    return torch.cat(scores)


def _first_layer(
    fuse: Fusion, layer: nn.Module, p: Tensor, c: Tensor
) -> Callable[[Tensor, Tensor], Tensor]:
    """A head's first layer over pairs of rows of what is seen of each text alone."""
    if not isinstance(layer, nn.Linear):
        # A LayerNorm looks at all features of a pair at once.
        return lambda i, j: layer(fuse.join(p[i], c[j]))
    width = p.shape[1]
    of_p = functional.linear(p, layer.weight[:, :width], layer.bias)
    of_c = functional.linear(c, layer.weight[:, width : 2 * width])
    both = layer.weight[:, 2 * width :].T

    def hidden(i: Tensor, j: Tensor) -> Tensor:
        alone = of_p[i] + of_c[j]
        return torch.addmm(alone, fuse.together(p[i], c[j]), both)

    return hidden
