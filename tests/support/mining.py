"""Pairs of numbers of texts, and vectors of many kinds to mine among."""

import numpy as np
import torch

from counterpoint.tasks.training_pairs import TrainingPairs


def pairs_of(*triples):
    """(point, counter, debates) for each pair, as numbers of texts."""
    of_point, of_counter = {}, {}
    for point, counter, debates in triples:
        of_point[point] = of_point.get(point, frozenset()) | debates
        of_counter[counter] = of_counter.get(counter, frozenset()) | debates
    return TrainingPairs(
        point=np.array([point for point, _, _ in triples], dtype=np.int64),
        counter=np.array([counter for _, counter, _ in triples], dtype=np.int64),
        others=np.empty((len(triples), 0), dtype=np.int64),
        debates=tuple(debates for _, _, debates in triples),
        debates_of_point=of_point,
        debates_of_counter=of_counter,
    )


def plain(*pairs):
    """Pairs of a point and a counter, each in a debate of its own."""
    return pairs_of(*((*pair, frozenset({row})) for row, pair in enumerate(pairs)))


def tables(pairs, allowed, vectors):
    """Query and candidate vectors from one table of a vector a text."""
    table = torch.as_tensor(vectors, dtype=torch.float32)
    return table[torch.from_numpy(pairs.point)], table[torch.from_numpy(allowed.texts)]


def line(*positions):
    """Texts 0, 1, … at some positions of a line."""
    return [[float(position)] for position in positions]


def random_pairs(rng, texts, count):
    """Different pairs over few texts, so that many are a point here and a counter there."""
    codes = rng.choice(texts * texts, size=count, replace=False)
    return plain(*((int(code) // texts, int(code) % texts) for code in codes))


def within_five_sigma(count, trials, probability):
    sigma = (trials * probability * (1 - probability)) ** 0.5
    return abs(count - trials * probability) <= 5 * sigma


def random(rng, count):
    return rng.standard_normal((count, 8))


def tied(rng, count):
    return rng.integers(-1, 2, (count, 3))


def duplicated(rng, count):
    return rng.standard_normal((4, 8))[rng.integers(0, 4, count)]


def near_equal(rng, count):
    """A few units in the last place of 1000: float32 products cannot order these."""
    return 1000 + 2.0**-14 * rng.integers(-3, 4, (count, 6))


def all_one(rng, count):
    return np.ones((count, 4))


KINDS = [random, tied, duplicated, near_equal, all_one]
