"""Negatives of an epoch: how many are random, which they are, what they are made of.

See docs/method.md, "Negatives". Nothing is encoded here.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from counterpoint.arrays import Floats64, Ints, Mask
from counterpoint.config.options import MiningOptions
from counterpoint.results.epoch_log import NegativeCounts
from counterpoint.tasks.training_pairs import TrainingPairs
from counterpoint.training.allowed import AllowedNegatives, random_place
from counterpoint.training.hard import BACKENDS, Hard
from counterpoint.training.margins import limits, to_golds


def random_rate(epoch: int, options: MiningOptions) -> float:
    """r(i) = min(1, max(0, r0 − i·δ)), the probability of a random negative in epoch i."""
    return min(1.0, max(0.0, options.initial_random_rate - epoch * options.decrease_rate))


@dataclass(frozen=True)
class Negatives:
    """k different negatives for each of n pairs.

    `place`, `text` and `random` are (k, n). Where `mining` has a filter, `filtered` is (n,) int64,
    how many candidates were too near to be hard negatives (0 of whoever got random ones alone), and
    `replaced` (k, n) says which are random because no candidate was left; else None.
    """

    place: Ints
    text: Ints
    random: Mask
    filtered: Ints | None = None
    replaced: Mask | None = None


class _Draw(NamedTuple):
    """Random numbers of one negative of each of n pairs, each (n,); vectors change none of them."""

    random: Mask
    part: Ints
    share: Floats64
    pick: Floats64

    @classmethod
    def by(cls, rng: np.random.Generator, n: int, rate: float) -> "_Draw":
        return cls(rng.random(n) < rate, rng.integers(0, 2, size=n), rng.random(n), rng.random(n))


def mine(
    queries: Tensor,
    candidates: Tensor,
    allowed: AllowedNegatives,
    options: MiningOptions,
    epoch: int,
    rng: np.random.Generator,
    *,
    unit_length: bool = False,
) -> Negatives:
    """Negatives of each training pair: each random with probability r(epoch), else hard.

    One after the other; a text that a pair has got is no candidate for its next ones.

    Args:
        queries: (n, d) float32, e of each pair's point as a query.
        candidates: (m, d) float32, e of each allowed text as a candidate.
        allowed: m texts, and what n pairs may not have; each may have `options.negatives` at least.
        options: how many, rates, top m of hard negatives, filters, backend.
        epoch: counted from 0.
        rng: of this epoch's mining alone.
        unit_length: whether e has length 1, for the filters.
    """
    n, count = len(allowed.forbidden), options.negatives
    rate = random_rate(epoch, options)
    draws = [_Draw.by(rng, n, rate) for _ in range(count)]
    some_hard = ~np.all([draw.random for draw in draws], axis=0)
    hard = _hard(queries, candidates, allowed, options, some_hard, unit_length=unit_length)
    texts, place = np.empty((count, n), dtype=np.int64), np.empty((count, n), dtype=np.int64)
    replaced = np.zeros((count, n), dtype=bool)
    for slot, draw in enumerate(draws):
        taken = allowed.places(texts[:slot].T)
        place[slot] = random_place(allowed.without(taken), draw.part, draw.share)
        rows = np.flatnonzero(~draw.random)
        found = _drawn(hard.place[rows], taken[rows], options.top_m, draw.pick[rows])
        place[slot, rows] = np.where(found < 0, place[slot, rows], found)
        replaced[slot, rows] = found < 0
        texts[slot] = allowed.texts[place[slot]]
    random = np.stack([draw.random for draw in draws]) | replaced
    if options.filters:
        return Negatives(place, texts, random, hard.filtered, replaced)
    return Negatives(place, texts, random)


def _hard(
    queries: Tensor,
    candidates: Tensor,
    allowed: AllowedNegatives,
    options: MiningOptions,
    asked: Mask,
    *,
    unit_length: bool,
) -> Hard:
    """As many of the nearest as may be drawn from by the pairs that (n,) `asked` for hard ones.

    The others have none.
    """
    # Each negative that a pair has got takes away two places, of a text in both parts.
    width = options.top_m + 2 * (options.negatives - 1)
    n = len(asked)
    place, filtered = np.full((n, width), -1, dtype=np.int64), np.zeros(n, dtype=np.int64)
    rows = np.flatnonzero(asked)
    if len(rows):
        q, part = queries[torch.from_numpy(rows).to(queries.device)], allowed.rows(rows)
        limit = None
        if options.filters:
            limit = limits(to_golds(q, candidates, part), options, unit_length=unit_length)
        search = BACKENDS[options.backend]
        place[rows], filtered[rows] = search(q, candidates, part, width, limit=limit)
    return Hard(place, filtered)


def _drawn(nearest_places: Ints, taken: Ints, top_m: int, pick: Floats64) -> Ints:
    """(n,) a place of each of n pairs, drawn among its `top_m` nearest that are left; -1 for none.

    Args:
        nearest_places: (n, k), nearest first, then -1.
        taken: (n, t) those that it has got, -1 for none.
        top_m: among how many.
        pick: (n,) in [0, 1).
    """
    out = (nearest_places[:, :, None] == taken[:, None, :]).any(axis=2) | (nearest_places < 0)
    order = np.argsort(out, axis=1, kind="stable")
    there = np.minimum((~out).sum(axis=1), top_m)
    rows = np.arange(len(nearest_places))
    found = nearest_places[rows, order[rows, (pick * there).astype(np.int64)]]
    return np.where(there > 0, found, -1)


def composition(
    negatives: Negatives, pairs: TrainingPairs, allowed: AllowedNegatives
) -> NegativeCounts:
    """How many negatives were random, hard points, hard counters, and of the point's own debate.

    A text is of a debate when it stands there as the point or the counter that it was drawn as.
    """
    is_counter, hard = negatives.place < allowed.counters, ~negatives.random
    same = sum(
        not pairs.debates[row].isdisjoint(
            (pairs.debates_of_counter if is_counter[slot, row] else pairs.debates_of_point)[text]
        )
        for slot, of_slot in enumerate(negatives.text.tolist())
        for row, text in enumerate(of_slot)
    )
    return NegativeCounts(
        random=int(negatives.random.sum()),
        hard_point=int((hard & ~is_counter).sum()),
        hard_counter=int((hard & is_counter).sum()),
        same_debate=same,
        filtered=None if negatives.filtered is None else int(negatives.filtered.sum()),
        replaced=None if negatives.replaced is None else int(negatives.replaced.sum()),
    )
