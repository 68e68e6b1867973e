"""What a run will cost: cells, jobs, hours and disk.

From finished cells where there are some. Otherwise one cell of each kind (fusion and encoder) is
trained for a few epochs, here and now, and scaled up: an upper bound where a control may stop a
cell early. An estimate: jobs that share a machine slow one another, and baselines are left out.
"""

import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from counterpoint.config import cache_keys
from counterpoint.config.matrix import Cell, expand
from counterpoint.config.options import CellOptions, EncoderOptions, RunConfig, StoppingOptions
from counterpoint.corpus import opening
from counterpoint.corpus.arguments import Corpus, read_arguments
from counterpoint.encoders import features
from counterpoint.encoders import live as live_module
from counterpoint.encoders import tokens as tokens_module
from counterpoint.encoders.encoder import gathered
from counterpoint.errors import InputError
from counterpoint.evaluation import records
from counterpoint.io.rng import generator
from counterpoint.models.weights import save_weights
from counterpoint.results import epoch_log
from counterpoint.runs import devices
from counterpoint.runs.progress import duration, may_stop
from counterpoint.tasks.candidates import candidate_sets
from counterpoint.tasks.training_pairs import trainable, training_pairs
from counterpoint.training.mining import random_rate
from counterpoint.training.trainer import Trainer

EPOCHS = 3
"""Measured of each kind of cell; the median counts, because the first is slower."""

SAMPLE = 48
"""About so many texts are encoded to time an encoder."""

Cost = npt.NDArray[np.float64]
"""(2,): seconds, bytes."""


@dataclass(frozen=True)
class Plan:
    """A run as it is planned, and what is left of it to compute."""

    run: str
    cells: int
    done: int
    jobs: Mapping[str, int]
    """By rule, what is done included."""
    parallel: int
    """Cells at a time."""
    hours: float
    """Of the cells and features that are not there yet, by what the machine gives now."""
    at_most: bool
    """Whether a control may end a cell before."""
    bytes: int
    """Of all cells, features and tokens."""
    measured_on: list[str]

    def text(self) -> str:
        """As a small table."""
        rows = {
            "cells": f"{self.cells}, {self.done} of them done",
            "jobs": ", ".join(f"{count} {rule}" for rule, count in self.jobs.items()),
            "at a time": f"{self.parallel} cells",
            "time left": f"{'at most ' * self.at_most}about {duration(self.hours * 3600)}",
            "disk": f"about {self.bytes / 1e6:,.1f} MB",
            "measured on": f"\n{'':13}".join(self.measured_on) or "nothing, because all is done",
        }
        return "".join(f"{name:13}{value}\n" for name, value in rows.items())


def plan(
    config: RunConfig, folder: Path, *, arguments: Path | None, cores: int, device: torch.device
) -> Plan:
    """Estimate a run.

    Args:
        config: of the run.
        folder: of the run, which need not exist; what lies there is used.
        arguments: `arguments.parquet` to use instead of the run's; without any the corpus is read.
        cores: that snakemake will get.
        device: to measure on.

    Raises:
        InputError: the configuration cannot be used, or there is no corpus to measure on.
    """
    cells = expand(config, "plan")
    paths = {cell.name: folder / "cells" / cell.name for cell in cells}
    done = [_finished(path) for path in paths.values() if (path / "outcome.json").is_file()]
    todo = [cell for cell in cells if not (paths[cell.name] / "outcome.json").is_file()]
    frozen = _frozen(config, cells)
    bench = _Bench(config, folder, arguments, device)
    encoded = [bench.encode(options) for options in frozen]
    if done:
        left = [np.median(done, axis=0)] * len(todo)
        bench.notes |= {f"{len(done)} finished cells": None} if todo else {}
    else:
        left = [bench.cost(cell.options) for cell in todo]
    jobs = cores // config.resources.threads
    gpus = len(devices.visible_devices())
    if gpus:
        jobs = min(jobs, gpus * config.resources.jobs_per_gpu)
    parallel = max(1, min(len(cells), jobs))
    seconds = sum(cost[0] for cost in left) / parallel + sum(cost[0] for cost in encoded)
    return Plan(
        run=config.run,
        cells=len(cells),
        done=len(done),
        jobs=_jobs(config, cells, frozen),
        parallel=parallel,
        hours=float(seconds) / 3600,
        at_most=not done and any(may_stop(cell.options.stopping) for cell in todo),
        bytes=int(sum(cost[1] for cost in [*done, *left, *encoded])),
        measured_on=list(bench.notes),
    )


def _finished(folder: Path) -> Cost:
    seconds = json.loads((folder / "seconds.json").read_text(encoding="utf-8"))["total"]
    return np.array([seconds, _size(folder)])


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _frozen(config: RunConfig, cells: list[Cell]) -> list[EncoderOptions]:
    """The encoders whose outputs are computed once; the base options' for the baseline too."""
    encoders = [cell.options.encoder for cell in cells if cell.options.encoder.trainable == "none"]
    encoders += [config.encoder] if "untrained" in config.baselines else []
    return list({cache_keys.features_key(each): each for each in encoders}.values())


def _jobs(config: RunConfig, cells: list[Cell], frozen: list[EncoderOptions]) -> dict[str, int]:
    live = [cell.options.encoder for cell in cells if cell.options.encoder.trainable != "none"]
    return {
        "corpus": 1,
        "tokens": len({cache_keys.tokens_key(each) for each in [*frozen, *live]}),
        "features": len(frozen),
        "cell": len(cells),
        "baseline": len(set(config.baselines)),
        **dict.fromkeys(("matrix", "summary", "curves", "page"), 1),
    }


class _Bench:
    """Measures on this machine, on the run's corpus."""

    def __init__(
        self, config: RunConfig, folder: Path, arguments: Path | None, device: torch.device
    ) -> None:
        self.config, self.folder, self.device = config, folder, device
        own = folder / "corpus" / "arguments.parquet"
        self.arguments = arguments or (own if own.is_file() else None)
        self.notes: dict[str, None] = {}
        """What was measured on."""
        self._encoders: dict[EncoderOptions, tuple[live_module.LiveEncoder, float]] = {}
        self._kinds: dict[Hashable, tuple[Cost, Cost]] = {}

    @cached_property
    def corpus(self) -> Corpus:
        """The run's."""
        if self.arguments is not None:
            return read_arguments(self.arguments)
        options = self.config.corpus
        if options.path is None or options.url is not None:
            raise InputError(
                "corpus.url: not downloaded yet, so there is nothing to measure on; run `snakemake "
                f"{self.folder}/corpus/arguments.parquet` first, or give --arguments"
            )
        return opening.open_corpus(options)[0]

    @cached_property
    def start_up(self) -> float:
        """Seconds until a job has loaded its modules."""
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import counterpoint.runs.job"], check=True)
        return time.perf_counter() - begun

    def encode(self, options: EncoderOptions) -> Cost:
        """Tokens and features of a frozen encoder: their size, or an estimate from some texts."""
        path = self._features(options)
        if path.is_file():
            tokens = self.folder / "encoder" / cache_keys.tokens_key(options) / "tokens.safetensors"
            sizes = [each.stat().st_size for each in (path, tokens) if each.is_file()]
            return np.array([0.0, sum(sizes)])
        torch.set_num_threads(self.config.resources.encoding_threads)
        live, seconds = self._live(options)
        texts = len(self.corpus.texts)
        tokens_each = len(live.tokens.ids) / len(live.tokens)
        return np.array([seconds, 4 * texts * (live.hidden_size + tokens_each)])

    def _features(self, options: EncoderOptions) -> Path:
        return self.folder / "encoder" / cache_keys.features_key(options) / "features.safetensors"

    def _live(self, options: EncoderOptions) -> tuple[live_module.LiveEncoder, float]:
        """An encoder with some of the texts, and the seconds of one pass over all."""
        if options in self._encoders:
            return self._encoders[options]
        every = max(1, len(self.corpus.arguments) // SAMPLE)
        some = dataclasses.replace(self.corpus, arguments=self.corpus.arguments[::every])
        live = (
            live_module.LiveEncoder(options, tokens_module.tokenise(some, options))
            .to(self.device)
            .eval()
        )
        begun = time.perf_counter()
        with torch.inference_mode():
            n = len(some.texts)
            gathered(live.embed(torch.arange(n), "candidate"), n).cpu()
        seconds = (time.perf_counter() - begun) * len(self.corpus.texts) / len(some.texts)
        self.notes[f"{len(some.texts)} of {len(self.corpus.texts)} texts encoded"] = None
        self._encoders[options] = live, seconds
        return live, seconds

    def cost(self, options: CellOptions) -> Cost:
        """Of a cell that trains for all its epochs."""
        kind = _kind(options)
        if kind not in self._kinds:
            torch.set_num_threads(self.config.resources.threads)
            self._kinds[kind] = self._measure(options)
        rest, epoch = self._kinds[kind]
        return rest + options.training.epochs * epoch

    def _measure(self, options: CellOptions) -> tuple[Cost, Cost]:
        """Of a cell without its epochs, and of an epoch.

        A live encoder's is that of training on vectors, and above it a pass over all texts an
        epoch (two at the ends), and each step's way through the encoder and back.
        """
        path, texts = self._features(options.encoder), len(self.corpus.texts)
        rest = epoch = np.zeros(2)
        if options.encoder.trainable == "none" and path.is_file():
            x, vectors = features.read_features(path, self.corpus), "their real vectors"
        else:
            live, one_pass = self._live(options.encoder)
            size = (texts, live.hidden_size)
            x = generator(options.seed, -1, "plan").standard_normal(size, dtype=np.float32)
            vectors = f"made-up vectors of {live.hidden_size} dimensions"
            if options.encoder.trainable != "none":
                weights = sum(weight.nbytes for weight in live.parameters())
                rest = np.array([2 * one_pass, weights])
                steps = self._pairs // options.training.batch_size
                epoch = np.array([one_pass + steps * self._step(live, options), 0.0])
        self.notes[f"{EPOCHS} epochs of a cell of each kind on {texts} texts, {vectors}"] = None
        on_vectors = self._train(_short(options), features.FrozenFeatures(x))
        return rest + on_vectors[0], epoch + on_vectors[1]

    @cached_property
    def _pairs(self) -> int:
        sets = candidate_sets(self.corpus, self.corpus.roles["train"])
        return len(training_pairs(sets, trainable(self.corpus, sets)))

    def _step(self, live: live_module.LiveEncoder, options: CellOptions) -> float:
        """Seconds of a batch's three texts each through the encoder and back; the second time."""
        texts = torch.arange(3 * options.training.batch_size) % len(live.tokens)
        live.train()
        for _ in range(2):
            begun = time.perf_counter()
            live(texts, "query").sum().backward()
            if self.device.type == "cuda":
                torch.cuda.synchronize()
        self.notes[f"a step of {len(texts)} texts through the live encoder"] = None
        return time.perf_counter() - begun

    def _train(self, options: CellOptions, vectors: features.FrozenFeatures) -> tuple[Cost, Cost]:
        """Train a cell, write what it leaves, and look at the clock and the files."""
        marks, busy = [time.perf_counter()], time.process_time()
        trainer = Trainer(options, self.corpus, vectors, self.device)
        marks.append(time.perf_counter())
        with tempfile.TemporaryDirectory() as name:
            log = Path(name) / "epochs.jsonl"

            def on_epoch(record: dict[str, Any]) -> None:
                epoch_log.append(log, record)
                marks.append(time.perf_counter())

            trainer.run(on_epoch)
            records.write_records(trainer.records(), Path(name) / "records.parquet")
            save_weights(trainer.model, Path(name) / "model.safetensors")
            marks.append(time.perf_counter())
            logged = log.stat().st_size
            size = _size(Path(name)) - logged
        if self.device.type == "cpu" and time.process_time() - busy < (marks[-1] - marks[0]) / 2:
            self.notes["a machine busy with other work, so the time is too long"] = None
        epochs = np.diff(marks[1:-1])
        rest = self.start_up + marks[1] - marks[0] + marks[-1] - marks[-2]
        return np.array([rest, size]), np.array([np.median(epochs), logged / len(epochs)])


def _kind(options: CellOptions) -> Hashable:
    """What an epoch's cost depends on; cells alike in it are measured once.

    Heads and losses take a small part of it.
    """
    return (
        options.encoder,
        options.projection,
        options.fusion,
        options.mining.backend,
        options.training.batch_size,
        options.training.batch_sampler,
        options.evaluation,
    )


def _short(options: CellOptions) -> CellOptions:
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
