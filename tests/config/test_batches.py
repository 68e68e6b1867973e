"""Which cells share a job."""

from typing import Any

import pytest

from counterpoint.config import loading
from counterpoint.config.batches import MOST, batches, inputs_key
from counterpoint.config.matrix import Cell, expand


def cells(**axes: list[Any]) -> list[Cell]:
    """The cells of a matrix."""
    return expand(loading.load({"run": "r", "matrix": {"axes": axes}}, "test"), "test")


def sizes(planned: list[Cell], per_job: int | None, parallel: int | None) -> list[int]:
    return [len(batch) for batch in batches(planned, per_job, parallel)]


def test_every_cell_is_in_one_batch_and_all_of_a_batch_read_the_same_files() -> None:
    planned = cells(seed=list(range(50)), trainable=["none", "all"], pooling=["cls", "mean"])
    for per_job, parallel in ((None, 2), (7, 2), (7, None), (None, None)):
        made = batches(planned, per_job, parallel)
        assert sorted(c.name for batch in made for c in batch) == sorted(c.name for c in planned)
        for batch in made:
            assert len({inputs_key(cell.options.encoder) for cell in batch}) == 1


@pytest.mark.parametrize(
    ("count", "per_job", "parallel", "expected"),
    [
        (105, None, 2, [27, 26, 26, 26]),  # two batches a core, as even as may be
        (105, None, 64, [1] * 105),
        (3, None, 2, [1, 1, 1]),
        (105, None, None, [18, 18, 18, 17, 17, 17]),  # a cluster: 20 at most
        (105, 50, 2, [35, 35, 35]),
        (1000, 1000, 2, [250] * 4),
    ],
)
def test_frozen_cells_are_spread_evenly(
    count: int, per_job: int | None, parallel: int | None, expected: list[int]
) -> None:
    assert sizes(cells(seed=list(range(count))), per_job, parallel) == expected
    assert max(expected) <= MOST


def test_a_live_cell_has_a_job_of_its_own_unless_told_otherwise() -> None:
    planned = cells(seed=list(range(6)), trainable=["all"])
    assert sizes(planned, None, 2) == [1] * 6
    assert sizes(planned, None, None) == [1] * 6
    assert sizes(planned, 4, 2) == [3, 3]


def test_neighbours_in_the_grid_go_to_different_jobs() -> None:
    planned = cells(seed=list(range(8)))
    first, second = batches(planned, 4, 2)
    assert [cell.options.seed for cell in first] == [0, 2, 4, 6]
    assert [cell.options.seed for cell in second] == [1, 3, 5, 7]
