"""First stages of a dense search and BM25 together (docs/method.md, "Hybrid")."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from counterpoint.arrays import Ints, Mask
from counterpoint.config.options import FirstStageKind
from counterpoint.results.files import HybridWeight
from counterpoint.search.distances import Costs
from counterpoint.search.fused import Fused, Measured, Wide, ranks, reciprocal, weighted, z_scores
from counterpoint.tasks.candidates import CandidateSets, blocks
from counterpoint.tasks.protocols import CLEAN

TASK = "epa"
"""By whose accuracy@1 (dev, `clean`) the weight is chosen, as every other decision is taken."""

WEIGHTS = tuple(tenths / 10 for tenths in range(11))
"""The weights of BM25 that are tried, ascending."""

UNCHOSEN = HybridWeight(0.5, 0, {})
"""Both alike: what there is where no unseen query of a dev split can be asked."""

Counted = Callable[[Ints], Mask]
"""From queries (n,) to the candidates (n, m) over which ranks and z-scores are taken."""


@dataclass(frozen=True)
class Lexical:
    """BM25 over what is searched."""

    costs: Costs
    counted: Counted


def by_ranks(dense: Costs, lexical: Lexical) -> Costs:
    """Reciprocal rank fusion; see `fused.reciprocal`."""
    return Fused(Measured(dense, lexical.costs, lexical.counted, ranks), reciprocal)


def standardised(dense: Costs, lexical: Lexical) -> Measured:
    """The z-scores of both, which `by_scores` adds up."""
    return Measured(dense, lexical.costs, lexical.counted, z_scores)


def by_scores(measured: Measured, weight: float) -> Costs:
    """The weighted sum of z-scores.

    Args:
        measured: as `standardised` gives it.
        weight: of BM25, from 0 to 1.
    """
    return Fused(measured, weighted(weight))


def choose_weight(sets: CandidateSets, measured: Measured) -> HybridWeight:
    """The weight with the highest accuracy@1 on `epa`, `clean`; of equals the smallest.

    Args:
        sets: of the dev split.
        measured: as `standardised` gives it, of all its rows to its queries.
    """
    asked = sets.queries(CLEAN.name)
    if not len(asked):
        return UNCHOSEN
    right = dict.fromkeys(WEIGHTS, 0)
    for queries in blocks(asked):
        dense, lexical = measured.of(queries)
        candidates = sets.candidates(TASK, CLEAN.name, queries)
        golds = _golds(sets, queries, candidates.shape)
        for weight in WEIGHTS:
            score = weighted(weight)(dense, lexical)
            right[weight] += int((_best(score, golds) > _best(score, candidates & ~golds)).sum())
    best = max(WEIGHTS, key=lambda weight: right[weight])
    accuracy = {str(weight): count / len(asked) for weight, count in right.items()}
    return HybridWeight(best, len(asked), accuracy)


@dataclass(frozen=True)
class CandidateRanking:
    """What ranks a cell's candidates before its second stage does."""

    kind: FirstStageKind = "dense"
    weight: HybridWeight | None = None
    """Of BM25; None where nothing is weighed."""

    @classmethod
    def chosen(cls, kind: FirstStageKind, choose: Callable[[], HybridWeight]) -> "CandidateRanking":
        """One of a kind; `choose` gives the weight where it has one."""
        return cls(kind, choose() if kind == "zscores" else None)

    def costs(self, dense: Costs, lexical: Callable[[], Lexical]) -> Costs:
        """What it ranks by; `lexical` is asked for where that is not the dense search alone."""
        if self.kind == "dense":
            return dense
        if self.weight is None:
            return by_ranks(dense, lexical())
        return by_scores(standardised(dense, lexical()), self.weight.bm25_weight)


def _golds(sets: CandidateSets, queries: Ints, shape: tuple[int, ...]) -> Mask:
    """(n, rows) bool: the golds of some queries."""
    result = np.zeros(shape, dtype=bool)
    rows, slots = np.nonzero(sets.golds[queries] >= 0)
    result[rows, sets.golds[queries][rows, slots]] = True
    return result


def _best(score: Wide, rows: Mask) -> Wide:
    """(n,) the highest score of some rows (n, m); −∞ where there is none."""
    best: Wide = np.where(rows, score, -np.inf).max(axis=1)
    return best
