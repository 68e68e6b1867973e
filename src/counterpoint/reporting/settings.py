"""Systems with their scores in columns, and cells averaged over their seeds."""

from typing import Any

import numpy as np
import pandas as pd

from counterpoint.evaluation.records import SPLITS, STAGES
from counterpoint.evaluation.scoring import select
from counterpoint.evaluation.statistics import over_seeds
from counterpoint.reporting.missing import lacking
from counterpoint.reporting.scores import SHOWN
from counterpoint.runs.folder import AXES, PlannedCell, Run, Value
from counterpoint.tasks.protocols import CLEAN


def score_column(split: str, protocol: str, stage: str) -> str:
    """The column of `comparison.csv` with accuracy@1 on `epa`: `clean` goes without saying."""
    return f"{split}_{stage}" if protocol == CLEAN.name else f"{split}_{protocol}_{stage}"


CLEAN_SCORES = [
    score_column(split, CLEAN.name, stage)
    for split in SPLITS
    for stage in ("reranked", "retrieval")
]
CEILINGS = [f"{split}_ceiling" for split in SPLITS]
"""What re-ranking can reach at most, `clean`; see `scores.ceilings`."""
OTHER_SCORES = [
    score_column(split, protocol, stage)
    for protocol in SHOWN[1:]
    for split in SPLITS
    for stage in ("reranked", "retrieval")
]
SCORES = [*CLEAN_SCORES, *CEILINGS, *OTHER_SCORES]
"""The scores of a system in the tables of settings, all on `epa`."""


def systems(table: pd.DataFrame, ceilings: pd.DataFrame) -> pd.DataFrame:
    """One row a system: `SCORES`, of those in a run's scores.

    Args:
        table: as `scores.all_scores` gives it.
        ceilings: as `scores.ceilings` gives them.

    Returns:
        Columns `kind`, the axes, and the scores; missing ones are not-a-number. The index is the
        system's name.
    """
    axes = [
        column for column in table.columns[: table.columns.get_loc("split")] if column != "cell"
    ]
    rows = table.drop_duplicates("cell").set_index("cell")[axes]
    accuracy = select(table, task="epa", metric="accuracy@1")

    def by_cell(chosen: pd.DataFrame) -> "pd.Series[float]":
        return chosen.set_index("cell")["value"].astype(float)

    for split in SPLITS:
        for protocol in SHOWN:
            for stage in STAGES:
                chosen = select(accuracy, split=split, protocol=protocol, stage=stage)
                rows[score_column(split, protocol, stage)] = by_cell(chosen)
        chosen = select(ceilings, split=split, protocol=CLEAN.name, task="epa")
        rows[f"{split}_ceiling"] = by_cell(chosen)
    return rows


def settings(run: Run, systems: pd.DataFrame) -> pd.DataFrame:
    """Cells averaged over their seeds: one row a planned setting.

    Columns are the axes but `seed`; of each of `SCORES` its mean, and as `SCORE_sd`, `_low` and
    `_high` what `statistics.over_seeds` says of its spread, not-a-number where a planned seed is
    missing; `seeds`, how many there are, and `seeds_planned`; `cells`, their names; and `lacking`,
    what is missing in words (`missing.lacking`).
    """
    planned: dict[tuple[Value, ...], list[PlannedCell]] = {}
    for cell in run.cells:
        planned.setdefault(cell.setting, []).append(cell)
    axes = setting_axes(run)
    # As dictionaries: a table of some thousand cells is slow to ask for one number at a time.
    scores = {column: systems[column].dropna().to_dict() for column in SCORES}
    rows = []
    for cells in planned.values():
        names = [cell.name for cell in cells if cell.name in systems.index]
        row: dict[str, Any] = {axis: cells[0].axes[axis] for axis in axes}
        row |= {"seeds": len(names), "seeds_planned": len(cells), "cells": names}
        row["lacking"] = lacking(cells)
        for column in SCORES:
            there = [scores[column][name] for name in names if name in scores[column]]
            values = np.array(there, dtype=np.float64)
            # A mean over fewer seeds than planned would hide the missing one.
            if len(values) == len(cells):
                spread = over_seeds(values)
                row |= {column: spread.mean, f"{column}_sd": spread.sd}
                row |= {f"{column}_low": spread.low, f"{column}_high": spread.high}
        rows.append(row)
    spreads = [f"{column}_{part}" for column in SCORES for part in ("sd", "low", "high")]
    columns = [*axes, *SCORES, "seeds", "seeds_planned", *spreads, "cells", "lacking"]
    return pd.DataFrame(rows, columns=columns)


def setting_axes(run: Run) -> list[str]:
    """The axes of a setting: all but the seed."""
    return [axis for axis in (*AXES, *run.extra_axes) if axis != "seed"]
