"""A table over one axis of the matrix: what each value gives on dev, and which is picked.

Only cells that agree in all else are laid side by side, and what is missing is never averaged over.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from counterpoint.config.axes import option_path
from counterpoint.config.matrix import NAMED_BY_COLUMN
from counterpoint.evaluation.metrics import Values
from counterpoint.evaluation.statistics import over_seeds
from counterpoint.io.text import DASH, markdown_table, option_text, percent
from counterpoint.reporting.overview import Overview
from counterpoint.reporting.settings import score_column
from counterpoint.results.epoch_log import Distances, EpochRecord
from counterpoint.runs.folder import PlannedCell, Run, Value
from counterpoint.study import protocol
from counterpoint.tasks.protocols import CLEAN

MARGIN = "retrieval_loss.margin"

PREFERRED = {MARGIN: protocol.MARGIN}
"""Axis to the value that ties go to, or the one nearest to it; elsewhere they go to the lower."""

DISTANCES = [f"{kind}_{part}" for kind in ("positive", "negative") for part in ("mean", "std")]
"""Of the dev points: to their counters, and to one random negative each."""

ACTIVE = "active_lowest"
"""The lowest share of active triplets of any epoch of any cell, of train or dev."""

DEV, TEST = (score_column(split, CLEAN.name, "reranked") for split in ("dev", "test"))


@dataclass(frozen=True)
class AxisTable:
    """The values of an axis side by side."""

    axis: str
    rows: pd.DataFrame
    """`axis.csv`: a row a value; none where nothing is comparable.

    Columns are the axis; `cells` and `seeds` at hand, and as `_planned`; `dev_reranked`, the mean
    over seeds, and `dev_reranked_sd`; `DISTANCES` at the best epoch, averaged over cells; over the
    margin also `ACTIVE`; `picked`; and `test_reranked`, of the picked one alone. What lacks a
    planned cell is not-a-number.
    """


def column_of(run: Run) -> str | None:
    """The column of the matrix that the run's table is over; None where it asks for none.

    Or where all cells have the same value.
    """
    if run.config.tables.axis is None:
        return None
    path = option_path(run.config.tables.axis, "tables.axis")
    column = NAMED_BY_COLUMN.get(path, path)
    return column if len({cell.axes.get(column) for cell in run.cells}) > 1 else None


def compared(run: Run, axis: str) -> dict[Value, list[PlannedCell]]:
    """Value to its planned cells: those that have, all else equal, a cell at every other value.

    All else includes the seed. Numbers are in order, words as the matrix has them. Where no setting
    has every value, nothing is comparable.
    """
    planned: dict[tuple[Value, ...], dict[Value, PlannedCell]] = defaultdict(dict)
    for cell in run.cells:
        others = tuple(value for name, value in cell.axes.items() if name != axis)
        planned[others][cell.axes[axis]] = cell
    values = list(dict.fromkeys(cell.axes[axis] for cell in run.cells))
    values.sort(key=lambda value: float(value) if isinstance(value, int | float) else math.inf)
    whole = [by_value for by_value in planned.values() if len(by_value) == len(values)]
    return {value: [by_value[value] for by_value in whole] for value in values if whole}


def axis_table(overview: Overview) -> AxisTable | None:
    """The table over the axis that the run's `tables.axis` names, where it has several values."""
    axis = column_of(overview.run)
    if axis is None:
        return None
    groups = compared(overview.run, axis)
    columns = [axis, "cells", "cells_planned", "seeds", "seeds_planned", DEV, f"{DEV}_sd"]
    columns += [*DISTANCES, *([ACTIVE] if axis == MARGIN else []), "picked", TEST]
    rows = [{axis: value, **_row(overview, cells)} for value, cells in groups.items()]
    table = pd.DataFrame(rows, columns=columns)
    picked = pick(table, axis)
    table["picked"] = table.index == picked
    if picked is not None and "test" in overview.run.held_out:
        cells = list(groups.values())[picked]
        table.loc[picked, TEST] = _by_seed(overview, cells, TEST).mean()
    return AxisTable(axis, table)


def pick(table: pd.DataFrame, axis: str) -> int | None:
    """The number of the row with the highest dev mean; of equals see `PREFERRED`."""
    preferred = PREFERRED.get(axis)

    def order(row: int) -> tuple[float, float, int]:
        # Rounded, because what ties must not be told apart by the order in which it was added up.
        away = 0.0 if preferred is None else round(abs(table[axis][row] - preferred), 9)
        return -round(table[DEV][row], 9), away, row

    return min(table.index[table[DEV].notna()], key=order, default=None)


def _row(overview: Overview, cells: Sequence[PlannedCell]) -> dict[str, Any]:
    there = [cell for cell in cells if cell.name in overview.systems.index]
    row: dict[str, Any] = {}
    for name, some in (("", there), ("_planned", cells)):
        row |= {f"cells{name}": len(some), f"seeds{name}": len({cell.seed for cell in some})}
    if len(there) == len(cells):
        spread = over_seeds(_by_seed(overview, cells, DEV))
        row |= {DEV: spread.mean, f"{DEV}_sd": spread.sd}
        logs = [cell.epochs() for cell in cells]
        best = [cell.outcome().best_epoch for cell in cells]
        means = np.mean(list(map(_distances, logs, best)), axis=0)
        row |= dict(zip(DISTANCES, means, strict=True))
        row[ACTIVE] = np.min([_lowest_active(log) for log in logs])
    return row


def _by_seed(overview: Overview, cells: Sequence[PlannedCell], column: str) -> Values:
    """(seeds,) a score, averaged over the cells of each seed; not-a-number where one has none."""
    scores = overview.systems[column].to_dict()
    values = defaultdict(list)
    for cell in cells:
        values[cell.seed].append(scores[cell.name])
    return np.array([np.mean(of_seed) for of_seed in values.values()])


def _distances(log: Sequence[EpochRecord], best: int) -> list[float]:
    """`DISTANCES` at a cell's best epoch; not-a-number where no epoch ended."""
    for record in log:
        if record.epoch == best:
            return _numbers(record.distances["dev"])
    return [math.nan] * len(DISTANCES)


def _lowest_active(log: Sequence[EpochRecord]) -> float:
    """The lowest share of active triplets; not-a-number where an epoch does not say."""
    shares = [
        distances.active
        for record in log
        for role, distances in record.distances.items()
        if role != "test"  # decides nothing
    ]
    known = [share for share in shares if share is not None]
    return min(known) if known and len(known) == len(shares) else math.nan


def _numbers(distances: Distances) -> list[float]:
    pair = (distances.positive, distances.negative)
    values = [value for spread in pair for value in (spread.mean, spread.std)]
    return [math.nan if value is None else value for value in values]


# --- for a person ---


def axis_markdown(overview: Overview, table: AxisTable, decimals: int) -> str:
    """`axis.md`: a row a value, below the one that is picked."""
    title, preferred = f"# {table.axis}\n\n", PREFERRED.get(table.axis)
    if table.rows.empty:
        return f"{title}No setting is planned with every value, so none can be compared.\n"
    nearest = "" if preferred is None else f"nearest to {preferred}, then the "
    head = (
        f"{title}Its values, over cells that agree in all else. dev: accuracy@1 in % on `epa`, "
        "`clean`, after re-ranking, mean ± sample standard deviation over seeds. "
        "Distances of the dev points at the best epoch, to their counters (positive) and to one "
        "random negative each: mean ± standard deviation over points, averaged over cells. The "
        f"value with the highest dev mean is picked and bold; of equals the {nearest}lower; test "
        f"decides nothing. A dash where a planned cell is missing.{_of_active(table)}\n"
    )
    rows: list[dict[str, object]] = []
    for _, row in table.rows.iterrows():
        value = option_text(row[table.axis])
        distances = {
            f"{kind} distance": _spread(f"{row[f'{kind}_mean']:.2f}", f"{row[f'{kind}_std']:.2f}")
            for kind in ("positive", "negative")
        }
        rows.append(
            {
                table.axis: f"**{value}**" if row["picked"] else value,
                "cells": of_planned(row["cells"], row["cells_planned"]),
                "seeds": of_planned(row["seeds"], row["seeds_planned"]),
                "dev": _spread(percent(row[DEV], decimals), percent(row[f"{DEV}_sd"], decimals)),
                **distances,
                **({"active": percent(row[ACTIVE], decimals)} if ACTIVE in row else {}),
            }
        )
    parts = [head, overview.on_few_unseen, _picked(table, decimals), _no_margin_matters(table)]
    return "".join([*parts, "\n", markdown_table(rows)])


def _no_margin_matters(table: AxisTable) -> str:
    """Between which margins nothing can differ: the loss has the same gradient at each."""
    if table.axis != MARGIN:
        return ""
    whole = [option_text(row[MARGIN]) for _, row in table.rows.iterrows() if row[ACTIVE] == 1]
    if len(whole) < 2:
        return ""
    every = len(whole) == len(table.rows)
    where = "" if every else f" at the margins {', '.join(whole)}"
    return (
        f"\nAll triplets of train and dev stayed active in every epoch{where}: there the loss is "
        "d(counter) − d(negative) + m, whose gradient does not depend on m, so "
        f"{'no margin can matter here' if every else 'between these the margin cannot matter'}.\n"
    )


def _of_active(table: AxisTable) -> str:
    if table.axis != MARGIN:
        return ""
    return (
        " active: % of triplets whose loss is above 0, the lowest of any epoch of any cell, of "
        "train or dev; a dash too where a log does not say."
    )


def _picked(table: AxisTable, decimals: int) -> str:
    rows = table.rows
    if not rows["picked"].any():
        return "\nNo value has all its scores yet: none is picked.\n"
    row = rows[rows["picked"]].iloc[0]
    text = f"\nPicked on dev: {option_text(row[table.axis])}, at {percent(row[DEV], decimals)}"
    whole = int(rows[DEV].notna().sum())
    if whole < len(rows):
        text += f", of the {whole} of {len(rows)} values whose cells are all there"
    if not pd.isna(row[TEST]):
        text += f"; on test it has {percent(row[TEST], decimals)}"
    return f"{text}.\n"


def _spread(mean: str, deviation: str) -> str:
    """`mean ± deviation`, less what there is not."""
    if mean in (DASH, "nan"):
        return DASH
    return mean if deviation in (DASH, "nan") else f"{mean} ± {deviation}"


def of_planned(there: int, planned: int) -> str:
    """`3`, or `2 of 3` where one is missing."""
    return f"{there}" if there == planned else f"{there} of {planned}"
