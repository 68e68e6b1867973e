"""sentence-transformers' own trainer and `mine_hard_negatives`, at the work that ours do.

Wherever a choice is left it is the one that costs them less: no clipping of gradients, no logging,
no saving, and similarities as the dot products of vectors that have length 1 already.
"""

import contextlib
import importlib
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.evaluate import timed
from counterpoint.config.options import CellOptions
from counterpoint.encoders.names import resolve
from counterpoint.training.allowed import AllowedNegatives

PACKAGES = ("sentence_transformers", "datasets", "accelerate")

Ints = npt.NDArray[np.int64]


class Missing(Exception):
    """A package is not installed; the message says how to install it."""


def load(name: str) -> Any:
    """A module of the peer, with all that its trainer and its mining need.

    Raises:
        Missing: a package is not there.
    """
    try:
        for package in PACKAGES:
            importlib.import_module(package)
        return importlib.import_module(name)
    except ImportError as error:
        raise Missing(f"{error}; pip install '.[bench]'") from error


def train_seconds(triples: Sequence[Sequence[str]], options: CellOptions) -> float:
    """Seconds that its trainer takes for one epoch on the CPU.

    Args:
        triples: points, counters and negatives, each of the same length.
        options: of our cell; encoder, batch, tokens, margin and rate are taken from it.
    """
    library = load("sentence_transformers")
    modules = load("sentence_transformers.sentence_transformer.modules")
    losses = load("sentence_transformers.sentence_transformer.losses")
    transformer = modules.Transformer(
        resolve(options.encoder.name), max_seq_length=options.encoder.max_tokens
    )
    pooling = modules.Pooling(transformer.get_embedding_dimension(), options.encoder.pooling)
    model = library.SentenceTransformer(modules=[transformer, pooling], device="cpu")
    data = load("datasets").Dataset.from_dict(
        dict(zip(("anchor", "positive", "negative"), triples, strict=True))
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        trainer = library.SentenceTransformerTrainer(
            model=model,
            args=library.SentenceTransformerTrainingArguments(
                output_dir=folder,
                num_train_epochs=1,
                per_device_train_batch_size=options.training.batch_size,
                dataloader_drop_last=True,
                learning_rate=options.training.learning_rate,
                lr_scheduler_type="constant",
                max_grad_norm=0,
                use_cpu=True,
                seed=options.seed,
                report_to="none",
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
            ),
            train_dataset=data,
            loss=losses.TripletLoss(model, triplet_margin=options.retrieval_loss.margin),
        )
        seconds, _ = timed(trainer.train)
    return seconds


@dataclass(frozen=True)
class GivenVectors:
    """Stands where `mine_hard_negatives` wants a model, so that none of its time is encoding."""

    queries: npt.NDArray[np.float32]
    documents: npt.NDArray[np.float32]
    device = torch.device("cpu")

    def encode_query(self, texts: list[str], **_: Any) -> npt.NDArray[np.float32]:
        return _checked(self.queries, texts)

    def encode_document(self, texts: list[str], **_: Any) -> npt.NDArray[np.float32]:
        return _checked(self.documents, texts)

    @staticmethod
    def similarity(a: Any, b: Any) -> Tensor:
        result: Tensor = load("sentence_transformers.util").dot_score(a, b)
        return result

    @staticmethod
    def similarity_pairwise(a: Any, b: Any) -> Tensor:
        result: Tensor = load("sentence_transformers.util").pairwise_dot_score(a, b)
        return result


def _checked(vectors: npt.NDArray[np.float32], texts: list[str]) -> npt.NDArray[np.float32]:
    if len(vectors) != len(texts):
        raise RuntimeError(f"{len(texts)} texts asked for, {len(vectors)} vectors given")
    return vectors


def mine(queries: Tensor, candidates: Tensor, sets: AllowedNegatives) -> Ints:
    """(n,) the place in the pool of each point's nearest other text, by `mine_hard_negatives`.

    Args:
        queries: (n, d) of length 1.
        candidates: (2n, d): the counters of the points, then the points.
        pool: the pool.
    """
    n = sets.counters
    names = [str(place) for place in range(2 * n)]
    with contextlib.redirect_stderr(io.StringIO()):  # progress bars
        found = load("sentence_transformers.util").mine_hard_negatives(
            dataset=load("datasets").Dataset.from_dict({"point": names[n:], "counter": names[:n]}),
            model=GivenVectors(queries.numpy(), candidates.numpy()),
            corpus=names,
            range_min=1,  # the nearest text of all is the point itself
            num_negatives=1,
            verbose=False,
        )
    places = np.full(n, -1, dtype=np.int64)
    places[np.array(found["point"], dtype=np.int64) - n] = np.array(found["negative"], np.int64)
    return places
