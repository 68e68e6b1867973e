"""A system's scores, each with its interval, from its per-query records."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from counterpoint.evaluation.metrics import Values, metrics
from counterpoint.evaluation.records import STAGES, by_task, gold_ranks
from counterpoint.evaluation.statistics import Bootstrap


def select(table: pd.DataFrame, **where: str) -> pd.DataFrame:
    """The rows of some scores or query results, such as `select(scores, split="dev", task="epa")`.

    Args:
        table: records, or the tidy table of scores.
        where: column to the value that is wanted.
    """
    chosen = np.ones(len(table), dtype=bool)
    for column, value in where.items():
        chosen &= (table[column] == value).to_numpy(dtype=bool)
    return table[chosen]


@dataclass(frozen=True)
class Score:
    """One metric of one system on one task."""

    split: str
    protocol: str
    task: str
    stage: str
    metric: str
    value: float
    n: int
    """Number of queries."""
    low: float
    """Of the 95 % interval of a bootstrap over debates."""
    high: float


class Scoring:
    """Scores systems one after another; what is alike in them is resampled once.

    Args:
        debates: of every query, by its id.
        top_k: see `metrics.metrics`.
    """

    def __init__(self, debates: Mapping[str, str], top_k: Sequence[int] = (1,)) -> None:
        self._debates = debates
        self._metrics = metrics(top_k)
        self._bootstraps: dict[bytes, Bootstrap] = {}

    def scores(self, records: pd.DataFrame) -> list[Score]:
        """Every score of one system: one a split, protocol, task, stage and metric.

        Args:
            records: as `records.read_records` gives them.
        """
        stages = ["retrieval"] if records["reranked"].isna().all() else list(STAGES)
        of_all: dict[tuple[str, str], Values] = {}
        for stage in stages:
            ranks = gold_ranks(records, stage)
            of_all |= {(stage, name): metric(ranks) for name, metric in self._metrics.items()}
        ids = records["query"].to_numpy(dtype=object)
        where: list[tuple[str, str, str, str, str]] = []
        values: list[Values] = []
        alike: dict[bytes, list[int]] = {}
        for asked, rows in by_task(records).items():
            numbers = alike.setdefault(self._key(ids[rows].tolist()), [])
            for measured, column in of_all.items():
                numbers.append(len(where))
                where.append((*asked, *measured))
                values.append(column[rows])
        ends: dict[int, tuple[float, float]] = {}
        # All tasks at once: the bootstrap's matrix product is bound by reading the resamples. And
        # equal columns once: re-ranking ten leaves recall@10 as it is.
        for queries, numbers in alike.items():
            columns = {values[number].tobytes(): values[number] for number in numbers}
            low, high = self._bootstraps[queries].interval(np.stack(list(columns.values()), axis=1))
            intervals = dict(
                zip(columns, zip(low.tolist(), high.tolist(), strict=True), strict=True)
            )
            ends |= {number: intervals[values[number].tobytes()] for number in numbers}
        return [
            Score(*where[number], float(column.mean()), len(column), *ends[number])
            for number, column in enumerate(values)
        ]

    def _key(self, queries: list[str]) -> bytes:
        """Stands for some queries, whose debates' resamples are drawn once for all systems."""
        key = hashlib.sha256("\n".join(queries).encode("utf-8")).digest()
        if key not in self._bootstraps:
            self._bootstraps[key] = Bootstrap([self._debates[query] for query in queries])
        return key
