"""Two systems of a run side by side: paired differences over debates, corrected over the table."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from counterpoint.corpus.arguments import read_debates
from counterpoint.errors import InputError
from counterpoint.evaluation.metrics import Ranks, Values, metric_named
from counterpoint.evaluation.records import (
    KEYS,
    gold_ranks,
    read_records,
    require_same_queries,
)
from counterpoint.evaluation.scoring import select
from counterpoint.evaluation.statistics import LEAST_SEEDS, Bootstrap, doubts, holm, over_seeds
from counterpoint.io.text import percent, signed
from counterpoint.reporting.scores import records_of
from counterpoint.runs.folder import Run
from counterpoint.tasks.candidates import TASKS
from counterpoint.tasks.protocols import CLEAN, WITH_TASKS

ByQuery = dict[tuple[str, str, str], pd.DataFrame]
"""Split, protocol and task to the ranks that count, by query: a column a gold."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two systems on one task: their scores, and the difference."""

    split: str
    protocol: str
    task: str
    n: int | None = None
    """Number of queries, where they are what is resampled."""
    seeds: int | None = None
    """Number of seeds, where they are the unit."""
    a: float
    b: float
    difference: float
    sd: float | None = None
    """Of the difference over seeds."""
    low: float
    high: float
    p: float
    p_holm: float = math.nan
    """Corrected over the whole table."""


def rows(comparisons: Sequence[Comparison]) -> list[dict[str, object]]:
    """The rows of a CSV file: what is None in the whole table has no column."""
    return [
        {name: value for name, value in vars(comparison).items() if value is not None}
        for comparison in comparisons
    ]


def last_stage(records: pd.DataFrame) -> str:
    """The stage whose ranks count: re-ranking, or the only one there is."""
    return "retrieval" if records["reranked"].isna().all() else "reranked"


def compare(
    run: Run,
    first: str,
    second: str,
    *,
    other: Run | None = None,
    metric: str = "accuracy@1",
    protocols: Sequence[str] = WITH_TASKS,
    tasks: Iterable[str] = TASKS,
) -> list[Comparison]:
    """One a split, protocol and task: both scores, the difference, its interval and p-value.

    The bootstrap is paired and over debates; p-values are Holm-corrected over the whole table. The
    second system is of another run where one is given.

    Raises:
        InputError: a system or metric is not there, a system ties everywhere, or the two do not
            answer the same queries.
    """
    measure = metric_named(metric)
    sides = [(run, *records_of(run, first)), (other or run, *records_of(other or run, second))]
    for of_run, name, _ in sides:
        for line in of_run.tied[name].told(name) if name in of_run.tied else ():
            raise InputError(f"{of_run.folder.path}: {line}")
    paths = [path for _, _, path in sides]
    both = [_ranks(path) for path in paths]
    debates = read_debates(run.folder.arguments)
    comparisons: list[Comparison] = []
    for where in itertools.product(run.held_out, protocols, tasks):
        parts = _same_queries(where, paths, both)
        if parts:
            a, b = (measure(part)[:, None] for part in parts)
            bootstrap = Bootstrap([debates[query] for query in both[0][where].index])
            low, high, p = (float(of_column[0]) for of_column in bootstrap.difference(a, b))
            comparisons.append(Comparison(**_of(where, a, b), n=len(a), low=low, high=high, p=p))
    return _corrected(comparisons)


def compare_over_seeds(
    run: Run,
    first: str,
    second: str,
    *,
    metric: str = "accuracy@1",
    protocols: Sequence[str] = WITH_TASKS,
) -> list[Comparison]:
    """The same for two settings, each named by any cell of it, with the seed as the unit.

    A setting is all trained cells that agree on every axis but the seed. Of the difference of the
    two scores at each shared seed there are mean, standard deviation, t interval and p-value.

    Raises:
        InputError: a cell is not there, two cells do not answer the same queries, or the settings
            share fewer than `LEAST_SEEDS` seeds.
    """
    measure = metric_named(metric)
    settings = [_seeds_of(run, system) for system in (first, second)]
    shared = _shared_seeds(run, *settings)
    paths = [setting[seed] for setting in settings for seed in shared]
    all_ranks = [_ranks(path) for path in paths]
    comparisons: list[Comparison] = []
    for where in itertools.product(run.held_out, protocols, TASKS):
        parts = _same_queries(where, paths, all_ranks)
        if parts:
            scores = np.array([measure(part).mean() for part in parts])
            a, b = scores[: len(shared)], scores[len(shared) :]
            _, sd, low, high, p = over_seeds(a - b)
            comparisons.append(
                Comparison(**_of(where, a, b), seeds=len(shared), sd=sd, low=low, high=high, p=p)
            )
    return _corrected(comparisons)


def _seeds_of(run: Run, name: str) -> dict[int, Path]:
    """Seed to records of the trained cells that agree with one on every axis but the seed."""
    name, _ = records_of(run, name)
    setting = {cell.setting for cell in run.trained if cell.name == name}
    if not setting:
        raise InputError(f"{run.folder.path}: {name} has no seeds; --over-seeds compares cells")
    paths = run.systems
    return {cell.seed: paths[cell.name] for cell in run.trained if cell.setting in setting}


def _shared_seeds(run: Run, first: dict[int, Path], second: dict[int, Path]) -> list[int]:
    shared = sorted(set(first) & set(second))
    if len(shared) < LEAST_SEEDS:
        a, b = (", ".join(str(seed) for seed in sorted(seeds)) for seeds in (first, second))
        raise InputError(
            f"{run.folder.path}: a comparison over seeds needs {LEAST_SEEDS} that both "
            f"settings are trained with, found A with seeds {a} and B with seeds {b}; add seeds "
            "to the matrix, or compare two cells without --over-seeds"
        )
    return shared


def _ranks(path: Path) -> ByQuery:
    records = read_records(path)
    stage = last_stage(records)
    return {
        (str(split), str(protocol), str(task)): pd.DataFrame(
            gold_ranks(group, stage), index=group["query"]
        )
        for (split, protocol, task), group in records.groupby(KEYS, sort=False, observed=True)
    }


def _same_queries(
    where: tuple[str, str, str], paths: Sequence[Path], ranks: Sequence[ByQuery]
) -> list[Ranks]:
    """(n, G) int64 of each system, of the same queries in the same order."""
    parts = [table.get(where, pd.DataFrame()) for table in ranks]
    if all(part.empty for part in parts):
        return []
    for path, part in zip(paths, parts, strict=True):
        require_same_queries(where, (paths[0], list(parts[0].index)), (path, list(part.index)))
    return [part.loc[parts[0].index].to_numpy(dtype=np.int64) for part in parts]


def _of(where: tuple[str, str, str], a: Values, b: Values) -> dict[str, Any]:
    means = {"a": float(a.mean()), "b": float(b.mean()), "difference": float((a - b).mean())}
    return {**dict(zip(KEYS, where, strict=True)), **means}


def _corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    corrected = holm([comparison.p for comparison in comparisons])
    return [
        replace(comparison, p_holm=p) for comparison, p in zip(comparisons, corrected, strict=True)
    ]


def notes(run: Run, names: Sequence[str], comparisons: Sequence[Comparison]) -> Iterator[str]:
    """What a reader must know: who `best` is, what has no score, what to doubt.

    Args:
        run: of the first system.
        names: of the systems as they were asked for.
        comparisons: of them.
    """
    if "best" in names:
        yield f"best: {records_of(run, 'best')[0]}"
    for split in run.held_out:
        if not any(one.split == split and one.protocol == CLEAN.name for one in comparisons):
            yield f"no unseen query in {split}: no clean score"
    debates = read_debates(run.folder.arguments)
    records = read_records(records_of(run, names[0])[1])
    for split in run.held_out:
        queries = select(records, split=split)["query"].unique()
        yield from doubts(split, len({debates[query] for query in queries}))


def readable(comparisons: Sequence[Comparison]) -> list[dict[str, object]]:
    """The rows for a person: scores in %, the difference in points with its interval."""
    return [
        {
            **{key: value for key, value in vars(one).items()
               if key in (*KEYS, "n", "seeds") and value is not None},
            "A": percent(one.a, 1),
            "B": percent(one.b, 1),
            "A − B": signed(100 * one.difference, 1),
            **({} if one.sd is None else {"sd": percent(one.sd, 1)}),
            "95 %": points(one),
            "p": f"{one.p:.4f}",
            "p (Holm)": f"{one.p_holm:.4f}",
        }
        for one in comparisons
    ]  # fmt: skip


def points(comparison: Comparison) -> str:
    """The interval of the difference, in points."""
    return f"{signed(100 * comparison.low, 1)} to {signed(100 * comparison.high, 1)}"
