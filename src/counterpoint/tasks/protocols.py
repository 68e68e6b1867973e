"""The protocols as data: which queries are asked, and what they compete with (docs/method.md).

Files and messages hold a protocol's name; whoever needs to know more of it asks `PROTOCOLS`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A way to ask the queries of a split."""

    name: str
    heading: str
    """Of the sections about it."""
    unseen_only: bool = False
    """Whether only those queries are asked of which no text stands in training."""
    batch_size: int = 1
    """Of N pairs only the first ⌈N / batch size⌉ are asked: as many as there would be batches."""
    without_copies: bool = False
    """Whether candidates with the query's own text are left out, and points with a gold's: where a
    counter is itself a point that is answered, its copy would tie with it."""
    has_tasks: bool = True
    """Whether the eight tasks are asked; else each query meets all texts of the split, as `epa`."""
    leaks: bool = False
    """Whether the second stage is shown the answer."""
    may_rank: bool = False
    """Whether systems may be ordered, and the best one chosen, by it."""

    @property
    def asks_few(self) -> bool:
        """Whether it names the few queries that it asks, of which no sample is drawn again."""
        return self.batch_size > 1

    @property
    def label(self) -> str:
        """The name, with a warning where it leaks."""
        return f"{self.name} (leaks)" if self.leaks else self.name


OFFICIAL = Protocol(name="official", heading="official")
"""All queries: to compare with published scores."""

CLEAN = Protocol(
    name="clean", heading="clean", unseen_only=True, without_copies=True, may_rank=True
)
"""What to believe."""

LEGACY = Protocol(
    name="legacy",
    heading="legacy (leaks the answer; nothing is ranked by it)",
    has_tasks=False,
    leaks=True,
)
"""The original study's evaluation, to re-state its scores."""

LEGACY_SUBSET = replace(
    LEGACY,
    name="legacy-subset",
    heading="legacy-subset (the first ⌈N/16⌉ queries; leaks the answer; nothing is ranked by it)",
    batch_size=16,
)
"""What the original study's logs hold: its evaluator counts batches where it means pairs
(docs/original-study.md)."""

PROTOCOLS = {protocol.name: protocol for protocol in (OFFICIAL, CLEAN, LEGACY, LEGACY_SUBSET)}
"""By name, in the order in which they are evaluated."""

WITH_TASKS = tuple(name for name, protocol in PROTOCOLS.items() if protocol.has_tasks)
"""The names of those that ask the eight tasks."""


FEW_QUERIES = 30
"""With fewer unseen queries a clean score says little."""


def few_unseen(split: str, unseen: int) -> Iterator[str]:
    """What a reader of a split's scores must know where few of its queries are unseen, or none."""
    if unseen == 0:
        yield f"no unseen query in {split}: no clean score"
    elif unseen < FEW_QUERIES:
        queries = "query" if unseen == 1 else "queries"
        yield (
            f"only {unseen} unseen {queries} in {split}: a clean score over fewer than "
            f"{FEW_QUERIES} says little"
        )
