"""Queries that the best cell answers, and that it fails."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from counterpoint.corpus.arguments import Argument, read_arguments
from counterpoint.io.rng import generator
from counterpoint.reporting.page.contents import Contents
from counterpoint.tasks.protocols import CLEAN

QUERIES_SHOWN = 10
"""How many of each are shown."""


@dataclass(frozen=True)
class Query:
    """A query, and what the best cell answers."""

    point: Argument
    golds: tuple[Argument, ...]
    """Its counters."""
    chosen: Argument
    rank: int
    """Of the best gold, first stage."""
    reranked: int
    candidates: int

    @property
    def relation(self) -> str:
        """What the chosen text is to the query."""
        where = "another debate" if self.chosen.debate != self.point.debate else "the same debate"
        if where == "the same debate":
            answers = self.chosen.kind == "counter"
            agrees = (self.chosen.side == self.point.side) != answers
            stance = "on the query's own side" if agrees else "on the opposing side"
            return f"a {self.chosen.kind} of the same debate, {stance}"
        return f"a {self.chosen.kind} of another debate"


def queries(contents: Contents) -> dict[str, list[Query]]:
    """Queries drawn at random from those that the best cell answers, and from those it fails.

    `clean`, `epa`; nothing where there is no best cell or no table of the corpus.
    """
    run, best = contents.run, contents.overview.best
    arguments = run.folder.arguments
    if best is None or not arguments.is_file():
        return {}
    texts = read_arguments(arguments).arguments
    by_id = {argument.id: argument for argument in texts}
    counters: dict[str, list[Argument]] = {}
    for argument in texts:
        if argument.kind == "counter":
            counters.setdefault(argument.pair, []).append(argument)
    wanted = [
        ("task", "==", "epa"),
        ("protocol", "==", CLEAN.name),
        ("split", "==", contents.asked),
    ]
    records = pd.read_parquet(run.systems[best], filters=wanted)
    records = records.sort_values("query", ignore_index=True)
    rng = generator(0, -1, "queries of the report")
    drawn = {}
    for name, part in (
        ("answers", records[records["reranked"] == 1]),
        ("fails", records[records["reranked"] > 1]),
    ):
        chosen = rng.choice(len(part), size=min(QUERIES_SHOWN, len(part)), replace=False)
        drawn[name] = [_query(part.iloc[row], by_id, counters) for row in sorted(chosen)]
    return drawn


def _query(
    record: "pd.Series[Any]", by_id: Mapping[str, Argument], counters: Mapping[str, list[Argument]]
) -> Query:
    point = by_id[record["query"]]
    return Query(
        point=point,
        golds=tuple(counters[point.pair]),
        chosen=by_id[record["reordered"][0]],
        rank=int(record["rank"]),
        reranked=int(record["reranked"]),
        candidates=int(record["candidates"]),
    )
