"""Two systems of a run side by side: paired differences over debates, corrected over the table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from counterpoint.errors import InputError
from counterpoint.metrics import METRICS, Bootstrap, holm
from counterpoint.tables import Run, best_of_run, debate_of, read_records
from counterpoint.tasks import PROTOCOLS, TASKS


def records_of(run: Run, name: str) -> tuple[str, Path]:
    """The full name and the records of a system: a cell's name, `best`, or `baseline/NAME`.

    Raises:
        InputError: the run has no such system, or no figure to choose the best by.
    """
    if name == "best":
        found = best_of_run(run)
        if found is None:
            raise InputError(f"{run.folder}: best: no cell has been trained yet")
        name = found
    systems = {f"baseline/{baseline}": path for baseline, path in run.baselines.items()}
    for cell in run.with_status("done", "diverged"):
        systems[cell.name] = cell.folder / "records.parquet"
    if name not in systems:
        raise InputError(
            f"{run.folder}: {name!r} is no trained cell and no baseline of this run; expected a "
            f"cell's name as in tables/cells.csv, best, or one of "
            f"{', '.join(sorted(key for key in systems if key.startswith('baseline/')))}"
        )
    return name, systems[name]


def last_stage(records: pd.DataFrame) -> pd.Series:
    """(n,) the ranks that count: after re-ranking, or of the only stage there is."""
    return records["rank"] if records["reranked"].isna().all() else records["reranked"]


def compare(
    run: Run,
    first: str,
    second: str,
    *,
    metric: str = "accuracy@1",
    splits: Sequence[str] = ("dev", "test"),
    protocols: Sequence[str] = PROTOCOLS,
) -> list[dict[str, Any]]:
    """One row a split, protocol and task: both figures, the difference, its interval and p-value.

    The bootstrap is paired and over debates; p-values are Holm-corrected over the whole table.

    Raises:
        InputError: a system is not there, or the two do not answer the same queries.
    """
    names, tables = [], []
    for system in (first, second):
        name, path = records_of(run, system)
        records = read_records(path)
        names.append(name)
        tables.append(records.assign(ranks=last_stage(records)))
    rows: list[dict[str, Any]] = []
    for split in splits:
        for protocol in protocols:
            for task in TASKS:
                parts = [
                    part[
                        (part["split"] == split)
                        & (part["protocol"] == protocol)
                        & (part["task"] == task)
                    ]
                    for part in tables
                ]
                if all(part.empty for part in parts):
                    continue
                a, b = (part.set_index("query")["ranks"] for part in parts)
                if sorted(a.index) != sorted(b.index):
                    raise InputError(
                        f"{run.folder}: {names[0]} and {names[1]} do not answer the same queries "
                        f"({split}, {protocol}, {task}: {len(a)} and {len(b)}); train or evaluate "
                        "the one that misses some again"
                    )
                rows.append(
                    {
                        "split": split,
                        "protocol": protocol,
                        "task": task,
                        "n": len(a),
                        **_difference(a, b.loc[a.index], metric),
                    }
                )
    for row, corrected in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = corrected
    return rows


def _difference(a: "pd.Series[Any]", b: "pd.Series[Any]", metric: str) -> dict[str, float]:
    values = [
        METRICS[metric](ranks.to_numpy(dtype=np.int64))[:, None].astype(np.float64)
        for ranks in (a, b)
    ]
    bootstrap = Bootstrap([debate_of(query) for query in a.index])
    low, high, p = bootstrap.difference(*values)
    return {
        "a": float(values[0].mean()),
        "b": float(values[1].mean()),
        "difference": float((values[0] - values[1]).mean()),
        "low": float(low[0]),
        "high": float(high[0]),
        "p": float(p[0]),
    }


def readable(rows: Sequence[dict[str, Any]]) -> list[dict[str, object]]:
    """The rows for a person: figures in %, the difference in points with its interval."""
    return [
        {
            **{key: row[key] for key in ("split", "protocol", "task", "n")},
            "A": f"{100 * row['a']:.1f}",
            "B": f"{100 * row['b']:.1f}",
            "A − B": f"{100 * row['difference']:+.1f}",
            "95 %": f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}",
            "p": f"{row['p']:.4f}",
            "p (Holm)": f"{row['p_holm']:.4f}",
        }
        for row in rows
    ]
