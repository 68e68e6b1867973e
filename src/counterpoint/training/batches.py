"""Which triples share a batch."""

import numpy as np

from counterpoint.arrays import Ints
from counterpoint.config.options import CellOptions
from counterpoint.encoders.encoder import Encoder
from counterpoint.io.rng import generator
from counterpoint.tasks.training_pairs import TrainingPairs

BUCKET = 16
"""Batches whose triples are sorted by length together."""


def batches_of_epoch(
    pairs: TrainingPairs, encoder: Encoder, options: CellOptions, epoch: int
) -> Ints:
    """(steps, B) an epoch's training pairs, shuffled; the last short batch is dropped.

    Args:
        pairs: all of them.
        encoder: which knows how long texts are.
        options: seed, batch size and sampler.
        epoch: counted from 0.
    """
    training = options.training
    size = training.batch_size
    order = generator(options.seed, epoch, "order").permutation(len(pairs))
    rng = generator(options.seed, epoch, "order of batches")
    if training.batch_sampler == "debates":
        debates = np.array([min(pairs.debates[pair]) for pair in order])
        return by_debate(order, debates, size, rng)
    order = order[: len(order) - len(order) % size]
    lengths = encoder.lengths(np.stack([pairs.point, pairs.counter])[:, order])
    if lengths is None or training.batch_sampler == "plain":
        return order.reshape(-1, size)
    return bucketed(order, lengths.max(axis=0), size, rng)


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
