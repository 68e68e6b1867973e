"""The grid over the triplet loss's margin: what each gives on dev, and which is picked.

Only cells that agree in all else are laid side by side, and what is missing is never averaged over.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from counterpoint.evaluation.metrics import Values
from counterpoint.evaluation.statistics import over_seeds
from counterpoint.reporting.scores import Overview, figure_column
from counterpoint.runs.folder import PlannedCell, Run

AXIS = "retrieval_loss.margin"

DEFAULT = 1.0
"""The margin of the seeds, to which ties go."""

DISTANCES = [f"{kind}_{part}" for kind in ("positive", "negative") for part in ("mean", "std")]
"""Of the dev points: to their counters, and to one random negative each."""

DEV, TEST = (figure_column(split, "clean", "reranked") for split in ("dev", "test"))
COLUMNS = ["margin", "cells", "cells_planned", "seeds", "seeds_planned", DEV, f"{DEV}_sd"]
COLUMNS += [*DISTANCES, "picked", TEST]


def several_margins(run: Run) -> bool:
    """Whether the planned cells differ in the margin, so that the run has a table of them."""
    return len({cell.axes.get(AXIS) for cell in run.cells}) > 1


def compared(run: Run) -> dict[float, list[PlannedCell]]:
    """Margin to its planned cells: those that have, all else equal, a cell at every other margin.

    All else includes the seed. Where no setting has every margin, nothing is comparable.
    """
    planned: dict[tuple[Any, ...], dict[float, PlannedCell]] = defaultdict(dict)
    for cell in run.cells:
        # Not-a-number, which a csv has for None, would differ from itself.
        others = (
            None if pd.isna(value) else value for axis, value in cell.axes.items() if axis != AXIS
        )
        planned[tuple(others)][cell.number(AXIS)] = cell
    margins = sorted({cell.number(AXIS) for cell in run.cells})
    whole = [by_margin for by_margin in planned.values() if len(by_margin) == len(margins)]
    return {margin: [by_margin[margin] for by_margin in whole] for margin in margins if whole}


def margins(found: Overview) -> pd.DataFrame:
    """`margins.csv`: a row a margin, from the lowest; none where nothing is comparable.

    Columns are `margin`; `cells` and `seeds` at hand, and as `_planned`; `dev_reranked`, the mean
    over seeds, and `dev_reranked_sd`; `DISTANCES` at the best epoch, averaged over cells; `picked`;
    and `test_reranked`, of the picked one alone. What lacks a planned cell is not-a-number.
    """
    groups = compared(found.run)
    rows = [_row(found, margin, cells) for margin, cells in groups.items()]
    table = pd.DataFrame(rows, columns=COLUMNS)
    chosen = pick(table)
    table["picked"] = table["margin"] == chosen
    if chosen is not None and "test" in found.run.held_out:
        test = _by_seed(found, groups[chosen], TEST).mean()
        table.loc[table["picked"], TEST] = test
    return table


def pick(table: pd.DataFrame) -> float | None:
    """The margin with the highest dev mean; of equals the nearest to 1.0, then the lower."""
    whole = table[table[DEV].notna()]
    # Rounded, because what ties must not be told apart by the order in which it was added up.
    order = sorted(
        (-round(dev, 9), round(abs(margin - DEFAULT), 9), margin)
        for margin, dev in zip(whole["margin"].tolist(), whole[DEV].tolist(), strict=True)
    )
    return order[0][-1] if order else None


def _row(found: Overview, margin: float, cells: Sequence[PlannedCell]) -> dict[str, Any]:
    there = [cell for cell in cells if cell.name in found.systems.index]
    row: dict[str, Any] = {"margin": margin}
    for name, some in (("", there), ("_planned", cells)):
        row |= {f"cells{name}": len(some), f"seeds{name}": len({c.axes["seed"] for c in some})}
    if len(there) == len(cells):
        spread = over_seeds(_by_seed(found, cells, DEV))
        row |= {DEV: spread.mean, f"{DEV}_sd": spread.sd}
        means = np.mean([_distances(cell) for cell in cells], axis=0)
        row |= dict(zip(DISTANCES, means, strict=True))
    return row


def _by_seed(found: Overview, cells: Sequence[PlannedCell], figure: str) -> Values:
    """(seeds,) a figure, averaged over the cells of each seed; not-a-number where one has none."""
    figures = found.systems[figure].to_dict()
    values = defaultdict(list)
    for cell in cells:
        values[cell.axes["seed"]].append(figures[cell.name])
    return np.array([np.mean(of_seed) for of_seed in values.values()])


def _distances(cell: PlannedCell) -> list[float]:
    """`DISTANCES` at the cell's best epoch; not-a-number where no epoch ended."""
    best = cell.outcome().best_epoch
    for record in cell.epochs():
        if record.epoch == best:
            dev = record.distances["dev"]
            values = [
                getattr(getattr(dev, kind), part)
                for kind, part in (name.split("_") for name in DISTANCES)
            ]
            return [math.nan if value is None else value for value in values]
    return [math.nan] * len(DISTANCES)
