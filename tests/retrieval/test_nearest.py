"""Exact search over many parts, held against a slow loop in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor

from counterpoint.retrieval import nearest
from counterpoint.retrieval.nearest import StoredVectors


def slowly(
    parts: list[Tensor],
    queries: Tensor,
    k: int,
    allowed: Tensor | None = None,
    excluded: Tensor | None = None,
) -> tuple[list[list[int]], list[list[float]]]:
    """The same by a loop over all rows."""
    vectors = torch.cat([part.double() for part in parts])
    rows, distances = [], []
    for number, query in enumerate(queries.double()):
        refused = set() if excluded is None else set(excluded[number].tolist())
        found = sorted(
            (float((vector - query).square().sum()), row)
            for row, vector in enumerate(vectors)
            if row not in refused and (allowed is None or bool(allowed[row]))
        )[:k]
        gap = k - len(found)
        rows.append([row for _, row in found] + [-1] * gap)
        distances.append([cost**0.5 for cost, _ in found] + [float("inf")] * gap)
    return rows, distances


def vectors(*sizes: int, width: int = 5, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn((size, width), generator=generator).to(dtype) for size in sizes]


def same(stored: StoredVectors, parts: list[Tensor], queries: Tensor, k: int, **how: Any) -> None:
    rows, distances = stored.nearest(queries, k, **how)
    expected_rows, expected = slowly(parts, queries, k, **how)
    assert rows.tolist() == expected_rows
    torch.testing.assert_close(
        distances, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0
    )


@pytest.fixture(autouse=True, params=[3, 1 << 16])
def stretches(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows in stretches of three, and all at once."""
    monkeypatch.setattr(nearest, "ROWS", request.param)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("k", [1, 4, 17, 40])
def test_the_nearest_are_those_of_a_slow_loop(k: int, dtype: torch.dtype) -> None:
    parts = vectors(7, 1, 9, dtype=dtype)
    queries = vectors(6)[0]
    same(StoredVectors(parts), parts, queries, k)


def test_rows_that_may_not_answer_do_not() -> None:
    parts = vectors(7, 1, 9)
    queries = parts[0][:3]
    allowed = torch.arange(17) % 3 != 1
    excluded = torch.tensor([[0, -1], [1, 8], [-1, -1]])
    for k in (1, 5, 17):
        same(StoredVectors(parts), parts, queries, k, allowed=allowed, excluded=excluded)


def test_nobody_may_answer() -> None:
    stored = StoredVectors(vectors(4))
    rows, distances = stored.nearest(vectors(2)[0], 2, allowed=torch.zeros(4, dtype=torch.bool))
    assert rows.tolist() == [[-1, -1], [-1, -1]]
    assert torch.isinf(distances).all()


def test_ties_go_to_the_lower_row_across_parts() -> None:
    one = torch.tensor([[1.0, 0.0]])
    parts = [torch.cat([-one, one]), one, torch.cat([one, -one])]
    rows, distances = StoredVectors(parts).nearest(one, 5)
    assert rows.tolist() == [[1, 2, 3, 0, 4]]
    assert distances.tolist() == [[0.0, 0.0, 0.0, 2.0, 2.0]]


def test_more_ties_than_the_shortlist_holds_go_to_the_lower_rows() -> None:
    # All as near in float32 products, of which the last is the nearest by a hair.
    far = torch.full((400, 2), 1000.0)
    far[-1, 0] -= 2**-14
    rows, _ = StoredVectors([far]).nearest(torch.tensor([[0.0, 0.0]]), 3)
    assert rows.tolist() == [[399, 0, 1]]


def test_many_queries_and_long_shortlists_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = vectors(30, 30)
    queries = vectors(9)[0]
    whole = StoredVectors(parts).nearest(queries, 20)
    monkeypatch.setattr(nearest, "QUERIES", 2)
    monkeypatch.setattr(nearest, "SHORTLISTED", 1)
    monkeypatch.setattr(nearest, "PIECE", 4)
    pieces = StoredVectors(parts).nearest(queries, 20)
    assert torch.equal(whole[0], pieces[0])
    assert torch.equal(whole[1], pieces[1])


def test_rows_are_gathered_from_all_parts() -> None:
    parts = vectors(7, 1, 9, dtype=torch.float16)
    rows = torch.tensor([[16, 0], [7, 8]])
    expected = torch.cat(parts).float()[rows]
    assert torch.equal(StoredVectors(parts).rows(rows), expected)
