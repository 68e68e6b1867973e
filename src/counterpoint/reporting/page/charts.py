"""What the script of the page reads; charts.js and its siblings say how."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from counterpoint.evaluation.records import KEYS, SPLITS
from counterpoint.evaluation.statistics import over_seeds
from counterpoint.reporting.imported import KIND, further, imported_logs
from counterpoint.reporting.page.contents import Contents
from counterpoint.reporting.page.names import short
from counterpoint.reporting.scores import SHOWN
from counterpoint.results.epoch_log import EpochRecord
from counterpoint.runs.folder import Value
from counterpoint.study.old_log import OldLog
from counterpoint.tasks.candidates import TASKS
from counterpoint.tasks.protocols import PROTOCOLS

SCALE = 10_000_000
"""Fractions, losses and rates are embedded as whole numbers of this part of one; with fewer digits
a score that is rounded again for show would differ from the tables."""

LOSSES = ("retrieval", "counter", "negative")
"""The terms of the loss, as the epoch log names them."""

Numbers = list[int | None]
"""In units of 1 / `SCALE`; None where there is none."""


def data(contents: Contents) -> Markup:
    """All of it, as JSON that may stand in the page."""
    return embedded(_values(contents))


def embedded(value: Any) -> Markup:
    """JSON that may stand in a script element: without `<` it can neither end nor open one."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _values(contents: Contents) -> dict[str, Any]:
    run, overview = contents.run, contents.overview
    systems: list[dict[str, Any]] = [
        {
            "label": contents.labels[cell.name],
            "status": cell.status,
            "at": [axis.values.index(cell.axes[axis.name]) for axis in contents.axes],
        }
        for cell in run.cells
    ]
    recipes = [recipe.name for recipe in run.trained_recipes]
    baselines = [f"baseline/{name}" for name in run.baselines]
    systems += [{"label": short(name), "status": "recipe"} for name in recipes]
    systems += [{"label": short(name), "status": "baseline"} for name in baselines]
    imported = _imported(contents)
    systems += imported
    names = [*(cell.name for cell in run.cells), *recipes, *baselines]
    names += [system["label"] for system in imported]
    settings = _settings(contents)
    where, columns = _scores(contents, names)
    return {
        "scale": SCALE,
        "decimals": contents.decimals,
        "axes": [asdict(axis) for axis in contents.axes],
        "systems": systems,
        "settings": settings,
        "best": _index(names, overview.best),
        "baseline": _index(names, overview.best_baseline),
        "held_out": list(run.held_out),
        "protocols": list(SHOWN),
        "leaks": [name for name in SHOWN if PROTOCOLS[name].leaks],
        "ceiling": overview.ceiling_name,
        "where": where,
        "n": _queries(_with_imported(contents), where),
        "scores": {name: _rows(values) for name, values in columns.items()},
        "means": _means(columns, settings),
        "curves": _curves(contents),
    }


def _index(names: Sequence[str], name: str | None) -> int | None:
    return None if name is None else names.index(name)


def _settings(contents: Contents) -> list[list[int]]:
    """Cells that differ in the seed alone, by their numbers; those with one seed left out."""
    groups: dict[tuple[Value, ...], list[int]] = {}
    for number, cell in enumerate(contents.run.cells):
        groups.setdefault(cell.setting, []).append(number)
    return [group for group in groups.values() if len(group) > 1]


def _scores(
    contents: Contents, names: Sequence[str]
) -> tuple[list[tuple[str, str, str]], dict[str, np.ndarray[Any, Any]]]:
    """Every split, protocol and task, and (places, systems) of each column of scores.

    `value` is accuracy@1 of the last stage, `first` of the first, with intervals; `ceiling` is what
    re-ranking can reach. A protocol that leaks has none of a first stage, nor of a baseline.
    """
    table, ceilings = _with_imported(contents), contents.overview.ceilings
    order: tuple[Sequence[str], ...] = (("train", *SPLITS), SHOWN, tuple(TASKS))
    where: list[tuple[str, str, str]] = sorted(
        table[KEYS].drop_duplicates().itertuples(index=False, name=None),
        key=lambda asked: [names.index(name) for name, names in zip(asked, order, strict=True)],
    )
    several = table.set_index(["stage", "metric", *KEYS, "cell"])[["value", "low", "high"]]
    several = several.sort_index()
    index = pd.MultiIndex.from_tuples(where, names=KEYS) if where else None

    def wide(values: "pd.Series[float]") -> pd.DataFrame:
        frame = values.unstack("cell") if len(values) else pd.DataFrame(index=index)
        return frame.reindex(index=index, columns=list(names)).astype(float)

    def of(stage: str, metric: str, column: str = "value") -> pd.DataFrame:
        try:
            return wide(several[column].loc[(stage, metric)])
        except KeyError:
            return wide(several[column].iloc[:0].droplevel(["stage", "metric"]))

    def last(metric: str, column: str = "value") -> pd.DataFrame:
        return of("reranked", metric, column).fillna(of("retrieval", metric, column))

    columns = {
        "value": last("accuracy@1"),
        "low": last("accuracy@1", "low"),
        "high": last("accuracy@1", "high"),
        "first": of("retrieval", "accuracy@1"),
        "first_low": of("retrieval", "accuracy@1", "low"),
        "first_high": of("retrieval", "accuracy@1", "high"),
        "ceiling": wide(ceilings.set_index([*KEYS, "cell"])["value"]),
        "mrr": last("mrr"),
        "ndcg": last("ndcg@10"),
    }
    arrays = {name: frame.to_numpy(copy=True) for name, frame in columns.items()}
    leaks = np.array([PROTOCOLS[protocol].leaks for _, protocol, _ in where], dtype=bool)
    baselines = np.array([name.startswith("baseline/") for name in names], dtype=bool)
    for name, values in arrays.items():
        values[np.ix_(leaks, baselines | name.startswith("first"))] = np.nan
    return where, arrays


def _imported(contents: Contents) -> list[dict[str, Any]]:
    """The imported logs that stand beside cells, with what they were given as axes."""
    names = [axis.name for axis in contents.axes]
    return [
        {
            "label": log.system,
            "status": KIND,
            "axes": {axis: of for axis, of in log.source.axes.items() if axis in names},
            "further": further(log, names),
            "asked": {
                f"{split} {log.source.protocol}": log.n(split) for split in log.epochs[0].accuracy
            },
        }
        for log in imported_logs(contents.run)
        if log.source.axes
    ]


def _with_imported(contents: Contents) -> pd.DataFrame:
    """The scores of the run's systems, then those of the imported logs that stand beside them."""
    frames = [contents.overview.scores, contents.overview.imported.drop(columns="further")]
    whole = [frame for frame in frames if not frame.empty]
    return pd.concat(whole, ignore_index=True) if whole else frames[0]


def _queries(table: pd.DataFrame, where: Sequence[tuple[str, str, str]]) -> list[int | None]:
    """How many queries are asked; an imported log is last, and may not know."""
    asked = table.groupby(KEYS)["n"].first()
    return [None if pd.isna(asked[task]) else int(asked[task]) for task in where]


def _means(
    columns: Mapping[str, np.ndarray[Any, Any]], settings: Sequence[Sequence[int]]
) -> dict[str, list[Numbers]]:
    """Place, then setting, to the mean over its seeds, with a t interval where they are enough.

    None where a planned seed is missing.
    """

    def over(values: np.ndarray[Any, Any]) -> list[list[tuple[float, float, float]]]:
        return [[_mean(row[group]) for group in settings] for row in values]

    accuracy = over(columns["value"])
    ends = {name: [[of[number] for of in row] for row in accuracy]
            for number, name in enumerate(("value", "low", "high"))}  # fmt: skip
    others = {
        name: [[of[0] for of in row] for row in over(columns[name])]
        for name in ("first", "ceiling", "mrr", "ndcg")
    }
    return {name: _rows(rows) for name, rows in {**ends, **others}.items()}


def _mean(values: np.ndarray[Any, Any]) -> tuple[float, float, float]:
    if np.isnan(values).any():
        return (np.nan, np.nan, np.nan)
    spread = over_seeds(values)
    return spread.mean, spread.low, spread.high


def _rows(rows: Iterable[Iterable[float]]) -> list[Numbers]:
    return [scaled(row) for row in rows]


def scaled(values: Iterable[float | None]) -> Numbers:
    """Fractions as whole numbers, which take less room; None where there is none."""
    return [
        None if value is None or math.isnan(value) else round(SCALE * value) for value in values
    ]


# --- epoch by epoch ---


def _curves(contents: Contents) -> list[dict[str, Any]]:
    """The epoch logs of cells, and imported ones."""
    run = contents.run
    curves = []
    for number, cell in enumerate(run.cells):
        if cell in run.trained and cell.folder.epochs.is_file():
            label = contents.labels[cell.name]
            label += " (diverged)" if cell.status == "diverged" else ""
            best = cell.outcome().best_epoch
            curves.append(
                {"label": label, "system": number, "best": best, **curve_of(cell.epochs())}
            )
    for log in imported_logs(run):
        label = f"{log.system} ({PROTOCOLS[log.source.protocol].label})"
        curves.append({"label": label, "system": None, "best": None, **_of_old_log(log)})
    return curves


def curve_of(records: Sequence[EpochRecord]) -> dict[str, Any]:
    """A cell's epoch log, in columns."""
    counts = [asdict(record.negatives) for record in records]
    return {
        "epochs": [record.epoch for record in records],
        "columns": _columns([_numbers(record) for record in records]),
        "negatives": {
            kind: [row[kind] for row in counts]
            for kind in (counts[0] if counts else ())
            if counts[0][kind] is not None
        },
    }


def _of_old_log(log: OldLog) -> dict[str, Any]:
    protocol = log.source.protocol
    rows = [
        {f"accuracy/{split}/{protocol}": value for split, value in epoch.accuracy.items()}
        for epoch in log.epochs
    ]
    return {
        "epochs": [epoch.epoch for epoch in log.epochs],
        "columns": _columns(rows),
        "negatives": {},
    }


def _columns(rows: Sequence[Mapping[str, float | None]]) -> dict[str, list[int | None]]:
    """Columns of an epoch log; those without any number are left out."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: scaled(row.get(name) for row in rows) for name in names}
    return {
        name: column
        for name, column in columns.items()
        if any(value is not None for value in column)
    }


def _numbers(record: EpochRecord) -> dict[str, float | None]:
    numbers: dict[str, float | None] = {"rate": record.random_rate}
    for split, protocols in record.accuracy.items():
        for protocol, scores in protocols.items():
            numbers[f"accuracy/{split}/{protocol}"] = scores.reranked
    for split, losses in record.losses.items():
        for kind in LOSSES:
            numbers[f"loss/{split}/{kind}"] = getattr(losses, kind)
    return numbers
