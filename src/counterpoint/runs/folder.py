"""A run's folder: the planned cells and the baselines, as far as they have come."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from counterpoint.errors import InputError

AXES = ("fusion", "head", "decrease_rate", "initial_random_rate", "seed")
"""The axes that every table has, whatever others a matrix adds."""

Status = Literal["done", "diverged", "failed", "missing"]


@dataclass(frozen=True)
class CellResult:
    """What a planned cell has left so far."""

    name: str
    axes: dict[str, Any]
    folder: Path
    status: Status
    reason: str = ""

    def read_json(self, name: str) -> dict[str, Any]:
        """One of the JSON files that a finished cell leaves."""
        values: dict[str, Any] = json.loads((self.folder / name).read_text(encoding="utf-8"))
        return values


@dataclass(frozen=True)
class Run:
    """A run's planned cells and its baselines, as far as they have come."""

    folder: Path
    cells: list[CellResult]
    baselines: dict[str, Path]
    """Name to records."""
    held_out: tuple[str, ...]
    """The roles whose queries differ: `dev`, and `test` unless it is the same folder."""

    def with_status(self, *status: Status) -> list[CellResult]:
        """The cells in one of some states."""
        return [cell for cell in self.cells if cell.status in status]


def find_run(results: Path = Path("results")) -> Path:
    """The folder of the only run there is.

    Raises:
        InputError: there is no run, or more than one.
    """
    found = sorted(path.parent for path in results.glob("*/matrix.csv"))
    if len(found) != 1:
        names = ", ".join(str(path) for path in found) or "none"
        raise InputError(
            f"{results.absolute()}: expected one run (a folder with a matrix.csv), found {names}; "
            "name the run with --run"
        )
    return found[0]


def read_run(folder: Path) -> Run:
    """Look at what a run has left.

    Raises:
        InputError: there is no `matrix.csv`.
    """
    path = folder / "matrix.csv"
    if not path.is_file():
        raise InputError(f"{path}: no such file; run `snakemake tables`, or `counterpoint matrix`")
    matrix = pd.read_csv(path, dtype={"options": str})
    axes = [column for column in matrix.columns if column not in ("cell", "options")]
    cells = [
        _cell(folder, str(row["cell"]), {axis: row[axis] for axis in axes})
        for _, row in matrix.iterrows()
    ]
    planned = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    paths = {name: folder / "baselines" / name / "records.parquet" for name in planned["baselines"]}
    baselines = {name: path for name, path in paths.items() if path.is_file()}
    splits = planned["corpus"]["splits"]
    held_out = ("dev",) if splits["dev"] == splits["test"] else ("dev", "test")
    return Run(folder=folder, cells=cells, baselines=baselines, held_out=held_out)


def _cell(folder: Path, name: str, axes: dict[str, Any]) -> CellResult:
    own = folder / "cells" / name
    failure = folder / "state" / name / "failure.json"
    if (own / "outcome.json").is_file() and (own / "records.parquet").is_file():
        outcome = json.loads((own / "outcome.json").read_text(encoding="utf-8"))
        status: Status = "diverged" if outcome["status"] == "diverged" else "done"
        return CellResult(name, axes, own, status, outcome["reason"])
    if failure.is_file():
        reason = json.loads(failure.read_text(encoding="utf-8"))["reason"]
        return CellResult(name, axes, own, "failed", str(reason))
    return CellResult(name, axes, own, "missing", "not trained yet, or killed")


def systems_of(run: Run) -> dict[str, Path]:
    """The records of every system that has some: a cell by its name, `baseline/NAME`."""
    cells = run.with_status("done", "diverged")
    return {
        **{cell.name: cell.folder / "records.parquet" for cell in cells},
        **{f"baseline/{name}": path for name, path in run.baselines.items()},
    }


def extra_axes(run: Run) -> list[str]:
    """The axes that this run's matrix adds to those of every matrix."""
    return [axis for axis in (run.cells[0].axes if run.cells else {}) if axis not in AXES]


def setting_of(cell: CellResult) -> tuple[Any, ...]:
    """What a cell shares with its other seeds: the value of every axis but that, hashable."""
    # Not-a-number, which a csv has for None, would differ from itself.
    values = (value for axis, value in cell.axes.items() if axis != "seed")
    return tuple(None if pd.isna(value) else value for value in values)
