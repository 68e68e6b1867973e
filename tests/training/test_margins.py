"""Hard negatives that may be answers: what margins leave out, by hand and beside a slow loop."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from counterpoint.config.loading import parse
from counterpoint.config.options import MiningOptions
from counterpoint.errors import InputError
from counterpoint.search.distances import Euclidean, squared_distance
from counterpoint.training.allowed import allowed_negatives
from counterpoint.training.hard import BACKENDS, hard_balltree, hard_exact
from counterpoint.training.margins import limits, nearer, to_golds
from counterpoint.training.mining import composition, mine
from tests.support.mining import KINDS, line, plain, random_pairs, tables

# Point 0 at 0, its gold 1 at 2. Further by distance: 2 at 1, 3 at −1.75, 4 at −2, 5 at 2.5, 6 at 3,
# 7 at −8.
PAIRS = plain((0, 1), (2, 3), (4, 5), (6, 7))
PLACES = line(0, 2, 1, -1.75, -2, 2.5, 3, -8)


def options(**values):
    return MiningOptions(initial_random_rate=0.0, decrease_rate=0.0, **values)


def mined(pairs, vectors, wanted, unit_length=False):
    allowed = allowed_negatives(pairs, "training")
    queries, candidates = tables(pairs, allowed, vectors)
    rng = np.random.default_rng(0)
    return mine(queries, candidates, allowed, wanted, 0, rng, unit_length=unit_length)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("margins", "text", "filtered"),
    [
        ({}, 2, None),
        # As near as the gold is not nearer.
        ({"absolute_margin": 0.0}, 4, 2),
        ({"absolute_margin": 0.5}, 5, 3),
        ({"absolute_margin": 0.6}, 6, 4),
        ({"absolute_margin": -0.25}, 3, 1),
        ({"absolute_margin": -1.5}, 2, 0),
        # More than the gold's own distance: nobody is nearer than less than nothing.
        ({"absolute_margin": -3.0}, 2, 0),
        ({"relative_margin": 0.0}, 4, 2),
        ({"relative_margin": 0.25}, 5, 3),
        ({"relative_margin": 3.0}, 7, 5),
        ({"relative_margin": -0.25}, 3, 1),
        ({"relative_margin": -1.0}, 2, 0),
        # Both must be kept: d ≥ 2.5 and d ≥ 3; d ≥ 2.5 and d ≥ 1.
        ({"absolute_margin": 0.5, "relative_margin": 0.5}, 6, 4),
        ({"absolute_margin": 0.5, "relative_margin": -0.5}, 5, 3),
    ],
    ids=str,
)
def test_distances_of_the_triplet_loss_by_hand(backend, margins, text, filtered) -> None:
    found = mined(PAIRS, PLACES, options(backend=backend, **margins))
    assert found.text[0, 0] == text
    assert not found.random[0, 0]
    assert (None if found.filtered is None else found.filtered[0]) == filtered


# Query 0 at [1, 0], its gold 1 at cosine 0.6. Further: 2 at 0.8, 3 at 0.6 on the gold's other side,
# 4 at 0.28, 5 at 0, 6 at −0.6, 7 at −1.
UNIT = [[1, 0], [0.6, 0.8], [0.8, -0.6], [0.6, -0.8], [0.28, 0.96], [0, 1], [-0.6, 0.8], [-1, 0]]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("margins", "text", "filtered"),
    [
        ({}, 2, None),
        ({"absolute_margin": 0.0}, 3, 1),
        # 0.6 − 0.3 = 0.3 is the most, so 0.28 stays.
        ({"absolute_margin": 0.3}, 4, 2),
        ({"absolute_margin": 0.4}, 5, 3),
        ({"absolute_margin": -0.3}, 2, 0),
        ({"relative_margin": 0.0}, 3, 1),
        # 0.6 less a half, a tenth, all of it.
        ({"relative_margin": 0.5}, 4, 2),
        ({"relative_margin": 0.1}, 4, 2),
        ({"relative_margin": 1.01}, 6, 4),
        # 0.6 and a half of it is 0.9.
        ({"relative_margin": -0.5}, 2, 0),
    ],
    ids=str,
)
def test_cosines_of_infonce_by_hand(backend, margins, text, filtered) -> None:
    found = mined(PAIRS, UNIT, options(backend=backend, **margins), unit_length=True)
    assert found.text[0, 0] == text
    assert (None if found.filtered is None else found.filtered[0]) == filtered


def test_a_share_of_a_negative_cosine_is_below_it() -> None:
    # Gold at −0.6: less half of 0.6 is −0.9, that is d² = 3.8; a candidate at −0.8 is nearer.
    gold = torch.tensor([2 * 1.6], dtype=torch.float64)
    limit = limits(gold, options(relative_margin=0.5), unit_length=True)
    assert limit.tolist() == pytest.approx([3.8])


@pytest.mark.parametrize("unit_length", [True, False])
@pytest.mark.parametrize("margins", [{"absolute_margin": 0.0}, {"relative_margin": 0.0}])
def test_without_a_margin_the_limit_is_the_golds_distance_to_the_last_digit(
    margins, unit_length
) -> None:
    gold = torch.from_numpy(np.random.default_rng(2).random(1000) * 4)
    assert torch.equal(limits(gold, options(**margins), unit_length=unit_length), gold)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_farthest_gold_of_a_point_decides(backend) -> None:
    # Pair (0, 1) with the gold at 2; point 0's other counter 5 stands at 2.5.
    pairs = replace(PAIRS, others=np.array([[5], [-1], [-1], [-1]]))
    found = mined(pairs, PLACES, options(absolute_margin=0.0, backend=backend))
    # Nearer than 2.5: 2, 3 and 4; then comes 6 at 3, for 5 is an answer.
    assert (found.text[0, 0], found.filtered[0]) == (6, 3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_candidate_with_the_golds_vector_is_kept_without_a_margin(backend) -> None:
    # Text 2 lies on the gold; both are as near as the other in every digit.
    vectors = np.random.default_rng(4).standard_normal((8, 33))
    vectors[3:] += 20
    vectors[2] = vectors[1]
    found = mined(PAIRS, vectors, options(absolute_margin=0.0, backend=backend))
    assert (found.text[0, 0], found.filtered[0]) == (2, 0)
    found = mined(PAIRS, vectors, options(absolute_margin=1e-9, backend=backend))
    assert found.text[0, 0] != 2
    assert found.filtered[0] == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_where_nobody_is_left_a_random_one_is_taken_and_counted(backend) -> None:
    wanted = options(absolute_margin=100.0, negatives=2, backend=backend)
    found = mined(PAIRS, PLACES, wanted)
    assert found.random.all()
    counts = composition(found, PAIRS, allowed_negatives(PAIRS, "training"))
    # Four pairs of two negatives, each with six candidates that are all too near.
    assert (counts.random, counts.replaced, counts.filtered) == (8, 8, 24)
    assert all(len(set(pair)) == 2 for pair in found.text.T.tolist())


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_candidate_is_counted_for_a_point_with_random_ones_alone(backend) -> None:
    wanted = MiningOptions(initial_random_rate=1.0, absolute_margin=0.5, backend=backend)
    found = mined(PAIRS, PLACES, wanted)
    assert found.filtered.tolist() == [0, 0, 0, 0]
    assert not found.replaced.any()


# --- backends and blocks


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("margins", [{"absolute_margin": 0.0}, {"relative_margin": 0.1}])
def test_both_backends_and_every_block_leave_out_the_same(kind, margins) -> None:
    rng = np.random.default_rng(7)
    pairs = random_pairs(rng, 40, 70)
    allowed = allowed_negatives(pairs, "training")
    queries, candidates = tables(pairs, allowed, kind(rng, 40))
    limit = limits(to_golds(queries, candidates, allowed), options(**margins), unit_length=False)
    cost = squared_distance(queries[:, None].double(), candidates[None].double())
    places = torch.arange(len(allowed.texts)).expand_as(cost)
    own = (places[:, :, None] == torch.from_numpy(allowed.forbidden)[:, None]).any(dim=2)
    out = (cost < limit[:, None]) & ~own
    order = [
        sorted((~(out | own)[row]).nonzero()[:, 0].tolist(), key=lambda p, r=row: (cost[r, p], p))
        for row in range(len(pairs))
    ]
    expected = np.array([(row + [-1] * 3)[:3] for row in order])
    for block in (1, 7, 64):
        found = hard_exact(queries, candidates, allowed, 3, limit=limit, block=block)
        np.testing.assert_array_equal(found.place, expected)
        np.testing.assert_array_equal(found.filtered, out.sum(dim=1).numpy())
    found = hard_balltree(queries, candidates, allowed, 3, limit=limit)
    np.testing.assert_array_equal(found.place, expected)
    np.testing.assert_array_equal(found.filtered, out.sum(dim=1).numpy())


def test_what_rounding_cannot_tell_is_decided_by_true_distances() -> None:
    # Float32 products are off by about 0.06 around 1000² · 6.
    rng = np.random.default_rng(1)
    vectors = torch.from_numpy(1000 + 2.0**-14 * rng.integers(-3, 4, (50, 6))).float()
    block = Euclidean(vectors[:20], vectors).block(torch.arange(20))
    true = squared_distance(vectors[:20, None].double(), vectors[None].double())
    limit = true[:, 7].clone()
    assert torch.equal(nearer(block, limit), true < limit[:, None])
    assert not torch.equal(block.cost < limit[:, None].float(), true < limit[:, None])


# --- options


def test_a_share_below_all_of_it_is_refused() -> None:
    with pytest.raises(InputError, match="relative_margin"):
        parse(MiningOptions, {"relative_margin": -1.5}, "test")


@pytest.mark.parametrize("name", ["negatives", "absolute_margin", "relative_margin"])
def test_defaults_are_not_written(name) -> None:
    assert name not in MiningOptions().model_dump()
    assert parse(MiningOptions, {name: 2}, "test").model_dump()[name] == 2
