"""Little cells to train, what a job of one reads, and a trainer driven to its end."""

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from counterpoint.arrays import Floats
from counterpoint.config.loading import parse
from counterpoint.config.options import CellOptions
from counterpoint.corpus.arguana import read_corpus
from counterpoint.corpus.arguments import Corpus, write_arguments
from counterpoint.corpus.sources import open_source
from counterpoint.corpus.synthetic import write_corpus
from counterpoint.encoders.features import FrozenFeatures, same_outputs, write_features
from counterpoint.encoders.live import LiveEncoder
from counterpoint.encoders.tokens import tokenise
from counterpoint.evaluation.records import QueryResults
from counterpoint.evaluation.system import RoleVectors, returned
from counterpoint.results.epoch_log import EpochRecord
from counterpoint.results.files import Outcome
from counterpoint.training.checkpoint import Identity
from counterpoint.training.data import CorpusData
from counterpoint.training.epochs import Ended, EpochEnded, Evaluated
from counterpoint.training.split_scores import Results
from counterpoint.training.trainer import Trainer
from tests.support.debates import ROLES

CPU = torch.device("cpu")
NO_STOP = {"patience": None, "halve_after": None, "dev_loss_rises": None}


def cell(**values: Any) -> CellOptions:
    """A cell of three short epochs, but for some options."""
    return parse(CellOptions, {"training": {"epochs": 3, "batch_size": 4}, **values}, "test")


def planted_corpus(folder: Path) -> Corpus:
    """60 made-up pairs, 36 of them to train on, whose texts all differ."""
    write_corpus(folder, pairs=60, seed=3)
    return read_corpus(open_source(str(folder)), ROLES)[0]


def features(corpus: Corpus, width: int = 16, seed: int = 5) -> Floats:
    """Vectors in which a counter lies near its point: what training can find."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(len(corpus.texts), width)).astype(np.float32)
    for argument, text in zip(corpus.arguments, corpus.text_index, strict=True):
        twin = zlib.crc32((argument.id[:-1] + "a").encode("utf-8"))
        x[text] = np.random.default_rng(twin).normal(size=width) + 0.3 * x[text]
    return x


def frozen_trainer(options: CellOptions, corpus: Corpus) -> Trainer:
    """Over `features`."""
    return Trainer(options, CorpusData(corpus), FrozenFeatures(same_outputs(features(corpus))), CPU)


def live_trainer(options: CellOptions, corpus: Corpus) -> Trainer:
    """With an encoder at work."""
    return Trainer(options, CorpusData(corpus), live_encoder(options, corpus), CPU)


def live_encoder(options: CellOptions, corpus: Corpus) -> LiveEncoder:
    """The cell's encoder at work."""
    return LiveEncoder(options.encoder, tokenise(corpus, options.encoder))


class Trained(NamedTuple):
    """What a trainer told while it trained to its end."""

    log: list[EpochRecord]
    outcome: Outcome


def train(trainer: Trainer) -> Trained:
    """Train to the end; the final evaluation is left out."""
    log = []
    for event in trainer.events():
        if isinstance(event, EpochEnded):
            log.append(event.record)
        elif isinstance(event, Ended):
            return Trained(log, event.outcome)
    raise AssertionError("it never ended")


def results_of(trainer: Trainer) -> Results:
    """The final evaluation, after whatever is left to train."""
    *_, last = trainer.events()
    assert isinstance(last, Evaluated)
    return last.results


def results_by_key(trainer: Trainer, split: str) -> dict[tuple[str, str], QueryResults]:
    """Those of one split, by protocol and task."""
    return {(each.protocol, each.task): each for each in results_of(trainer)[split][1]}


def embedded(trainer: Trainer, *roles: str) -> RoleVectors:
    """The trainer's vectors as they are now."""
    return returned(trainer.embedded(roles))


JobInputs = dict[str, Any]
"""What a `Job` is given beside its options, by name."""


def job_inputs(corpus: Corpus, x: Floats, folder: Path) -> JobInputs:
    """Write a corpus and its features, and say where a job's results go."""
    write_arguments(corpus, folder / "arguments.parquet")
    write_features(same_outputs(x), corpus, folder / "features.safetensors")
    return {
        "arguments": folder / "arguments.parquet",
        "features": folder / "features.safetensors",
        "tokens": None,
        "threads": 1,
        "jobs_per_gpu": 1,
        "state": folder / "state",
        "out": folder / "out",
    }


def an_identity(**values: Any) -> Identity:
    """One of a cell that nobody trains, but for some of its facts."""
    facts = {
        "options": {"seed": 1, "training": {"batch_size": 8}},
        "corpus": "c0",
        "inputs": "f0",
        "encoder": None,
        "threads": 1,
        "device": "cpu",
        "torch": "2",
        "numpy": "2",
        "transformers": "5",
        "training_version": 1,
        "code": "0",
    }
    return Identity(**{**facts, **values})


def contaminated(corpus: Corpus) -> tuple[Corpus, set[str]]:
    """Three training pairs share a text with dev or test; the ids of their points."""
    splits = {split: corpus.split(split) for split in ROLES.values()}
    points = [argument for argument in splits["training"] if argument.kind == "point"]
    counters = {a.pair: a for a in splits["training"] if a.kind == "counter"}
    text_of = {
        points[2].id: splits["validation"][0],
        counters[points[5].pair].id: splits["test"][3],
        points[9].id: splits["test"][1],
    }
    arguments = [
        replace(each, text=f" {text_of[each.id].text}", text_hash=text_of[each.id].text_hash)
        if each.id in text_of
        else each
        for each in corpus.arguments
    ]
    shared = Corpus(arguments, corpus.roles, corpus.bare_debates)
    return shared, {points[number].id for number in (2, 5, 9)}


def tiny_live(corpus: Corpus, tiny_bert: Path, dropout: float = 0.0, **training: Any) -> Trainer:
    """One epoch with the tiny BERT at work."""
    encoder = {"name": str(tiny_bert), "max_tokens": 24, "trainable": "all", "dropout": dropout}
    settings = {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3, **training}
    return live_trainer(cell(encoder=encoder, training=settings), corpus)
