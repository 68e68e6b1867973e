"""Which triples share a batch."""

import numpy as np

from counterpoint.arrays import Ints

BUCKET = 16
"""Batches whose triples are sorted by length together."""


def bucketed(order: Ints, lengths: Ints, size: int, rng: np.random.Generator) -> Ints:
    """(steps, size) shuffled triples, those of a batch about equally long, batches shuffled.

    Args:
        order: (steps · size,) shuffled triples.
        lengths: the same shape, of each of them.
        size: of a batch.
        rng: for the order of the batches.
    """
    window = np.arange(len(order)) // (BUCKET * size)
    batches = order[np.lexsort((lengths, window))].reshape(-1, size)
    return batches[rng.permutation(len(batches))]


def by_debate(order: Ints, debates: Ints, size: int, rng: np.random.Generator) -> Ints:
    """(steps, size) shuffled triples, those of a debate next to each other, batches shuffled.

    Args:
        order: (n,) shuffled triples; what is left of the last batch is dropped.
        debates: (n,) a debate of each of them.
        size: of a batch.
        rng: for the order of the debates, and of the batches.
    """
    turn = rng.permutation(debates.max() + 1)[debates]
    sorted_by_debate = order[np.argsort(turn, kind="stable")]
    batches = sorted_by_debate[: len(order) - len(order) % size].reshape(-1, size)
    return batches[rng.permutation(len(batches))]
