"""Evaluating with scorers by hand, and with random systems."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from counterpoint.arrays import Ints
from counterpoint.corpus.arguments import Corpus
from counterpoint.evaluation.evaluate import Evaluation, query_results
from counterpoint.evaluation.legacy import legacy_results
from counterpoint.evaluation.records import QueryResults
from counterpoint.evaluation.second_stage import PairScorer, Reranker
from counterpoint.search.distances import Costs, Euclidean
from counterpoint.tasks.candidates import TASKS, CandidateSets, candidate_sets
from counterpoint.tasks.protocols import WITH_TASKS
from tests.support.candidates import folded


def reranker_of(scorer: PairScorer | None, k: int = 10) -> Reranker | None:
    """A second stage that scores alike in every role; none without a scorer."""
    return None if scorer is None else Reranker(k, lambda role: scorer)


def results_of(
    sets: CandidateSets,
    costs: Costs,
    *,
    k: int = 10,
    scorer: PairScorer | None = None,
    depth: int | None = None,
    tasks: Sequence[str] = tuple(TASKS),
    protocols: Sequence[str] = WITH_TASKS,
    queries: Ints | None = None,
) -> list[QueryResults]:
    """`query_results`, of as many nearest as are re-ranked unless `depth` says how many."""
    asked = Evaluation(tasks=tasks, protocols=protocols, queries=queries, depth=depth or k)
    return query_results(sets, costs, reranker_of(scorer, k), asked)


def legacy_of(
    sets: CandidateSets,
    costs: Costs,
    *,
    k: int = 10,
    scorer: PairScorer | None = None,
    depth: int | None = None,
) -> QueryResults:
    """The same of `legacy_results`."""
    return legacy_results(sets, costs, reranker_of(scorer, k), depth=depth or k)


Vectors = dict[str, npt.NDArray[np.float64]]

RandomSystem = tuple[Vectors, Vectors, Callable[[str, str], float]]
"""Vectors of a text as a query and as a candidate, and the score of a pair of texts."""


def random_system(corpus: Corpus, seed: int, width: int = 6, levels: int = 20) -> RandomSystem:
    """Random vectors of each role, and a score of few levels, by text."""
    rng = np.random.default_rng(seed)
    texts = [folded(one.text) for one in corpus.arguments]
    names = sorted(set(texts))
    query = dict(zip(names, rng.standard_normal((len(names), width)), strict=True))
    candidate = dict(zip(names, rng.standard_normal((len(names), width)), strict=True))
    order = {name: number for number, name in enumerate(names)}
    table = rng.integers(0, levels, (len(names), len(names))).astype(np.float32) / levels

    def score(point: str, other: str) -> float:
        return float(table[order[point], order[other]])

    return query, candidate, score


def stages(
    corpus: Corpus, sets: CandidateSets, parts: RandomSystem, k: int
) -> tuple[Costs, Reranker]:
    """Such a system's costs, and its second stage."""
    query, candidate, score = parts
    texts = corpus.texts

    def vectors(rows: Ints, table: Mapping[str, npt.NDArray[np.float64]]) -> Tensor:
        return torch.from_numpy(np.stack([table[texts[text]] for text in rows])).float()

    costs = Euclidean(vectors(sets.text[sets.pairs :], query), vectors(sets.text, candidate))

    def scorer(points: Tensor, candidates: Tensor) -> Tensor:
        pairs = zip(points.tolist(), candidates.tolist(), strict=True)
        return torch.tensor([score(texts[p], texts[c]) for p, c in pairs])

    return costs, Reranker(k, lambda role: scorer)


def fast(
    corpus: Corpus, folder: str, parts: RandomSystem, k: int = 10, **asked: Any
) -> tuple[CandidateSets, list[QueryResults]]:
    """Everything that is asked of such a system."""
    sets = candidate_sets(corpus, folder)
    costs, reranker = stages(corpus, sets, parts, k)
    return sets, results_of(sets, costs, k=k, scorer=reranker.scorer("query"), **asked)
