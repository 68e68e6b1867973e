"""Negatives: the random-rate schedule, hard and random choices (docs/method.md, "Negatives").

A negative is one of the unique texts of the training pairs, counters before points, so that the
rule for ties (counters first, then the lower index) is their order. A text's *place* is its index
there. Nothing is encoded here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from counterpoint.arrays import Ints, Mask
from counterpoint.config.options import MiningOptions
from counterpoint.errors import InputError
from counterpoint.results.epoch_log import NegativeCounts
from counterpoint.search.distances import Euclidean, squared_distance
from counterpoint.search.ranking import nearest
from counterpoint.tasks.training_pairs import TrainingPairs

BLOCK_COSTS = 1 << 26
"""Costs held at a time: 256 MiB. The more points they are of, the faster the product."""

SPARE, WIDER = 8, 4
"""How many more than may be needed the BallTree gives at first, and how many times as many next."""

BALLTREE_ROUNDING = 1e-9
"""Relative; far above the tree's own."""


def random_rate(epoch: int, options: MiningOptions) -> float:
    """r(i) = min(1, max(0, r0 − i·δ)), the probability of a random negative in epoch i."""
    return min(1.0, max(0.0, options.initial_random_rate - epoch * options.decrease_rate))


@dataclass(frozen=True)
class AllowedNegatives:
    """Every text that may serve as a negative, and for each pair the places that may not.

    `texts` is (m,) int64 text numbers, the `counters` unique counters before the unique points;
    `forbidden` is (n, f) int64, the places in either part of each pair's own two texts and of its
    point's other counters, -1 for none.
    """

    texts: Ints
    counters: int
    forbidden: Ints


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
    return AllowedNegatives(np.array(counters + points, dtype=np.int64), len(counters), forbidden)


def _distinct(forbidden: Ints) -> int:
    """The most different places that any pair may not have."""
    return int((np.diff(np.sort(forbidden, axis=1), prepend=-1, axis=1) > 0).sum(axis=1).max())


@dataclass(frozen=True)
class Negatives:
    """One negative for each pair: its place, its text, and whether it is random; each (n,)."""

    place: Ints
    text: Ints
    random: Mask


def hard_exact(
    queries: Tensor, candidates: Tensor, allowed: AllowedNegatives, k: int, block: int | None = None
) -> Ints:
    """The k nearest allowed places of each pair, by blocked matrix products.

    Args:
        queries: (n, d) float32, e of each pair's point as a query.
        candidates: (m, d) float32, e of each allowed text as a candidate.
        allowed: m texts, and what n pairs may not have.
        k: how many.
        block: points at a time, by default as many as `BLOCK_COSTS` allows; no choice depends on
            it.

    Returns:
        (n, k) int64 places, nearest first, -1 where there are fewer.
    """
    costs = Euclidean(queries, candidates)
    forbidden = torch.from_numpy(allowed.forbidden).to(queries.device)

    # A function, so that one block's costs are gone before the next one's are there.
    def nearest_allowed(rows: Tensor) -> Tensor:
        part = costs.block(rows)
        places = forbidden[rows]
        inner, slot = (places >= 0).nonzero(as_tuple=True)
        part.cost[inner, places[inner, slot]] = torch.inf
        return nearest(part, k).cpu()

    block = block or max(1, BLOCK_COSTS // len(candidates))
    rows = torch.arange(len(queries), device=queries.device)
    return torch.cat([nearest_allowed(part) for part in torch.split(rows, block)]).numpy()


def hard_balltree(queries: Tensor, candidates: Tensor, allowed: AllowedNegatives, k: int) -> Ints:
    """The same choice by scikit-learn's BallTree, as the original study searched."""
    from sklearn.neighbors import BallTree

    q, c = queries.cpu().double(), candidates.cpu().double()
    tree = BallTree(c.numpy())
    chosen = np.full((len(q), k), -1, dtype=np.int64)
    rows = np.arange(len(q))
    width = min(k + allowed.forbidden.shape[1] + SPARE, len(c))
    while len(rows):
        distance, places = tree.query(q[rows].numpy(), k=width)
        closed = np.zeros(len(rows), dtype=bool)
        for i, row in enumerate(rows):
            usable = places[i][~np.isin(places[i], allowed.forbidden[row])]
            cost = squared_distance(q[row], c[usable]).numpy()
            order = np.lexsort((usable, cost))[:k]
            chosen[row, : len(order)] = usable[order]
            # Whoever lies beyond what was asked for cannot be nearer.
            closed[i] = width == len(c) or (
                len(order) == k and distance[i, -1] ** 2 * (1 - BALLTREE_ROUNDING) > cost[order[-1]]
            )
        rows = rows[~closed]
        width = min(WIDER * width, len(c))
    return chosen


BACKENDS: dict[str, Callable[[Tensor, Tensor, AllowedNegatives, int], Ints]] = {
    "exact": hard_exact,
    "balltree": hard_balltree,
}


def draw_random(allowed: AllowedNegatives, rng: np.random.Generator) -> Ints:
    """A random place for every pair: point or counter with probability ½, then uniform.

    The forbidden places of a part are stepped over, so one draw suffices. Where a part has no
    allowed place the other is taken.
    """
    n = len(allowed.forbidden)
    part = rng.integers(0, 2, size=n)
    share = rng.random(n)
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


def mine(
    queries: Tensor,
    candidates: Tensor,
    allowed: AllowedNegatives,
    options: MiningOptions,
    epoch: int,
    rng: np.random.Generator,
) -> Negatives:
    """One negative for each training pair: random with probability r(epoch), else hard.

    Args:
        queries: (n, d) float32, e of each pair's point as a query.
        candidates: (m, d) float32, e of each allowed text as a candidate.
        allowed: m texts, and what n pairs may not have.
        options: rates, top m of hard negatives, backend.
        epoch: counted from 0.
        rng: of this epoch's mining alone.
    """
    n = len(allowed.forbidden)
    random = rng.random(n) < random_rate(epoch, options)
    place = draw_random(allowed, rng)
    pick = rng.random(n)
    rows = np.flatnonzero(~random)
    if len(rows):
        asked = torch.from_numpy(rows).to(queries.device)
        part = AllowedNegatives(allowed.texts, allowed.counters, allowed.forbidden[rows])
        hard = BACKENDS[options.backend](queries[asked], candidates, part, options.top_m)
        there = (hard >= 0).sum(axis=1)
        place[rows] = hard[np.arange(len(rows)), (pick[rows] * there).astype(np.int64)]
    return Negatives(place=place, text=allowed.texts[place], random=random)


def composition(
    negatives: Negatives, pairs: TrainingPairs, allowed: AllowedNegatives
) -> NegativeCounts:
    """How many negatives were random, hard points, hard counters, and of the point's own debate.

    A text is of a debate when it stands there as the point or the counter that it was drawn as.
    """
    is_counter = negatives.place < allowed.counters
    same = sum(
        not pairs.debates[row].isdisjoint(
            (pairs.debates_of_counter if is_counter[row] else pairs.debates_of_point)[text]
        )
        for row, text in enumerate(negatives.text.tolist())
    )
    return NegativeCounts(
        random=int(negatives.random.sum()),
        hard_point=int((~negatives.random & ~is_counter).sum()),
        hard_counter=int((~negatives.random & is_counter).sum()),
        same_debate=same,
    )
