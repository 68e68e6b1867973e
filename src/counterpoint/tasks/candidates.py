"""Who competes with whom: the eight tasks, and each query's candidates in them (docs/method.md).

A split with N pairs of Q points has N + Q rows: the N counters, those of one point after another,
then the Q points. Query i is row N + i; its golds are the rows `golds[i]`. Where each point has one
counter, as in ArguAna, N is Q and the gold of query i is row i. Orphans have no row.
"""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from counterpoint.arrays import Ints, Mask
from counterpoint.corpus.arguments import Argument, Corpus, answered_points
from counterpoint.tasks.protocols import OFFICIAL, PROTOCOLS


@dataclass(frozen=True)
class Task:
    """Which rows compete for a query."""

    within: Literal["debate", "theme", "portal"]
    """What they share with the query; the portal is the whole split."""
    points: bool
    """Whether points compete, or counters alone."""
    opposing: bool = False
    """Whether only what opposes the query competes: counters that answer its side, and points of
    the other side."""


TASKS = {
    "sdoc": Task("debate", points=False, opposing=True),
    "sdc": Task("debate", points=False),
    "sdoa": Task("debate", points=True, opposing=True),
    "sda": Task("debate", points=True),
    "stc": Task("theme", points=False),
    "sta": Task("theme", points=True),
    "epc": Task("portal", points=False),
    "epa": Task("portal", points=True),
}

BLOCK = 256
"""Queries whose candidate masks are built at a time; (256, rows) bool is a few megabytes."""


@dataclass(frozen=True)
class CandidateSets:
    """The pairs of one split as codes, one array element a row.

    `argument` is (N + Q,) int64, the place of each row among the arguments that the sets are of.
    `text`, `theme`, `debate` and `side` are (N + Q,) int64; equal numbers stand for the same text
    (of the whole corpus), theme, debate or side. `golds` is (Q, G) int64, each query's golds,
    ascending, then -1; G is the most that a query has. `unseen` is (Q,) bool.
    """

    ids: tuple[str, ...]
    argument: Ints
    text: Ints
    theme: Ints
    debate: Ints
    side: Ints
    golds: Ints
    unseen: Mask

    @property
    def points(self) -> int:
        """Q."""
        return len(self.golds)

    @property
    def pairs(self) -> int:
        """N."""
        return len(self.ids) - self.points

    @property
    def counter_rows(self) -> slice:
        """Where the counters stand."""
        return slice(0, self.pairs)

    @cached_property
    def query_of(self) -> Ints:
        """(N,) int64: the query that each counter answers."""
        queries, slots = np.nonzero(self.golds >= 0)
        result = np.empty(self.pairs, dtype=np.int64)
        result[self.golds[queries, slots]] = queries
        return result

    def queries(self, protocol: str) -> Ints:
        """(n,) int64: the numbers of the queries that a protocol asks."""
        asked = PROTOCOLS[protocol]
        first = np.arange(-(-self.points // asked.batch_size))
        return first[self.unseen[first]] if asked.unseen_only else first

    @cached_property
    def left_out(self) -> tuple[str, ...]:
        """The tasks in which every query has no candidate but its golds: they measure nothing."""
        return tuple(
            task
            for task in TASKS
            if all(
                self.candidates(task, OFFICIAL.name, block).sum() == (self.golds[block] >= 0).sum()
                for block in blocks(self.queries(OFFICIAL.name))
            )
        )

    def candidates(self, task: str, protocol: str, queries: Ints) -> Mask:
        """(n, N + Q) bool: the candidates of some queries, their golds always among them.

        Raises:
            KeyError: no such task or protocol.
        """
        rows = self.pairs + queries
        mask = self._competing(TASKS[task], rows)
        numbers = np.arange(len(queries))
        # A copy of a gold's text among the counters would be one more right answer.
        for golds in self.golds[queries].T:
            texts = np.where(golds >= 0, self.text[golds], -1)
            mask[:, self.counter_rows] &= self.text[None, self.counter_rows] != texts[:, None]
            if PROTOCOLS[protocol].without_copies:
                mask[:, self.pairs :] &= self.text[None, self.pairs :] != texts[:, None]
        if PROTOCOLS[protocol].without_copies:
            mask &= self.text[None, :] != self.text[rows, None]
        mask[numbers, rows] = False
        for golds in self.golds[queries].T:
            there = golds >= 0
            mask[numbers[there], golds[there]] = True
        return mask

    def _competing(self, task: Task, rows: Ints) -> Mask:
        """(n, N + Q) bool: the rows that a task names for some queries, given by their own rows."""
        if task.within == "portal":
            mask = np.ones((len(rows), len(self.ids)), dtype=bool)
        else:
            codes = self.debate if task.within == "debate" else self.theme
            mask = codes[None, :] == codes[rows, None]
        if task.opposing:
            # A counter's side is the side it answers: those wanted answer the query's side, and
            # the points wanted are of the other side.
            is_counter = np.arange(len(self.ids)) < self.pairs
            mask &= (self.side[None, :] == self.side[rows, None]) == is_counter
        if not task.points:
            mask[:, self.pairs :] = False
        return mask


def candidate_sets(corpus: Corpus, folder: str) -> CandidateSets:
    """The candidate sets of one split.

    A query is unseen when neither its point nor any of its golds stands anywhere in the training
    folder, orphans included.
    """
    training = {argument.text_hash for argument in corpus.split(corpus.roles["train"])}
    return candidate_sets_of(corpus.split(folder), corpus.text_number, training)


def candidate_sets_of(
    arguments: Sequence[Argument], text_number: dict[str, int], training: Set[str]
) -> CandidateSets:
    """The candidate sets of some arguments.

    Args:
        arguments: of one split.
        text_number: text hash to number among the unique texts.
        training: the hashes of the texts that a model may have seen.
    """
    points = answered_points(arguments)
    places = [counter for _, counters in points for counter in counters]
    golds = _golds([len(counters) for _, counters in points])
    places += [point for point, _ in points]
    rows = [arguments[place] for place in places]
    seen = np.array([row.text_hash in training for row in rows], dtype=bool)
    of_point = seen[len(rows) - len(points) :]
    themes: dict[str, int] = {}
    debates: dict[tuple[str, str], int] = {}

    def codes(values: Iterable[int]) -> Ints:
        return np.fromiter(values, dtype=np.int64, count=len(rows))

    return CandidateSets(
        ids=tuple(row.id for row in rows),
        argument=codes(places),
        text=codes(text_number[row.text_hash] for row in rows),
        theme=codes(themes.setdefault(row.theme, len(themes)) for row in rows),
        debate=codes(debates.setdefault((row.theme, row.debate), len(debates)) for row in rows),
        side=codes(int(row.side == "pro") for row in rows),
        golds=golds,
        unseen=~(of_point | (seen[golds] & (golds >= 0)).any(axis=1)),
    )


def _golds(counts: Sequence[int]) -> Ints:
    """(Q, G) int64: consecutive rows, as many for each query as it has counters, then -1."""
    sizes = np.array(counts, dtype=np.int64)[:, None]
    slots = np.arange(max(counts, default=1))
    rows = np.cumsum(sizes, axis=0) - sizes + slots
    return np.where(slots < sizes, rows, -1)


def blocks(queries: Ints, size: int = BLOCK) -> Iterator[Ints]:
    """The queries in consecutive blocks."""
    for start in range(0, len(queries), size):
        yield queries[start : start + size]


def totals(sets: CandidateSets, protocol: str = OFFICIAL.name) -> dict[str, int]:
    """Query-candidate pairs of each task over all queries, gold included."""
    counts = dict.fromkeys(TASKS, 0)
    for block in blocks(sets.queries(protocol)):
        for task in TASKS:
            counts[task] += int(sets.candidates(task, protocol, block).sum())
    return counts
