"""What a cross-encoder costs on this machine: how many pairs it reads, and how fast a few are.

How many is counted and not tried. In an epoch it learns from each training point with its counter
and its negatives, and reads the nearest of every query that is scored. At the end it reads the
nearest of all tasks and splits; how many different pairs these are depends on the first stage's
vectors, so with made-up ones it is a guess.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from counterpoint.config.options import CellOptions, EncoderOptions
from counterpoint.corpus.arguments import Texts
from counterpoint.encoders.features import FrozenFeatures
from counterpoint.encoders.pairs import PairEncoder, PairTemplate, PairTokens
from counterpoint.encoders.tokens import load_tokenizer, tokenise
from counterpoint.evaluation.cross_system import Recorder
from counterpoint.evaluation.system import TrainedSystem, embed
from counterpoint.io.rng import generator
from counterpoint.models.cell_model import CellModel
from counterpoint.models.cross_encoder import CrossEncoder
from counterpoint.runs.estimate import CellCost, Cost
from counterpoint.training.data import CellData, CorpusData
from counterpoint.training.hybrid import ranked
from counterpoint.training.split_scores import SplitScores

PAIRS = 32
"""At most so many are encoded at once to time a step, and so many to time reading."""


@dataclass(frozen=True)
class PairCounts:
    """How many pairs of texts a cross-encoder's cell goes through."""

    learnt: int
    """In an epoch's steps, there and back."""
    scored: int
    """For an epoch's scores, at most: where no gold is among a query's nearest, none is read."""
    final: int
    """For the final evaluation."""

    @classmethod
    def of(
        cls, options: CellOptions, corpus: CorpusData, first: FrozenFeatures, device: torch.device
    ) -> "PairCounts":
        """Those of a cell over a first stage that is not trained.

        Args:
            options: of the cell.
            corpus: that it is trained on.
            first: the outputs of the first stage's encoder.
            device: where to compute.

        Raises:
            InputError: the training pairs make no batch.
        """
        data, training = CellData(corpus, options), options.reranker.training
        scores = SplitScores(data, options.evaluation)
        points = len(data.pairs) // training.batch_size * training.batch_size
        # Dev and test may be the same folder, which is read once.
        held_out = {data.folders[role] for role in scores.held_out}
        queries = len(data.train_queries) + sum(
            corpus.all_sets[folder].points for folder in held_out
        )
        system = _untrained(options, corpus, first, device)
        system, _ = ranked(system, data, options.evaluation.first_stage)
        recorder = Recorder(system, options.rerank)
        scores.final(recorder)
        return cls(
            learnt=points * (1 + options.reranker.mining.negatives),
            scored=queries * options.rerank * (1 + len(scores.other_tasks)),
            final=len(recorder.asked()[0]),
        )


def _untrained(
    options: CellOptions, corpus: CorpusData, first: FrozenFeatures, device: torch.device
) -> TrainedSystem:
    model = CellModel(options.first_stage(), first).to(device).eval()
    texts = torch.arange(corpus.size, device=device)
    with torch.inference_mode():
        return TrainedSystem(model, embed(model, texts, corpus.size), 1)


@dataclass(frozen=True)
class PairSpeed:
    """How fast a cross-encoder goes through pairs of texts, and how large it is."""

    learning: float
    """Seconds a pair, there and back."""
    reading: float
    """Seconds a pair, there alone."""
    weights: int
    """Bytes."""
    tried: int
    """Pairs that it was tried on."""

    @classmethod
    def of(
        cls, options: EncoderOptions, texts: Texts, wanted: int, device: torch.device
    ) -> "PairSpeed":
        """Try a part of a step twice, then as many pairs read; the second step counts.

        Args:
            options: of the cross-encoder's encoder.
            texts: some of the corpus, which are paired at random: about as long as real pairs.
            wanted: pairs of a whole step.
            device: where to compute.

        Raises:
            InputError: the encoder cannot be loaded or used.
        """
        tokens = tokenise(texts, options)
        template = PairTemplate.of(load_tokenizer(options, tokens.commit))
        encoder = PairEncoder(options, PairTokens(tokens.candidate, template), tokens.commit)
        model = CrossEncoder(encoder).to(device).train()
        tried = min(wanted, PAIRS)
        drawn = generator(0, -1, "plan").integers(len(texts.texts), size=(2, tried))
        points, candidates = drawn.astype(np.int64)

        def learn() -> None:
            logits = model(torch.from_numpy(points), torch.from_numpy(candidates))
            torch.autograd.backward(logits.sum())

        def read() -> None:
            for _, logits in model.score(points, candidates):
                logits.cpu()  # waits for the device

        _seconds(learn, device)
        return cls(
            learning=_seconds(learn, device) / tried,
            reading=_seconds(read, device) / tried,
            weights=sum(weight.nbytes for weight in model.parameters()),
            tried=tried,
        )


def over_pairs(
    on_vectors: CellCost, counts: PairCounts, speed: PairSpeed, embedding: float
) -> CellCost:
    """Of a cross-encoder's cell, from that of a cell on the first stage's vectors.

    Args:
        on_vectors: mining, ranking and records.
        counts: of the pairs.
        speed: of the cross-encoder.
        embedding: seconds of all texts through the first stage.
    """
    fixed = Cost(embedding + counts.final * speed.reading, speed.weights)
    epoch = counts.learnt * speed.learning + counts.scored * speed.reading
    return CellCost(on_vectors.fixed + fixed, on_vectors.epoch + Cost(epoch, 0.0))


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    begun = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun
