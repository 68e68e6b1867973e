"""A first stage whose nearest are re-ordered by a cross-encoder (docs/method.md, "Cross-encoder").

What the cross-encoder says of a pair is added to the first stage's score, both in units of their
spread; the shares are chosen on dev. Reading pairs is slow, so logits are computed once, with
pauses, and looked up from then on.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from counterpoint.arrays import Floats64, Ints, Mask
from counterpoint.evaluation.second_stage import NOBODY_MOVES, PairScorer, Reranker
from counterpoint.evaluation.system import PartEmbedded, TrainedSystem
from counterpoint.models.cross_encoder import CrossEncoder
from counterpoint.search.distances import Costs
from counterpoint.tasks.candidates import CandidateSets

SHARES = np.linspace(0, 1, 21)
"""Of the first stage in a mixture; with 1 its order stays."""


@dataclass(frozen=True)
class Choice:
    """The nearest k of n queries, in order: what either stage says of them, and which are golds."""

    logits: Floats64
    """(n, k) of the cross-encoder."""
    first: Floats64
    """(n, k) of the first stage: minus half the squared distance."""
    there: Mask
    """(n, k) whether there is a candidate."""
    gold: Mask
    """(n, k) whether it is a gold."""

    def accuracy(self, mix: Floats64) -> float:
        """Share of the queries of which a gold comes first; ties count against it.

        Args:
            mix: (2,) what the logit and the first stage's score are multiplied with.
        """
        scores = mix[0] * self.logits + mix[1] * self.first
        best = np.where(self.there & self.gold, scores, -np.inf).max(axis=1)
        other = np.where(self.there & ~self.gold, scores, -np.inf).max(axis=1)
        return float((best > other).mean())

    def best_mix(self) -> tuple[float, Floats64]:
        """The first stage's share with the highest accuracy, the greatest of several; its mix.

        With a share of 1 the first stage's own order stays, whatever it ranks by.
        """
        spreads = [float(values[self.there].std()) or 1.0 for values in (self.logits, self.first)]
        mixes = [np.array([(1 - share), share]) / spreads for share in SHARES]
        accuracy = [*(self.accuracy(mix) for mix in mixes[:-1]), float(self.gold[:, 0].mean())]
        best = len(accuracy) - 1 - int(np.argmax(accuracy[::-1]))
        return float(SHARES[best]), mixes[best]

    def loss(self) -> float:
        """Mean of -log of the share that the logits give a query's golds; NaN where none is there.

        Over queries with a gold among their nearest: the others no second stage can answer.
        """
        asked = self.gold.any(axis=1)
        if not asked.any():
            return float("nan")
        logits = np.where(self.there, self.logits, -np.inf)[asked]
        golds = np.where(self.gold[asked], logits, -np.inf)
        return float((np.logaddexp.reduce(logits, 1) - np.logaddexp.reduce(golds, 1)).mean())


@dataclass(frozen=True)
class CrossEncoderSystem:
    """A trained first stage and a cross-encoder over its nearest."""

    first: TrainedSystem
    model: CrossEncoder
    rerank: int
    """How many of the nearest it re-orders."""
    known: dict[int, float] = field(default_factory=dict)
    """Logits by pair; whoever changes the model's weights takes a new system."""

    def costs_of(self, sets: CandidateSets) -> Costs:
        """Distances of all rows of a split to its queries, by the first stage."""
        return self.first.costs_of(sets)

    def costs(self, queries: Ints, candidates: Ints) -> Costs:
        """Distances of m candidates to q queries, each given by their text numbers."""
        return self.first.costs(queries, candidates)

    @property
    def reranker(self) -> Reranker:
        """The mixture as a second stage; where the logit counts nothing, no pair is read."""
        if not self.model.mix[0]:
            return NOBODY_MOVES
        return Reranker(self.rerank, self._scorer, of_vectors=False)

    def scored(self, points: Ints, candidates: Ints) -> Generator[PartEmbedded, None, None]:
        """Read (n,) pairs of texts that are not known yet, with a pause after each part."""
        codes = self._codes(points, candidates)
        new = np.array([code not in self.known for code in codes.tolist()], dtype=bool)
        codes, points, candidates = codes[new], points[new], candidates[new]
        if not len(codes):
            return
        for part, logits in self.model.score(points, candidates):
            self.known.update(zip(codes[part].tolist(), logits.float().cpu().tolist(), strict=True))
            yield PartEmbedded()

    def logits(self, points: Ints, candidates: Ints) -> Floats64:
        """(n,) of n pairs of texts."""
        for _ in self.scored(points, candidates):
            pass
        codes = self._codes(points, candidates).tolist()
        return np.array([self.known[code] for code in codes], dtype=np.float64)

    def first_scores(self, points: Ints, candidates: Ints) -> Floats64:
        """Minus half the squared distances of (n,) pairs; of unit vectors the cosine - 1."""
        device = self.first.device
        p, c = (torch.from_numpy(part).to(device) for part in (points, candidates))
        vectors = self.first.vectors
        difference = vectors["query"].e[p].double() - vectors["candidate"].e[c].double()
        scores: Floats64 = (-difference.square().sum(dim=-1) / 2).cpu().numpy()
        return scores

    def asked_by(self, evaluate: Callable[["Recorder"], object]) -> tuple[Ints, Ints]:
        """The pairs of texts that an evaluation would have read, (n,) each, each pair once."""
        recorder = Recorder(self.first, self.rerank)
        evaluate(recorder)
        return recorder.asked()

    def _scorer(self, _role: str) -> PairScorer:
        mix = self.model.mix.cpu().numpy()

        def score(points: Tensor, candidates: Tensor) -> Tensor:
            p, c = points.cpu().numpy(), candidates.cpu().numpy()
            mixed = mix[0] * self.logits(p, c) + mix[1] * self.first_scores(p, c)
            return torch.from_numpy(mixed.astype(np.float32))

        return score

    def _codes(self, points: Ints, candidates: Ints) -> Ints:
        codes: Ints = points * len(self.first.vectors["candidate"].e) + candidates
        return codes


@dataclass(frozen=True)
class Recorder:
    """Stands for a system, to learn which pairs its second stage is asked for."""

    first: TrainedSystem
    rerank: int
    pairs: list[Ints] = field(default_factory=list)
    """(2, n) points and candidates, a call each."""

    def costs_of(self, sets: CandidateSets) -> Costs:
        """Those of the first stage."""
        return self.first.costs_of(sets)

    @property
    def reranker(self) -> Reranker:
        """One that scores every pair the same."""
        return Reranker(self.rerank, self._scorer, of_vectors=False)

    def asked(self) -> tuple[Ints, Ints]:
        """Points and candidates of the pairs asked for so far, (n,) each, each pair once."""
        if not self.pairs:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        pairs = np.unique(np.concatenate(self.pairs, axis=1), axis=1)
        return pairs[0], pairs[1]

    def _scorer(self, _role: str) -> PairScorer:
        def score(points: Tensor, candidates: Tensor) -> Tensor:
            self.pairs.append(np.stack([points.numpy(), candidates.numpy()]))
            return torch.zeros(len(points))

        return score
