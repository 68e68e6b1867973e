"""Candidate sets and costs to per-query results; averages are made elsewhere.

First stage: rank the task's candidates by cost. Second stage: re-order the nearest by the
classifier (docs/method.md, "Evaluation"). No result depends on how queries are blocked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from counterpoint.arrays import Ints
from counterpoint.evaluation.first_stage import (
    BlockResults,
    Contest,
    asked_blocks,
    joined,
    ranks_among,
)
from counterpoint.evaluation.legacy import legacy_results
from counterpoint.evaluation.metrics import accuracy, accuracy_at_1, recall_at_10
from counterpoint.evaluation.records import DEPTH, QueryResults
from counterpoint.evaluation.second_stage import NOBODY_MOVES, Reranker, rerank, reranked_ranks
from counterpoint.results.epoch_log import EpochScores
from counterpoint.search.distances import Costs
from counterpoint.tasks.candidates import TASKS, CandidateSets
from counterpoint.tasks.protocols import PROTOCOLS, WITH_TASKS

EPOCH_TASK = "epa"
"""The task of an epoch's scores."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What is asked of a system; by default everything."""

    tasks: Sequence[str] = tuple(TASKS)
    """By name; those that the candidate sets leave out are left out."""
    protocols: Sequence[str] = tuple(PROTOCOLS)
    queries: Ints | None = None
    """(n,) only these, where a protocol asks them; all by default. Not of one that asks few."""
    depth: int = DEPTH
    """How many of the nearest are recorded, never fewer than the second stage re-orders."""


def query_results(
    sets: CandidateSets,
    costs: Costs,
    reranker: Reranker | None = None,
    evaluation: Evaluation | None = None,
) -> list[QueryResults]:
    """Rank the candidates of every query.

    Args:
        sets: the pairs of a split.
        costs: of all its rows to its queries.
        reranker: the second stage; None for a system without one.
        evaluation: what is asked; by default everything.

    Returns:
        Results for each protocol and task, in the order given; protocols without tasks come last.
    """
    evaluation = evaluation or Evaluation()
    depth = max(evaluation.depth, reranker.size) if reranker else evaluation.depth
    tasks = [task for task in evaluation.tasks if task not in sets.left_out]
    protocols = [name for name in evaluation.protocols if PROTOCOLS[name].has_tasks]
    parts: dict[tuple[str, str], list[BlockResults]] = {
        (protocol, task): [] for protocol in protocols for task in tasks
    }
    for asked in asked_blocks(sets, costs, protocols, evaluation.queries) if parts else ():
        preceding = asked.preceding()
        for task in tasks:
            contest = Contest(sets, task, asked)
            nearest = contest.nearest(depth)
            parts[asked.protocol, task].append(
                BlockResults(
                    queries=asked.queries,
                    candidates=contest.candidates,
                    ranks=contest.ranks(preceding),
                    nearest=nearest,
                    scores=asked.scores(nearest),
                )
            )
    results = [joined(*where, blocks, depth, sets.golds) for where, blocks in parts.items()]
    if reranker is not None:
        results = rerank(results, sets, reranker)
        reranker = reranker if reranker.of_vectors else NOBODY_MOVES
    for name in evaluation.protocols:
        if not PROTOCOLS[name].has_tasks:
            queries = None if PROTOCOLS[name].asks_few else evaluation.queries
            results.append(
                legacy_results(sets, costs, reranker, protocol=name, queries=queries, depth=depth)
            )
    return results


def epoch_scores(
    sets: CandidateSets,
    costs: Costs,
    reranker: Reranker,
    *,
    task: str = EPOCH_TASK,
    protocols: Sequence[str] = WITH_TASKS,
    queries: Ints | None = None,
    top_k: Sequence[int] = (1,),
) -> dict[str, EpochScores]:
    """An epoch's scores, which are those of `query_results`, in less time.

    They ask no more than which golds are among the first few: no other rank is known, and nothing
    is scored where no gold can move.

    Args:
        sets: the pairs of a split.
        costs: of all its rows to its queries.
        reranker: the second stage.
        task: by name.
        protocols: by name, those with tasks.
        queries: (n,) only these, where a protocol asks them; all by default.
        top_k: other k that accuracy is asked at.

    Returns:
        By protocol; one that asks no query has none.
    """
    if task in sets.left_out:
        return {}
    depth = max(DEPTH, reranker.size, *top_k)
    parts: dict[str, list[BlockResults]] = {protocol: [] for protocol in protocols}
    for asked in asked_blocks(sets, costs, protocols, queries):
        contest = Contest(sets, task, asked)
        nearest = contest.nearest(depth)
        parts[asked.protocol].append(
            BlockResults(
                queries=asked.queries,
                candidates=contest.candidates,
                ranks=ranks_among(nearest, asked.golds, depth + 1),
                nearest=nearest,
            )
        )
    results = [
        joined(name, task, blocks, depth, sets.golds) for name, blocks in parts.items() if blocks
    ]
    return {
        first.protocol: EpochScores(
            retrieval=float(accuracy_at_1(first.ranks).mean()),
            reranked=float(accuracy_at_1(ranks).mean()),
            recall_at_10=float(recall_at_10(first.ranks).mean()),
            at_k={
                f"{stage}@{k}": float(accuracy(of_stage, k).mean())
                for k in sorted(set(top_k) - {1})
                for stage, of_stage in (("retrieval", first.ranks), ("reranked", ranks))
            },
        )
        for first, ranks in zip(results, reranked_ranks(results, sets, reranker), strict=True)
    }
