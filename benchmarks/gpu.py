"""A GPU's figures: epochs of a BERT of base shape with random weights, of one job and of several.

Every figure is of epochs after the first, which warms up: kernels are chosen or compiled, memory is
had.
"""

import multiprocessing
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from benchmarks import epochs
from benchmarks.figures import GPU_CELLS, GPU_FIGURES, GPU_JOBS
from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.names import resolve

START_SECONDS = 600
"""Within which all jobs of a measurement must have begun."""

JOBS_BATCH = 8
"""Triples a step of jobs that share a GPU: what a small step leaves idle is theirs."""


def write_random_bert(folder: Path, tokenizer_of: str, shape: Mapping[str, int]) -> int:
    """Save a model of bert-base's shape, as fast as the published one; how many tokens it takes.

    Args:
        folder: that is there.
        tokenizer_of: an encoder's name or folder.
        shape: sizes that are not bert-base's.
    """
    from transformers import AutoTokenizer, BertConfig, BertModel

    tokenizer = AutoTokenizer.from_pretrained(resolve(tokenizer_of))
    config = BertConfig(vocab_size=len(tokenizer), **shape)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    positions: int = config.max_position_embeddings
    return positions


def measure_cell(
    work: epochs.Work, repeat: int, batch: int, *, compiled: bool = False
) -> tuple[dict[str, list[float]], list[dict[str, float]]]:
    """Epochs of one cell.

    Returns:
        By what is measured, a value an epoch; and each epoch's seconds by stage.
    """
    device = work.device
    on_gpu = device.type == "cuda"
    changes: epochs.Changes = {
        "training": {"batch_size": batch, "epochs": 1 + repeat},
        "encoder": {"compile": compiled},
    }
    trainer = work.trainer(work.options(changes))
    encoder = trainer.model.encoder
    assert isinstance(encoder, epochs.CountingEncoder)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    measured = epochs.run_epochs(trainer)[1:]
    memory = torch.cuda.max_memory_allocated(device) / 2**20 if on_gpu else 0.0
    size = 8192 if on_gpu else 64
    peak = epochs.matrix_rate((size, size, size), device, torch.bfloat16)
    parameters = epochs.counted_parameters(encoder.models["query"])

    def utilisation(trained: int, embedded: int, seconds: float) -> float:
        return 100 * epochs.arithmetic(parameters, trained, embedded) / peak / seconds

    found: dict[str, list[float]] = {
        "seconds": [each.total for each in measured],
        "tokens": [each.trained / each.seconds["train"] for each in measured],
        "utilisation": [utilisation(each.trained, each.embedded, each.total) for each in measured],
        "training-utilisation": [
            utilisation(each.trained, 0, each.seconds["train"]) for each in measured
        ],
        "memory": [memory],
    }
    stages = [{**each.seconds, "total": each.total, "matrix_rate": peak} for each in measured]
    return found, stages


class _Job:
    """What a process keeps between epochs."""

    work: epochs.Work
    changes: epochs.Changes
    barriers: Mapping[int, Any]


def _prepare(
    corpus: Corpus,
    encoder: Mapping[str, Any],
    device: str,
    barriers: Mapping[int, Any],
) -> None:
    torch.set_num_threads(1)
    _Job.work = epochs.Work(corpus, encoder, torch.device(device))
    _Job.changes = {"training": {"batch_size": JOBS_BATCH, "epochs": 1}}
    _Job.barriers = barriers


def _epoch(jobs: int) -> tuple[float, float]:
    """When an epoch began and ended that so many processes begin at once."""
    trainer = _Job.work.trainer(_Job.work.options(_Job.changes))
    _Job.barriers[jobs].wait(START_SECONDS)
    begun = time.time()
    epochs.run_epochs(trainer)
    return begun, time.time()


def measure_jobs(work: epochs.Work, repeat: int, counts: Sequence[int]) -> dict[int, list[float]]:
    """How many times as many epochs an hour several jobs make on one GPU as one of them alone."""
    context = multiprocessing.get_context("spawn")
    most = max(counts)
    barriers = {jobs: context.Barrier(jobs) for jobs in {1, most, *counts}}

    def seconds(sets: ProcessPoolExecutor, jobs: int) -> float:
        """From the first one's start to the last one's end; each waits for all, so none has two."""
        begun, ended = zip(*sets.map(_epoch, [jobs] * jobs), strict=True)
        return float(max(ended) - min(begun))

    given = (work.corpus, work.encoder, str(work.device), barriers)
    found: dict[int, list[float]] = {jobs: [] for jobs in counts}
    with ProcessPoolExecutor(most, context, _prepare, given) as sets:
        seconds(sets, most)
        for _ in range(repeat):
            alone = seconds(sets, 1)
            for jobs in counts:
                found[jobs].append(jobs * alone / seconds(sets, jobs))
    return found


def measure(
    work: epochs.Work, names: Sequence[str], repeat: int
) -> tuple[dict[str, list[float]], dict[str, list[dict[str, float]]]]:
    """The rows asked for, and every cell's epochs by stage."""
    rows: dict[str, list[float]] = {}
    stages = {}
    for cell, settings in GPU_CELLS.items():
        if any(f"{cell}-{what}" in names for what in GPU_FIGURES):
            found, stages[cell] = measure_cell(work, repeat, **settings)
            rows |= {f"{cell}-{what}": found[what] for what in GPU_FIGURES}
    counts = [jobs for jobs in GPU_JOBS if f"gpu-jobs-{jobs}" in names]
    if counts:
        several = measure_jobs(work, repeat, counts)
        rows |= {f"gpu-jobs-{jobs}": values for jobs, values in several.items()}
    return {name: rows[name] for name in names}, stages
