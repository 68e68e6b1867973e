"""The random rate, hard and random negatives and their composition, against design §5."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.config.options import MiningOptions
from counterpoint.errors import InputError
from counterpoint.results.epoch_log import NegativeCounts
from counterpoint.search.distances import Euclidean
from counterpoint.tasks.candidates import candidate_sets
from counterpoint.tasks.training_pairs import training_pairs
from counterpoint.training import hard
from counterpoint.training.allowed import allowed_negatives, draw_random
from counterpoint.training.hard import BACKENDS, hard_balltree, hard_exact
from counterpoint.training.mining import Negatives, composition, mine, random_rate
from tests.support.mining import (
    KINDS,
    line,
    pairs_of,
    plain,
    random_pairs,
    tables,
    tied,
    within_five_sigma,
)

HARD = MiningOptions(initial_random_rate=0.0, decrease_rate=0.0)
RANDOM = MiningOptions(initial_random_rate=1.0, decrease_rate=0.0)


def all_mined(pairs, vectors, options=HARD, epoch=0, seed=0):
    """The negatives of all pairs, by one table of a vector a text."""
    allowed = allowed_negatives(pairs, "training")
    rng = np.random.default_rng(seed)
    queries, candidates = tables(pairs, allowed, vectors)
    return mine(queries, candidates, allowed, options, epoch, rng)


def first(negatives):
    """The first negative of each pair, (n,) numbers."""
    return Negatives(negatives.place[0], negatives.text[0], negatives.random[0])


def mined(*args, **named):
    """The same, of each pair the first, which is all unless `negatives` says otherwise."""
    return first(all_mined(*args, **named))


def slow_places(queries, candidates, allowed, pairs, k):
    """Sort all allowed places by float64 distance, then by place; forbidden is what texts say."""
    q, c = queries.double().numpy(), candidates.double().numpy()
    found = []
    for row, (point, counter) in enumerate(zip(pairs.point, pairs.counter, strict=True)):
        cost = ((q[row] - c) ** 2).sum(axis=1)
        places = [p for p, text in enumerate(allowed.texts) if text not in (point, counter)]
        places.sort(key=lambda place: (cost[place], place))
        found.append((places + [-1] * k)[:k])
    return np.array(found)


# --- the rate


@pytest.mark.parametrize(
    ("start", "decrease", "expected"),
    [
        # fixed: 0.8 for ever
        (0.8, 0.0, {0: 0.8, 1: 0.8, 199: 0.8}),
        # decreasing: 0.8 − 0.02 i; 0.8 / 0.02 = 40
        (0.8, 0.02, {0: 0.8, 1: 0.78, 10: 0.6, 39: 0.02, 40: 0, 41: 0, 199: 0}),
        # the sweep: 1 − δ i is used up after 1 / δ epochs
        (1.0, 0.005, {0: 1, 20: 0.9, 199: 0.005, 200: 0, 201: 0}),
        (1.0, 0.01, {0: 1, 50: 0.5, 99: 0.01, 100: 0, 150: 0}),
        (1.0, 0.015, {0: 1, 20: 0.7, 66: 0.01, 67: 0}),
        (1.0, 0.02, {0: 1, 25: 0.5, 50: 0, 60: 0}),
        (1.0, 0.03, {0: 1, 10: 0.7, 33: 0.01, 34: 0}),
        (1.0, 0.04, {0: 1, 10: 0.6, 25: 0, 26: 0}),
        (1.0, 0.05, {0: 1, 10: 0.5, 20: 0, 21: 0}),
        # purely random, hard only
        (1.0, 0.0, {0: 1, 199: 1}),
        (0.0, 0.0, {0: 0, 199: 0}),
    ],
)
def test_rates_of_the_strategies_are_those_worked_by_hand(start, decrease, expected) -> None:
    options = MiningOptions(initial_random_rate=start, decrease_rate=decrease)
    for epoch, rate in expected.items():
        assert random_rate(epoch, options) == pytest.approx(rate, abs=1e-12)
        assert 0 <= random_rate(epoch, options) <= 1


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        # 0.65 − 0.04 i, 0.75 − 0.015 i, 0.85 − 0.0075 i
        ("easy", {0: 0.65, 10: 0.25, 16: 0.01, 17: 0}),
        ("medium", {0: 0.75, 10: 0.6, 49: 0.015, 50: 0, 51: 0}),
        ("hard", {0: 0.85, 100: 0.1, 113: 0.0025, 114: 0}),
    ],
)
def test_rates_of_the_presets_are_those_worked_by_hand(preset, expected) -> None:
    options = MiningOptions(preset=preset)
    for epoch, rate in expected.items():
        assert random_rate(epoch, options) == pytest.approx(rate, abs=1e-12)


@pytest.mark.parametrize(("epoch", "rate"), [(0, 0.8), (10, 0.6), (40, 0.0)])
def test_negatives_are_random_at_the_rate_of_the_epoch(epoch, rate) -> None:
    pairs = plain(*((2 * row, 2 * row + 1) for row in range(2000)))
    options = MiningOptions(initial_random_rate=0.8, decrease_rate=0.02)
    vectors = np.random.default_rng(5).standard_normal((4000, 4))
    allowed = allowed_negatives(pairs, "training")
    queries, candidates = tables(pairs, allowed, vectors)
    found = first(mine(queries, candidates, allowed, options, epoch, np.random.default_rng(3)))
    assert within_five_sigma(int(found.random.sum()), 2000, rate)
    # Whoever is not random is the nearest, and hardly any random one is.
    nearest = hard_exact(queries, candidates, allowed, 1).place[:, 0]
    assert (found.place == nearest)[~found.random].all()
    assert (found.place == nearest)[found.random].sum() < 10


# --- hard negatives


def test_the_nearer_of_nearest_point_and_nearest_counter_is_hard() -> None:
    # Pairs (0, 1), (2, 3), (4, 5). Point 2 at 3: counters 1 at 0.5 (2.5 off) and 5 at 7 (4 off),
    # points 0 at 0 (3 off) and 4 at −1 (4 off): counter 1. Point 4 at −1: counter 1 is 1.5 off,
    # point 0 is 1 off: point 0. Point 0: counter 3 at 2 is 2 off, point 4 is 1 off: point 4.
    found = mined(plain((0, 1), (2, 3), (4, 5)), line(0, 0.5, 3, 2, -1, 7))
    assert found.text.tolist() == [4, 1, 0]
    assert not found.random.any()


def test_a_tie_goes_to_the_counter() -> None:
    # From 0, point 2 at −1 and counter 5 at 1 tie, although the point comes first in the pairs.
    found = mined(plain((0, 1), (2, 3), (4, 5)), line(0, 50, -1, 60, 70, 1))
    assert found.text[0] == 5


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        # From 0, counters 3 and 5 tie at 1 on either side.
        ((0, 50, 60, -1, 70, 1), 3),
        ((0, 50, 60, 1, 70, -1), 3),
        # Points 2 and 4 do.
        ((0, 50, -1, 60, 1, 70), 2),
        ((0, 50, 1, 60, -1, 70), 2),
    ],
)
def test_a_tie_among_equals_goes_to_the_lower_index(positions, expected) -> None:
    assert mined(plain((0, 1), (2, 3), (4, 5)), line(*positions)).text[0] == expected


def test_a_text_that_is_point_and_counter_is_no_negative_in_either_part() -> None:
    # Pairs (0, 1), (1, 2), (3, 0), (4, 5). Text 1 lies on point 0 and is its counter here, a point
    # there; text 0 is a counter in the third pair. Next to 0 comes text 2 at 2.
    found = mined(plain((0, 1), (1, 2), (3, 0), (4, 5)), line(0, 0, 2, 30, 40, 50))
    assert found.text[0] == 2
    # Point 1 at 0, its counter 2 at 2: text 0 at 0, as the counter that comes before the point.
    assert found.text[1] == 0
    allowed = allowed_negatives(plain((0, 1), (1, 2), (3, 0), (4, 5)), "training")
    assert allowed.texts[: allowed.counters].tolist() == [1, 2, 0, 5]
    assert found.place[1] == 2


def test_another_answer_to_the_same_point_may_be_a_negative() -> None:
    found = mined(plain((0, 1), (0, 2), (3, 4)), line(0, 1, 2, 30, 40))
    assert found.text.tolist() == [2, 1, 2]


def test_the_distance_is_from_the_query_vector_to_the_candidate_vector() -> None:
    # As queries, points 0, 2, 4 stand at 100, 200, 300; as candidates at 0, 1, 2; the counters
    # 1, 3, 5 at 290, 110, 190. From 100 the nearest is counter 3, from 200 counter 5, from 300
    # counter 1; the candidates' vectors alone would make points of them.
    pairs = plain((0, 1), (2, 3), (4, 5))
    allowed = allowed_negatives(pairs, "training")
    place_of = {1: 290, 3: 110, 5: 190, 0: 0, 2: 1, 4: 2}
    candidates = torch.tensor([[float(place_of[int(text)])] for text in allowed.texts])
    queries = torch.tensor([[100.0], [200.0], [300.0]])
    for backend in BACKENDS:
        options = HARD.model_copy(update={"backend": backend})
        found = first(mine(queries, candidates, allowed, options, 0, np.random.default_rng(0)))
        assert found.text.tolist() == [3, 5, 1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_hard_negative_is_drawn_uniformly_among_the_m_nearest(backend) -> None:
    # Point 0 at 0; allowed: 3 at 1, 2 at −2, 5 at 3, 4 at 9, 7 at 10, 6 at 11.
    pairs = plain((0, 1), (2, 3), (4, 5), (6, 7))
    vectors = line(0, 0.5, -2, 1, 9, 3, 11, 10)
    options = HARD.model_copy(update={"top_m": 3, "backend": backend})
    drawn = [int(mined(pairs, vectors, options, seed=seed).text[0]) for seed in range(600)]
    assert set(drawn) == {3, 2, 5}
    for text in (3, 2, 5):
        assert within_five_sigma(drawn.count(text), 600, 1 / 3)


def test_m_beyond_the_allowed_draws_among_all_that_are_there() -> None:
    # Point 0 may get 2 or 3 only.
    options = HARD.model_copy(update={"top_m": 5})
    drawn = [
        int(mined(plain((0, 1), (2, 3)), line(0, 1, 2, 3), options, seed=seed).text[0])
        for seed in range(600)
    ]
    assert set(drawn) == {2, 3}
    assert within_five_sigma(drawn.count(2), 600, 1 / 2)


# --- vectors of many kinds: backends and blocks


def problem(kind, seed, texts=40, count=70):
    rng = np.random.default_rng(seed)
    pairs = random_pairs(rng, texts, count)
    allowed = allowed_negatives(pairs, "training")
    return pairs, allowed, *tables(pairs, allowed, kind(rng, texts))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_both_backends_choose_as_sorting_everything_does(kind, k) -> None:
    for seed in range(3):
        pairs, allowed, queries, candidates = problem(kind, seed)
        slow = slow_places(queries, candidates, allowed, pairs, k)
        np.testing.assert_array_equal(hard_exact(queries, candidates, allowed, k).place, slow)
        np.testing.assert_array_equal(hard_balltree(queries, candidates, allowed, k).place, slow)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block", [1, 7, 64, 4096])
def test_no_hard_negative_depends_on_the_block(kind, block) -> None:
    pairs, allowed, queries, candidates = problem(kind, 11)
    np.testing.assert_array_equal(
        hard_exact(queries, candidates, allowed, 5, block=block).place,
        slow_places(queries, candidates, allowed, pairs, 5),
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_fewer_allowed_than_k_leave_minus_one(backend) -> None:
    # Two pairs of four texts: two places are left to each. Counters 1 and 3 are places 0 and 1,
    # points 0 and 2 are places 2 and 3.
    pairs = plain((0, 1), (2, 3))
    allowed = allowed_negatives(pairs, "training")
    queries, candidates = tables(pairs, allowed, line(0, 1, 2, 4))
    found = BACKENDS[backend](queries, candidates, allowed, 3).place
    assert found.tolist() == [[3, 1, -1], [0, 2, -1]]


@pytest.mark.parametrize("width", [8, 33, 128])
def test_backends_and_blocks_agree_where_only_float64_rounding_decides(width) -> None:
    # Candidates are one vector with its components in many orders, the queries are zero: all
    # distances are equal but for the order in which their squares are added up.
    rng = np.random.default_rng(1)
    base = rng.standard_normal(width)
    pairs = plain(*((2 * row, 2 * row + 1) for row in range(20)))
    allowed = allowed_negatives(pairs, "training")
    candidates = torch.from_numpy(np.stack([rng.permutation(base) for _ in allowed.texts])).float()
    queries = torch.zeros((20, width))
    exact = hard_exact(queries, candidates, allowed, 5).place
    for block in (1, 7, 64):
        np.testing.assert_array_equal(
            hard_exact(queries, candidates, allowed, 5, block=block).place, exact
        )
    np.testing.assert_array_equal(hard_balltree(queries, candidates, allowed, 5).place, exact)


@pytest.mark.parametrize("held", [0, 100, 1000])
def test_costs_held_at_a_time_decide_how_many_points_are_mined_at_once(held, monkeypatch) -> None:
    allowed = allowed_negatives(plain(*((2 * row, 2 * row + 1) for row in range(20))), "training")
    vectors = torch.from_numpy(np.random.default_rng(1).standard_normal((40, 8))).float()
    whole = hard_exact(vectors[20:], vectors, allowed, 3).place
    sizes = []
    block_of = Euclidean.block

    def block(costs, rows):
        sizes.append(len(rows))
        return block_of(costs, rows)

    monkeypatch.setattr(Euclidean, "block", block)
    monkeypatch.setattr(hard, "BLOCK_COSTS", held)
    np.testing.assert_array_equal(hard_exact(vectors[20:], vectors, allowed, 3).place, whole)
    # Each point has a cost to all 40; one point at least goes at a time.
    assert max(sizes) == {0: 1, 100: 2, 1000: 20}[held]
    assert sum(sizes) == 20


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("m", [1, 4])
def test_backends_draw_the_same_negatives(kind, m) -> None:
    _, allowed, queries, candidates = problem(kind, 4)
    options = MiningOptions(initial_random_rate=0.5, decrease_rate=0.0, top_m=m)
    drawn = {
        backend: mine(
            queries,
            candidates,
            allowed,
            options.model_copy(update={"backend": backend}),
            0,
            np.random.default_rng(8),
        )
        for backend in BACKENDS
    }
    np.testing.assert_array_equal(drawn["exact"].place, drawn["balltree"].place)
    np.testing.assert_array_equal(drawn["exact"].text, drawn["balltree"].text)
    np.testing.assert_array_equal(drawn["exact"].random, drawn["balltree"].random)


@pytest.mark.parametrize("copies", [False, True])
def test_backends_and_blocks_agree_on_the_real_training_texts(real, copies) -> None:
    pairs = training_pairs(candidate_sets(real, "training"))
    allowed = allowed_negatives(pairs, "training")
    rng = np.random.default_rng(13)
    vectors = rng.standard_normal((len(real.texts), 128)).astype(np.float32)
    if copies:
        # Every third text takes the vector of some other text.
        vectors[::3] = vectors[rng.integers(0, len(vectors), len(vectors[::3]))]
    queries, candidates = tables(pairs, allowed, vectors)
    small = hard_exact(queries, candidates, allowed, 1, block=64).place
    assert small.shape == (3103, 1)
    np.testing.assert_array_equal(
        hard_exact(queries, candidates, allowed, 1, block=4096).place, small
    )
    np.testing.assert_array_equal(hard_balltree(queries, candidates, allowed, 1).place, small)


# --- random negatives


def shares(pairs, row, draws=6000):
    """How often each (part, text) was drawn for one pair."""
    allowed = allowed_negatives(pairs, "training")
    rng = np.random.default_rng(21)
    counts = {}
    for _ in range(draws):
        place = int(draw_random(allowed, rng)[row])
        key = ("counter" if place < allowed.counters else "point", int(allowed.texts[place]))
        counts[key] = counts.get(key, 0) + 1
    return counts


# Points 0, 1, 10; counters 10, 11, 12, 13. Of the pair (0, 10) the texts 0 and 10 are forbidden,
# 10 in both parts: three counters share one half, one point has the other. Of (10, 13) so are 10 in
# both parts and 13: two counters share one half, two points the other.
SHARED = [(0, 10), (0, 11), (1, 12), (10, 13)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            0,
            {
                ("counter", 11): 1 / 6,
                ("counter", 12): 1 / 6,
                ("counter", 13): 1 / 6,
                ("point", 1): 1 / 2,
            },
        ),
        (
            3,
            {
                ("counter", 11): 1 / 4,
                ("counter", 12): 1 / 4,
                ("point", 0): 1 / 4,
                ("point", 1): 1 / 4,
            },
        ),
    ],
)
def test_a_random_negative_has_a_kind_by_halves_and_then_any_text(row, expected) -> None:
    counts = shares(plain(*SHARED), row)
    assert counts.keys() == expected.keys()
    for key, probability in expected.items():
        assert within_five_sigma(counts[key], 6000, probability), (key, counts)


def test_without_an_allowed_point_every_random_negative_is_a_counter() -> None:
    counts = shares(plain((0, 10), (0, 11), (0, 12)), 0)
    assert counts.keys() == {("counter", 11), ("counter", 12)}
    assert within_five_sigma(counts["counter", 11], 6000, 1 / 2)


def test_without_an_allowed_counter_every_random_negative_is_a_point() -> None:
    counts = shares(plain((0, 10), (1, 10), (2, 10)), 2)
    assert counts.keys() == {("point", 0), ("point", 1)}
    assert within_five_sigma(counts["point", 0], 6000, 1 / 2)


def test_random_negatives_do_not_depend_on_vectors() -> None:
    pairs = plain(*SHARED)
    near = mined(pairs, np.zeros((14, 2)), RANDOM, seed=3)
    far = mined(pairs, np.random.default_rng(0).standard_normal((14, 2)), RANDOM, seed=3)
    assert near.random.all()
    np.testing.assert_array_equal(near.place, far.place)


def test_one_seed_gives_the_same_negatives_and_another_others() -> None:
    pairs = random_pairs(np.random.default_rng(2), 40, 70)
    vectors = np.random.default_rng(3).standard_normal((40, 4))
    options = MiningOptions(initial_random_rate=0.5, decrease_rate=0.0)
    first, again, other = (mined(pairs, vectors, options, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.place, again.place)
    np.testing.assert_array_equal(first.random, again.random)
    assert (first.place != other.place).any()


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    texts=st.integers(3, 9),
    rate=st.sampled_from([0.0, 0.5, 1.0]),
    m=st.integers(1, 5),
    backend=st.sampled_from(sorted(BACKENDS)),
)
def test_no_negative_is_the_point_its_counter_or_a_copy(seed, texts, rate, m, backend) -> None:
    rng = np.random.default_rng(seed)
    # Five different pairs need more than two texts, so that each has a negative.
    pairs = random_pairs(rng, texts, min(texts * texts, int(rng.integers(5, 20))))
    allowed = allowed_negatives(pairs, "training")
    options = MiningOptions(initial_random_rate=rate, decrease_rate=0.0, top_m=m, backend=backend)
    found = mined(pairs, tied(rng, texts), options, seed=seed)
    assert (found.text != pairs.point).all()
    assert (found.text != pairs.counter).all()
    np.testing.assert_array_equal(allowed.texts[found.place], found.text)
    counters, points = set(pairs.counter.tolist()), set(pairs.point.tolist())
    for place, text in zip(found.place.tolist(), found.text.tolist(), strict=True):
        assert text in (counters if place < allowed.counters else points)


# --- what is allowed


def test_a_text_may_be_allowed_as_a_counter_and_as_a_point() -> None:
    allowed = allowed_negatives(plain((5, 1), (5, 2), (1, 2), (7, 9)), "training")
    assert allowed.texts.tolist() == [1, 2, 9, 5, 1, 7]
    assert allowed.counters == 3


def test_no_orphan_is_a_negative(sample) -> None:
    split = candidate_sets(sample, "training")
    allowed = allowed_negatives(training_pairs(split), "training")
    points = [one for one in sample.split("training") if one.kind == "point"]
    orphans = [one for one in points if one.id not in split.ids]
    assert orphans
    texts = {sample.texts[number] for number in allowed.texts}
    assert not texts & {one.text.strip() for one in orphans}
    paired = {sample.text_number[one.text_hash] for one in points if one not in orphans}
    assert set(allowed.texts[allowed.counters :].tolist()) == paired


@pytest.mark.parametrize("pairs", [(), ((0, 1),), ((0, 1), (1, 0)), ((0, 1), (0, 0), (1, 1))])
def test_a_pair_without_any_negative_is_an_input_error(pairs) -> None:
    with pytest.raises(InputError, match="pairs"):
        allowed_negatives(plain(*pairs), "training")


def test_one_allowed_text_is_enough() -> None:
    pairs = plain((0, 1), (0, 2))
    for options in (HARD, RANDOM):
        assert mined(pairs, line(0, 1, 2), options).text.tolist() == [2, 1]


# --- composition


def test_composition_is_that_worked_by_hand() -> None:
    # Debates 0 to 2. Hard on a line: point 0 at 0 gets counter 3 at 1, and both stand in debate 0;
    # point 2 at 20 gets counter 5 at 21, and both stand in debate 1; point 4 at 40 gets point 6 at
    # 41, of another debate; point 6 at 41 gets point 4 at 40, of another.
    pairs = pairs_of(
        (0, 1, frozenset({0})),
        (2, 3, frozenset({0, 1})),
        (4, 5, frozenset({1})),
        (6, 7, frozenset({2})),
    )
    allowed = allowed_negatives(pairs, "training")
    found = all_mined(pairs, line(0, 90, 20, 1, 40, 21, 41, 99))
    assert found.text.tolist() == [[3, 5, 6, 4]]
    assert composition(found, pairs, allowed) == NegativeCounts(
        random=0, hard_point=2, hard_counter=2, same_debate=2
    )


def test_random_negatives_count_as_random_whatever_their_kind() -> None:
    pairs = pairs_of(*((2 * row, 2 * row + 1, frozenset({row // 10})) for row in range(200)))
    allowed = allowed_negatives(pairs, "training")
    vectors = np.random.default_rng(0).standard_normal((400, 3))
    options = MiningOptions(initial_random_rate=0.5, decrease_rate=0.0)
    negatives = all_mined(pairs, vectors, options)
    counts = composition(negatives, pairs, allowed)
    found = first(negatives)
    is_counter = [int(text) % 2 == 1 for text in found.text]
    hard = (~found.random).tolist()
    assert counts == NegativeCounts(
        random=hard.count(False),
        hard_point=sum(h and not c for h, c in zip(hard, is_counter, strict=True)),
        hard_counter=sum(h and c for h, c in zip(hard, is_counter, strict=True)),
        # Texts 20 d to 20 d + 19 are debate d's.
        same_debate=sum(int(text) // 20 == row // 10 for row, text in enumerate(found.text)),
    )
    assert counts.random + counts.hard_point + counts.hard_counter == 200
    assert min(counts.random, counts.hard_point, counts.hard_counter, counts.same_debate) > 0
