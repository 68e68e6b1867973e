"""The k nearest and who precedes the gold, against sorting by distances in float64."""

import numpy as np
import pytest
import torch

from counterpoint.search.distances import Block, Euclidean, Similarities
from counterpoint.search.ranking import SPARE, nearest, precedes

N, M = 12, 60


def random(rng):
    return rng.standard_normal((N, 16)), rng.standard_normal((M, 16))


def grid(rng):
    """Whole numbers in three dimensions: exact ties between different vectors."""
    return rng.integers(-2, 3, (N, 3)), rng.integers(-2, 3, (M, 3))


def duplicates(rng):
    """Each candidate several times, queries among them."""
    kinds = rng.standard_normal((10, 8))
    return kinds[rng.integers(0, 10, N)], kinds[rng.integers(0, 10, M)]


def near_equal(rng):
    """Differences of a few units in the last place of 1000, about 6e-8 of it."""
    step = 2.0**-14
    return 1000 + step * rng.integers(-3, 4, (N, 8)), 1000 + step * rng.integers(-3, 4, (M, 8))


def crowded(rng):
    """200 copies of one vector, far more than the shortlist holds, and a few that are nearer."""
    copies = np.repeat(rng.standard_normal((1, 8)), 200, axis=0)
    candidates = np.concatenate([copies, rng.standard_normal((20, 8))])
    return rng.standard_normal((N, 8)), rng.permutation(candidates)


def crowded_near_equal(rng):
    """200 candidates that float32 products cannot tell apart."""
    step = 2.0**-14
    return 1000 + step * rng.integers(-2, 3, (N, 4)), 1000 + step * rng.integers(-2, 3, (200, 4))


CASES = [random, grid, duplicates, near_equal, crowded, crowded_near_equal]


def tensors(case, rng):
    return tuple(torch.from_numpy(np.asarray(part, dtype=np.float32)) for part in case(rng))


def distances(queries, candidates):
    """(n, m) float64 squared distances by direct differences."""
    q, c = queries.double().numpy(), candidates.double().numpy()
    return ((q[:, None, :] - c[None, :, :]) ** 2).sum(axis=2)


def slow_nearest(cost, mask, k, last=None):
    """Sort by cost, then the last one behind its ties, then the column."""
    rows = []
    for row in range(len(cost)):
        behind = -1 if last is None else int(last[row])
        columns = [column for column in range(cost.shape[1]) if mask[row, column]]
        columns.sort(key=lambda column: (cost[row, column], column == behind, column))
        rows.append((columns + [-1] * k)[:k])
    return np.array(rows)


def slow_precedes(cost, mask, gold):
    result = np.zeros(cost.shape, dtype=bool)
    for row, own in enumerate(gold):
        for column in range(cost.shape[1]):
            nearer_or_tied = cost[row, column] <= cost[row, own]
            result[row, column] = mask[row, column] and column != own and nearer_or_tied
    return result


def masks(rng, shape, gold):
    """All candidates, about half of them, and a handful; the gold in each."""
    for share in (1.0, 0.5, 0.05):
        mask = rng.random(shape) < share
        mask[np.arange(shape[0]), gold] = True
        yield mask


def whole(costs, n=N):
    return costs.block(torch.arange(n))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("k", [1, 2, 5, 10])
def test_nearest_equals_sorting_by_float64_distances(rng, case, k) -> None:
    queries, candidates = tensors(case, rng)
    cost = distances(queries, candidates)
    everyone = np.ones(cost.shape, dtype=bool)
    found = nearest(whole(Euclidean(queries, candidates)), k)
    np.testing.assert_array_equal(found.numpy(), slow_nearest(cost, everyone, k))


@pytest.mark.parametrize("case", CASES)
def test_only_candidates_are_nearest(rng, case) -> None:
    queries, candidates = tensors(case, rng)
    cost = distances(queries, candidates)
    gold = rng.integers(0, cost.shape[1], N)
    for mask in masks(rng, cost.shape, gold):
        block = whole(Euclidean(queries, candidates)).only(torch.from_numpy(mask))
        for last in (None, gold):
            found = nearest(block, 7, None if last is None else torch.from_numpy(last)[:, None])
            np.testing.assert_array_equal(found.numpy(), slow_nearest(cost, mask, 7, last))


@pytest.mark.parametrize("case", CASES)
def test_precedes_equals_comparing_float64_distances(rng, case) -> None:
    queries, candidates = tensors(case, rng)
    cost = distances(queries, candidates)
    gold = rng.integers(0, cost.shape[1], N)
    for mask in masks(rng, cost.shape, gold):
        block = whole(Euclidean(queries, candidates)).only(torch.from_numpy(mask))
        found = precedes(block, torch.from_numpy(gold))
        np.testing.assert_array_equal(found.numpy(), slow_precedes(cost, mask, gold))


@pytest.mark.parametrize("case", CASES)
def test_float32_costs_lie_within_their_tolerance(rng, case) -> None:
    queries, candidates = tensors(case, rng)
    block = whole(Euclidean(queries, candidates))
    off = np.abs(block.cost.double().numpy() - distances(queries, candidates))
    assert (off <= block.tolerance.double().numpy()).all()


def test_near_equal_vectors_are_beyond_float32_products(rng) -> None:
    # Without this the cases above would not show that ties are decided in float64.
    queries, candidates = tensors(near_equal, rng)
    cost = distances(queries, candidates)
    rough = whole(Euclidean(queries, candidates)).cost.argmin(dim=1).numpy()
    assert (cost[np.arange(N), rough] > cost.min(axis=1)).any()


def test_exact_costs_are_float64_squared_distances_by_hand() -> None:
    # (3, 4) − (0, 0): 9 + 16; (3, 4) − (3, 5): 1; (1, 1) − (0, 0): 2.
    queries = torch.tensor([[3.0, 4.0], [1.0, 1.0]])
    block = Euclidean(queries, torch.tensor([[0.0, 0.0], [3.0, 5.0]])).block(torch.tensor([1, 0]))
    exact = block.exact(torch.tensor([1, 1, 0]), torch.tensor([0, 1, 0]))
    assert exact.dtype == torch.float64
    assert exact.tolist() == [25.0, 1.0, 2.0]
    assert block.rows(torch.tensor([1])).exact(torch.tensor([0]), torch.tensor([0])) == 25.0


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", [1, 5, 7])
def test_no_answer_depends_on_the_block(rng, case, size) -> None:
    queries, candidates = tensors(case, rng)
    costs = Euclidean(queries, candidates)
    gold = torch.from_numpy(rng.integers(0, len(candidates), N))
    parts = torch.randperm(N, generator=torch.Generator().manual_seed(1)).split(size)
    order = torch.cat(parts)
    near = torch.cat([nearest(costs.block(part), 5, gold[part][:, None]) for part in parts])
    before = torch.cat([precedes(costs.block(part), gold[part]) for part in parts])
    assert torch.equal(near, nearest(whole(costs), 5, gold[:, None])[order])
    assert torch.equal(before, precedes(whole(costs), gold)[order])


@pytest.mark.parametrize("width", [3, 16, 33, 128])
def test_rounding_in_float64_is_the_same_in_every_block_and_for_ranks(rng, width) -> None:
    # The squares of one vector in many orders: sums that differ in the last place, or not at all.
    base = rng.standard_normal(width)
    candidates = torch.from_numpy(np.stack([rng.permutation(base) for _ in range(40)])).float()
    costs = Euclidean(torch.zeros((40, width)), candidates)
    gold = torch.arange(40)
    near = nearest(costs.block(gold), 40, gold[:, None])
    for size in (1, 7, 16):
        found = [nearest(costs.block(part), 40, gold[part][:, None]) for part in gold.split(size)]
        assert torch.equal(torch.cat(found), near)
    position = (near == gold[:, None]).int().argmax(dim=1)
    assert torch.equal(precedes(costs.block(gold), gold).sum(dim=1), position)


@pytest.mark.parametrize("case", CASES)
def test_no_answer_depends_on_the_number_of_threads(rng, case) -> None:
    queries, candidates = tensors(case, rng)
    gold = torch.arange(N)
    before = torch.get_num_threads()
    answers = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            block = whole(Euclidean(queries, candidates))
            answers.append((nearest(block, 5, gold[:, None]), precedes(block, gold)))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(answers[0][0], answers[1][0])
    assert torch.equal(answers[0][1], answers[1][1])


def test_ties_go_to_the_lower_column() -> None:
    # From 0: columns 1 and 3 at distance 1 on either side, then 0 and 2 at distance 2.
    block = Euclidean(torch.tensor([[0.0]]), torch.tensor([[2.0], [-1.0], [-2.0], [1.0]]))
    assert nearest(whole(block, 1), 4).tolist() == [[1, 3, 0, 2]]


@pytest.mark.parametrize(("last", "expected"), [(1, [3, 1, 0, 2]), (0, [1, 3, 2, 0])])
def test_the_last_goes_behind_its_ties_and_no_further(last, expected) -> None:
    # As above; whoever is last yields to the one at the same distance, not to those farther off.
    block = Euclidean(torch.tensor([[0.0]]), torch.tensor([[2.0], [-1.0], [-2.0], [1.0]]))
    assert nearest(whole(block, 1), 4, torch.tensor([last])[:, None]).tolist() == [expected]


def test_the_last_of_more_copies_than_the_shortlist_is_not_among_the_first() -> None:
    copies = torch.ones((200, 4))
    block = whole(Euclidean(torch.zeros((1, 4)), copies), 1)
    assert 10 + SPARE < 200
    assert nearest(block, 10, torch.tensor([0])[:, None]).tolist() == [list(range(1, 11))]
    assert nearest(block, 200, torch.tensor([0])[:, None])[0, -1] == 0
    assert int(precedes(block, torch.tensor([0])).sum()) == 199


@pytest.mark.parametrize("k", [3, 4, 20])
def test_fewer_candidates_than_k_leave_minus_one(k) -> None:
    costs = Euclidean(torch.tensor([[0.0], [5.0]]), torch.tensor([[1.0], [4.0], [9.0]]))
    # From 5: 4 at 1, then 1 and 9 at 4.
    expected = [[0, 1, 2], [1, 0, 2]]
    found = nearest(whole(costs, 2), k)
    assert found.tolist() == [row + [-1] * (k - 3) for row in expected]
    nobody = torch.tensor([[True, False, True], [False, False, False]])
    found = nearest(whole(costs, 2).only(nobody), k)
    assert found.tolist() == [[0, 2] + [-1] * (k - 2), [-1] * k]


def test_no_candidate_outside_the_mask_precedes() -> None:
    costs = Euclidean(torch.tensor([[0.0]]), torch.tensor([[1.0], [2.0], [-2.0], [0.5]]))
    mask = torch.tensor([[True, True, True, False]])
    # The gold is column 1 at 2: column 0 is nearer, column 2 ties, column 3 is no candidate.
    found = precedes(whole(costs, 1).only(mask), torch.tensor([1]))
    assert found.tolist() == [[True, False, True, False]]


@pytest.mark.parametrize("case", CASES)
def test_the_golds_place_is_the_number_of_those_that_precede(rng, case) -> None:
    queries, candidates = tensors(case, rng)
    gold = torch.from_numpy(rng.integers(0, len(candidates), N))
    block = whole(Euclidean(queries, candidates))
    order = nearest(block, len(candidates), gold[:, None])
    position = (order == gold[:, None]).int().argmax(dim=1)
    assert torch.equal(precedes(block, gold).sum(dim=1), position)


@pytest.mark.parametrize("levels", [2, 7, None])
def test_similarities_rank_the_higher_first(rng, levels) -> None:
    similarity = rng.random((N, M)) if levels is None else rng.integers(0, levels, (N, M)) / levels
    similarity = similarity.astype(np.float32)
    costs = Similarities(lambda rows: similarity[rows])
    gold = rng.integers(0, M, N)
    for mask in masks(rng, similarity.shape, gold):
        block = whole(costs).only(torch.from_numpy(mask))
        for k in (1, 10):
            for last in (None, gold):
                found = nearest(block, k, None if last is None else torch.from_numpy(last)[:, None])
                expected = slow_nearest(-similarity, mask, k, last)
                np.testing.assert_array_equal(found.numpy(), expected)
        found = precedes(block, torch.from_numpy(gold))
        np.testing.assert_array_equal(found.numpy(), slow_precedes(-similarity, mask, gold))


def test_similarities_do_not_depend_on_the_block(rng) -> None:
    costs = Similarities(rng.integers(0, 3, (N, M)).astype(np.float32).__getitem__)
    gold = torch.from_numpy(rng.integers(0, M, N))
    for size in (1, 5):
        parts = torch.arange(N).split(size)
        near = torch.cat([nearest(costs.block(part), 30, gold[part][:, None]) for part in parts])
        before = torch.cat([precedes(costs.block(part), gold[part]) for part in parts])
        assert torch.equal(near, nearest(whole(costs), 30, gold[:, None]))
        assert torch.equal(before, precedes(whole(costs), gold))


def test_similarities_that_differ_by_one_unit_are_no_tie() -> None:
    above = np.nextafter(np.float32(0.5), np.float32(1))
    costs = Similarities(np.array([[0.5, above, 0.5]], dtype=np.float32).__getitem__)
    assert nearest(whole(costs, 1), 3).tolist() == [[1, 0, 2]]
    assert precedes(whole(costs, 1), torch.tensor([1])).tolist() == [[False, False, False]]
    assert precedes(whole(costs, 1), torch.tensor([0])).tolist() == [[False, True, True]]


def test_a_mask_leaves_the_block_it_was_taken_from() -> None:
    block: Block = whole(Similarities(np.array([[0.1, 0.2]], dtype=np.float32).__getitem__), 1)
    block.only(torch.tensor([[True, False]]))
    assert nearest(block, 2).tolist() == [[1, 0]]


def test_costs_that_are_no_numbers_count_against_the_system() -> None:
    rows = torch.tensor([[0.0], [1.0], [torch.nan], [3.0]])
    block = Euclidean(torch.tensor([[0.5], [torch.nan]]), rows).block(torch.arange(2))
    # One vector that is no number leaves no bound of the error: nobody is known to be behind.
    assert precedes(block, torch.tensor([1, 3])).tolist() == [
        [True, False, True, True],
        [True, True, True, False],
    ]


def test_no_decision_depends_on_the_pieces_of_exact_distances(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = torch.from_numpy(np.random.default_rng(3).integers(0, 2, (300, 3))).float()
    found = []
    for piece in (1 << 16, 7):
        monkeypatch.setattr("counterpoint.search.distances.PIECE", piece)
        block = Euclidean(rows[:50], rows).block(torch.arange(50))
        found.append((nearest(block, 4), precedes(block, torch.arange(50) + 100)))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_several_go_behind_those_that_tie_with_them() -> None:
    # The line 0 1 1 1 2: of the three at 1 the columns 1 and 3 go last, in their own order.
    queries, candidates = torch.tensor([[0.0]]), torch.tensor([[0.0], [1.0], [1.0], [1.0], [2.0]])
    block = Euclidean(queries, candidates).block(torch.tensor([0]))
    assert nearest(block, 5, torch.tensor([[3, 1, -2]])).tolist() == [[0, 2, 1, 3, 4]]
    assert nearest(block, 5, torch.tensor([[4, -2, -2]])).tolist() == [[0, 1, 2, 3, 4]]
