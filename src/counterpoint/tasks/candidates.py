"""Who competes with whom: the eight tasks, and each query's candidates in them (docs/method.md).

A split with N pairs has 2N rows: the N counters, then the N points. Query i is row N + i, its gold
row i. Orphans have no row.
"""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from counterpoint.arrays import Ints, Mask
from counterpoint.corpus.arguments import Argument, Corpus, pair_rows
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
"""Queries whose candidate masks are built at a time; (256, 2N) bool is a few megabytes."""


@dataclass(frozen=True)
class CandidateSets:
    """The pairs of one split as codes, one array element a row.

    `argument` is (2N,) int64, the place of each row among the arguments that the sets are of.
    `text`, `theme`, `debate` and `side` are (2N,) int64; equal numbers stand for the same text (of
    the whole corpus), theme, debate or side. `unseen` is (N,) bool.
    """

    ids: tuple[str, ...]
    argument: Ints
    text: Ints
    theme: Ints
    debate: Ints
    side: Ints
    unseen: Mask

    @property
    def pairs(self) -> int:
        """N."""
        return len(self.ids) // 2

    @property
    def counter_rows(self) -> slice:
        """Where the counters stand."""
        return slice(0, self.pairs)

    def queries(self, protocol: str) -> Ints:
        """(n,) int64: the numbers of the queries that a protocol asks."""
        if PROTOCOLS[protocol].unseen_only:
            return np.flatnonzero(self.unseen)
        return np.arange(self.pairs)

    @cached_property
    def left_out(self) -> tuple[str, ...]:
        """The tasks in which every query has one candidate, its gold: they measure nothing."""
        return tuple(
            task
            for task in TASKS
            if all(
                self.candidates(task, OFFICIAL.name, block).sum() == len(block)
                for block in blocks(self.queries(OFFICIAL.name))
            )
        )

    def candidates(self, task: str, protocol: str, queries: Ints) -> Mask:
        """(n, 2N) bool: the candidates of some queries, their gold always among them.

        Raises:
            KeyError: no such task or protocol.
        """
        rows = self.pairs + queries
        mask = self._competing(TASKS[task], rows)
        # A copy of the gold's text among the counters would be a second right answer.
        mask[:, self.counter_rows] &= self.text[None, self.counter_rows] != self.text[queries, None]
        if PROTOCOLS[protocol].without_copies:
            mask &= self.text[None, :] != self.text[rows, None]
        numbers = np.arange(len(queries))
        mask[numbers, rows] = False
        mask[numbers, queries] = True
        return mask

    def _competing(self, task: Task, rows: Ints) -> Mask:
        """(n, 2N) bool: the rows that a task names for some queries, given by their own rows."""
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

    A query is unseen when neither its point nor its gold stands anywhere in the training folder,
    orphans included.
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
    pairs = pair_rows(arguments)
    places = [counter for _, counter in pairs] + [point for point, _ in pairs]
    rows = [arguments[place] for place in places]
    unseen = np.array([row.text_hash not in training for row in rows], dtype=bool)
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
        unseen=unseen[: len(pairs)] & unseen[len(pairs) :],
    )


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
