"""One epoch the way the original study trains, written anew from the description of their loop.

Every batch is tokenised anew each epoch and padded to its longest text in random order; point,
counter and negative pass the encoder one after the other; points and counters are embedded apart,
16 at a time, duplicates and all, once for mining and again for the train figure; trees with leaf
size 2 find the negatives; the classifier is called once a candidate; three splits are evaluated.
Projection, fusion, head and losses are the package's own, so that both sides train one model.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.neighbors import BallTree
from torch import Tensor

from benchmarks.evaluate import NEAREST, accuracy, study_way
from counterpoint.config.options import CellOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.features import FrozenFeatures, same_outputs
from counterpoint.encoders.names import resolve
from counterpoint.encoders.pooling import apply_pooling
from counterpoint.evaluation.system import TrainedSystem
from counterpoint.io.rng import generator, torch_seed
from counterpoint.models import losses
from counterpoint.models.cell_model import CellModel
from counterpoint.models.fusion import Vectors
from counterpoint.tasks.candidates import CandidateSets, candidate_sets
from counterpoint.training.mining import random_rate
from counterpoint.training.stopwatch import Stopwatch

EMBEDDED = 16
"""Texts in a batch of an embedding pass."""

LEAF_SIZE = 2
"""Of every BallTree."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Split:
    """The pairs of a split, duplicates and all: N counters, then their N points."""

    sets: CandidateSets
    """A row's number stands for its text."""
    texts: list[str]

    @property
    def counters(self) -> list[str]:
        return self.texts[: self.sets.pairs]

    @property
    def points(self) -> list[str]:
        return self.texts[self.sets.pairs :]


def split_of(corpus: Corpus, folder: str) -> Split:
    read = candidate_sets(corpus, folder)
    texts = [corpus.texts[number] for number in read.text.tolist()]
    return Split(replace(read, text=np.arange(len(texts))), texts)


class StudyLoop:
    """A model trained the original study's way.

    Args:
        corpus: with the roles train, dev and test.
        options: of the cell that it is compared with.
    """

    def __init__(self, corpus: Corpus, options: CellOptions) -> None:
        from transformers import AutoModel, AutoTokenizer

        folder = resolve(options.encoder.name)
        self.options = options
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        # Not by `transformer.load_model`, which puts our own dropout and attention in.
        self.encoder: Any = AutoModel.from_pretrained(folder, dtype=torch.float32)
        # Without a text: only its projection, fusion and head are used.
        nothing = np.empty((0, int(self.encoder.config.hidden_size)), dtype=np.float32)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(options.seed, -1, "initial weights"))
            self.model = CellModel(options, FrozenFeatures(same_outputs(nothing)))
        parameters = [*self.encoder.parameters(), *self.model.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=options.training.learning_rate)
        self.splits = {role: split_of(corpus, folder) for role, folder in corpus.roles.items()}

    def epoch(self, epoch: int) -> tuple[dict[str, float], list[float]]:
        """Seconds by stage, and the loss of every step."""
        watch = Stopwatch()
        with watch("embed"):
            vectors = self.embed(self.splits["train"])
        with watch("mine"):
            negatives = self._mine(epoch, vectors)
        with watch("train"):
            steps = self._train(epoch, negatives)
        for split in self.splits.values():
            with watch("embed"):
                vectors = self.embed(split)
            with watch("evaluate"):
                self._accuracy(split, vectors)
        return dict(watch.seconds), steps

    def _encode(self, texts: list[str]) -> Vectors:
        batch = self.tokenizer(
            texts,
            padding=True,
            truncation=True,
            max_length=self.options.encoder.max_tokens,
            return_tensors="pt",
        )
        x = apply_pooling(
            self.encoder(**batch), batch["attention_mask"], self.options.encoder.pooling
        )
        return Vectors(x, self.model.projections["query"](x))

    @torch.no_grad()
    def embed(self, split: Split) -> Vectors:
        """Vectors of a split's counters, then of its points: (2N, ·)."""
        self._set_training(False)
        parts = [
            self._encode(texts[start : start + EMBEDDED])
            for texts in (split.counters, split.points)
            for start in range(0, len(texts), EMBEDDED)
        ]
        return Vectors(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def _set_training(self, training: bool) -> None:
        self.encoder.train(training)
        self.model.train(training)

    def _mine(self, epoch: int, vectors: Vectors) -> Ints:
        """(N,) rows of the train split: a negative of each point."""
        n = self.splits["train"].sets.pairs
        rng = generator(self.options.seed, epoch, "mining")
        random = rng.random(n) < random_rate(epoch, self.options.mining)
        # Any but the pair's own: one step over each of its two rows.
        drawn = rng.integers(0, 2 * n - 2, size=n)
        own = np.arange(n)
        drawn += drawn >= own
        drawn += drawn >= own + n
        e = vectors.e.numpy()
        drawn[~random] = hard_negatives(e[n:], e[:n], own[~random])
        return drawn

    def _train(self, epoch: int, negatives: Ints) -> list[float]:
        split = self.splits["train"]
        size = self.options.training.batch_size
        order = generator(self.options.seed, epoch, "order").permutation(len(negatives))
        torch.manual_seed(torch_seed(self.options.seed, epoch, "dropout"))
        self._set_training(True)
        steps = []
        for start in range(0, len(order) - size + 1, size):
            rows = order[start : start + size]
            loss = self._loss(
                [split.points[row] for row in rows],
                [split.counters[row] for row in rows],
                [split.texts[row] for row in negatives[rows]],
            )
            self.optimizer.zero_grad()
            torch.autograd.backward(loss)
            self.optimizer.step()
            steps.append(loss.item())
        return steps

    def _loss(self, points: list[str], counters: list[str], negatives: list[str]) -> Tensor:
        """Of one batch, three passes of the encoder; scalar."""
        point, counter, negative = (self._encode(texts) for texts in (points, counters, negatives))
        others = Vectors(*(torch.stack(pair) for pair in zip(counter, negative, strict=True)))
        numbers = torch.empty((3, 0), dtype=torch.int64)  # the triplet loss looks at none
        batch = losses.Batch(point.e, point.e, others.e, numbers)
        retrieval = losses.triplet(batch, self.options.retrieval_loss)
        classified = losses.classifier(self.model.logits(point, others)).sum()
        return (
            self.options.retrieval_loss.weight * retrieval
            + self.options.classifier_loss.weight * classified
        )

    def _accuracy(self, split: Split, vectors: Vectors) -> float:
        self._set_training(False)
        system = TrainedSystem(self.model, {"query": vectors, "candidate": vectors}, NEAREST)
        queries = split.sets.queries("official")
        return accuracy(split.sets, study_way(system, split.sets, queries), queries)


def hard_negatives(points: Floats, counters: Floats, rows: Ints) -> Ints:
    """The nearest row of the others to some points, as rows of the counters and then the points.

    A tree of each; a pair's own are passed over by their number, so a copy of one is not.

    Args:
        points: (n, d).
        counters: (n, d).
        rows: (k,) the points that ask.
    """
    trees = [BallTree(each, leaf_size=LEAF_SIZE) for each in (counters, points)]
    found = []
    for row in rows.tolist():
        nearest = []
        for part, tree in enumerate(trees):
            distances, places = tree.query(points[row : row + 1], k=2)
            other = int(places[0, 0] == row)
            nearest.append((distances[0, other], part * len(points) + places[0, other]))
        found.append(min(nearest)[1])
    return np.array(found, dtype=np.int64)
