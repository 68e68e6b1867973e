"""What a run's jobs cost on this machine, from a few epochs and texts tried here and now."""

import dataclasses
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from counterpoint.config import cache_keys
from counterpoint.config.options import CellOptions, EncoderOptions, StoppingOptions
from counterpoint.config.run_options import RunConfig
from counterpoint.corpus.arguments import Corpus, read_arguments
from counterpoint.corpus.opening import open_corpus
from counterpoint.encoders.features import FrozenFeatures, read_features, same_outputs
from counterpoint.encoders.live import LiveEncoder
from counterpoint.encoders.roles import ROLES
from counterpoint.encoders.tokens import load_tokenizer, tokenise
from counterpoint.errors import InputError
from counterpoint.evaluation.records import write_records
from counterpoint.io.rng import generator
from counterpoint.models.weights import save_weights
from counterpoint.results import epoch_log
from counterpoint.runs.estimate import CellCost, Cost, size_of
from counterpoint.runs.folder import CellFolder, RunFolder
from counterpoint.runs.measure_pairs import PairCounts, PairSpeed, over_pairs
from counterpoint.training.data import CorpusData
from counterpoint.training.epochs import EpochEnded, Evaluated
from counterpoint.training.mining import random_rate
from counterpoint.training.trainer import Trainer

EPOCHS = 3
"""Measured of a cell; the median counts, because the first is slower."""

SAMPLE = 48
"""About so many texts are encoded to time an encoder."""


class Bench:
    """Measures on this machine, on a run's corpus.

    Args:
        config: of the run.
        folder: of the run; features and the corpus are used where they are there.
        arguments: table of arguments to use instead of the run's; without any the corpus is read.
        device: to measure on.
    """

    def __init__(
        self, config: RunConfig, folder: RunFolder, arguments: Path | None, device: torch.device
    ) -> None:
        self.config, self.folder, self.device = config, folder, device
        self._arguments = arguments or (folder.arguments if folder.arguments.is_file() else None)
        # Keys alone, because each is said once, in order.
        self._notes: dict[str, None] = {}
        self._encoders: dict[EncoderOptions, tuple[LiveEncoder, float]] = {}
        self._pair_speeds: dict[tuple[EncoderOptions, int], PairSpeed] = {}

    @property
    def notes(self) -> Sequence[str]:
        """What it was measured on, so far."""
        return list(self._notes)

    @cached_property
    def corpus(self) -> Corpus:
        """The run's.

        Raises:
            InputError: it is not downloaded yet, or cannot be used.
        """
        if self._arguments is not None:
            return read_arguments(self._arguments)
        if self.config.corpus.url is not None:
            raise InputError(
                "corpus.url: not downloaded yet, so there is nothing to measure on; run `snakemake "
                f"{self.folder.arguments}` first, or give --arguments"
            )
        corpus, _ = open_corpus(self.config.corpus)
        return corpus

    @cached_property
    def data(self) -> CorpusData:
        """What training needs of it."""
        return CorpusData(self.corpus)

    @cached_property
    def start_up(self) -> float:
        """Seconds until a job has loaded its modules."""
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import counterpoint.runs.job"], check=True)
        return time.perf_counter() - begun

    def encoding(self, options: EncoderOptions) -> Cost:
        """Of the tokens and features of a frozen encoder; no seconds where they are there."""
        features = self.folder.features(cache_keys.features_key(options))
        if features.is_file():
            tokens = self.folder.tokens(cache_keys.tokens_key(options))
            files = [path for path in (features, tokens) if path.is_file()]
            return Cost(0.0, sum(path.stat().st_size for path in files))
        torch.set_num_threads(self.config.resources.encoding_threads)
        live, seconds = self._live(options)
        tables = [live.tokens[role] for role in _roles(live)]
        tokens_a_text = sum(len(tokens.ids) / len(tokens) for tokens in tables)
        numbers_a_text = len(tables) * live.hidden_size + tokens_a_text
        return Cost(seconds, 4 * len(self.corpus.texts) * numbers_a_text)

    def tokens(self, options: EncoderOptions) -> Cost:
        """Of the tokens of a live encoder; no seconds where they are there."""
        path = self.folder.tokens(cache_keys.tokens_key(options))
        if path.is_file():
            return Cost(0.0, path.stat().st_size)
        some = self._some
        tokenizer = load_tokenizer(options)
        begun = time.perf_counter()
        tokens = tokenise(some, options, tokenizer)
        share = len(self.corpus.texts) / len(some.texts)
        roles = ROLES if tokens.differ else ROLES[:1]
        size = sum(tokens[role].ids.nbytes + tokens[role].starts.nbytes for role in roles)
        return Cost(share * (time.perf_counter() - begun), share * size)

    @cached_property
    def _some(self) -> Corpus:
        """A sample of the corpus."""
        every = max(1, len(self.corpus.arguments) // SAMPLE)
        return dataclasses.replace(self.corpus, arguments=self.corpus.arguments[::every])

    def cell(self, options: CellOptions) -> CellCost:
        """Of a cell; of one with a cross-encoder, without its first stage.

        A live encoder's is that of training on vectors, and above it a pass over all texts an
        epoch (two at the ends), and each step's way through the encoder and back. A
        cross-encoder's is that of training on vectors too, which mines and ranks as much; above it
        are a pass of a live first stage over all texts, and the pairs that it learns from and
        reads.
        """
        torch.set_num_threads(self.config.resources.threads)
        path = self.folder.features(cache_keys.features_key(options.encoder))
        frozen = options.encoder.trainable == "none"
        if frozen and path.is_file():
            vectors = FrozenFeatures(read_features(path, self.corpus))
            return self._on_frozen(options, vectors, "their real vectors", 0.0)
        live, one_pass = self._live(options.encoder)
        size = (len(self.corpus.texts), live.hidden_size)
        x = generator(options.seed, -1, "plan").standard_normal(size, dtype=np.float32)
        vectors = FrozenFeatures(same_outputs(x))
        which = f"made-up vectors of {live.hidden_size} dimensions"
        embedding = 0.0 if frozen else one_pass
        on_vectors = self._on_frozen(options, vectors, which, embedding)
        if frozen or options.reads_pairs:
            return on_vectors
        weights = sum(weight.nbytes for weight in live.parameters())
        steps = self._pairs // options.training.batch_size
        return CellCost(
            on_vectors.fixed + Cost(2 * one_pass, weights),
            on_vectors.epoch + Cost(one_pass + steps * self._step(live, options), 0.0),
        )

    def _on_frozen(
        self, options: CellOptions, vectors: FrozenFeatures, which: str, embedding: float
    ) -> CellCost:
        """Of a cell on vectors; of a cross-encoder over them, embedded in so many seconds."""
        if not options.reads_pairs:
            return self.on_vectors(options, vectors, which)
        on_vectors = self.on_vectors(options.first_stage(), vectors, which)
        counts = PairCounts.of(options, self.data, vectors, self.device)
        return over_pairs(on_vectors, counts, self._pair_speed(options), embedding)

    def _pair_speed(self, options: CellOptions) -> PairSpeed:
        of = options.reranker
        step = of.training.batch_size * (1 + of.mining.negatives)
        known = of.encoder, step
        if known not in self._pair_speeds:
            speed = PairSpeed.of(of.encoder, self._some, step, self.device)
            self._note(f"a step's {speed.tried} of {step} pairs through the cross-encoder")
            self._note(f"{speed.tried} pairs read by it")
            self._pair_speeds[known] = speed
        return self._pair_speeds[known]

    def _live(self, options: EncoderOptions) -> tuple[LiveEncoder, float]:
        """An encoder with some of the texts, and the seconds of one pass over all."""
        if options in self._encoders:
            return self._encoders[options]
        some = self._some
        live = LiveEncoder(options, tokenise(some, options)).to(self.device).eval()
        begun = time.perf_counter()
        with torch.inference_mode():
            for role in _roles(live):
                for _, x in live.embed(torch.arange(len(some.texts)), role):
                    x.cpu()  # waits for the device
        seconds = (time.perf_counter() - begun) * len(self.corpus.texts) / len(some.texts)
        self._note(f"{len(some.texts)} of {len(self.corpus.texts)} texts encoded")
        self._encoders[options] = live, seconds
        return live, seconds

    def _step(self, live: LiveEncoder, options: CellOptions) -> float:
        """Seconds of a batch's texts through the encoder and back; the second time."""
        size = options.mining.texts_a_point * options.training.batch_size
        texts = torch.arange(size) % len(live.tokens.candidate)
        live.train()
        for _ in range(2):
            begun = time.perf_counter()
            live(texts, "query").sum().backward()
            if self.device.type == "cuda":
                torch.cuda.synchronize()
        self._note(f"a step of {len(texts)} texts through the live encoder")
        return time.perf_counter() - begun

    def on_vectors(self, options: CellOptions, vectors: FrozenFeatures, which: str) -> CellCost:
        """Train a cell, write what it leaves, and look at the clock and the files."""
        self._note(
            f"{EPOCHS} epochs of a cell of each kind on {len(self.corpus.texts)} texts, {which}"
        )
        busy, begun = time.process_time(), time.perf_counter()
        trainer = Trainer(short(options), self.data, vectors, self.device)
        self._pairs = len(trainer.data.pairs)
        clock = [time.perf_counter()]
        with tempfile.TemporaryDirectory() as name:
            folder = CellFolder(Path(name))
            for event in trainer.events():
                match event:
                    case EpochEnded(record):
                        epoch_log.append(folder.epochs, record)
                        clock.append(time.perf_counter())
                    case Evaluated(results):
                        write_records(results, folder.records)
            save_weights(trainer.model, folder.model)
            ended = time.perf_counter()
            logged = folder.epochs.stat().st_size
            size = size_of(folder) - logged
        if self.device.type == "cpu" and time.process_time() - busy < (ended - begun) / 2:
            self._note("a machine busy with other work, so the time is too long")
        epochs = [after - before for before, after in pairwise(clock)]
        seconds = (clock[0] - begun) + (ended - clock[-1])
        return CellCost(Cost(seconds, size), Cost(statistics.median(epochs), logged / len(epochs)))

    def _note(self, text: str) -> None:
        self._notes[text] = None


def _roles(live: LiveEncoder) -> Sequence[str]:
    """The roles that texts have tokens of their own in."""
    return ROLES if live.tokens.differ else ROLES[:1]


def short(options: CellOptions) -> CellOptions:
    """The cell for a few epochs without any control, at its mean rate of random negatives."""
    planned = range(options.training.epochs)
    rate = statistics.mean(random_rate(epoch, options.mining) for epoch in planned)
    mining = {"preset": None, "initial_random_rate": rate, "decrease_rate": 0.0}
    return options.model_copy(
        update={
            "training": options.training.model_copy(update={"epochs": EPOCHS}),
            "mining": options.mining.model_copy(update=mining),
            "stopping": StoppingOptions(patience=None, halve_after=None, dev_loss_rises=None),
        }
    )
