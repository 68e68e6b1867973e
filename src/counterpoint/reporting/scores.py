"""The tidy table of scores behind `cells.csv`, and which system is meant by a name.

What is missing is named and never averaged over. Trains and evaluates nothing.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

from counterpoint.config.matrix import RECIPE, recipes
from counterpoint.corpus.arguments import read_debates
from counterpoint.errors import InputError
from counterpoint.evaluation.metrics import accuracy_at_1
from counterpoint.evaluation.records import FURTHER, KEYS, SameQueries, read_records
from counterpoint.evaluation.scoring import Scoring, select
from counterpoint.io.atomic import replacing
from counterpoint.runs.folder import AXES, PlannedCell, Run
from counterpoint.tasks.protocols import CLEAN, PROTOCOLS

SHOWN = tuple(
    sorted(PROTOCOLS, key=lambda name: (not PROTOCOLS[name].may_rank, PROTOCOLS[name].leaks))
)
"""The protocols as the tables show them: the one that ranks first, those that leak last."""


def all_scores(run: Run) -> pd.DataFrame:
    """The tidy table behind `cells.csv`: one row a score; cells, then recipes and baselines.

    The scores of a baseline that ties everywhere are not-a-number, and so are those of a second
    stage by protocols that do not ask it (`unasked`).

    Raises:
        InputError: records that cannot be used, or that lack a query which others have.
    """
    axes = {cell.name: cell.axes for cell in run.cells}
    systems = list(run.systems.items())
    # A run that has no results yet may have no corpus either.
    debates = read_debates(run.folder.arguments) if systems else {}
    scoring = Scoring(debates, run.config.evaluation.top_k)
    same = SameQueries()

    def measure(item: tuple[str, Path]) -> list[dict[str, Any]]:
        name, path = item
        records = read_records(path)
        same.check(path, records)
        kind = "cell" if name in axes else name.partition("/")[0]
        head = {"kind": kind, "cell": name, **axes.get(name, {})}
        return [{**head, **vars(score)} for score in scoring.scores(records)]

    # Most of the time goes into sorting resamples, where numpy lets other threads run.
    # The first one alone: the others are held against it, and share its resamples.
    rows = [row for item in systems[:1] for row in measure(item)]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        rows += [row for scores in threads.map(measure, systems[1:]) for row in scores]
    columns = ["kind", "cell", *AXES, *run.extra_axes, *KEYS]
    columns += ["stage", "metric", "value", "low", "high", "n"]
    table = pd.DataFrame(rows, columns=columns)
    leaking = table["protocol"].isin([name for name in SHOWN if PROTOCOLS[name].leaks])
    nobody_asked = leaking & table["cell"].isin(unasked(run)) & (table["stage"] == "reranked")
    table.loc[table["cell"].isin(run.tied) | nobody_asked, ["value", "low", "high"]] = np.nan
    # Without this a baseline's empty seed would turn the cells' seeds into 1.0.
    return table.astype({"seed": "Int64"})


def write_scores(run: Run) -> pd.DataFrame:
    """What `all_scores` gives, written as `cells.csv`; see `awaited_scores`."""
    with _making(run):
        table = all_scores(run)
        with replacing(run.folder.scores) as temporary:
            table.to_csv(temporary, index=False)
    return table


def awaited_scores(run: Run) -> pd.DataFrame:
    """What `current_scores` gives, once no other process is writing them any more."""
    with _making(run):
        return current_scores(run)


def _making(run: Run) -> FileLock:
    """Held by whoever computes the scores, so that two processes do not both do it."""
    run.folder.tables.mkdir(parents=True, exist_ok=True)
    return FileLock(run.folder.tables / ".scores.lock")


def read_scores(run: Run) -> pd.DataFrame:
    """What `all_scores` gave when the run's tables were written.

    Raises:
        InputError: there are none.
    """
    path = run.folder.scores
    if not path.is_file():
        raise InputError(f"{path}: no such file; run `counterpoint tables --run {run.folder.path}`")
    return pd.read_csv(path, dtype={"cell": str})


def current_scores(run: Run) -> pd.DataFrame:
    """What `all_scores` gives: read where that is written, or computed where it is behind."""
    return read_scores(run) if is_current(run) else all_scores(run)


def is_current(run: Run) -> bool:
    """Whether `cells.csv` holds every system that has records by now."""
    path, systems = run.folder.scores, run.systems
    if not path.is_file():
        return False
    written = path.stat().st_mtime_ns
    if any(records.stat().st_mtime_ns > written for records in systems.values()):
        return False
    return set(pd.read_csv(path, usecols=["cell"])["cell"]) == set(systems)


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


def is_shown(protocol: str, *, baseline: bool = False, first_stage: bool = False) -> bool:
    """Whether a score says anything: a protocol that leaks is about the second stage alone.

    Its first stage finds the query itself, which is among the candidates there.
    """
    return not (PROTOCOLS[protocol].leaks and (baseline or first_stage))


# --- the ceiling of re-ranking ---


def ceilings(run: Run, table: pd.DataFrame) -> pd.DataFrame:
    """What re-ranking can reach at most: accuracy@k of the first stage, k texts being re-ranked.

    That is recall@k where each query has one gold, as the tables call it.

    Args:
        run: whose.
        table: its scores.

    Returns:
        One row a system, split, protocol and task: `cell`, `KEYS` and `value`. A baseline, which
        re-ranks nothing, is taken at the k of the run's base options.
    """
    tens = select(table, stage="retrieval", metric="recall@10")
    k_of, base = reranked_by(run), run.config.evaluation.rerank
    tens = tens[tens["cell"].map(k_of).fillna(base) == 10]
    parts = [tens[["cell", *KEYS, "value"]]]
    several_golds = _several_golds(run)
    if several_golds:
        parts = []
    for name, path in run.systems.items():
        k = k_of.get(name, base)
        if k != 10 or several_golds:
            records = read_records(path)
            recall = (records["rank"] <= k).groupby([records[key] for key in KEYS], sort=False)
            parts.append(recall.mean().rename("value").reset_index().assign(cell=name))
    whole = pd.concat(parts, ignore_index=True)
    whole.loc[whole["cell"].isin(run.tied), "value"] = np.nan
    return whole


def _several_golds(run: Run) -> bool:
    """Whether any query has several golds, which all systems of a run ask alike."""
    first = next(iter(run.systems.values()), None)
    return first is not None and not read_records(first)[FURTHER["retrieval"]].isna().all()


def reranked_by(run: Run) -> dict[str, int]:
    """How many texts each cell and recipe re-ranks."""
    of_recipes = {cell.name: cell.options.rerank for cell in recipes(run.config, "config.json")}
    return {cell.name: reranked_texts(run, cell) for cell in run.cells} | of_recipes


def unasked(run: Run) -> set[str]:
    """The cells and recipes whose second stage a protocol that leaks cannot show the answer.

    They have none, or one that reads texts and not the gold's vector.
    """
    read = {cell.name for cell in run.cells if _kind(run, cell) == "cross_encoder"}
    read |= {cell.name for cell in recipes(run.config, "config.json") if cell.options.reads_pairs}
    return read | {name for name, k in reranked_by(run).items() if k == 1}


def _kind(run: Run, cell: PlannedCell) -> object:
    """The kind of a cell's second stage."""
    return cell.axes.get("reranker.kind", run.config.reranker.kind)


def reranked_texts(run: Run, cell: PlannedCell) -> int:
    """How many texts a cell re-ranks: one, which moves nobody, without a second stage."""
    kind = _kind(run, cell)
    weight, k = run.config.classifier_loss.weight, run.config.evaluation.rerank
    if "classifier_loss.weight" in cell.axes:
        weight = cell.number("classifier_loss.weight")
    if "evaluation.rerank" in cell.axes:
        k = int(cell.number("evaluation.rerank"))
    return k if kind == "cross_encoder" or (kind == "classifier" and weight > 0) else 1


def ceiling_k(run: Run) -> int | None:
    """The k of the ceilings, or None where cells differ in it."""
    several = {reranked_texts(run, cell) for cell in run.cells} or {run.config.evaluation.rerank}
    return several.pop() if len(several) == 1 else None


# --- which system ---


def best_cell(scores: Mapping[str, float]) -> str | None:
    """The cell that is called the best; the first of equals.

    Args:
        scores: cell to accuracy@1 on dev, `clean`, `epa`, re-ranked; only cells that have one.
    """
    return max(scores, key=lambda name: scores[name]) if scores else None


def best_of_run(run: Run) -> str | None:
    """The best cell, from the records and without the rest of the tables."""
    scores = {}
    same = SameQueries()
    for cell in run.trained:
        path = cell.folder.records
        records = select(read_records(path), split="dev", protocol=CLEAN.name, task="epa")
        same.check(path, records)
        if len(records) and records["reranked"].notna().all():
            ranks = records["reranked"].to_numpy(dtype=np.int64)
            scores[cell.name] = float(accuracy_at_1(ranks).mean())
    return best_cell(scores)


def records_of(run: Run, name: str) -> tuple[str, Path]:
    """The full name and the records of a system.

    A cell's name, `best`, `recipe/NAME` or `baseline/NAME`.

    Raises:
        InputError: the run has no such system, or no score to choose the best by.
    """
    if name == "best":
        best = best_of_run(run)
        if best is None:
            why = (
                "the dev split has no unseen query to choose by; name a cell"
                if run.trained
                else "no cell has been trained yet"
            )
            raise InputError(f"{run.folder.path}: best: {why}")
        name = best
    systems = run.systems
    if name not in systems:
        others = sorted(key for key in systems if key.startswith((RECIPE, "baseline/")))
        raise InputError(
            f"{run.folder.path}: {name!r} is no trained cell and no baseline of this run; "
            "expected a cell's name as in tables/cells.csv, or one of "
            f"{', '.join(['best', *others])}"
        )
    return name, systems[name]
