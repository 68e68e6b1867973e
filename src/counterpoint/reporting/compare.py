"""Two systems of a run side by side: paired differences over debates, corrected over the table."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from counterpoint.corpus.arguments import read_debates
from counterpoint.errors import InputError
from counterpoint.evaluation.metrics import METRICS, Ranks, Values
from counterpoint.evaluation.records import KEYS, read_records, require_same_queries
from counterpoint.evaluation.statistics import LEAST_SEEDS, Bootstrap, doubts, holm, over_seeds
from counterpoint.reporting.scores import best_of_run
from counterpoint.runs.folder import Run
from counterpoint.tasks.candidates import TASKS
from counterpoint.tasks.protocols import WITH_TASKS

ByQuery = dict[tuple[str, str, str], "pd.Series[Any]"]
"""Split, protocol and task to the ranks that count, by query."""


def records_of(run: Run, name: str) -> tuple[str, Path]:
    """The full name and the records of a system: a cell's name, `best`, or `baseline/NAME`.

    Raises:
        InputError: the run has no such system, or no figure to choose the best by.
    """
    if name == "best":
        found = best_of_run(run)
        if found is None:
            why = (
                "the dev split has no unseen query to choose by; name a cell"
                if run.with_status("done", "diverged")
                else "no cell has been trained yet"
            )
            raise InputError(f"{run.folder.path}: best: {why}")
        name = found
    systems = run.systems
    if name not in systems:
        baselines = sorted(key for key in systems if key.startswith("baseline/"))
        raise InputError(
            f"{run.folder.path}: {name!r} is no trained cell and no baseline of this run; "
            "expected a cell's name as in tables/cells.csv, or one of "
            f"{', '.join(['best', *baselines])}"
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
    other: Run | None = None,
    metric: str = "accuracy@1",
    protocols: Sequence[str] = WITH_TASKS,
    tasks: Sequence[str] = TASKS,
) -> list[dict[str, Any]]:
    """One row a split, protocol and task: both figures, the difference, its interval and p-value.

    The bootstrap is paired and over debates; p-values are Holm-corrected over the whole table. The
    second system is of another run where one is given.

    Raises:
        InputError: a system is not there, or the two do not answer the same queries.
    """
    paths = [records_of(run, first)[1], records_of(other or run, second)[1]]
    both = [_ranks(path) for path in paths]
    debates = read_debates(run.folder.arguments)
    rows: list[dict[str, Any]] = []
    for where in itertools.product(run.held_out, protocols, tasks):
        parts = _same_queries(where, paths, both)
        if parts:
            a, b = (METRICS[metric](part)[:, None] for part in parts)
            bootstrap = Bootstrap([debates[query] for query in both[0][where].index])
            low, high, p = (float(found[0]) for found in bootstrap.difference(a, b))
            rows.append(
                {
                    **dict(zip(KEYS, where, strict=True)),
                    "n": len(a),
                    **_means(a, b),
                    **{"low": low, "high": high, "p": p},
                }
            )
    return _corrected(rows)


def compare_over_seeds(
    run: Run,
    first: str,
    second: str,
    *,
    metric: str = "accuracy@1",
    protocols: Sequence[str] = WITH_TASKS,
) -> list[dict[str, Any]]:
    """The same for two settings, each named by any cell of it, with the seed as the unit.

    A setting is all trained cells that agree on every axis but the seed. Of the difference of the
    two figures at each shared seed there are mean, standard deviation, t interval and p-value.

    Raises:
        InputError: a cell is not there, two cells do not answer the same queries, or the settings
            share fewer than `LEAST_SEEDS` seeds.
    """
    settings = [_seeds_of(run, system) for system in (first, second)]
    shared = _shared_seeds(run, *settings)
    paths = [setting[seed] for setting in settings for seed in shared]
    all_ranks = [_ranks(path) for path in paths]
    rows: list[dict[str, Any]] = []
    for where in itertools.product(run.held_out, protocols, TASKS):
        parts = _same_queries(where, paths, all_ranks)
        if parts:
            figures = np.array([METRICS[metric](part).mean() for part in parts])
            a, b = figures[: len(shared)], figures[len(shared) :]
            _, sd, low, high, p = over_seeds(a - b)
            rows.append(
                {
                    **dict(zip(KEYS, where, strict=True)),
                    "seeds": len(shared),
                    **_means(a, b),
                    **{"sd": sd, "low": low, "high": high, "p": p},
                }
            )
    return _corrected(rows)


def _seeds_of(run: Run, name: str) -> dict[int, Path]:
    """Seed to records of the trained cells that agree with one on every axis but the seed."""
    name, _ = records_of(run, name)
    trained = run.with_status("done", "diverged")
    setting = {cell.setting for cell in trained if cell.name == name}
    if not setting:
        raise InputError(f"{run.folder.path}: {name} has no seeds; --over-seeds compares cells")
    paths = run.systems
    return {cell.seed: paths[cell.name] for cell in trained if cell.setting in setting}


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
    records = records.assign(ranks=last_stage(records))
    return {
        (str(split), str(protocol), str(task)): group.set_index("query")["ranks"]
        for (split, protocol, task), group in records.groupby(KEYS, sort=False, observed=True)
    }


def _same_queries(
    where: tuple[str, str, str], paths: Sequence[Path], ranks: Sequence[ByQuery]
) -> list[Ranks]:
    """(n,) int64 of each system, of the same queries in the same order; none where none has any."""
    parts = [table.get(where, pd.Series(dtype=np.int64)) for table in ranks]
    if all(part.empty for part in parts):
        return []
    for path, part in zip(paths, parts, strict=True):
        require_same_queries(where, (paths[0], list(parts[0].index)), (path, list(part.index)))
    return [part.loc[parts[0].index].to_numpy(dtype=np.int64) for part in parts]


def _means(a: Values, b: Values) -> dict[str, float]:
    return {"a": float(a.mean()), "b": float(b.mean()), "difference": float((a - b).mean())}


def _corrected(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    corrected = holm([row["p"] for row in rows])
    return [{**row, "p_holm": p} for row, p in zip(rows, corrected, strict=True)]


def notes(run: Run, names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What a reader of the rows must know: who `best` is, what has no figure, what to doubt.

    Args:
        run: of the first system.
        names: of the systems as they were asked for.
        rows: as `compare` gives them.
    """
    if "best" in names:
        yield f"best: {records_of(run, 'best')[0]}"
    for split in run.held_out:
        if not any(row["split"] == split and row["protocol"] == "clean" for row in rows):
            yield f"no unseen query in {split}: no clean figure"
    debates = read_debates(run.folder.arguments)
    queries = read_records(records_of(run, names[0])[1])
    for split in run.held_out:
        own = queries.loc[queries["split"] == split, "query"].unique()
        yield from doubts(split, len({debates[query] for query in own}))


def readable(rows: Sequence[dict[str, Any]]) -> list[dict[str, object]]:
    """The rows for a person: figures in %, the difference in points with its interval."""
    return [
        {
            **{key: row[key] for key in (*KEYS, "n", "seeds") if key in row},
            "A": f"{100 * row['a']:.1f}",
            "B": f"{100 * row['b']:.1f}",
            "A − B": f"{100 * row['difference']:+.1f}",
            **({"sd": f"{100 * row['sd']:.1f}"} if "sd" in row else {}),
            "95 %": f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}",
            "p": f"{row['p']:.4f}",
            "p (Holm)": f"{row['p_holm']:.4f}",
        }
        for row in rows
    ]
