"""What may be a negative of which pair, and a random one of it (docs/method.md, "Negatives").

A negative is one of the unique texts of the training pairs, counters before points, so that the
rule for ties (counters first, then the lower index) is their order. A text's *place* is its index
there.
"""

from dataclasses import dataclass, replace

import numpy as np

from counterpoint.arrays import Floats64, Ints
from counterpoint.errors import InputError
from counterpoint.tasks.training_pairs import TrainingPairs


@dataclass(frozen=True)
class AllowedNegatives:
    """Every text that may serve as a negative, and for each pair the places that may not.

    `texts` is (m,) int64 text numbers, the `counters` unique counters before the unique points;
    `forbidden` is (n, f) int64, the places in either part of each pair's own two texts and of its
    point's other counters, -1 for none; `golds` is (n, 1 + g) int64, the places of those counters
    among the counters.
    """

    texts: Ints
    counters: int
    forbidden: Ints
    golds: Ints

    def rows(self, rows: Ints) -> "AllowedNegatives":
        """Those of some of the pairs."""
        return replace(self, forbidden=self.forbidden[rows], golds=self.golds[rows])

    def places(self, texts: Ints) -> Ints:
        """(n, 2t) where (n, t) of the texts stand, as counters and as points; -1 for nowhere."""
        found = np.full((2, self.texts.max() + 1), -1, dtype=np.int64)
        found[0, self.texts[: self.counters]] = np.arange(self.counters)
        found[1, self.texts[self.counters :]] = np.arange(self.counters, len(self.texts))
        return np.concatenate(list(found[:, texts]), axis=1)

    def without(self, places: Ints) -> "AllowedNegatives":
        """What is left when (n, t) places, -1 for none, are taken."""
        return replace(self, forbidden=np.concatenate([self.forbidden, places], axis=1))

    def fewest(self) -> int:
        """How many different texts the pair with the fewest may have."""
        own = np.where(self.forbidden < 0, -1, self.texts[self.forbidden])
        return len(np.unique(self.texts)) - _distinct(own)


def allowed_negatives(pairs: TrainingPairs, split: str) -> AllowedNegatives:
    """What may serve as a negative of some pairs.

    Args:
        pairs: de-duplicated.
        split: what the message calls them.

    Raises:
        InputError: a pair is left without any negative.
    """
    counters = list(dict.fromkeys(pairs.counter.tolist()))
    points = list(dict.fromkeys(pairs.point.tolist()))
    as_counter = {text: place for place, text in enumerate(counters)}
    as_point = {text: place for place, text in enumerate(points, start=len(counters))}
    forbidden = np.array(
        [
            [places.get(text, -1) for places in (as_counter, as_point) for text in (*pair, *others)]
            for *pair, others in zip(
                pairs.point.tolist(), pairs.counter.tolist(), pairs.others.tolist(), strict=True
            )
        ],
        dtype=np.int64,
    ).reshape(-1, 4 + 2 * pairs.others.shape[1])
    size = len(counters) + len(points)
    if len(pairs) == 0 or _distinct(forbidden) >= size:
        raise InputError(
            f"the {split} split has {len(pairs)} different pairs; at least two are needed so that "
            "every point has a negative"
        )
    return AllowedNegatives(
        texts=np.array(counters + points, dtype=np.int64),
        counters=len(counters),
        forbidden=forbidden,
        golds=forbidden[:, 1 : 2 + pairs.others.shape[1]],
    )


def _distinct(rows: Ints) -> int:
    """The most different numbers, -1 apart, in any row."""
    return int((np.diff(np.sort(rows, axis=1), prepend=-1, axis=1) > 0).sum(axis=1).max())


def draw_random(allowed: AllowedNegatives, rng: np.random.Generator) -> Ints:
    """A random place for every pair: point or counter with probability ½, then uniform.

    The forbidden places of a part are stepped over, so one draw suffices. Where a part has no
    allowed place the other is taken.
    """
    n = len(allowed.forbidden)
    return random_place(allowed, rng.integers(0, 2, size=n), rng.random(n))


def random_place(allowed: AllowedNegatives, part: Ints, share: Floats64) -> Ints:
    """The places (n,) of a draw: a part (n,), and how far (n,) in [0, 1) among its free places."""
    low, skip, free = _free_places(allowed, part)
    shut = free == 0
    if shut.any():
        low, skip, free = _free_places(allowed, np.where(shut, 1 - part, part))
    place = low + (share * free).astype(np.int64)
    for taken in skip.T:
        place += place >= taken
    return place


def _free_places(allowed: AllowedNegatives, part: Ints) -> tuple[Ints, Ints, Ints]:
    """For each pair, of the part (n,) chosen for it (0 counters, 1 points): where it begins (n,).

    And the places forbidden there (n, f), ascending, each once, filled up with ones beyond all
    texts; and how many others there are (n,).
    """
    end = len(allowed.texts)
    bounds = np.array([0, allowed.counters, end])
    low, high = bounds[part], bounds[part + 1]
    inside = (allowed.forbidden >= low[:, None]) & (allowed.forbidden < high[:, None])
    skip = np.sort(np.where(inside, allowed.forbidden, end), axis=1)
    skip[:, 1:][skip[:, 1:] == skip[:, :-1]] = end
    skip.sort(axis=1)
    return low, skip, high - low - (skip < end).sum(axis=1)
