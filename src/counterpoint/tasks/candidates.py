"""Pairs, the eight candidate sets and the protocols (docs/method.md, "The eight tasks").

A split with N pairs makes a *pool* of 2N rows: the N counters, then the N points. Query i is row
N + i, its gold row i. Orphans are not in the pool.
"""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from counterpoint.arrays import Ints, Mask
from counterpoint.corpus.arguments import Argument, Corpus, pairs_of

TASKS = ("sdoc", "sdc", "sdoa", "sda", "stc", "sta", "epc", "epa")

BLOCK = 256
"""Queries whose candidate masks are built at a time; (256, 2N) bool is a few megabytes."""


@dataclass(frozen=True)
class CandidateSets:
    """The pairs of one split as codes, one array element a row of the pool.

    `text`, `theme`, `debate` and `side` are (2N,) int64; equal numbers stand for the same text (of
    the whole corpus), theme, debate or side. `unseen` is (N,) bool.
    """

    ids: tuple[str, ...]
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
        if protocol == "clean":
            return np.flatnonzero(self.unseen)
        return np.arange(self.pairs)

    @cached_property
    def left_out(self) -> tuple[str, ...]:
        """The tasks in which every query has one candidate, its gold: they measure nothing."""
        return tuple(
            task
            for task in TASKS
            if all(
                self.candidates(task, "official", block).sum() == len(block)
                for block in blocks(self.queries("official"))
            )
        )

    def candidates(self, task: str, protocol: str, queries: Ints) -> Mask:
        """(n, 2N) bool: the candidates of some queries, their gold always among them.

        Raises:
            KeyError: no such task.
        """
        rows = self.pairs + queries
        mask = self._of_task(task, rows)
        # A copy of the gold's text among the counters would be a second right answer.
        mask[:, self.counter_rows] &= self.text[None, self.counter_rows] != self.text[queries, None]
        if protocol == "clean":
            mask &= self.text[None, :] != self.text[rows, None]
        each = np.arange(len(queries))
        mask[each, rows] = False
        mask[each, queries] = True
        return mask

    def _of_task(self, task: str, rows: Ints) -> Mask:
        def same(codes: Ints) -> Mask:
            result: Mask = codes[None, :] == codes[rows, None]
            return result

        counters = np.zeros(len(self.ids), dtype=bool)
        counters[self.counter_rows] = True
        if task == "sdoc":
            return same(self.debate) & same(self.side) & counters
        if task == "sdc":
            return same(self.debate) & counters
        if task == "sdoa":
            # A counter's side is the side it answers: those wanted answer the query's side, and
            # the points wanted are of the other side.
            wanted: Mask = same(self.side) == counters
            return same(self.debate) & wanted
        if task == "sda":
            return same(self.debate)
        if task == "stc":
            return same(self.theme) & counters
        if task == "sta":
            return same(self.theme)
        if task == "epc":
            return np.broadcast_to(counters, (len(rows), len(counters))).copy()
        if task == "epa":
            return np.ones((len(rows), len(counters)), dtype=bool)
        raise KeyError(task)


def candidate_sets(corpus: Corpus, folder: str) -> CandidateSets:
    """The pool of one split.

    A query is unseen when neither its point nor its gold stands anywhere in the training folder,
    orphans included.
    """
    training = {argument.text_hash for argument in corpus.split(corpus.roles["train"])}
    return candidate_sets_of(corpus.split(folder), corpus.text_number, training)


def candidate_sets_of(
    arguments: Iterable[Argument], text_number: dict[str, int], training: Set[str]
) -> CandidateSets:
    """The pool of some arguments; `training` holds the text hashes that a model may have seen."""
    pairs = pairs_of(arguments)
    rows = [counter for _, counter in pairs] + [point for point, _ in pairs]
    themes: dict[str, int] = {}
    debates: dict[tuple[str, str], int] = {}

    def codes(values: Iterable[int]) -> Ints:
        return np.fromiter(values, dtype=np.int64, count=len(rows))

    return CandidateSets(
        ids=tuple(row.id for row in rows),
        text=codes(text_number[row.text_hash] for row in rows),
        theme=codes(themes.setdefault(row.theme, len(themes)) for row in rows),
        debate=codes(debates.setdefault((row.theme, row.debate), len(debates)) for row in rows),
        side=codes(int(row.side == "pro") for row in rows),
        unseen=np.array(
            [p.text_hash not in training and c.text_hash not in training for p, c in pairs],
            dtype=bool,
        ),
    )


def blocks(queries: Ints, size: int = BLOCK) -> Iterator[Ints]:
    """The queries in consecutive blocks."""
    for start in range(0, len(queries), size):
        yield queries[start : start + size]


def totals(sets: CandidateSets, protocol: str = "official") -> dict[str, int]:
    """Query-candidate pairs of each task over all queries, gold included."""
    counts = dict.fromkeys(TASKS, 0)
    for block in blocks(sets.queries(protocol)):
        for task in TASKS:
            counts[task] += int(sets.candidates(task, protocol, block).sum())
    return counts
