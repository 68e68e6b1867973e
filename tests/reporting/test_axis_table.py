"""The grid over the margin: cells that agree in all else, and a pick that never looks at test."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from counterpoint.config import loading, matrix
from counterpoint.evaluation.records import write_records
from counterpoint.reporting import axis_table
from counterpoint.reporting.overview import Overview
from counterpoint.reporting.scores import all_scores
from counterpoint.reporting.tables import write_tables
from counterpoint.results.epoch_log import Distances, EpochRecord, Spread
from counterpoint.runs.folder import RunFolder, read_run
from counterpoint.tasks.candidates import CandidateSets
from tests.support.configuration import on_top
from tests.support.debates import ROLES
from tests.support.runs import epoch_record, finish, plan, query_results, write_epochs, write_files

MARGIN = "retrieval_loss.margin"

# Of eight queries two, four, six or all are right at the first place.
QUARTER, HALF, THREE_QUARTERS, ALL = [1, 2, 2, 2], [1, 2], [1, 1, 1, 2], [1]

DEV = {
    (0.8, 1, "cls"): HALF, (0.8, 1, "concat"): ALL,  # 0.75
    (0.8, 2, "cls"): QUARTER, (0.8, 2, "concat"): QUARTER,  # 0.25
    (1.0, 1, "cls"): QUARTER, (1.0, 1, "concat"): THREE_QUARTERS,  # 0.5
    (1.0, 2, "cls"): HALF, (1.0, 2, "concat"): HALF,  # 0.5
    (1.5, 1, "cls"): QUARTER, (1.5, 1, "concat"): QUARTER,
    (1.5, 2, "cls"): QUARTER, (1.5, 2, "concat"): QUARTER,
}  # fmt: skip
TEST = {0.8: HALF, 1.0: THREE_QUARTERS, 1.5: ALL}
"""The margin that is worst on dev is the best on test."""


def log_of(positive: float, active: Mapping[str, float] | None = None) -> list[EpochRecord]:
    """Three epochs; the distances of dev after the second are of that positive distance.

    Args:
        positive: mean distance.
        active: split to the share of its active triplets in the last epoch, below that all; None
            for a log that does not say.
    """
    away = Distances(Spread(77.0, 7.0), Spread(77.0, 7.0))
    records = []
    for number in range(3):
        mean = positive if number == 1 else 99.0
        dev = Distances(Spread(mean, positive / 10), Spread(mean + 2, 0.5))
        distances = {"train": away, "dev": dev, "test": away}
        if active is not None:
            shares = active if number == 2 else {}
            distances = {
                role: replace(of, active=shares.get(role, 1.0)) for role, of in distances.items()
            }
        records.append(epoch_record(number, distances=distances))
    return records


def make(
    folder: Path,
    sets: CandidateSets,
    dev: Mapping[tuple[float, int, str], Sequence[int]],
    splits: Mapping[str, str] = ROLES,
    active: Mapping[float, Mapping[str, float] | None] | None = None,
) -> Path:
    """A run of three margins, two seeds and two fusions, of which those of `dev` are trained.

    And a further cell at the lowest margin alone, all of whose queries are right. The cells of
    seed 2 at a margin of `active` have such a last epoch; all others all triplets active.
    """
    axes = {"margin": [0.8, 1.0, 1.5], "seed": [1, 2], "fusion": ["cls", "concat"]}
    values = {
        "baselines": [],
        "tables": {"axis": MARGIN},
        "matrix": {"axes": axes, "include": [{"margin": 0.8, "fusion": "cls", "head": "relu"}]},
    }
    for cell in plan(folder, values, sets.ids, splits=splits):
        own = RunFolder(folder).cell(cell.name)
        margin = cell.options.retrieval_loss.margin
        at = (margin, cell.options.seed, cell.options.fusion)
        ranks = ALL if cell.options.head.kind == "relu" else dev.get(at)
        if ranks is None:
            continue
        both = {"dev": ranks, "test": TEST[margin]}
        write_records(
            {role: (sets, query_results(sets, [1, 2], list(some))) for role, some in both.items()},
            own.records,
        )
        write_files(own, best_epoch=1)
        shares: Mapping[str, float] | None = None
        if active is not None:
            shares = active.get(margin, {}) if at[1] == 2 else {}
        write_epochs(own, log_of(1.0 if at[2] == "cls" else 2.0, shares))
    return folder


def overview(folder: Path) -> Overview:
    run = read_run(folder)
    return Overview(run, all_scores(run))


def table_of(folder: Path) -> pd.DataFrame:
    table = axis_table.axis_table(overview(folder))
    assert table is not None
    return table.rows


def write(folder: Path) -> str:
    write_tables(read_run(folder), 1, intervals=False)
    return (folder / "tables" / "axis.md").read_text(encoding="utf-8")


def test_each_margin_has_its_mean_over_seeds_and_its_distances(
    tmp_path: Path, sets: CandidateSets
) -> None:
    table = table_of(make(tmp_path, sets, DEV)).set_index(MARGIN)
    assert table.index.tolist() == [0.8, 1.0, 1.5]
    assert table["cells"].tolist() == table["cells_planned"].tolist() == [4, 4, 4]
    assert table["seeds"].tolist() == table["seeds_planned"].tolist() == [2, 2, 2]
    assert table["dev_reranked"].tolist() == [0.5, 0.5, 0.25]
    # 0.75 and 0.25: √(2 · 0.25²)
    assert table["dev_reranked_sd"].tolist() == pytest.approx([0.125**0.5, 0, 0])
    # cls 1 and concat 2, their deviations a tenth; negatives lie 2 further.
    expected = dict(zip(axis_table.DISTANCES, [1.5, 0.15, 3.5, 0.5], strict=True))
    for _, row in table.iterrows():
        assert row[axis_table.DISTANCES].to_dict() == pytest.approx(expected)


def test_a_tie_goes_to_the_margin_nearest_to_one_and_test_decides_nothing(
    tmp_path: Path, sets: CandidateSets
) -> None:
    table = table_of(make(tmp_path, sets, DEV)).set_index(MARGIN)
    assert table["picked"].tolist() == [False, True, False]
    assert table["test_reranked"][1.0] == 0.75
    assert table["test_reranked"].isna().tolist() == [True, False, True]


def test_the_highest_dev_mean_is_picked(tmp_path: Path, sets: CandidateSets) -> None:
    better = {**DEV, (1.5, 1, "cls"): ALL, (1.5, 1, "concat"): ALL}
    table = table_of(make(tmp_path, sets, better))
    assert table["dev_reranked"].tolist() == [0.5, 0.5, 0.625]
    assert table.loc[table["picked"], MARGIN].tolist() == [1.5]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({0.8: 0.3, 0.9: 0.3, 1.5: 0.3}, 0.9),
        # 1.2 − 1 and 1 − 0.8 differ in floating point, and so do 0.1 + 0.2 and 0.3.
        ({0.8: 0.3, 1.2: 0.3}, 0.8),
        ({1.0: 0.3, 1.5: 0.1 + 0.2}, 1.0),
        ({0.8: 0.3, 1.0: None}, 0.8),
        ({0.8: None, 1.0: None}, None),
    ],
)
def test_ties_by_hand(values: Mapping[float, float | None], expected: float | None) -> None:
    rows = pd.DataFrame({MARGIN: list(values), "dev_reranked": list(values.values())})
    place = axis_table.pick(rows.astype(float), MARGIN)
    assert (None if place is None else rows[MARGIN][place]) == expected


def test_a_missing_cell_leaves_a_dash_and_is_not_picked(
    tmp_path: Path, sets: CandidateSets
) -> None:
    less = {at: ranks for at, ranks in DEV.items() if at != (1.0, 2, "concat")}
    text = write(make(tmp_path, sets, less))
    lines = text.splitlines()
    assert "| 1 | 3 of 4 | 2 | – | – | – | – |" in lines
    assert "| **0.8** | 4 | 2 | 50.0 ± 35.4 | 1.50 ± 0.15 | 3.50 ± 0.50 | – |" in lines
    assert (
        "Picked on dev: 0.8, at 50.0, of the 2 of 3 values whose cells are all there; on test it "
        "has 50.0." in lines
    )


def test_the_table_says_what_is_picked_and_how(tmp_path: Path, sets: CandidateSets) -> None:
    text = write(make(tmp_path, sets, DEV))
    assert "of equals the nearest to 1.0" in text
    assert text.splitlines()[4].startswith("only 8 unseen queries in validation: ")
    assert text.splitlines()[8:] == [
        "Picked on dev: 1, at 50.0; on test it has 75.0.",
        "",
        "| retrieval_loss.margin | cells | seeds | dev | positive distance | negative distance "
        "| active |",
        "| ---: | ---: | ---: | --- | --- | --- | --- |",
        "| 0.8 | 4 | 2 | 50.0 ± 35.4 | 1.50 ± 0.15 | 3.50 ± 0.50 | – |",
        "| **1** | 4 | 2 | 50.0 ± 0.0 | 1.50 ± 0.15 | 3.50 ± 0.50 | – |",
        "| 1.5 | 4 | 2 | 25.0 ± 0.0 | 1.50 ± 0.15 | 3.50 ± 0.50 | – |",
    ]
    rows = pd.read_csv(tmp_path / "tables" / "axis.csv")
    assert list(rows.columns) == [
        MARGIN, "cells", "cells_planned", "seeds", "seeds_planned", "dev_reranked",
        "dev_reranked_sd", *axis_table.DISTANCES, "active_lowest", "picked", "test_reranked",
    ]  # fmt: skip
    assert rows["picked"].tolist() == [False, True, False]


ALWAYS = "All triplets of train and dev stayed active in every epoch"


def test_where_all_triplets_stay_active_no_margin_can_matter(
    tmp_path: Path, sets: CandidateSets
) -> None:
    # Which triplets of test are active decides nothing.
    text = write(make(tmp_path, sets, DEV, active={0.8: {"test": 0.5}}))
    (line,) = [line for line in text.splitlines() if line.startswith(ALWAYS)]
    assert line.startswith(f"{ALWAYS}: ")
    assert line.endswith("whose gradient does not depend on m, so no margin can matter here.")
    assert text.count(" | 3.50 ± 0.50 | 100.0 |\n") == 3


@pytest.mark.parametrize("role", ["train", "dev"])
def test_margins_are_told_apart_by_any_triplet_that_was_not_active(
    tmp_path: Path, sets: CandidateSets, role: str
) -> None:
    text = write(make(tmp_path / "one", sets, DEV, active={0.8: {role: 0.75}}))
    (line,) = [line for line in text.splitlines() if line.startswith(ALWAYS)]
    assert line.startswith(f"{ALWAYS} at the margins 1, 1.5: ")
    assert "between these the margin cannot matter" in line
    assert "| 3.50 ± 0.50 | 75.0 |\n" in text
    less = {0.8: {role: 0.75}, 1.5: {role: 0.999}}
    assert ALWAYS not in write(make(tmp_path / "two", sets, DEV, active=less))


def test_a_log_that_does_not_say_what_is_active_leaves_a_dash(
    tmp_path: Path, sets: CandidateSets
) -> None:
    text = write(make(tmp_path, sets, DEV, active={0.8: None, 1.5: None}))
    assert ALWAYS not in text
    assert text.count("| 3.50 ± 0.50 | – |\n") == 2
    assert text.count("| 3.50 ± 0.50 | 100.0 |\n") == 1


def test_a_test_role_on_the_dev_folder_is_no_test(tmp_path: Path, sets: CandidateSets) -> None:
    text = write(make(tmp_path, sets, DEV, {**ROLES, "test": "validation"}))
    assert "\nPicked on dev: 1, at 50.0.\n" in text


def test_without_any_cell_none_is_picked(tmp_path: Path, sets: CandidateSets) -> None:
    folder = make(tmp_path, sets, {})
    text = write(folder)
    assert "\nNo value has all its scores yet: none is picked.\n" in text
    assert "| 1.5 | 0 of 4 | 0 of 2 | – | – | – | – |" in text


def test_a_cell_of_which_no_epoch_ended_has_no_distances(
    tmp_path: Path, sets: CandidateSets
) -> None:
    folder = make(tmp_path, sets, DEV)
    name = next(cell for cell in pd.read_csv(folder / "matrix.csv").cell if "margin=1.5" in cell)
    write_files(RunFolder(folder).cell(name), status="diverged", best_epoch=-1)
    assert "| 1.5 | 4 | 2 | 25.0 ± 0.0 | – | – | – |" in write(folder)


def test_margins_that_no_setting_shares_are_not_compared(run: Path) -> None:
    """The run of the other tables: 0.8 in one cell, which differs from the others in r0 too."""
    assert write(run).endswith("No setting is planned with every value, so none can be compared.\n")
    assert pd.read_csv(run / "tables" / "axis.csv").empty


@pytest.mark.parametrize("axis", [None, MARGIN])
def test_an_axis_of_one_value_and_none_have_no_such_table(tmp_path: Path, axis: str | None) -> None:
    values = {"tables": {"axis": axis}, "matrix": {"axes": {"fusion": ["cls", "concat"]}}}
    plan(tmp_path, values)
    write_tables(read_run(tmp_path), 1, intervals=False)
    assert list((tmp_path / "tables").glob("axis*")) == []


@pytest.mark.parametrize(
    ("axis", "values", "winner"),
    [
        ("training.learning_rate", [0.01, 0.001], "0.001"),
        ("mining.decrease_rate", [0.0, 0.02, 0.01], "0"),
        ("projection.width", ["none", 64], "none"),
    ],
)
def test_any_axis_has_its_table_and_ties_go_to_the_lower(
    tmp_path: Path, sets: CandidateSets, axis: str, values: list[Any], winner: str
) -> None:
    matrix_values = {"axes": {axis: values}}
    options = {"baselines": [], "tables": {"axis": axis}, "matrix": matrix_values}
    for cell in plan(tmp_path, options, sets.ids):
        finish(RunFolder(tmp_path).cell(cell.name), sets, HALF)
    text = write(tmp_path)
    assert f"Picked on dev: {winner}, at 50.0" in text
    assert "of equals the lower" in text


def test_the_shipped_configuration_is_five_margins_at_three_seeds() -> None:
    cells = matrix.expand(loading.load(on_top("margins.yaml"), "margins.yaml"), "margins.yaml")
    found = [(cell.options.retrieval_loss.margin, cell.options.seed) for cell in cells]
    assert sorted(found) == [(m, s) for m in (0.8, 0.9, 1.0, 1.2, 1.5) for s in (1, 2, 3)]
    assert {(cell.options.fusion, cell.options.head.kind) for cell in cells} == {
        ("concat", "layernorm_relu")
    }
    assert {cell.options.encoder.trainable for cell in cells} == {"none"}
