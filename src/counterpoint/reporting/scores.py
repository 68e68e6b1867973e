"""Records and logs to tidy tables, whatever of them there is. Trains and evaluates nothing.

A run's folder holds `matrix.csv` (the planned cells), `cells/CELL/` and `state/CELL/` for each
cell, and `baselines/NAME/`. What is missing is named and never averaged over.
"""

import os
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from counterpoint.corpus.arguments import read_debates
from counterpoint.evaluation.metrics import accuracy_at_1
from counterpoint.evaluation.records import (
    KEYS,
    SPLITS,
    STAGES,
    SameQueries,
    read_records,
)
from counterpoint.evaluation.scoring import Scoring
from counterpoint.evaluation.statistics import over_seeds
from counterpoint.runs.folder import AXES, PlannedCell, Run
from counterpoint.study import old_logs
from counterpoint.tasks.protocols import LEGACY

SHOWN = ("clean", "official", LEGACY.name)
"""The protocols as the tables show them: the one that ranks first, the one that leaks last."""


def all_figures(run: Run) -> pd.DataFrame:
    """The tidy table behind `cells.csv`: one row a figure, cells first, then baselines.

    Raises:
        InputError: records that cannot be used, or that lack a query which others have.
    """
    axes = {cell.name: cell.axes for cell in run.cells}
    scorer, same = Scoring(read_debates(run.folder.arguments)), SameQueries()

    def measure(item: tuple[str, Path]) -> list[dict[str, Any]]:
        name, path = item
        records = read_records(path)
        same.check(path, records)
        kind = "cell" if name in axes else "baseline"
        head = {"kind": kind, "cell": name, **axes.get(name, {})}
        return [{**head, **vars(score)} for score in scorer.scores(records)]

    # Most of the time goes into sorting resamples, where numpy lets other threads run.
    systems = list(run.systems.items())
    # The first one alone: the others are held against it, and share its resamples.
    rows = [row for item in systems[:1] for row in measure(item)]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        rows += [row for found in pool.map(measure, systems[1:]) for row in found]
    columns = ["kind", "cell", *AXES, *run.extra_axes, *KEYS]
    columns += ["stage", "metric", "value", "low", "high", "n"]
    table = pd.DataFrame(rows, columns=columns)
    # Without this a baseline's empty seed would turn the cells' seeds into 1.0.
    return table.astype({"seed": "Int64"})


def written_figures(run: Run) -> pd.DataFrame:
    """What `all_figures` gives: as `tables/cells.csv` has it, or computed where that is behind."""
    if not is_current(run):
        return all_figures(run)
    return pd.read_csv(run.folder.scores, dtype={"options": str})


def is_current(run: Run, *names: str) -> bool:
    """Whether `cells.csv` and some other tables hold every system that has records by now.

    And the imported logs, of which other tables tell.
    """
    paths = [run.folder.scores, *(run.folder.tables / name for name in names)]
    if not all(path.is_file() for path in paths):
        return False
    systems = run.systems
    written = min(path.stat().st_mtime_ns for path in paths)
    imported = old_logs.sources(run.folder.imported)
    if any(path.stat().st_mtime_ns > written for path in (*systems.values(), *imported)):
        return False
    return set(pd.read_csv(paths[0], usecols=["cell"])["cell"]) == set(systems)


def without_parts(run: Run, table: pd.DataFrame) -> pd.DataFrame:
    """A table of cells less those whose setting lacks a planned seed.

    A mean over fewer seeds than planned would hide the missing one.

    Args:
        run: whose cells they are.
        table: with a column `cell`; other systems than cells stay.
    """
    there = set(table["cell"])
    lacking = {cell.setting for cell in run.cells if cell.name not in there}
    out = {cell.name for cell in run.cells if cell.setting in lacking}
    return table[~table["cell"].isin(out)]


def figure_column(split: str, protocol: str, stage: str) -> str:
    """The column of `comparison.csv` with accuracy@1 on `epa`: `clean` goes without saying."""
    return f"{split}_{stage}" if protocol == "clean" else f"{split}_{protocol}_{stage}"


CLEAN = [
    figure_column(split, "clean", stage) for split in SPLITS for stage in ("reranked", "retrieval")
]
CEILINGS = [f"{split}_ceiling" for split in SPLITS]
"""recall@10 of the first stage, `clean`: what re-ranking ten can reach at most."""
OTHERS = [
    figure_column(split, protocol, stage)
    for protocol in SHOWN[1:]
    for split in SPLITS
    for stage in ("reranked", "retrieval")
]
FIGURES = [*CLEAN, *CEILINGS, *OTHERS]
"""The figures of a system in the tables of settings, all on `epa`."""


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """One row a system: `FIGURES`, of those in `all_figures`.

    The index is the system's name; columns are `kind`, the axes, and the figures; missing figures
    are not-a-number.
    """
    axes = [
        column for column in table.columns[: table.columns.get_loc("split")] if column != "cell"
    ]
    systems = table.drop_duplicates("cell").set_index("cell")[axes]
    epa = table[table["task"] == "epa"]

    def values(split: str, protocol: str, stage: str, metric: str) -> "pd.Series[float]":
        chosen = (epa["split"] == split) & (epa["protocol"] == protocol)
        chosen &= (epa["stage"] == stage) & (epa["metric"] == metric)
        return epa[chosen].set_index("cell")["value"].astype(float)

    for split in SPLITS:
        for protocol in SHOWN:
            for stage in STAGES:
                column = figure_column(split, protocol, stage)
                systems[column] = values(split, protocol, stage, "accuracy@1")
        systems[f"{split}_ceiling"] = values(split, "clean", "retrieval", "recall@10")
    return systems


def best_cell(systems: pd.DataFrame) -> str | None:
    """The cell with the highest dev figure (`clean`, `epa`, re-ranked); the first of equals."""
    cells = systems[systems["kind"] == "cell"]["dev_reranked"].dropna()
    return None if cells.empty else str(cells.idxmax())


def best_of_run(run: Run) -> str | None:
    """The same from the records, without the rest of the tables."""
    figures = {}
    same = SameQueries()
    for cell in run.with_status("done", "diverged"):
        path = cell.folder.records
        records = read_records(path)
        chosen = records[(records["split"] == "dev") & (records["task"] == "epa")]
        chosen = chosen[chosen["protocol"] == "clean"]
        same.check(path, chosen)
        if len(chosen) and chosen["reranked"].notna().all():
            ranks = chosen["reranked"].to_numpy(dtype=np.int64)
            figures[cell.name] = float(accuracy_at_1(ranks).mean())
    return max(figures, key=lambda name: figures[name]) if figures else None


def settings(run: Run, systems: pd.DataFrame) -> pd.DataFrame:
    """Cells averaged over their seeds: one row a setting that has any.

    Columns are the axes but `seed`; of each of `FIGURES` its mean, and as `FIGURE_sd`, `_low` and
    `_high` what `metrics.over_seeds` says of its spread, not-a-number where a planned seed is
    missing; `seeds`, how many there are, and `seeds_planned`; and `cells`, their names.
    """
    planned = Counter(cell.setting for cell in run.cells)
    found: dict[tuple[Any, ...], list[PlannedCell]] = {}
    for cell in run.cells:
        if cell.name in systems.index:
            found.setdefault(cell.setting, []).append(cell)
    axes = [axis for axis in (*AXES, *run.extra_axes) if axis != "seed"]
    rows = []
    for setting, cells in found.items():
        names = [cell.name for cell in cells]
        row: dict[str, Any] = {axis: cells[0].axes[axis] for axis in axes}
        row |= {"seeds": len(cells), "seeds_planned": planned[setting], "cells": names}
        for figure in FIGURES:
            values = systems.loc[names, figure].dropna().to_numpy(dtype=np.float64)
            # A mean over fewer seeds than planned would hide the missing one.
            if len(values) == planned[setting]:
                spread = over_seeds(values)
                row |= {figure: spread.mean, f"{figure}_sd": spread.sd}
                row |= {f"{figure}_low": spread.low, f"{figure}_high": spread.high}
        rows.append(row)
    spreads = [f"{figure}_{part}" for figure in FIGURES for part in ("sd", "low", "high")]
    columns = [*axes, *FIGURES, "seeds", "seeds_planned", *spreads, "cells"]
    return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True)
class Overview:
    """What the tables of a run are written from."""

    run: Run
    figures: pd.DataFrame
    """As `all_figures` gives them."""
    systems: pd.DataFrame
    """As `headline` gives them."""
    settings: pd.DataFrame
    """As `settings` gives them."""
    best: str | None
    """The best cell's name."""
    all_seen: list[str]
    """The corpus's folders of dev and test none of whose queries is unseen."""

    @property
    def baselines(self) -> pd.DataFrame:
        """The rows of `systems` that are no cells."""
        return self.systems[self.systems["kind"] == "baseline"]


def overview(run: Run) -> Overview:
    """Everything that the tables of a run show.

    Raises:
        InputError: records that cannot be used, or that lack a query which others have.
    """
    figures = all_figures(run)
    systems = headline(figures)
    return Overview(
        run=run,
        figures=figures,
        systems=systems,
        settings=settings(run, systems),
        best=best_cell(systems),
        all_seen=_all_seen(run, figures),
    )


def _all_seen(run: Run, figures: pd.DataFrame) -> list[str]:
    folders: dict[str, None] = {}
    for split in SPLITS:
        rows = figures[figures["split"] == split]
        if len(rows) and "clean" not in set(rows["protocol"]):
            records = read_records(run.systems[rows["cell"].iloc[0]])
            query = records[records["split"] == split]["query"].iloc[0]
            folders[query.split("/")[0]] = None
    return list(folders)


def comparison_csv(overview: Overview) -> pd.DataFrame:
    """`comparison.csv`: a row a setting, then a row a baseline."""
    rows = overview.settings.assign(
        kind="cell",
        system="",
        best=[overview.best in cells for cells in overview.settings["cells"]],
    )
    baselines = overview.baselines
    below = baselines.assign(system=baselines.index, best=False)
    frames = [frame for frame in (rows, below) if not frame.empty]
    axes = [axis for axis in (*AXES, *overview.run.extra_axes) if axis != "seed"]
    spreads = [f"{figure}_{part}" for figure in CLEAN for part in ("sd", "low", "high")]
    columns = ["kind", "system", *axes, *CLEAN, "seeds", "best", "seeds_planned"]
    columns += [*CEILINGS, *spreads, *OTHERS]
    return pd.concat(frames or [rows], ignore_index=True).reindex(columns=columns)


def curves(run: Run) -> pd.DataFrame:
    """Every epoch of every cell and imported log: accuracy@1 on `epa`, re-ranked.

    One row a cell, epoch and split: cells' train split under `official`, their dev and test under
    `clean`. An imported log is `imported/NAME`, without axes, under `legacy`.
    """
    rows = []
    for cell in run.with_status("done", "diverged"):
        for record in cell.epochs():
            for split, protocols in record.accuracy.items():
                protocol = "official" if split == "train" else "clean"
                if protocol in protocols:
                    row = {"cell": cell.name, **cell.axes, "epoch": record.epoch}
                    value = protocols[protocol].reranked
                    rows.append({**row, "split": split, "protocol": protocol, "value": value})
    extra = [*AXES, *run.extra_axes]
    table = pd.DataFrame(rows, columns=["cell", *extra, "epoch", "split", "protocol", "value"])
    old = [
        {"cell": f"imported/{name}", "epoch": epoch.epoch, "split": split, "protocol": LEGACY.name}
        | {"value": value}
        for name, epochs in imported_logs(run).items()
        for epoch in epochs
        for split, value in epoch.accuracy.items()
    ]
    if not old:
        return table
    # Without this the imported rows' empty fields would turn the axes' whole numbers into 1.0.
    whole = dict.fromkeys(table[extra].select_dtypes("integer"), "Int64")
    frames = [frame for frame in (table.astype(whole), pd.DataFrame(old)) if not frame.empty]
    return pd.concat(frames, ignore_index=True).reindex(columns=table.columns)


def ended(run: Run) -> set[tuple[str, str]]:
    """Fusion and head of which every planned cell has ended, well or not."""

    def pairs(cells: Iterable[PlannedCell]) -> set[tuple[str, str]]:
        return {(str(cell.axes["fusion"]), str(cell.axes["head"])) for cell in cells}

    over = ("done", "diverged")
    return pairs(run.cells) - pairs(cell for cell in run.cells if cell.status not in over)


def imported(run: Run) -> pd.DataFrame:
    """`imported.csv`: one row an imported log beside the run, all of them under `legacy`.

    Columns are `log`, `protocol`, `epochs`, and for train, dev and test `SPLIT_best` (a fraction),
    `SPLIT_best_epoch` and `SPLIT_last`, empty where the log lacks the split.
    """
    rows = []
    for name, epochs in imported_logs(run).items():
        row: dict[str, Any] = {"log": name, "protocol": LEGACY.name, "epochs": len(epochs)}
        for split, log in old_logs.summaries(epochs).items():
            row |= {f"{split}_best": log.best, f"{split}_best_epoch": log.best_epoch}
            row[f"{split}_last"] = log.last
        rows.append(row)
    of_split = ("best", "best_epoch", "last")
    figures = [f"{split}_{name}" for split in ("train", *SPLITS) for name in of_split]
    table = pd.DataFrame(rows, columns=["log", "protocol", "epochs", *figures])
    return table.astype({f"{split}_best_epoch": "Int64" for split in ("train", *SPLITS)})


def imported_logs(run: Run) -> dict[str, list[old_logs.OldEpoch]]:
    """Name to epochs of the old logs beside the run."""
    return old_logs.read_imported(run.folder.imported)
