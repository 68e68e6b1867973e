"""Points with several counters in training: none of them is ever a negative of the point."""

from pathlib import Path

import numpy as np
import pytest
import torch

from counterpoint.config.options import MiningOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.corpus.pairs import read_pairs
from counterpoint.tasks.candidates import candidate_sets
from counterpoint.tasks.training_pairs import TrainingPairs, trainable, training_pairs
from counterpoint.training.allowed import allowed_negatives
from counterpoint.training.mining import mine

ROLES = {"train": "training", "dev": "validation"}


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Eight points with one to three counters, one of which two points share."""
    rows = [
        (f"p{n}", f"c{n} {k}" if (n, k) != (3, 0) else "c2 0", "train")
        for n in range(8)
        for k in range(1 + n % 3)
    ]
    rows.append(("p9", "c2 1", "dev"))
    path = tmp_path / "pairs.csv"
    path.write_text("point,counter,split\n" + "".join(",".join(row) + "\n" for row in rows))
    return read_pairs(path, ROLES)[0]


@pytest.fixture
def pairs(corpus: Corpus) -> TrainingPairs:
    return training_pairs(candidate_sets(corpus, "training"))


def counters_of(corpus: Corpus, text: int) -> set[int]:
    points = {one.pair for one in corpus.arguments if corpus.text_number[one.text_hash] == text}
    return {
        corpus.text_number[one.text_hash]
        for one in corpus.arguments
        if one.kind == "counter" and one.pair in points
    }


def test_each_counter_is_a_pair_that_knows_the_points_others(
    corpus: Corpus, pairs: TrainingPairs
) -> None:
    assert len(pairs) == 15
    for point, counter, others in zip(
        pairs.point.tolist(), pairs.counter.tolist(), pairs.others.tolist(), strict=True
    ):
        assert {counter} | (set(others) - {-1}) == counters_of(corpus, point)
        assert counter not in others


@pytest.mark.parametrize("backend", ["exact", "balltree"])
@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_no_counter_of_a_point_is_its_negative(
    corpus: Corpus, pairs: TrainingPairs, rate: float, backend: str
) -> None:
    allowed = allowed_negatives(pairs, "training")
    options = MiningOptions(initial_random_rate=rate, decrease_rate=0, top_m=3, backend=backend)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    chosen: dict[int, set[int]] = {point: set() for point in pairs.point.tolist()}
    for epoch in range(300):
        queries = torch.from_numpy(rng.standard_normal((len(pairs), 3))).float()
        candidates = torch.from_numpy(rng.standard_normal((len(allowed.texts), 3))).float()
        negatives = mine(queries, candidates, allowed, options, epoch, rng)
        for point, text in zip(pairs.point.tolist(), negatives.text[0].tolist(), strict=True):
            chosen[point].add(text)
    for point, texts in chosen.items():
        never = counters_of(corpus, point) | {point}
        # Everything else comes up sooner or later.
        assert texts == set(allowed.texts.tolist()) - never


def test_triples_carry_the_other_counters(pairs: TrainingPairs) -> None:
    negatives = np.arange(len(pairs))
    triples = pairs.triples(negatives)
    np.testing.assert_array_equal(triples[:2], [pairs.point, pairs.counter])
    np.testing.assert_array_equal(triples[2], negatives)
    np.testing.assert_array_equal(triples[3:], pairs.others.T)


def test_a_pair_that_may_not_be_trained_on_is_still_no_negative(corpus: Corpus) -> None:
    clean = Corpus(corpus.arguments, corpus.roles, corpus.bare_debates, decontaminate="train")
    sets = candidate_sets(clean, "training")
    pairs = training_pairs(sets, trainable(clean, sets))
    withheld = [number for number, text in enumerate(clean.texts) if text == "c2 1"]
    assert len(pairs) == 14
    rows = np.flatnonzero((pairs.others == withheld[0]).any(axis=1))
    assert {clean.texts[point] for point in pairs.point[rows]} == {"p2"}
