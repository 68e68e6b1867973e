"""Per-query results: what became of each query, written and read here alone."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from counterpoint.arrays import Floats, Ints
from counterpoint.errors import InputError
from counterpoint.evaluation.metrics import CUTOFF
from counterpoint.io.atomic import replacing
from counterpoint.tasks.candidates import CandidateSets

if TYPE_CHECKING:
    import pandas as pd


DEPTH = CUTOFF
"""How many of the nearest are recorded by default: what the metrics look at."""


@dataclass(frozen=True)
class QueryResults:
    """What became of each query of one task under one protocol.

    `queries` (n,) numbers them within their candidate sets, `golds` (n, G) are the rows of their
    golds, then -1. `ranks` and `reranked_ranks` (n, G) are the golds' ranks, ascending, counted
    from 1, then 0; `nearest` and `reordered` (n, depth) are rows of the sets before and after the
    second stage, -1 where there are fewer candidates. `nearest_scores` (n, depth) float32 are minus
    the distances, or a baseline's similarities; `reordered_scores` the classifier's probabilities
    of what it re-ordered, and the same for the rest. Without a second stage its arrays are None,
    and so are all scores where nobody asks for them.
    """

    task: str
    protocol: str
    queries: Ints
    golds: Ints
    candidates: Ints
    ranks: Ints
    nearest: Ints
    reranked_ranks: Ints | None = None
    reordered: Ints | None = None
    nearest_scores: Floats | None = None
    reordered_scores: Floats | None = None

    @property
    def rank(self) -> Ints:
        """(n,) the first stage's rank of each query's best gold."""
        return self.ranks[:, 0]

    @property
    def reranked(self) -> Ints | None:
        """(n,) the second stage's."""
        return None if self.reranked_ranks is None else self.reranked_ranks[:, 0]


def write_records(
    by_split: Mapping[str, tuple[CandidateSets, Iterable[QueryResults]]], path: str | Path
) -> None:
    """Write per-query records (parquet), one row a query, task, protocol and split.

    Columns: `split` (role), `protocol`, `task`, `query` (id), `candidates`, `rank` (of the best
    gold), `further_ranks` (of the others, ascending; null where there is one), `nearest` (ids),
    `nearest_scores` and, null for a system without a second stage, `reranked`, `further_reranked`,
    `reordered` (ids) and `reordered_scores`; see `QueryResults`.
    """
    import pyarrow.parquet as pq

    tables = [
        _table(split, sets, results)
        for split, (sets, several) in by_split.items()
        for results in several
    ]
    paths = [
        f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name
        for field in tables[0].schema
    ]
    with replacing(path) as temporary:
        # Bytes of floats that are alike stand together, which packs better.
        pq.write_table(
            pa.concat_tables(tables),
            temporary,
            compression="zstd",
            use_dictionary=[path for path in paths if path not in _SCORES_AT],
            use_byte_stream_split=_SCORES_AT,
        )


def _table(split: str, sets: CandidateSets, records: QueryResults) -> pa.Table:
    """The records of one task and protocol; see `write_records`."""
    ids = pa.array(sets.ids)
    n = len(records.queries)

    def named(rows: Ints) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(rows, pa.int32()), ids).cast(pa.string())

    def lists(rows: Ints) -> pa.Array:
        there = rows >= 0
        offsets = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), named(rows[there]))

    columns = {
        "split": pa.array([split] * n, pa.string()),
        "protocol": pa.array([records.protocol] * n, pa.string()),
        "task": pa.array([records.task] * n, pa.string()),
        "query": named(sets.pairs + records.queries),
        "candidates": pa.array(records.candidates, pa.int32()),
        "rank": pa.array(records.rank, pa.int32()),
        "further_ranks": _further(records.ranks),
        "nearest": lists(records.nearest),
        "nearest_scores": _score_lists(records.nearest, records.nearest_scores),
    }
    if records.reranked_ranks is None or records.reordered is None:
        nulls = {"reranked": pa.int32(), "further_reranked": _RANKS}
        nulls |= {"reordered": pa.list_(pa.string()), "reordered_scores": _SCORES}
        return pa.table(columns | {name: pa.nulls(n, kind) for name, kind in nulls.items()})
    second = {
        "reranked": pa.array(records.reranked, pa.int32()),
        "further_reranked": _further(records.reranked_ranks),
        "reordered": lists(records.reordered),
        "reordered_scores": _score_lists(records.reordered, records.reordered_scores),
    }
    return pa.table(columns | second)


_RANKS = pa.list_(pa.int32())
_SCORES = pa.list_(pa.float32())
_SCORES_AT = [f"{name}.list.element" for name in ("nearest_scores", "reordered_scores")]
"""Where parquet has them."""


def _score_lists(rows: Ints, scores: Floats | None) -> pa.Array:
    """(n, depth) scores as lists, as long as there are rows; null where there are none."""
    if scores is None:
        return pa.nulls(len(rows), _SCORES)
    there = rows >= 0
    offsets = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), pa.array(scores[there], pa.float32())
    )


def _further(ranks: Ints) -> pa.Array:
    """The ranks (n, G) after the first of each row; null where there is none."""
    rows = [row[row > 0].tolist() or None for row in ranks[:, 1:]] if ranks.shape[1] > 1 else None
    return pa.nulls(len(ranks), _RANKS) if rows is None else pa.array(rows, _RANKS)


STAGES = {"retrieval": "rank", "reranked": "reranked"}
"""Stage to the column of the records that has the rank of the best gold."""

FURTHER = {"retrieval": "further_ranks", "reranked": "further_reranked"}
"""Stage to the column of the records that has the other golds' ranks."""

KEYS = ["split", "protocol", "task"]
"""The columns of the records that say what a query was asked in."""

SPLITS = ("dev", "test")
"""The splits of the tables of settings."""

AGAIN = "delete its folder and run snakemake again"
"""What to do about a system's records that cannot be used."""


def read_records(path: Path) -> "pd.DataFrame":
    """The ranks of a system's records: a row a query, task, protocol and split.

    Raises:
        InputError: the file cannot be read, or a rank is missing or less than 1. (All of
            `reranked` is missing where a system has no second stage.)
    """
    # Imported here: a job writes records, reads none, and need not wait for it.
    import pandas as pd

    try:
        records = pd.read_parquet(
            path, columns=[*KEYS, "query", *STAGES.values(), *FURTHER.values()]
        )
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: not the records of a system ({error}); {AGAIN}") from error
    for column in STAGES.values():
        if column == "reranked" and records[column].isna().all():
            continue
        wrong = records[records[column].isna() | (records[column] < 1)]
        if len(wrong):
            row = wrong.iloc[0]
            raise InputError(
                f"{path}: {', '.join(row[key] for key in KEYS)}, query {row['query']}: {column} is "
                f"{row[column]}, and a rank is a whole number from 1; {AGAIN}"
            )
    return records


def gold_ranks(records: "pd.DataFrame", stage: str) -> Ints:
    """(n, G) int64: the golds' ranks of each query of some records, ascending, then 0."""
    best = records[STAGES[stage]].to_numpy(dtype=np.int64)[:, None]
    further = records[FURTHER[stage]]
    if further.isna().all():
        return best
    ranks = [[] if row is None else list(row) for row in further]
    padded = np.zeros((len(best), max(map(len, ranks))), dtype=np.int64)
    for place, row in enumerate(ranks):
        padded[place, : len(row)] = row
    return np.hstack([best, padded])


def by_task(records: "pd.DataFrame") -> dict[tuple[str, str, str], Ints]:
    """The rows of some records by split, protocol and task, in the order of the records."""
    numbers = records.groupby(KEYS, sort=False, observed=True).ngroup().to_numpy()
    names = records[KEYS].drop_duplicates().itertuples(index=False, name=None)
    ends = np.cumsum(np.bincount(numbers))[:-1]
    rows = np.split(np.argsort(numbers, kind="stable"), ends)
    return dict(zip(names, rows, strict=True)) if len(records) else {}


def require_same_queries(
    where: tuple[str, str, str],
    first: tuple[Path, Collection[str]],
    second: tuple[Path, Collection[str]],
) -> None:
    """See to it that two systems answer the same queries.

    Args:
        where: split, protocol and task.
        first: a system's records, and the ids of the queries that it answers there.
        second: the other's.

    Raises:
        InputError: they do not, or one of them answers a query twice.
    """
    for path, queries in (first, second):
        if len(set(queries)) < len(queries):
            twice = Counter(queries).most_common(1)[0][0]
            raise InputError(f"{path}: {', '.join(where)}: query {twice} stands twice; {AGAIN}")
    # Whoever answers fewer is the one to make again.
    (fewer, some), (more, others) = sorted((first, second), key=lambda system: len(system[1]))
    missing = sorted(set(others) - set(some))
    if missing:
        raise InputError(
            f"{fewer}: misses {len(missing)} of the {len(others)} queries that {more} answers "
            f"({', '.join(where)}), such as {missing[0]}; delete the former's folder and run "
            "snakemake again"
        )


class SameQueries:
    """Checks that all systems of a run answer the same queries, so that their figures compare.

    Train is left out, whose sample of queries is drawn by seed.
    """

    def __init__(self) -> None:
        self._first: dict[tuple[str, str, str], tuple[Path, set[str]]] = {}

    def check(self, path: Path, records: "pd.DataFrame") -> None:
        """Compare one more system's records with the first that were given.

        Raises:
            InputError: their queries differ, or one stands twice.
        """
        ids = records["query"].to_numpy(dtype=object)
        for where, rows in by_task(records).items():
            if where[0] not in SPLITS:
                continue
            queries = ids[rows].tolist()
            first = self._first.setdefault(where, (path, set(queries)))
            if len(queries) != len(first[1]) or set(queries) != first[1]:
                require_same_queries(where, first, (path, queries))
