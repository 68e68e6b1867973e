"""Several negatives a point: which they are, what they cost, and that a job with them goes on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.config.options import MiningOptions
from counterpoint.encoders.roles import ROLES
from counterpoint.errors import InputError
from counterpoint.models.weights import unique_weights
from counterpoint.training.allowed import allowed_negatives
from counterpoint.training.checkpoint import CheckpointFolder
from counterpoint.training.data import CorpusData
from counterpoint.training.epochs import EpochEnded, StepTaken
from counterpoint.training.hard import BACKENDS
from counterpoint.training.mining import composition, mine
from tests.support.mining import (
    KINDS,
    line,
    pairs_of,
    plain,
    random_pairs,
    tables,
    within_five_sigma,
)
from tests.support.training import (
    NO_STOP,
    an_identity,
    cell,
    embedded,
    frozen_trainer,
    live_trainer,
    train,
)

# Point 0 at 0; others by distance: 3 at 1, 2 at −2, 5 at 3, 4 at 9, 7 at 10, 6 at 11.
PAIRS = plain((0, 1), (2, 3), (4, 5), (6, 7))
PLACES = line(0, 0.5, -2, 1, 9, 3, 11, 10)


def options(**values):
    return MiningOptions(**{"initial_random_rate": 0.0, "decrease_rate": 0.0, **values})


def mined(pairs, vectors, wanted, seed=0, **named):
    allowed = allowed_negatives(pairs, "training")
    queries, candidates = tables(pairs, allowed, vectors)
    rng = np.random.default_rng(seed)
    return mine(queries, candidates, allowed, wanted, 0, rng, **named)


# --- which


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_nearest_are_taken_in_order(backend) -> None:
    found = mined(PAIRS, PLACES, options(negatives=4, backend=backend))
    assert found.text[:, 0].tolist() == [3, 2, 5, 4]
    assert not found.random.any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_is_drawn_among_the_m_nearest_that_are_left(backend) -> None:
    wanted = options(negatives=2, top_m=2, backend=backend)
    drawn = [mined(PAIRS, PLACES, wanted, seed).text[:, 0].tolist() for seed in range(600)]
    # 3 or 2 comes first; then 5 with the other one of them.
    orders = [[3, 2], [3, 5], [2, 3], [2, 5]]
    assert all(each in orders for each in drawn)
    for order in orders:
        assert within_five_sigma(drawn.count(order), 600, 1 / 4)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_text_that_is_point_and_counter_is_taken_once(backend, rate) -> None:
    # Text 1 is a counter and a point, and lies on point 4, at 40 as both.
    pairs = plain((0, 1), (1, 2), (3, 0), (4, 5))
    wanted = options(negatives=4, initial_random_rate=rate, backend=backend)
    found = mined(pairs, line(38, 40, 43, 30, 40, 50), wanted)
    if rate == 0:
        assert found.text[:, 3].tolist() == [1, 0, 2, 3]
    # All that is left to point 4, whatever the order.
    assert sorted(found.text[:, 3].tolist()) == [0, 1, 2, 3]


def test_random_ones_are_drawn_among_those_left() -> None:
    # Of pair (0, 1): counters 3 and 5, points 2 and 4. A kind by halves, then a text: the second is
    # 3 after 5 with ½ (the only counter left), after 2 with ¼.
    pairs = plain((0, 1), (2, 3), (4, 5))
    wanted = options(negatives=2, initial_random_rate=1.0)
    drawn = [
        mined(pairs, line(*range(6)), wanted, seed).text[:, 0].tolist() for seed in range(4000)
    ]
    assert {tuple(each) for each in drawn} == {
        (one, other) for one in (2, 3, 4, 5) for other in (2, 3, 4, 5) if one != other
    }
    assert within_five_sigma(drawn.count([5, 3]), 4000, 1 / 4 * 1 / 2)
    assert within_five_sigma(drawn.count([2, 3]), 4000, 1 / 4 * 1 / 4)


def test_each_is_random_for_itself() -> None:
    pairs = plain(*((2 * row, 2 * row + 1) for row in range(1000)))
    vectors = np.random.default_rng(5).standard_normal((2000, 4))
    found = mined(pairs, vectors, options(negatives=3, initial_random_rate=0.25))
    assert found.random.shape == (3, 1000)
    for of_one in found.random:
        assert within_five_sigma(int(of_one.sum()), 1000, 0.25)
    assert within_five_sigma(int(found.random.all(axis=0).sum()), 1000, 0.25**3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_is_what_one_alone_would_be(kind) -> None:
    rng = np.random.default_rng(3)
    pairs = random_pairs(rng, 40, 70)
    vectors = kind(rng, 40)
    wanted = options(initial_random_rate=0.5, top_m=3)
    one = mined(pairs, vectors, wanted)
    three = mined(pairs, vectors, wanted.model_copy(update={"negatives": 3}))
    np.testing.assert_array_equal(three.text[:1], one.text)
    np.testing.assert_array_equal(three.place[:1], one.place)
    np.testing.assert_array_equal(three.random[:1], one.random)


def left_out(cost, golds, wanted, unit_length):
    """Whether a squared distance is filtered, in the words of sentence-transformers."""

    def score(squared):
        return 1 - squared / 2 if unit_length else -np.sqrt(squared)

    positive = min(score(gold) for gold in golds)
    if wanted.absolute_margin is not None and score(cost) + wanted.absolute_margin > positive:
        return True
    share = wanted.relative_margin
    return share is not None and score(cost) > positive - abs(positive) * share


def slowly_mined(pairs, vectors, wanted, seed, unit_length):
    """Texts, which are random, and how many are filtered: pair by pair, negative by negative."""
    allowed = allowed_negatives(pairs, "training")
    table = torch.as_tensor(vectors, dtype=torch.float32).double().numpy()
    rng, n = np.random.default_rng(seed), len(pairs)
    rolls = [
        (rng.random(n), rng.integers(0, 2, size=n), rng.random(n), rng.random(n))
        for _ in range(wanted.negatives)
    ]
    everything = list(enumerate(allowed.texts.tolist()))
    texts = np.full((wanted.negatives, n), -1)
    random = np.zeros((wanted.negatives, n), dtype=bool)
    filtered = 0
    for row in range(n):
        point, others = int(pairs.point[row]), set(pairs.others[row].tolist()) - {-1}
        golds = {int(pairs.counter[row])} | others
        squares = ((table[point] - table) ** 2).sum(axis=1)
        out = {
            place
            for place, text in everything
            if text not in golds | {point}
            and left_out(squares[text], squares[sorted(golds)], wanted, unit_length)
        }
        coins = [roll[0][row] < wanted.initial_random_rate for roll in rolls]
        filtered += 0 if all(coins) else len(out)
        for slot, (_, part, share, pick) in enumerate(rolls):
            never = golds | {point} | set(texts[:slot, row].tolist())
            free = [(place, text) for place, text in everything if text not in never]
            hard = sorted((squares[text], place) for place, text in free if place not in out)
            hard = hard[: wanted.top_m]
            if coins[slot] or not hard:
                random[slot, row] = True
                parts = [[p for p, _ in free if (p >= allowed.counters) == k] for k in (0, 1)]
                chosen = parts[part[row]] or parts[1 - part[row]]
                place = chosen[int(share[row] * len(chosen))]
            else:
                place = hard[int(pick[row] * len(hard))][1]
            texts[slot, row] = allowed.texts[place]
    return texts, random, filtered


def with_golds(pairs):
    """The same pairs, each knowing the other counters of its point."""
    of = {}
    for point, counter in zip(pairs.point.tolist(), pairs.counter.tolist(), strict=True):
        of.setdefault(point, set()).add(counter)
    rows = [
        sorted(of[point] - {counter})
        for point, counter in zip(pairs.point.tolist(), pairs.counter.tolist(), strict=True)
    ]
    width = max(map(len, rows))
    return replace(pairs, others=np.array([row + [-1] * (width - len(row)) for row in rows]))


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    rate=st.sampled_from([0.0, 0.4, 1.0]),
    top_m=st.integers(1, 4),
    negatives=st.integers(1, 4),
    absolute=st.sampled_from([None, -0.75, 0.0, 0.3]),
    relative=st.sampled_from([None, -0.25, 0.0, 0.15]),
    golds=st.booleans(),
    unit_length=st.booleans(),
)
def test_both_backends_choose_as_the_slow_loop_does(
    seed, kind, rate, top_m, negatives, absolute, relative, golds, unit_length
) -> None:
    rng = np.random.default_rng(seed)
    pairs = random_pairs(rng, 14, 18)
    pairs = with_golds(pairs) if golds else pairs
    allowed = allowed_negatives(pairs, "training")
    vectors = kind(rng, 14).astype(np.float32)
    if unit_length:
        vectors = rng.standard_normal((14, 5)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    wanted = options(
        initial_random_rate=rate, top_m=top_m, negatives=min(negatives, allowed.fewest()),
        absolute_margin=absolute, relative_margin=relative,
    )  # fmt: skip
    texts, random, filtered = slowly_mined(pairs, vectors, wanted, seed, unit_length)
    for backend in BACKENDS:
        found = mined(
            pairs, vectors, wanted.model_copy(update={"backend": backend}), seed,
            unit_length=unit_length,
        )  # fmt: skip
        np.testing.assert_array_equal(found.text, texts)
        np.testing.assert_array_equal(found.random, random)
        np.testing.assert_array_equal(allowed.texts[found.place], texts)
        counts = composition(found, pairs, allowed)
        assert counts.filtered == (filtered if wanted.filters else None)
        assert all(len(set(of_pair)) == wanted.negatives for of_pair in found.text.T.tolist())


def test_composition_counts_all_of_a_point() -> None:
    # Point 0 gets 3 at 1 and 2 at −2, both of debate 0; point 2 gets point 0 and counter 1 (of
    # debate 0); point 4 gets 6 at 11 and 7 at 10; point 6 gets 7's neighbour 4 and counter 5 at 3.
    pairs = pairs_of(
        (0, 1, frozenset({0})),
        (2, 3, frozenset({0})),
        (4, 5, frozenset({1})),
        (6, 7, frozenset({2})),
    )
    allowed = allowed_negatives(pairs, "training")
    found = mined(pairs, PLACES, options(negatives=2))
    assert found.text.T.tolist() == [[3, 2], [0, 1], [7, 6], [4, 5]]
    counts = composition(found, pairs, allowed)
    assert (counts.random, counts.hard_point, counts.hard_counter) == (0, 4, 4)
    assert counts.same_debate == 4
    assert counts.filtered is None


# --- too many


def test_the_fewest_that_a_pair_may_have_are_counted_by_text() -> None:
    # Texts 0 to 3. Pair (0, 1): 2 and 3. (1, 2): 0 and 3, text 0 in neither part twice. (3, 0): 1
    # and 2, each a counter, 1 a point too.
    assert allowed_negatives(plain((0, 1), (1, 2), (3, 0)), "training").fewest() == 2
    assert allowed_negatives(plain((0, 1), (2, 3), (4, 5)), "training").fewest() == 4
    # Text 0 answers itself: only the others of its pair's texts are two.
    assert allowed_negatives(plain((0, 0), (1, 2)), "training").fewest() == 1


def test_more_than_there_are_is_an_input_error(corpus) -> None:
    data = CorpusData(corpus)
    # 36 pairs whose texts all differ: 72 texts less the pair's own.
    assert data.allowed.fewest() == 70
    frozen_trainer(cell(mining={"negatives": 70}), corpus)
    with pytest.raises(InputError, match=r"mining\.negatives: 71 .* only 70 .* at most 70"):
        frozen_trainer(cell(mining={"negatives": 71}), corpus)


# --- a job with them

MIXED = {"initial_random_rate": 0.5, "decrease_rate": 0.25, "top_m": 2, "negatives": 3}


@pytest.mark.parametrize(("loss", "margin"), [("triplet", 2.0), ("infonce", 0.2)])
def test_either_backend_gives_the_same_log(corpus, loss, margin) -> None:
    logs = [
        train(
            frozen_trainer(
                cell(
                    mining={**MIXED, "absolute_margin": margin, "backend": backend},
                    retrieval_loss=loss,
                ),
                corpus,
            )
        ).log
        for backend in BACKENDS
    ]
    assert logs[0] == logs[1]
    assert sum(record.negatives.filtered for record in logs[0]) > 0


def test_a_record_counts_all_negatives_and_filters_where_there_are_any(corpus) -> None:
    log = train(frozen_trainer(cell(mining=MIXED, stopping=NO_STOP), corpus)).log
    for record in log:
        facts = record.negatives
        assert facts.random + facts.hard_point + facts.hard_counter == 3 * 36
        assert (facts.filtered, facts.replaced) == (None, None)
        assert not {"filtered", "replaced"} & record.to_json()["negatives"].keys()
    margins = {**MIXED, "relative_margin": 0.1}
    log = train(frozen_trainer(cell(mining=margins, stopping=NO_STOP), corpus)).log
    for record in log:
        written = record.to_json()["negatives"]
        assert written["filtered"] == record.negatives.filtered
        assert written["replaced"] == record.negatives.replaced


def test_more_negatives_are_another_training(corpus) -> None:
    one, two = (
        train(frozen_trainer(cell(mining={"negatives": count}), corpus)).log for count in (1, 2)
    )
    # Dev and test keep one negative a point; train has twice as many.
    assert one[0].losses["train"] != two[0].losses["train"]
    assert two[0].negatives.random == 2 * one[0].negatives.random


@pytest.mark.parametrize("loss", ["triplet", "infonce"])
def test_a_job_goes_on_in_the_middle_of_an_epoch(corpus, loss, tmp_path: Path) -> None:
    options = cell(mining={**MIXED, "absolute_margin": 0.05}, retrieval_loss=loss, stopping=NO_STOP)
    whole = frozen_trainer(options, corpus)
    expected = train(whole).log
    folder = CheckpointFolder(tmp_path, an_identity())
    cut, log = frozen_trainer(options, corpus), []
    for event in cut.events():
        if isinstance(event, EpochEnded):
            log.append(event.record)
        if isinstance(event, StepTaken) and len(log) == 1 and event.steps == 4:
            folder.save(cut.checkpoint())
            break
    again = frozen_trainer(options, corpus)
    saved = folder.load()
    assert saved is not None
    again.restore(saved)
    assert log + train(again).log == expected
    for name, value in unique_weights(whole.model).items():
        assert torch.equal(unique_weights(again.model)[name], value)


@pytest.mark.parametrize("loss", ["triplet", "infonce"])
@pytest.mark.parametrize("towers", ["shared", "separate"])
@pytest.mark.parametrize("projection", ["shared", "separate"])
def test_a_step_sees_each_point_with_all_its_negatives(
    corpus, tiny_bert: Path, loss, towers, projection
) -> None:
    encoder = {"name": str(tiny_bert), "max_tokens": 24, "trainable": "all", "dropout": 0.0}
    trainer = live_trainer(
        cell(
            encoder={**encoder, "towers": towers},
            projection={"towers": projection, "width": 8},
            retrieval_loss=loss,
            mining=MIXED,
        ),
        corpus,
    )
    negatives = trainer.mined(0, embedded(trainer, "train")).text
    assert negatives.shape == (3, 36)
    triples = torch.from_numpy(trainer.data.pairs.triples(negatives))[:, :5]
    trainer.model.eval()
    with torch.no_grad():
        measured = trainer.losses.of_texts(triples)
        query, candidate = (trainer.model(triples[:5].flatten(), role) for role in ROLES)
    query, candidate = query.split(5), candidate.split(5)
    # A column a triplet: those of the first negatives, then of the second, then of the third.
    apart = torch.linalg.vector_norm(query.e[0] - candidate.e[1:], dim=-1)
    expected = torch.stack([apart[0].repeat(3), apart[1:].flatten()])
    torch.testing.assert_close(measured.distances, expected, rtol=0, atol=1e-5)
    logits = trainer.model.logits(query.rows(0), candidate.rows(slice(1, None))).double()
    wrong = -logits.log_softmax(dim=-1)
    torch.testing.assert_close(
        measured.losses[1:].double(),
        torch.stack([wrong[0, :, 1].mean(), wrong[1:, :, 0].mean()]),
        rtol=0,
        atol=1e-5,
    )
    if loss == "triplet":
        expected = (expected[0] - expected[1] + 1).clamp(min=0).mean()
        torch.testing.assert_close(measured.losses[0], expected, rtol=0, atol=1e-5)
