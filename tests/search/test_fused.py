"""Two searches as one: by hand, and against slow loops."""

import math

import numpy as np
import pytest
import torch

from counterpoint.search.distances import Euclidean, Similarities
from counterpoint.search.fused import Fused, Measured, ranks, reciprocal, weighted, z_scores
from counterpoint.search.ranking import nearest, precedes

THREE = np.ones(3, dtype=bool)


def table(costs):
    """Costs that are known, a row a query."""
    values = -np.array(costs, dtype=np.float32)
    return Similarities(lambda asked: values[asked])


def everyone(queries, candidates=3):
    return np.ones((len(queries), candidates), dtype=bool)


def fused(dense, lexical, measure, combine, counted=everyone):
    return Fused(Measured(table(dense), table(lexical), counted, measure), combine)


def test_ranks_by_hand() -> None:
    assert ranks(np.array([0.2, 0.7, 0.5]), THREE).tolist() == [1, 3, 2]


def test_all_that_tie_have_the_last_of_their_ranks() -> None:
    assert ranks(np.array([2.0, 2.0, 1.0]), THREE).tolist() == [3, 3, 1]
    assert ranks(np.zeros(3), THREE).tolist() == [3, 3, 3]


def test_who_does_not_count_pushes_nobody_down() -> None:
    counted = np.array([False, True, True])
    assert ranks(np.array([0.0, 0.5, 0.9]), counted).tolist() == [0, 1, 2]
    assert ranks(np.array([0.5, 0.5, 0.9]), counted).tolist() == [1, 1, 2]


def test_z_scores_by_hand() -> None:
    # Mean 2, variance 2/3; mean -2, variance 2.
    side = math.sqrt(1.5)
    np.testing.assert_allclose(z_scores(np.array([1.0, 2.0, 3.0]), THREE), [side, 0, -side])
    half = math.sqrt(0.5)
    np.testing.assert_allclose(
        z_scores(np.array([-4.0, -1.0, -1.0]), THREE), [2 * half, -half, -half]
    )


def test_who_does_not_count_moves_no_mean() -> None:
    # Of 1 and 3: mean 2, deviation 1.
    counted = np.array([True, True, False])
    assert z_scores(np.array([1.0, 3.0, -98.0]), counted).tolist() == [1, -1, 100]


@pytest.mark.parametrize("counted", [THREE, ~THREE])
def test_without_any_difference_all_have_the_z_score_0(counted) -> None:
    # Three times 0.1 has a mean that is not 0.1.
    assert z_scores(np.full(3, 0.1), counted).tolist() == [0, 0, 0]


def test_reciprocal_ranks_by_hand() -> None:
    # Ranks 1, 2, 3 and 3, 1, 2: the second wins, then the first.
    costs = fused([[0.1, 0.2, 0.3]], [[-1, -9, -5]], ranks, reciprocal)
    score = costs.score(costs.exact(torch.arange(1)))[0].tolist()
    assert score == pytest.approx([1 / 61 + 1 / 63, 1 / 62 + 1 / 61, 1 / 63 + 1 / 62])
    assert nearest(costs.block(torch.arange(1)), 3).tolist() == [[1, 0, 2]]


def test_equal_sums_of_reciprocals_tie_whatever_ranks_they_are_of() -> None:
    # 1/63 + 1/84 = 1/72 + 1/72, and the ranks may change places.
    a, b = np.array([3.0, 12.0, 24.0]), np.array([24.0, 12.0, 3.0])
    assert len(set(reciprocal(a, b).tolist())) == 1
    # Of these sums 172 would not tie if each reciprocal were rounded by itself.
    pairs = [(i, j) for i in range(1, 120) for j in range(i, 400)]
    exact: dict[tuple[int, int], set[float]] = {}
    for i, j in pairs:
        top, bottom = 120 + i + j, (60 + i) * (60 + j)
        shared = math.gcd(top, bottom)
        found = reciprocal(np.array([float(i)]), np.array([float(j)]))[0]
        exact.setdefault((top // shared, bottom // shared), set()).add(float(found))
    assert len(exact) < len(pairs)
    assert all(len(values) == 1 for values in exact.values())


def test_weighted_z_scores_by_hand() -> None:
    costs = fused([[1, 2, 3]], [[-4, -1, -1]], z_scores, weighted(0.25))
    side, half = math.sqrt(1.5), math.sqrt(0.5)
    expected = [0.75 * side + 0.25 * 2 * half, -0.25 * half, -0.75 * side - 0.25 * half]
    assert costs.score(costs.exact(torch.arange(1)))[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("weight", "order"), [(0.0, [0, 1, 2]), (1.0, [2, 0, 1])])
def test_at_the_ends_one_search_alone_decides(weight, order) -> None:
    costs = fused([[1, 2, 3]], [[5, 6, 4]], z_scores, weighted(weight))
    assert nearest(costs.block(torch.arange(1)), 3).tolist() == [order]


def test_what_both_searches_cannot_tell_apart_ties_and_counts_against_the_gold() -> None:
    for measure, combine in ((ranks, reciprocal), (z_scores, weighted(0.3))):
        costs = fused([[7, 7, 8]], [[-2, -2, -9]], measure, combine)
        before = precedes(costs.block(torch.arange(1)), torch.tensor([0]))
        assert bool(before[0, 1])


N, M = 12, 60


def systems(rng):
    """Vectors with copies, and scores of few levels, as of texts that stand several times."""
    kinds = rng.standard_normal((25, 8)).astype(np.float32)
    kind = rng.integers(0, 25, M)
    words = rng.integers(0, 6, (N, 25)).astype(np.float32)[:, kind]
    counted = rng.random((N, M)) < 0.9
    dense = Euclidean(
        torch.from_numpy(kinds[rng.integers(0, 25, N)]), torch.from_numpy(kinds[kind])
    )
    return dense, Similarities(lambda asked: words[asked]), lambda asked: counted[asked], kind


def slow(dense, lexical, counted, weight):
    """(n, m) scores by loops; reciprocal ranks where there is no weight."""
    result = np.zeros((N, M))
    both = [costs.exact(torch.arange(N)).tolist() for costs in (dense, lexical)]
    mask = counted(np.arange(N))
    for query in range(N):
        for share, costs in zip((1, None), both, strict=True):
            own = costs[query]
            values = [cost for cost, there in zip(own, mask[query], strict=True) if there]
            mean = math.fsum(values) / len(values)
            deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values))
            for candidate, cost in enumerate(own):
                if weight is None:
                    result[query, candidate] += 1 / (60 + sum(v <= cost for v in values))
                else:
                    part = weight if share is None else 1 - weight
                    result[query, candidate] += part * (mean - cost) / deviation
    return result


@pytest.mark.parametrize("weight", [None, 0.0, 0.4, 1.0])
def test_scores_are_those_of_slow_loops(rng, weight) -> None:
    dense, lexical, counted, kind = systems(rng)
    measure = ranks if weight is None else z_scores
    combine = reciprocal if weight is None else weighted(weight)
    costs = Fused(Measured(dense, lexical, counted, measure), combine)
    found = costs.exact(torch.arange(N)).numpy()
    np.testing.assert_allclose(-found, slow(dense, lexical, counted, weight), rtol=1e-12)
    # Copies of a text tie to the last bit.
    for number in range(25):
        assert (found[:, kind == number] == found[:, kind == number][:, :1]).all()


@pytest.mark.parametrize("size", [1, 5, 7])
def test_no_score_depends_on_who_is_asked_together(rng, size) -> None:
    dense, lexical, counted, _ = systems(rng)
    for measure, combine in ((ranks, reciprocal), (z_scores, weighted(0.7))):
        whole = Fused(Measured(dense, lexical, counted, measure), combine).exact(torch.arange(N))
        other = Fused(Measured(dense, lexical, counted, measure), combine)
        parts = [other.exact(part) for part in torch.split(torch.arange(N), size)]
        assert torch.equal(torch.cat(parts), whole)
        # Asked again, some are remembered.
        assert torch.equal(other.exact(torch.arange(N).flip(0)), whole.flip(0))


def test_more_than_is_kept_is_computed_again(rng, monkeypatch) -> None:
    dense, lexical, counted, _ = systems(rng)
    whole = Measured(dense, lexical, counted, z_scores).of(np.arange(N))
    monkeypatch.setattr("counterpoint.search.fused.KEPT", 3 * 2 * 8 * M)
    few = Measured(dense, lexical, counted, z_scores)
    for _ in range(2):
        for one, other in zip(few.of(np.arange(N)), whole, strict=True):
            np.testing.assert_array_equal(one, other)


def test_float32_costs_are_off_by_less_than_they_say(rng) -> None:
    dense, lexical, counted, _ = systems(rng)
    costs = Fused(Measured(dense, lexical, counted, z_scores), weighted(0.5))
    block = costs.block(torch.arange(N))
    exact = costs.exact(torch.arange(N))
    assert ((block.cost.double() - exact).abs() <= block.tolerance).all()
    rows, columns = torch.tensor([[0, 3]]), torch.tensor([[5, 9]])
    assert torch.equal(block.exact(rows, columns), exact[rows, columns])


def test_exact_distances_of_all_are_those_by_direct_differences(rng) -> None:
    queries, candidates = (torch.from_numpy(rng.standard_normal((n, 5))).float() for n in (4, 9))
    found = Euclidean(queries, candidates).exact(torch.tensor([2, 0]))
    q, c = queries.double().numpy()[[2, 0]], candidates.double().numpy()
    expected = ((q[:, None] - c[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-13)
