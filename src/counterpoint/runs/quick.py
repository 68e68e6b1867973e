"""What a run will cost, in a few seconds: for the line before the first job.

An epoch is tried for few kinds of cells, on made-up vectors. What an encoder takes follows from the
size of its layers, the length of the texts, and how fast this machine multiplies matrices of that
size; loading it would take longer than all the rest.
"""

import json
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from counterpoint.config import cache_keys
from counterpoint.config.matrix import all_cells
from counterpoint.config.options import CellOptions, EncoderOptions
from counterpoint.encoders.features import FrozenFeatures, same_outputs
from counterpoint.encoders.hub import MissingEncoder
from counterpoint.encoders.names import commit_of, folder_of
from counterpoint.errors import InputError
from counterpoint.io.rng import generator
from counterpoint.runs.estimate import CellCost, Cost, Plan, of_pairs, plan
from counterpoint.runs.measure import Bench
from counterpoint.runs.measure_pairs import PairCounts, PairSpeed, over_pairs
from counterpoint.runs.progress import duration
from counterpoint.runs.starting import check_batches, number_of_pairs

BUDGET_SECONDS = 2.0
"""After so long no further kind of cell is tried."""

CHARACTERS_A_TOKEN = 4.5
"""Of English, about."""

OVERHEAD = 1.6
"""A pass through an encoder takes so many times as long as its matrix products alone, about."""

BACKWARD = 2
"""And the way back so many times as long as the way there."""


def quick_text(bench: Bench, cores: int) -> str:
    """A run's cost in a sentence.

    Args:
        bench: that measures the run.
        cores: that snakemake will get.

    Raises:
        InputError: a batch is larger than what there is to train on, or an encoder cannot be had.
    """
    cells = all_cells(bench.config, "plan")
    try:
        pairs = number_of_pairs(bench.corpus)
    except InputError as error:
        return _without_estimate(bench.config.run, len(cells), error)
    check_batches(cells, pairs)
    used = [of for cell in cells for of in (cell.options.encoder, cell.options.stage.encoder)]
    encoders = {(of.name, of.revision): of for of in used}
    for encoder in encoders.values():
        commit_of(encoder)
    try:
        return _sentence(plan(bench.config, bench.folder, Quick(bench), cores=cores))
    except MissingEncoder:
        raise
    except InputError as error:  # of one cell perhaps, which need not stop the others
        return _without_estimate(bench.config.run, len(cells), error)


@dataclass(frozen=True)
class Shape:
    """The size of a transformer's layers."""

    layers: int
    hidden: int
    inner: int
    weights: int
    """Bytes of the file of its weights."""

    @property
    def products(self) -> int:
        """Multiplications for a token, without those of attention."""
        return self.layers * (4 * self.hidden**2 + 2 * self.hidden * self.inner)

    @classmethod
    def of(cls, name: str) -> "Shape | None":
        """That of an encoder in a folder; None where it is not there or tells its sizes otherwise.

        Raises:
            InputError: the folder holds no model.
        """
        folder = folder_of(name)
        if folder is None:
            return None
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        keys = ("num_hidden_layers", "hidden_size", "intermediate_size")
        sizes = [values.get(key) for key in keys]
        if not all(isinstance(size, int) for size in sizes):
            return None
        layers, hidden, inner = sizes
        weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        return cls(layers, hidden, inner, weights)


class Quick:
    """Tries few kinds of cells, takes the dearest for the others, and loads no encoder.

    Args:
        bench: that measures what is not known otherwise.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        # Apart for frozen encoders, live ones and cross-encoders.
        self._known: dict[tuple[bool, bool], dict[Hashable, CellCost]] = {}
        self._began = time.perf_counter()
        self._multiplied = False

    @property
    def notes(self) -> Sequence[str]:
        """What it was measured on, so far."""
        products = ["matrix products of the encoder's size"] if self._multiplied else []
        return [*self._bench.notes, *products]

    @property
    def start_up(self) -> float:
        """Seconds until a job has loaded its modules."""
        return self._bench.start_up

    def encoding(self, options: EncoderOptions) -> Cost:
        """Of the tokens and features of a frozen encoder; no seconds where they are there."""
        is_there = self._bench.folder.features(cache_keys.features_key(options)).is_file()
        shape = None if is_there else Shape.of(options.name)
        if shape is None:
            return self._bench.encoding(options)
        tokens = self._tokens(options)
        seconds = self._pass(shape, tokens, self._bench.config.resources.encoding_threads)
        return Cost(seconds, 4 * (len(self._bench.corpus.texts) * shape.hidden + tokens))

    def tokens(self, options: EncoderOptions) -> Cost:
        """Of the tokens of a live encoder, without the seconds, which are few."""
        path = self._bench.folder.tokens(cache_keys.tokens_key(options))
        return Cost(0.0, path.stat().st_size if path.is_file() else 4 * self._tokens(options))

    def cell(self, options: CellOptions) -> CellCost:
        """Of a cell: about that of the dearest that was tried, where it was not."""
        training = (options.training.batch_size, options.training.batch_sampler)
        mining = (options.mining.backend, options.mining.negatives, options.mining.filters)
        pairs = of_pairs(options) if options.reads_pairs else None
        kind = (options.encoder, options.projection, mining, training, pairs)
        group = options.reads_pairs, options.encoder.trainable != "none"
        known = self._known.setdefault(group, {})
        if kind not in known:
            is_late = time.perf_counter() - self._began > BUDGET_SECONDS
            known[kind] = (
                max(known.values(), key=lambda cost: cost.epoch.seconds)
                if known and is_late
                # The widest fusion stands for all.
                else self._try(options.model_copy(update={"fusion": "concat"}))
            )
        return known[kind]

    def _try(self, options: CellOptions) -> CellCost:
        shape, of_stage = Shape.of(options.encoder.name), Shape.of(options.stage.encoder.name)
        if shape is None or of_stage is None:
            return self._bench.cell(options)
        texts = len(self._bench.corpus.texts)
        torch.set_num_threads(self._bench.config.resources.threads)
        x = generator(options.seed, -1, "plan").standard_normal((texts, shape.hidden))
        vectors = FrozenFeatures(same_outputs(x.astype(np.float32)))
        on_vectors = options.first_stage() if options.reads_pairs else options
        cost = self._bench.on_vectors(on_vectors, vectors, "made-up vectors")
        one_pass = 0.0
        if options.encoder.trainable != "none":
            tokens = self._tokens(options.encoder)
            one_pass = self._pass(shape, tokens, self._bench.config.resources.threads)
        if options.reads_pairs:
            counts = PairCounts.of(options, self._bench.data, vectors, self._bench.device)
            return over_pairs(cost, counts, self._pair_speed(options, of_stage), one_pass)
        if options.encoder.trainable == "none":
            return cost
        batch = options.training.batch_size
        steps = number_of_pairs(self._bench.corpus) // batch
        # There and back.
        step = one_pass * options.mining.texts_a_point * batch / texts * (1 + BACKWARD)
        return CellCost(
            cost.fixed + Cost(2 * one_pass, shape.weights),
            cost.epoch + Cost(one_pass + steps * step, 0.0),
        )

    def _pair_speed(self, options: CellOptions, shape: Shape) -> PairSpeed:
        of_encoder = options.reranker.encoder
        tokens = 2 * self._tokens(of_encoder) / len(self._bench.corpus.texts)
        reading = self._pass(shape, tokens, self._bench.config.resources.threads)
        return PairSpeed((1 + BACKWARD) * reading, reading, shape.weights, tried=0)

    def _tokens(self, options: EncoderOptions) -> float:
        """About how many a pass over all texts takes."""
        lengths = [len(text) / CHARACTERS_A_TOKEN for text in self._bench.corpus.texts]
        return sum(min(length + 2, options.max_tokens) for length in lengths)

    def _pass(self, shape: Shape, tokens: float, threads: int) -> float:
        """Seconds of so many tokens through an encoder."""
        self._multiplied = True
        torch.set_num_threads(threads)
        rows = 1024
        left = torch.ones(rows, shape.hidden, device=self._bench.device)
        right = torch.ones(shape.hidden, shape.inner, device=self._bench.device)
        seconds = []
        for _ in range(9):
            begun = time.perf_counter()
            float((left @ right)[0, 0])  # waits for the device
            seconds.append(time.perf_counter() - begun)
        of_one = sorted(seconds)[4] / (rows * shape.hidden * shape.inner)
        return OVERHEAD * of_one * shape.products * tokens


def _sentence(plan: Plan) -> str:
    done = f", {plan.done} of them done" if plan.done else ""
    time_left = f"{'at most ' * plan.at_most}about {duration(plan.hours * 3600)}"
    measured = f" (from {'; '.join(plan.measured_on)})" if plan.measured_on else ""
    return (
        f"run {plan.run}: {plan.cells} cells{done}; {time_left}, {plan.parallel} at a time; about "
        f"{plan.bytes / 1e6:,.0f} MB{measured}"
    )


def _without_estimate(run: str, cells: int, error: InputError) -> str:
    return f"run {run}: {cells} cells; no estimate of the time: {str(error).splitlines()[0]}"
