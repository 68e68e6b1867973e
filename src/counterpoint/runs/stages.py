"""What a job trains: a cell's first stage, or a cross-encoder over one that is finished."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from counterpoint.config.options import CellOptions
from counterpoint.encoders.encoder import Encoder
from counterpoint.encoders.features import FrozenFeatures
from counterpoint.encoders.live import LiveEncoder
from counterpoint.encoders.pairs import load_pairs
from counterpoint.encoders.prompts import Prompts
from counterpoint.errors import InputError
from counterpoint.runs.folder import CellFolder, RunFolder
from counterpoint.runs.trained import StoredTexts, load_model
from counterpoint.runs.worker import Worker
from counterpoint.training.data import CorpusData
from counterpoint.training.epochs import EpochTrainer
from counterpoint.training.reranker import RerankerTrainer
from counterpoint.training.trainer import Trainer


@dataclass(frozen=True)
class FirstStage:
    """The cell that a cross-encoder takes its candidates from."""

    name: str
    run: RunFolder

    @property
    def folder(self) -> CellFolder:
        """Where its results lie."""
        return self.run.cell(self.name)


@dataclass(frozen=True)
class Stage:
    """A stage that is ready to be trained."""

    inputs: Path
    """The file that its encoder's texts are read from."""
    fingerprint: str | None
    """Of a live encoder's weights, and of a first stage that is taken as it is."""
    prompts: Prompts
    trainer: Callable[[CorpusData], EpochTrainer]


def first_stage(options: CellOptions, arguments: Path, path: Path, worker: Worker) -> Stage:
    """A cell's first stage, with its classifier.

    Args:
        options: of the cell.
        arguments: the corpus.
        path: features of a frozen encoder, or tokens for a live one.
        worker: who trains it.

    Raises:
        InputError: the encoder cannot be loaded, or the file is of another one.
    """
    encoder = _encoder(options, arguments, path, worker)
    return Stage(
        path,
        encoder.fingerprint(),
        encoder.prompts,
        lambda data: Trainer(options, data, encoder, worker.device),
    )


def _encoder(options: CellOptions, arguments: Path, path: Path, worker: Worker) -> Encoder:
    of_encoder, inputs = options.encoder, worker.inputs
    if of_encoder.trainable == "none":
        return FrozenFeatures(inputs.features(path, arguments, of_encoder))
    live = LiveEncoder(of_encoder, inputs.tokens(path, arguments, of_encoder))
    if isinstance(of_encoder.trainable, int) and not live.computes_lower_layers_once:
        print(
            "encoder.trainable: the layers that do not learn are computed in every step; with "
            "encoder.dropout: 0 and compile: false they are computed once",
            file=sys.stderr,
            flush=True,
        )
    return live


def second_stage(
    options: CellOptions, arguments: Path, path: Path, first: FirstStage, worker: Worker
) -> Stage:
    """A cross-encoder.

    Args:
        options: of the cell.
        arguments: the corpus.
        path: tokens for the cross-encoder.
        first: the finished first stage.
        worker: who trains it.

    Raises:
        InputError: the first stage is not there, an encoder cannot be loaded, or the file is of
            another one.
    """
    if not first.folder.model.is_file():
        raise InputError(f"{first.folder.model}: no such file; train the first stage before")
    of_encoder = options.reranker.encoder
    tokens = worker.inputs.tokens(path, arguments, of_encoder)
    encoder = load_pairs(of_encoder, tokens)
    after = worker.inputs.file_hash(first.folder.model)

    def trainer(data: CorpusData) -> EpochTrainer:
        corpus = worker.inputs.corpus(arguments)
        stored = StoredTexts(first.run, corpus)
        model, _ = load_model(first.folder, corpus, worker.device, stored)
        return RerankerTrainer(options, data, model, encoder, worker.device)

    return Stage(path, f"{encoder.fingerprint()} after {after}", tokens.prompts, trainer)
