"""Which triples share a batch."""

import numpy as np

from counterpoint.arrays import Ints
from counterpoint.config.options import CellOptions, TrainingOptions
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
    training, seed = options.training, options.seed
    if training.batch_sampler == "debates":
        order, rng = _orders(len(pairs), seed, epoch)
        debates = np.array([min(pairs.debates[pair]) for pair in order])
        return by_debate(order, debates, training.batch_size, rng)
    lengths = encoder.lengths(np.stack([pairs.point, pairs.counter]))
    if lengths is not None:
        return batches_of_lengths(lengths.max(axis=0), training, seed, epoch)
    order, _ = _orders(len(pairs), seed, epoch)
    return _whole(order, training.batch_size).reshape(-1, training.batch_size)


def batches_of_lengths(lengths: Ints, training: TrainingOptions, seed: int, epoch: int) -> Ints:
    """(steps, B) shuffled groups, of (n,) lengths; the last short batch is dropped.

    Those of a batch are about equally long, unless the sampler is `plain`.
    """
    order, rng = _orders(len(lengths), seed, epoch)
    order = _whole(order, training.batch_size)
    if training.batch_sampler == "plain":
        return order.reshape(-1, training.batch_size)
    return bucketed(order, lengths[order], training.batch_size, rng)


def _orders(n: int, seed: int, epoch: int) -> tuple[Ints, np.random.Generator]:
    """A shuffled order of n triples, and what shuffles their batches."""
    order = generator(seed, epoch, "order").permutation(n)
    return order, generator(seed, epoch, "order of batches")


def _whole(order: Ints, size: int) -> Ints:
    """Without the last short batch."""
    return order[: len(order) - len(order) % size]


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
