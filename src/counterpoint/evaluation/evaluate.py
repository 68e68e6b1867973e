"""System × task × protocol to per-query records; averages are made elsewhere.

First stage: rank the task's candidates by cost. Second stage: re-order the first k by the
classifier. Ties count against the system: whoever ties with the gold ranks before it
(docs/method.md, "Evaluation").
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from counterpoint.arrays import Ints, Mask
from counterpoint.evaluation.records import QueryResults
from counterpoint.search.distances import Block, Costs
from counterpoint.search.ranking import nearest, precedes
from counterpoint.tasks.candidates import TASKS, CandidateSets, blocks
from counterpoint.tasks.protocols import LEGACY, WITH_TASKS

Scorer = Callable[[Tensor, Tensor], Tensor]
"""(n,) query texts and (n,) candidate texts to (n,) float32, higher for likelier counters."""


def evaluate(
    sets: CandidateSets,
    costs: Costs,
    *,
    tasks: Sequence[str] = TASKS,
    protocols: Sequence[str] = WITH_TASKS,
    queries: Ints | None = None,
    k: int = 10,
    depth: int | None = None,
    scorer: Scorer | None = None,
    brief: bool = False,
    device: torch.device | None = None,
) -> list[QueryResults]:
    """Rank the candidates of every query.

    Args:
        pool: the pairs of a split.
        costs: of all its 2N rows to its N queries.
        tasks: which of the eight; those that the pool leaves out are left out.
        protocols: `official`, `clean`.
        queries: (n,) only these, where a protocol asks them; all by default.
        k: how many of the nearest are re-ranked.
        depth: how many are recorded; k by default, and never fewer.
        scorer: the second stage; None for a system without one.
        brief: what accuracy@1 and recall@10 ask and no more, in less time: a gold that is not
            among those recorded ranks one behind them, and `reordered` is left out.
        device: where the costs lie.

    Returns:
        Records for each protocol and task, in the order given. No result depends on how queries
        are blocked.
    """
    device = device or torch.device("cpu")
    depth = max(k, depth or k)
    asked = sets.queries("official") if queries is None else np.sort(queries)
    tasks = [task for task in tasks if task not in sets.left_out]
    parts: dict[tuple[str, str], list[QueryResults]] = {
        (protocol, task): [] for protocol in protocols for task in tasks
    }
    for numbers in blocks(asked):
        block = costs.block(torch.from_numpy(numbers).to(device))
        before = precedes(block, torch.from_numpy(numbers).to(device)) if not brief else None
        for protocol in protocols:
            inner = np.flatnonzero(np.isin(numbers, sets.queries(protocol)))
            if len(inner):
                rows = torch.from_numpy(inner).to(device)
                part, ahead = block.rows(rows), None if before is None else before[rows]
                for task in tasks:
                    mask = sets.candidates(task, protocol, numbers[inner])
                    parts[protocol, task].append(
                        _first_stage(task, protocol, numbers[inner], mask, part, ahead, depth)
                    )
    found = [_join(*key, pieces, depth) for key, pieces in parts.items()]
    if scorer is None:
        return found
    return (_brief_second_stage if brief else _second_stage)(found, sets, k, scorer, device)


def evaluate_legacy(
    sets: CandidateSets,
    costs: Costs,
    *,
    queries: Ints | None = None,
    k: int = 10,
    depth: int | None = None,
    scorer: Scorer | None = None,
    device: torch.device | None = None,
) -> QueryResults:
    """The seeds' way to evaluate, which shows the classifier the answer (docs/method.md).

    The pool is the N counters and the N points, nothing excluded. Of the k members nearest to the
    point, ties to the lower row, the classifier scores each as the counter of the *gold counter*;
    the first with the highest score is the answer. So the figure lies close to recall@k of the
    first stage, and nothing is ever ranked by it.

    Args:
        pool: the pairs of a split.
        costs: of all its 2N rows to its N queries.
        queries: (n,) only these; all by default.
        k: how many of the nearest are re-ranked.
        depth: how many are recorded; k by default, and never fewer.
        scorer: takes the gold's text in the place of the query's, in the candidate's role.
        device: where the costs lie.
    """
    device = device or torch.device("cpu")
    depth = max(k, depth or k)
    pieces = []
    for numbers in blocks(sets.queries("official") if queries is None else np.sort(queries)):
        gold = torch.from_numpy(numbers).to(device)
        block = costs.block(gold)
        found = nearest(block, depth).cpu().numpy()
        place = found == numbers[:, None]
        beyond = 1 + precedes(block, gold, lower_ties=True).sum(dim=1).cpu().numpy()
        pieces.append(
            QueryResults(
                task="epa",
                protocol=LEGACY.name,
                queries=numbers,
                candidates=np.full(len(numbers), len(sets.ids)),
                rank=np.where(place.any(axis=1), 1 + place.argmax(axis=1), beyond),
                nearest=found,
            )
        )
    records = _join(LEGACY.name, "epa", pieces, depth)
    if scorer is None:
        return records
    scores = _score_pairs([sets.text[records.queries]], [records], sets, k, scorer, device)[0]
    return _reorder(records, scores, gold_last=False)


def _first_stage(
    task: str,
    protocol: str,
    queries: Ints,
    mask: npt.NDArray[np.bool_],
    block: Block,
    before: Tensor | None,
    depth: int,
) -> QueryResults:
    device = block.cost.device
    # The queries of a block lie in few debates and themes: most columns are nobody's candidates.
    some = np.flatnonzero(mask.any(axis=0))
    columns = torch.from_numpy(some).to(device)
    candidates = torch.from_numpy(mask[:, some]).to(device)
    gold = torch.from_numpy(np.searchsorted(some, queries)).to(device)
    near = nearest(block.among(columns, candidates), depth, last=gold[:, None])
    found = torch.where(near >= 0, columns[near], -1).cpu().numpy()
    place = found == queries[:, None]
    if before is None:
        rank = np.where(place.any(axis=1), 1 + place.argmax(axis=1), depth + 1)
    else:
        ahead = before.index_select(1, columns) & candidates
        rank = (1 + ahead.sum(dim=1)).cpu().numpy()
    return QueryResults(
        task=task,
        protocol=protocol,
        queries=queries,
        candidates=mask.sum(axis=1),
        rank=rank,
        nearest=found,
    )


def _second_stage(
    found: list[QueryResults], sets: CandidateSets, k: int, scorer: Scorer, device: torch.device
) -> list[QueryResults]:
    texts = [sets.text[sets.pairs + records.queries] for records in found]
    scores = _score_pairs(texts, found, sets, k, scorer, device)
    return [
        _reorder(records, own, gold_last=True) for records, own in zip(found, scores, strict=True)
    ]


def _brief_second_stage(
    found: list[QueryResults], sets: CandidateSets, k: int, scorer: Scorer, device: torch.device
) -> list[QueryResults]:
    """The ranks that `_second_stage` gives, of which nothing is scored where no gold can move."""
    gold = [records.nearest[:, :k] == records.queries[:, None] for records in found]
    rows = [np.flatnonzero(each.any(axis=1)) for each in gold]
    pairs = [
        (sets.text[sets.pairs + records.queries[some]], sets.text[records.nearest[some, :k]])
        for records, some in zip(found, rows, strict=True)
    ]
    result = []
    for records, some, own, scores in zip(
        found, rows, gold, score_pairs(pairs, scorer, device), strict=True
    ):
        there = records.nearest[some, :k] >= 0
        limit = scores[own[some]][:, None]
        reranked = records.rank.copy()
        # The gold is one of them itself.
        reranked[some] = ((scores >= limit) & there).sum(axis=1)
        result.append(dataclasses.replace(records, reranked=reranked))
    return result


def _score_pairs(
    texts: Sequence[Ints],
    found: Sequence[QueryResults],
    sets: CandidateSets,
    k: int,
    scorer: Scorer,
    device: torch.device,
) -> list[npt.NDArray[np.float32]]:
    """Scores (n, k) of the k nearest of each record; see `score_pairs`.

    Args:
        texts: for each of `found`, (n,) the text that stands for each query.
        found: records with their nearest.
        pool: of the queries.
        k: how many of the nearest are scored.
        scorer: the second stage.
        device: where it computes.
    """
    pairs = [
        (own, sets.text[records.nearest[:, :k]]) for own, records in zip(texts, found, strict=True)
    ]
    return score_pairs(pairs, scorer, device)


def score_pairs(
    pairs: Sequence[tuple[Ints, Ints]], scorer: Scorer, device: torch.device
) -> list[npt.NDArray[np.float32]]:
    """For each (n,) query texts and (n, k) candidate texts, scores (n, k).

    Each pair of texts is scored once, so that equal pairs get equal scores, which a matrix product
    over several copies would not promise.
    """
    count = 1 + max((int(part.max(initial=0)) for pair in pairs for part in pair), default=0)
    codes = [own[:, None] * count + candidates for own, candidates in pairs]
    if not any(code.size for code in codes):
        return [np.empty(code.shape, np.float32) for code in codes]
    flat = np.concatenate([code.ravel() for code in codes])
    unique, inverse = np.unique(flat, return_inverse=True)
    asked = torch.from_numpy(unique).to(device)
    scores = scorer(asked // count, asked % count).float().cpu().numpy()[inverse]
    ends = np.cumsum([code.size for code in codes])[:-1]
    parts = np.split(scores, ends)
    return [part.reshape(code.shape) for part, code in zip(parts, codes, strict=True)]


def _reorder(
    records: QueryResults, scores: npt.NDArray[np.float32], *, gold_last: bool
) -> QueryResults:
    """Re-order the first k by their scores (n, k), and leave the rest.

    Ties keep their order, but for the gold where it goes last.
    """
    gold = records.nearest[:, : scores.shape[1]] == records.queries[:, None]
    order = score_order(records.nearest, scores, gold & gold_last)
    reordered = records.nearest.copy()
    reordered[:, : order.shape[1]] = np.take_along_axis(records.nearest, order, axis=1)
    found = gold.any(axis=1)
    after = 1 + np.take_along_axis(gold, order, axis=1).argmax(axis=1)
    return QueryResults(
        task=records.task,
        protocol=records.protocol,
        queries=records.queries,
        candidates=records.candidates,
        rank=records.rank,
        nearest=records.nearest,
        reranked=np.where(found, after, records.rank),
        reordered=reordered,
    )


def score_order(nearest: Ints, scores: npt.NDArray[np.float32], last: Mask) -> Ints:
    """(n, k) int64 positions of the first k by score, best first.

    Args:
        nearest: (n, depth) rows, -1 for none, which stays behind.
        scores: (n, k) of the first k of them.
        last: (n, k) who goes behind all that tie with it; others keep their order.
    """
    scores = np.where(nearest[:, : scores.shape[1]] >= 0, scores, -np.inf)
    # lexsort's last key weighs most: score, then who goes last, then the first stage.
    position = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    order: Ints = np.lexsort((position, last, -scores), axis=1)
    return order


def _join(protocol: str, task: str, pieces: Sequence[QueryResults], depth: int) -> QueryResults:
    def joined(name: str, width: int | None = None) -> Ints:
        empty = np.empty((0,) if width is None else (0, width), dtype=np.int64)
        return np.concatenate([empty, *(getattr(piece, name) for piece in pieces)])

    return QueryResults(
        task=task,
        protocol=protocol,
        queries=joined("queries"),
        candidates=joined("candidates"),
        rank=joined("rank"),
        nearest=joined("nearest", depth),
    )
