"""Records and logs to tables, whatever of them there is. Trains and evaluates nothing.

A run's folder holds `matrix.csv` (the planned cells), `cells/CELL/` and `state/CELL/` for each
cell, and `baselines/NAME/`. What is missing is named and never averaged over.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from counterpoint import runlog
from counterpoint.errors import InputError
from counterpoint.files import replacing, write_text
from counterpoint.formats import markdown_table
from counterpoint.metrics import METRICS, Bootstrap, accuracy_at_1
from counterpoint.tasks import LEGACY

AXES = ("fusion", "head", "decrease_rate", "initial_random_rate", "seed")
"""The axes that every table has, whatever others a matrix adds."""

STAGES = {"retrieval": "rank", "reranked": "reranked"}
"""Stage to the column of the records that has its ranks."""

Status = Literal["done", "diverged", "failed", "missing"]

MISSING_SHOWN = 5
"""How many cells that are not trained yet the summary names."""


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

    def with_status(self, *status: Status) -> list[CellResult]:
        """The cells in one of some states."""
        return [cell for cell in self.cells if cell.status in status]


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
    planned = json.loads((folder / "config.json").read_text(encoding="utf-8"))["baselines"]
    paths = {name: folder / "baselines" / name / "records.parquet" for name in planned}
    baselines = {name: path for name, path in paths.items() if path.is_file()}
    return Run(folder=folder, cells=cells, baselines=baselines)


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


class Figures:
    """Figures with intervals, from the per-query records of one system after another."""

    def __init__(self) -> None:
        self._bootstraps: dict[bytes, Bootstrap] = {}

    def of(self, records: pd.DataFrame) -> Iterator[dict[str, Any]]:
        """Every figure of one system: a row a split, protocol, task, stage and metric."""
        keys = ["split", "protocol", "task"]
        for (split, protocol, task), group in records.groupby(keys, sort=False, observed=True):
            stages = {
                stage: group[column].to_numpy(dtype=np.int64)
                for stage, column in STAGES.items()
                if not group[column].isna().any()
            }
            columns = [(stage, metric) for stage in stages for metric in METRICS]
            values = np.stack([METRICS[metric](stages[stage]) for stage, metric in columns], axis=1)
            low, high = self._bootstrap(group["query"].tolist()).interval(values)
            for place, (stage, metric) in enumerate(columns):
                yield {
                    "split": split,
                    "protocol": protocol,
                    "task": task,
                    "stage": stage,
                    "metric": metric,
                    "value": values[:, place].mean(),
                    "low": low[place],
                    "high": high[place],
                    "n": len(values),
                }

    def _bootstrap(self, queries: list[str]) -> Bootstrap:
        """The resamples of the debates of some queries, drawn once for all systems."""
        key = hashlib.sha256("\n".join(queries).encode("utf-8")).digest()
        if key not in self._bootstraps:
            self._bootstraps[key] = Bootstrap([debate_of(query) for query in queries])
        return self._bootstraps[key]


def debate_of(query: str) -> str:
    """The debate in a query's id: `SPLIT/THEME/DEBATE`."""
    return query.rsplit("/", 1)[0]


def read_records(path: Path) -> pd.DataFrame:
    """The ranks of a system's records."""
    columns = ["split", "protocol", "task", "query", "rank", "reranked"]
    return pd.read_parquet(path, columns=columns)


def all_figures(run: Run) -> pd.DataFrame:
    """The tidy table behind `cells.csv`: one row a figure, cells first, then baselines."""
    extra = [axis for axis in (run.cells[0].axes if run.cells else {}) if axis not in AXES]
    figures = Figures()
    rows = []
    for cell in run.with_status("done", "diverged"):
        head = {"kind": "cell", "cell": cell.name, **cell.axes}
        records = read_records(cell.folder / "records.parquet")
        rows += [{**head, **figure} for figure in figures.of(records)]
    for name, path in run.baselines.items():
        head = {"kind": "baseline", "cell": f"baseline/{name}"}
        rows += [{**head, **figure} for figure in figures.of(read_records(path))]
    order = [
        "kind",
        "cell",
        *AXES,
        *extra,
        "split",
        "protocol",
        "task",
        "stage",
        "metric",
        "value",
        "low",
        "high",
        "n",
    ]
    table = pd.DataFrame(rows, columns=order)
    # Without this a baseline's empty seed would turn the cells' seeds into 1.0.
    return table.astype({"seed": "Int64"})


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """One row a system: accuracy@1 on `epa`, `clean`, both stages, dev and test.

    The index is the system's name; columns are `kind`, the axes, and (split, stage) as
    `dev_reranked`; missing figures are not-a-number.
    """
    chosen = table[
        (table["task"] == "epa")
        & (table["protocol"] == "clean")
        & (table["metric"] == "accuracy@1")
    ]
    axes = [
        column for column in table.columns[: list(table.columns).index("split")] if column != "cell"
    ]
    systems = table.drop_duplicates("cell").set_index("cell")[axes]
    for split in ("dev", "test"):
        for stage in STAGES:
            part = chosen[(chosen["split"] == split) & (chosen["stage"] == stage)]
            systems[f"{split}_{stage}"] = part.set_index("cell")["value"]
    return systems


def best_cell(systems: pd.DataFrame) -> str | None:
    """The cell with the highest dev figure (`clean`, `epa`, re-ranked); the first of equals."""
    cells = systems[systems["kind"] == "cell"]["dev_reranked"].dropna()
    return None if cells.empty else str(cells.idxmax())


def best_of_run(run: Run) -> str | None:
    """The same from the records, without the rest of the tables."""
    figures = {}
    for cell in run.with_status("done", "diverged"):
        records = read_records(cell.folder / "records.parquet")
        chosen = records[(records["split"] == "dev") & (records["task"] == "epa")]
        ranks = chosen[chosen["protocol"] == "clean"]["reranked"].to_numpy(dtype=np.int64)
        if len(ranks):
            figures[cell.name] = float(accuracy_at_1(ranks).mean())
    return max(figures, key=lambda name: figures[name]) if figures else None


def write_tables(run: Run, folder: Path, decimals: int) -> str:
    """Write every table of a run; return the summary."""
    table = all_figures(run)
    systems = headline(table)
    best = best_cell(systems)
    with replacing(folder / "cells.csv") as temporary:
        table.to_csv(temporary, index=False)
    groups = _settings(systems)
    with replacing(folder / "comparison.csv") as temporary:
        _comparison_csv(groups, systems, best).to_csv(temporary, index=False)
    write_text(folder / "comparison.md", comparison(groups, systems, best, decimals))
    write_text(folder / "strategies.md", strategies(groups, decimals))
    write_text(folder / "protocols.md", protocols(table, best, decimals))
    text = summary(run, systems, best, decimals)
    write_text(folder / "summary.txt", text)
    return text


def percent(value: float, decimals: int) -> str:
    """A fraction as a percentage without its sign; a dash for what is missing."""
    return "–" if pd.isna(value) else f"{100 * value:.{decimals}f}"


FIGURES = ("dev_reranked", "dev_retrieval", "test_reranked", "test_retrieval")


def _settings(systems: pd.DataFrame) -> pd.DataFrame:
    """Cells averaged over their seeds: one row a setting, with the number of seeds."""
    cells = systems[systems["kind"] == "cell"].copy()
    axes = [column for column in cells.columns if column not in ("kind", "seed", *FIGURES)]
    cells["first"] = cells.index
    grouped = cells.groupby(axes, sort=False, dropna=False)
    means = grouped[list(FIGURES)].mean()
    # A mean over fewer seeds than there are cells would hide the missing one.
    means[grouped[list(FIGURES)].count().lt(grouped.size(), axis=0)] = np.nan
    means["seeds"] = grouped.size()
    means["cells"] = grouped["first"].agg(list)
    return means.reset_index()


def _comparison_csv(groups: pd.DataFrame, systems: pd.DataFrame, best: str | None) -> pd.DataFrame:
    rows = groups.assign(
        kind="cell", system="", best=[best in cells for cells in groups["cells"]]
    ).drop(columns="cells")
    baselines = systems[systems["kind"] == "baseline"]
    below = baselines.assign(system=baselines.index, best=False).drop(columns="seed")
    lead = ["kind", "system"]
    frames = [frame for frame in (rows, below) if not frame.empty]
    if not frames:
        return rows
    result = pd.concat(frames, ignore_index=True)
    return result[[*lead, *(column for column in result.columns if column not in lead)]]


def _extra_axes(groups: pd.DataFrame) -> list[str]:
    fixed = {*AXES, *FIGURES, "seeds", "cells"}
    return [column for column in groups.columns if column not in fixed]


def comparison(groups: pd.DataFrame, systems: pd.DataFrame, best: str | None, decimals: int) -> str:
    """`comparison.md`: fusion × head × rate for dev and test, the rest of the cells, baselines."""
    parts = [
        "# Comparison\n\nAccuracy@1 in % on `epa`, protocol `clean`, after re-ranking; mean over "
        "seeds where there are several. The best cell, chosen on dev, is bold.\n"
    ]
    extra = _extra_axes(groups)
    rest = []
    for key, group in groups.groupby(["initial_random_rate", *extra], sort=False, dropna=False):
        if group["decrease_rate"].nunique() < 2:
            rest.append(group)
            continue
        setting = ", ".join(
            f"{axis} {value}"
            for axis, value in zip(["initial random rate", *extra], key, strict=True)
        )
        for split in ("dev", "test"):
            parts.append(f"\n## {split}: fusion × head × decrease rate ({setting})\n\n")
            parts.append(markdown_table(_grid(group, f"{split}_reranked", best, decimals)))
    if rest:
        parts.append("\n## Further cells\n\n")
        parts.append(markdown_table(_listing(pd.concat(rest), extra, best, decimals)))
    baselines = systems[systems["kind"] == "baseline"]
    if not baselines.empty:
        rows = [
            {
                "baseline": str(name).removeprefix("baseline/"),
                "dev": percent(row["dev_retrieval"], decimals),
                "test": percent(row["test_retrieval"], decimals),
            }
            for name, row in baselines.iterrows()
        ]
        parts += ["\n## Baselines\n\n", markdown_table(rows)]
    return "".join(parts)


def _grid(
    group: pd.DataFrame, figure: str, best: str | None, decimals: int
) -> list[dict[str, object]]:
    rates = sorted(group["decrease_rate"].unique())
    rows: list[dict[str, object]] = []
    for (fusion, head), part in group.groupby(["fusion", "head"], sort=False):
        row: dict[str, object] = {"fusion": fusion, "head": head}
        for rate in rates:
            found = part[part["decrease_rate"] == rate]
            row[f"δ {rate:g}"] = (
                _marked(found.iloc[0], figure, best, decimals) if len(found) else "–"
            )
        rows.append(row)
    return rows


def _marked(row: "pd.Series[Any]", figure: str, best: str | None, decimals: int) -> str:
    text = percent(row[figure], decimals)
    return f"**{text}**" if best in row["cells"] else text


def _listing(
    group: pd.DataFrame, extra: list[str], best: str | None, decimals: int
) -> list[dict[str, object]]:
    return [
        {
            "fusion": row["fusion"],
            "head": row["head"],
            "r0": f"{row['initial_random_rate']:g}",
            "δ": f"{row['decrease_rate']:g}",
            **{axis: row[axis] for axis in extra},
            "dev": _marked(row, "dev_reranked", best, decimals),
            "test": _marked(row, "test_reranked", best, decimals),
        }
        for _, row in group.iterrows()
    ]


def strategy_name(initial: float, decrease: float) -> str:
    """The name of a schedule of random negatives."""
    if initial == 0:
        return "hard only"
    if decrease > 0:
        return "decreasing"
    return "purely random" if initial == 1 else "fixed"


def strategies(groups: pd.DataFrame, decimals: int) -> str:
    """`strategies.md`: schedules of random negatives side by side, fusions as columns.

    For each head that was trained with more than one initial rate, or for all where none was.
    """
    parts = [
        "# Strategies\n\nAccuracy@1 in % on `epa`, protocol `clean`, after re-ranking, as dev / "
        "test; r0 is the initial random rate, δ its decrease an epoch.\n"
    ]
    extra = _extra_axes(groups)
    by = groups.groupby(["head", *extra], sort=False, dropna=False)
    several = [key for key, part in by if part["initial_random_rate"].nunique() > 1]
    for key, part in by:
        if several and key not in several:
            continue
        names = [f"head {key[0]}", *(f"{a} {v}" for a, v in zip(extra, key[1:], strict=True))]
        parts.append(f"\n## {', '.join(names)}\n\n")
        fusions = list(dict.fromkeys(part["fusion"]))
        rows = []
        schedules = part.groupby(["initial_random_rate", "decrease_rate"])
        for (initial, decrease), same in schedules:
            row = {
                "strategy": strategy_name(float(str(initial)), float(str(decrease))),
                "r0": f"{initial:g}",
                "δ": f"{decrease:g}",
            }
            for fusion in fusions:
                found = same[same["fusion"] == fusion]
                row[fusion] = (
                    " / ".join(
                        percent(found.iloc[0][f"{split}_reranked"], decimals)
                        for split in ("dev", "test")
                    )
                    if len(found)
                    else "–"
                )
            rows.append(row)
        parts.append(markdown_table(rows))
    return "".join(parts)


def protocols(table: pd.DataFrame, best: str | None, decimals: int) -> str:
    """`protocols.md`: the best cell and the baselines under every protocol, with intervals."""
    chosen = table[(table["task"] == "epa") & (table["split"] != "train")]
    shown = [best, *dict.fromkeys(table[table["kind"] == "baseline"]["cell"])]
    rows = []
    for name, metric in (
        (name, metric) for name in shown for metric in ("accuracy@1", "recall@10")
    ):
        system = chosen[(chosen["cell"] == name) & (chosen["metric"] == metric)]
        for stage, figures in system.groupby("stage", sort=False):
            # Re-ranking the first ten moves nobody in or out of them.
            if metric == "recall@10" and stage == "reranked":
                continue
            row = {"system": name, "figure": f"{metric}, {stage}"}
            for _, figure in figures.iterrows():
                label = f"{figure['split']} {figure['protocol']}"
                label += " (leaks)" if figure["protocol"] == LEGACY else ""
                ends = (percent(figure[end], decimals) for end in ("low", "high"))
                row[label] = f"{percent(figure['value'], decimals)} ({'–'.join(ends)})"
            rows.append(row)
    head = (
        "# Protocols\n\nIn %, all points and counters of the split as candidates, with the 95 % "
        "interval of a bootstrap over debates. `official`: all queries. `clean`: queries unseen in "
        "training, copies of the query removed; what to believe. `legacy`: the seeds' evaluation, "
        "which shows the classifier the answer; its figure lies close to the recall@10 of the "
        "first stage, and nothing is ranked by it. recall@10 is the ceiling of re-ranking ten.\n\n"
    )
    return head + (markdown_table(rows) if rows else "")


def summary(run: Run, systems: pd.DataFrame, best: str | None, decimals: int) -> str:
    """The text printed at the end: what won, against what, what failed, and how long it took."""
    trained = run.with_status("done", "diverged")
    lines = [f"Run {run.folder.name}: {len(trained)} of {len(run.cells)} cells trained.", ""]
    rows = [
        (f"{name.removeprefix('baseline/')} (baseline)", name, "retrieval")
        for name in systems.index[systems["kind"] == "baseline"]
    ]
    if best is not None:
        lines += [f"Best cell on dev: {best}", ""]
        rows = [
            ("best cell, re-ranked", best, "reranked"),
            ("best cell, first stage", best, "retrieval"),
            *rows,
        ]
    if rows:
        lines += ["accuracy@1 in %, epa, clean        dev           test"]
    for label, name, stage in rows:
        dev, test = (
            percent(systems[f"{split}_{stage}"][name], decimals) for split in ("dev", "test")
        )
        lines.append(f"  {label:30} {dev:>7}        {test:>7}")
    lines.append("")
    for status in ("failed", "diverged", "missing"):
        found = run.with_status(status)
        if found:
            lines.append(f"{len(found)} cells {status}:")
            shown = MISSING_SHOWN if status == "missing" else len(found)
            lines += [f"  {cell.name}: {cell.reason}" for cell in found[:shown]]
            lines += [f"  … and {len(found) - shown} more"] if len(found) > shown else []
    lines += _facts(trained)
    return "\n".join(lines) + "\n"


def _facts(trained: list[CellResult]) -> list[str]:
    if not trained:
        return []
    lines = []
    codes = {cell.read_json("provenance.json")["code"] for cell in trained}
    if len(codes) > 1:
        lines.append(
            f"Warning: the cells were trained by {len(codes)} different states of the code; to "
            "make them comparable, train all again (snakemake --forcerun cell)."
        )
    seconds = [cell.read_json("seconds.json") for cell in trained]
    total = sum(float(item["total"]) for item in seconds)
    started = min(datetime.fromisoformat(item["started"]) for item in seconds)
    ended = max(datetime.fromisoformat(item["ended"]) for item in seconds)
    wall = (ended - started).total_seconds()
    lines.append(
        f"Cells took {duration(total)} in all, {duration(wall)} from the first start to the last "
        "end."
    )
    return lines


def duration(seconds: float) -> str:
    """Seconds in words: `42 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def curves(run: Run) -> pd.DataFrame:
    """Every epoch of every cell: one row a cell, epoch and split; accuracy@1 on `epa`, re-ranked.

    The train split under `official`, dev and test under `clean`.
    """
    rows = []
    for cell in run.with_status("done", "diverged"):
        for record in runlog.read(cell.folder / "epochs.jsonl"):
            for split, protocols in record["accuracy"].items():
                protocol = "official" if split == "train" else "clean"
                if protocol in protocols:
                    value = protocols[protocol]["reranked"]
                    rows.append(
                        {
                            "cell": cell.name,
                            **cell.axes,
                            "epoch": record["epoch"],
                            "split": split,
                            "value": value,
                        }
                    )
    return pd.DataFrame(rows)
