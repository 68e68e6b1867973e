"""What other options do to a run: which differ, and which cells they cost."""

from pathlib import Path
from typing import Any

import pytest

from counterpoint.config.loading import load
from counterpoint.config.matrix import expand
from counterpoint.runs.changes import Change, compare
from counterpoint.runs.folder import RunFolder
from tests.support.existing import existing

AXES = {"fusion": ["cls", "concat"], "seed": [1, 2]}
BEFORE: dict[str, Any] = {"run": "mine", "matrix": {"axes": AXES}}


def change(results: Path, **values: Any) -> Change | None:
    """What becomes of the run `mine` with other options."""
    before, after = load(BEFORE, "test"), load({**BEFORE, **values}, "test")
    return compare(RunFolder(results / "mine"), before, after, expand(after, "test"))


def counts(found: Change | None) -> tuple[int, int, int, int]:
    assert found is not None
    return found.kept, found.anew, found.waiting, found.left


@pytest.mark.parametrize(
    "values",
    [
        {"tables": {"decimals": 2}},
        {"plots": {"dpi": 60}},
        {"trackers": ["mlflow"]},
        {"resources": {"jobs_per_gpu": 4, "memory_mb": 999, "runtime_minutes": 5}},
        {"matrix": {"axes": dict(reversed(AXES.items()))}},
    ],
    ids=lambda values: next(iter(values)),
)
def test_what_changes_no_result_is_no_change(tmp_path: Path, values: dict[str, Any]) -> None:
    existing(tmp_path, BEFORE, finished=4)
    assert change(tmp_path, **values) is None


def test_a_run_with_nothing_trained_may_have_any_options(tmp_path: Path) -> None:
    existing(tmp_path, BEFORE)
    assert change(tmp_path, seed=7, corpus="pairs.csv") is None


def test_a_checkpoint_is_something_to_lose(tmp_path: Path) -> None:
    cells = existing(tmp_path, BEFORE)
    (RunFolder(tmp_path / "mine").state(cells[0].name).path / "0123").mkdir(parents=True)
    found = change(tmp_path, training={"epochs": 3})
    assert counts(found) == (0, 0, 4, 0)
    assert found is not None
    assert found.text().splitlines() == [
        "  training.epochs: 60 → 3",
        "It would cost: 4 cells to train; 0 cells kept.",
    ]


def test_an_option_of_training_costs_every_cell(tmp_path: Path) -> None:
    existing(tmp_path, BEFORE, finished=3)
    assert counts(change(tmp_path, training={"epochs": 3})) == (0, 3, 1, 0)


@pytest.mark.parametrize(
    "values",
    [
        {"corpus": {"bad_files": "skip"}},
        {"resources": {"threads": 2}},
        {"resources": {"encoding_threads": 2}},
    ],
    ids=str,
)
def test_so_does_what_all_cells_share(tmp_path: Path, values: dict[str, Any]) -> None:
    existing(tmp_path, BEFORE, finished=3)
    assert counts(change(tmp_path, **values)) == (0, 3, 1, 0)


def test_the_language_costs_no_cell(tmp_path: Path) -> None:
    existing(tmp_path, BEFORE, finished=4)
    found = change(tmp_path, corpus={"language": "de"})
    assert counts(found) == (4, 0, 0, 0)
    assert found is not None
    assert found.options == ['corpus.language: "en" → "de"']


def test_an_option_that_is_not_written_by_default_is_told_with_its_default(tmp_path: Path) -> None:
    existing(tmp_path, BEFORE, finished=4)
    found = change(tmp_path, mining={"negatives": 2})
    assert counts(found) == (0, 4, 0, 0)
    assert found is not None
    assert found.options == ["mining.negatives: 1 → 2"]


def test_an_option_that_only_the_base_has_costs_the_cells_that_have_it(tmp_path: Path) -> None:
    existing(tmp_path, BEFORE, finished=4)
    # Every cell sets its own.
    assert counts(change(tmp_path, fusion="embedding")) == (4, 0, 0, 0)


def test_a_larger_matrix_keeps_what_is_there(tmp_path: Path) -> None:
    existing(tmp_path, BEFORE, finished=3, seconds=[10, 20, 90])
    found = change(tmp_path, matrix={"axes": {**AXES, "seed": [1, 2, 3]}})
    assert counts(found) == (3, 0, 3, 0)
    assert found is not None
    assert found.text().splitlines() == [
        "  matrix: 2 cells added, 0 dropped",
        "It would cost: 3 cells to train, about 1 min 00 s of computing by "
        "finished ones; 3 cells kept.",
    ]


def test_a_smaller_matrix_leaves_results_behind(tmp_path: Path) -> None:
    existing(tmp_path, BEFORE, finished=4)
    found = change(tmp_path, matrix={"axes": {"fusion": ["cls"]}}, baselines=["bm25"])
    assert counts(found) == (1, 0, 0, 3)
    assert found is not None
    assert found.text().splitlines() == [
        '  baselines: ["random", "tfidf", "bm25", "untrained"] → ["bm25"]',
        "  matrix: 0 cells added, 3 dropped",
        "It would cost: 0 cells to train; 1 cell kept; "
        "3 cells no longer planned, whose results stay on disk.",
    ]
