"""What a run will cost: cells, jobs, hours and disk.

From finished cells of the same stage where there are some. Otherwise one cell of each kind (fusion
and encoder) is measured, here and now, and scaled up: an upper bound where a control may stop a
cell early. An estimate: jobs that share a machine slow one another, and baselines are left out.
"""

import statistics
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from counterpoint.config import cache_keys
from counterpoint.config.batches import batches
from counterpoint.config.matrix import Cell, all_cells
from counterpoint.config.options import CellOptions, EncoderOptions
from counterpoint.config.run_options import ENCODING_BASELINES, RunConfig
from counterpoint.results.files import Seconds
from counterpoint.runs.devices import visible_devices
from counterpoint.runs.folder import CellFolder, RunFolder
from counterpoint.runs.progress import duration, may_stop


@dataclass(frozen=True)
class Cost:
    """Of a job, or of a part of it."""

    seconds: float
    bytes: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.seconds + other.seconds, self.bytes + other.bytes)


@dataclass(frozen=True)
class CellCost:
    """Of a cell, whatever the number of its epochs."""

    fixed: Cost
    epoch: Cost

    def of_epochs(self, epochs: int) -> Cost:
        """With so many epochs."""
        return self.fixed + Cost(epochs * self.epoch.seconds, epochs * self.epoch.bytes)


class Measures(Protocol):
    """Tells what jobs cost."""

    @property
    def notes(self) -> Sequence[str]:
        """What it was measured on, so far."""

    def encoding(self, options: EncoderOptions) -> Cost:
        """Of the tokens and features of a frozen encoder; no seconds where they are there."""

    def tokens(self, options: EncoderOptions) -> Cost:
        """Of the tokens of a live encoder; no seconds where they are there."""

    def cell(self, options: CellOptions) -> CellCost:
        """Of a cell; of one with a cross-encoder, without its first stage."""

    @property
    def start_up(self) -> float:
        """Seconds until a job has loaded its modules."""


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


def plan(config: RunConfig, folder: RunFolder, measures: Measures, *, cores: int) -> Plan:
    """Estimate a run.

    Args:
        config: of the run.
        folder: of the run, which need not exist; what lies there is used.
        measures: tells what a job costs where no finished cell does.
        cores: that snakemake will get.

    Raises:
        InputError: the configuration cannot be used, or there is no corpus to measure on.
    """
    cells = all_cells(config, "plan")
    folders = {cell.name: folder.cell(cell.name) for cell in cells}
    done = [cell for cell in cells if folders[cell.name].outcome.is_file()]
    todo = [cell for cell in cells if not folders[cell.name].outcome.is_file()]
    finished = {cell.name: _finished(folders[cell.name]) for cell in done}
    frozen = _frozen_encoders(config, cells)
    encodings = [measures.encoding(options) for options in frozen]
    encodings += [measures.tokens(options) for options in _live_encoders(cells, frozen)]
    left: dict[str, Cost] = {}
    known = 0
    for is_second in (False, True):
        of_stage = [cell for cell in todo if cell.options.reads_pairs == is_second]
        alike = [finished[cell.name] for cell in done if cell.options.reads_pairs == is_second]
        known += len(alike) if of_stage else 0
        left |= _as_finished(of_stage, alike) if alike else _costs(of_stage, measures)
    parallel = _cells_at_a_time(config, cells, cores)
    jobs = batches(todo, config.resources.cells_per_job, parallel)
    seconds = max(sum(cost.seconds for cost in left.values()) / parallel, _longest(todo, left))
    seconds += sum(cost.seconds for cost in encodings)
    if jobs:
        seconds += measures.start_up * len(jobs) / parallel
    return Plan(
        run=config.run,
        cells=len(cells),
        done=len(done),
        jobs=_jobs(config, cells, frozen, parallel),
        parallel=parallel,
        hours=seconds / 3600,
        at_most=not known and any(may_stop(cell.options.stopping) for cell in todo),
        bytes=int(sum(cost.bytes for cost in [*finished.values(), *left.values(), *encodings])),
        measured_on=[*measures.notes, *([f"{known} finished cells"] if known else [])],
    )


def _finished(folder: CellFolder) -> Cost:
    return Cost(Seconds.read(folder.seconds).total, size_of(folder))


def size_of(folder: CellFolder) -> int:
    """Bytes of what a cell leaves."""
    return sum(path.stat().st_size for path in folder.path.iterdir())


def _as_finished(cells: Iterable[Cell], finished: Sequence[Cost]) -> dict[str, Cost]:
    """By name the median of finished cells, for each of some cells."""
    median = Cost(
        statistics.median(cost.seconds for cost in finished),
        statistics.median(cost.bytes for cost in finished),
    )
    return {cell.name: median for cell in cells}


def _longest(cells: Iterable[Cell], left: Mapping[str, Cost]) -> float:
    """Seconds of the dearest cell, with its first stage where it waits for one."""
    waits = {
        cell.name: left[cell.first].seconds if cell.first in left else 0.0
        for cell in cells
        if cell.first is not None
    }
    return max((cost.seconds + waits.get(name, 0.0) for name, cost in left.items()), default=0.0)


def _costs(cells: Iterable[Cell], measures: Measures) -> dict[str, Cost]:
    """Of some cells, by name, with one of each kind measured."""
    by_kind: dict[Hashable, CellCost] = {}
    costs = {}
    for cell in cells:
        kind = _kind(cell.options)
        if kind not in by_kind:
            by_kind[kind] = measures.cell(cell.options)
        costs[cell.name] = by_kind[kind].of_epochs(cell.options.stage.training.epochs)
    return costs


def _kind(options: CellOptions) -> Hashable:
    """What an epoch's cost depends on; heads and losses take a small part of it."""
    return (
        options.encoder,
        options.projection,
        options.fusion,
        options.mining.backend,
        options.mining.negatives,
        options.mining.filters,
        options.training.batch_size,
        options.training.batch_sampler,
        options.evaluation,
        of_pairs(options) if options.reads_pairs else None,
    )


def of_pairs(options: CellOptions) -> Hashable:
    """What the cost of a cross-encoder's epoch depends on, beside its first stage."""
    of = options.reranker
    return of.encoder, of.mining.negatives, of.training.batch_size, options.evaluation


def _cells_at_a_time(config: RunConfig, cells: Sequence[Cell], cores: int) -> int:
    jobs = cores // config.resources.threads
    gpus = len(visible_devices())
    if gpus:
        jobs = min(jobs, gpus * config.resources.jobs_per_gpu)
    # A cell that is a first stage runs before those that wait for it.
    apart = len(cells) - len({cell.first for cell in cells if cell.first is not None})
    return max(1, min(apart, jobs))


def _frozen_encoders(config: RunConfig, cells: Sequence[Cell]) -> list[EncoderOptions]:
    """The encoders whose outputs are computed once; the base options' for baselines too."""
    encoders = [cell.options.encoder for cell in cells if cell.options.encoder.trainable == "none"]
    encoders += [config.encoder] if set(ENCODING_BASELINES) & set(config.baselines) else []
    return list({cache_keys.features_key(options): options for options in encoders}.values())


def _live_encoders(cells: Iterable[Cell], frozen: Iterable[EncoderOptions]) -> list[EncoderOptions]:
    """Encoders that learn, a cross-encoder's among them, one for each tokens of their own."""
    encoders = [cell.options.encoder for cell in cells]
    encoders += [cell.options.stage.encoder for cell in cells]
    shared = {cache_keys.tokens_key(options) for options in frozen}
    live = {
        cache_keys.tokens_key(options): options
        for options in encoders
        if options.trainable != "none"
    }
    return [options for key, options in live.items() if key not in shared]


def _jobs(
    config: RunConfig, cells: Sequence[Cell], frozen: Sequence[EncoderOptions], parallel: int
) -> dict[str, int]:
    """By rule of the workflow."""
    live = _live_encoders(cells, frozen)
    return {
        "corpus": 1,
        "tokens": len({cache_keys.tokens_key(options) for options in [*frozen, *live]}),
        "features": len(frozen),
        "train": len(batches(cells, config.resources.cells_per_job, parallel)),
        "baselines": int(bool(config.baselines)),
        "summarise": 1,
    }
