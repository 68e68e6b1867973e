"""How texts share a call: batches of like lengths, and rows without padding."""

import itertools

import numpy as np
import pytest

from counterpoint.encoders.packing import length_batches, packs


def test_batches_keep_the_budget_and_hold_every_text_once() -> None:
    lengths = np.random.default_rng(1).integers(3, 60, size=200)
    batches = list(length_batches(lengths, 256, 10))
    assert sorted(np.concatenate(batches).tolist()) == list(range(200))
    assert all(lengths[batch].max() * len(batch) <= 256 for batch in batches)
    assert lengths[batches[0]].max() == lengths.max()


def test_a_text_above_the_budget_is_a_batch_of_its_own() -> None:
    batches = list(length_batches(np.array([5, 500, 5]), 64, 10))
    assert [batch.tolist() for batch in batches] == [[1], [0, 2]]


@pytest.mark.parametrize(
    ("call", "expected"),
    # In one batch 3 · 9 = 27 tokens; the two short ones apart 9 + 2 · 2 = 13 and another call.
    [(13, [[1], [0, 2]]), (15, [[1, 0, 2]])],
)
def test_padding_is_weighed_against_another_call(call: int, expected: list[list[int]]) -> None:
    batches = list(length_batches(np.array([2, 9, 2]), 64, call))
    assert [batch.tolist() for batch in batches] == expected


@pytest.mark.parametrize("call", [0, 7, 40])
def test_no_other_cut_of_the_sorted_texts_costs_less(call: int) -> None:
    lengths = np.random.default_rng(2).integers(1, 30, size=9)
    ordered = np.sort(lengths)[::-1]

    def cost(cuts: tuple[int, ...]) -> int:
        edges = [0, *cuts, len(ordered)]
        parts = [ordered[i:j] for i, j in itertools.pairwise(edges)]
        if any(part[0] * len(part) > 70 for part in parts):
            return 10**9
        return sum(call + int(part[0]) * len(part) for part in parts)

    every = (c for k in range(9) for c in itertools.combinations(range(1, 9), k))
    batches = list(length_batches(lengths, 70, call))
    found = sum(call + int(lengths[part].max()) * len(part) for part in batches)
    assert found == min(cost(cuts) for cuts in every)


def test_packs_hold_each_text_once_within_the_budget() -> None:
    lengths = np.array([3, 4, 2, 9, 1, 1])
    assert [part.tolist() for part in packs(lengths, 9)] == [[0, 1, 2], [3], [4, 5]]
    assert [part.tolist() for part in packs(lengths, 100)] == [[0, 1, 2, 3, 4, 5]]
