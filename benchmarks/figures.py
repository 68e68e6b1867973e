"""What the engine's benchmark measures, against what it should reach, as JSON and as Markdown."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

GPU_CELLS: Mapping[str, Mapping[str, Any]] = {
    "gpu-8": {"batch": 8},
    "gpu-64": {"batch": 64},
    "gpu-64-compiled": {"batch": 64, "compiled": True},
}
"""Triples a step; whether `encoder.compile` is on."""

GPU_FIGURES = {
    "seconds": ("one full epoch", "s"),
    "tokens": ("tokens trained on a second", "tokens/s"),
    "utilisation": ("model FLOP utilisation, epoch", "%"),
    "training-utilisation": ("model FLOP utilisation, training pass", "%"),
    "memory": ("peak memory", "MiB"),
}
"""What each of them shows: in words, and its unit."""

GPU_JOBS = (2, 4)
"""How many jobs are tried on one GPU at once."""


@dataclass(frozen=True)
class Figure:
    """One row of the table."""

    says: str
    target: float | None = None
    """At least this much; None where there is nothing to reach."""
    at_most: bool = False
    """The target is an upper limit."""
    unit: str = "×"

    def met(self, value: float) -> bool | None:
        if self.target is None:
            return None
        return value <= self.target if self.at_most else value >= self.target


def number(value: float) -> str:
    """Three digits at least."""
    digits = 0 if value >= 1000 else 1 if value >= 20 else 2
    return f"{value:,.{digits}f}"


ON_GPU = "GPU, bert-base shape, random weights, ≤ 512 tokens, bfloat16,"


def _gpu(cell: str, batch: int, *, compiled: bool = False) -> dict[str, Figure]:
    on = f"{ON_GPU} batch {batch}{', compiled' * compiled}:"
    share = 40 if batch == 64 else None
    return {
        f"{cell}-{what}": Figure(f"{on} {says}", share if unit == "%" else None, unit=unit)
        for what, (says, unit) in GPU_FIGURES.items()
    }


FIGURES: Mapping[str, Figure] = {
    "epoch": Figure(
        "one full epoch fine-tuned, float32, dropout as the checkpoint has it: study's loop / ours",
        1.8,
    ),
    "bfloat16": Figure("the same, ours in bfloat16: original study's loop (float32) / ours", 2.5),
    "bfloat16-no-dropout": Figure(
        "the same, ours in bfloat16 without dropout: study's loop (float32, dropout) / ours",
        3.5,
    ),
    "frozen": Figure("the same epoch, our encoder frozen: original study's loop / ours", 200),
    "trainer": Figure(
        "training throughput, same triples, float32: ours / sentence-transformers' trainer", 1.3
    ),
    "balltree": Figure("mining, same negatives: BallTree / ours", 40),
    "hard-negatives": Figure(
        "mining, same vectors: sentence-transformers' mine_hard_negatives / ours", 3
    ),
    "memory": Figure("mining: peak memory above the vectors", 1024, at_most=True, unit="MiB"),
    "share": Figure("share of the encoder's arithmetic in an epoch, float32", 60, unit="%"),
    "share-no-dropout": Figure("the same without dropout", 80, unit="%"),
    **{
        name: figure
        for cell, settings in GPU_CELLS.items()
        for name, figure in _gpu(cell, **settings).items()
    },
    **{
        f"gpu-jobs-{jobs}": Figure(
            f"{ON_GPU} batch 8: epochs an hour, {jobs} jobs at once / one job"
        )
        for jobs in GPU_JOBS
    },
}

MINING = ("balltree", "hard-negatives", "memory")


def row(name: str, values: Sequence[float] | str) -> dict[str, Any]:
    """A figure with what was measured, or with the reason why it was not."""
    figure = FIGURES[name]
    facts = {"name": name, "figure": figure.says, "target": figure.target, "unit": figure.unit}
    if isinstance(values, str):
        return {**facts, "reason": values}
    median = statistics.median(values)
    return {
        **facts,
        "values": list(values),
        "median": median,
        "lowest": min(values),
        "highest": max(values),
        "met": figure.met(median),
    }


def markdown(results: Sequence[Mapping[str, Any]]) -> str:
    """The whole page of one or several runs: table, conditions, and where the time went.

    Of a row that several runs have, the last one's counts.
    """
    found = {each["name"]: each for result in results for each in result["rows"]}
    rows = [found[name] for name in FIGURES if name in found]
    page = [
        "# The engine's speed",
        "",
        "Written by `python -m benchmarks.engine`; each figure is of one run, both sides in turn.",
        "",
        *_table(
            ("figure", "target", "measured: median (lowest–highest)", ""),
            [_cells(each) for each in rows],
        ),
        "",
        "The encoder's arithmetic is 2 · parameters · tokens forward and 6 in training, without"
        " embedding tables, pooler, attention scores and padding, each unique text of a batch or of"
        " an embedding pass once. Its share is of what torch's matrix product reaches in the same"
        " run.",
        "",
    ]
    for result in results:
        if len(results) > 1:
            own = [each["name"] for each in result["rows"] if found[each["name"]] is each]
            page += [f"## {', '.join(own)}", ""]
        page += [*_conditions(result), *_profile(result["epochs"])]
    return "\n".join(page)


def _cells(measured: Mapping[str, Any]) -> tuple[str, ...]:
    figure = FIGURES[measured["name"]]
    sign = "≤" if figure.at_most else "≥"
    target = "" if figure.target is None else f"{sign} {figure.target:,g} {figure.unit}"
    if "reason" in measured:
        # A reason may run over several lines and hold what divides cells.
        reason = " ".join(measured["reason"].split()).replace("|", "\\|")
        return figure.says, target, reason, ""
    median, *ends = (number(measured[name]) for name in ("median", "lowest", "highest"))
    verdict = {True: "met", False: "**missed**", None: ""}[measured["met"]]
    return figure.says, target, f"{median} {figure.unit} ({'–'.join(ends)})", verdict


def _conditions(result: Mapping[str, Any]) -> list[str]:
    """Of what was measured and where."""
    machine, work = result["machine"], result["work"]
    measured = {each["name"] for each in result["rows"] if "reason" not in each}
    on_gpu = {name for name in measured if name.startswith("gpu-")}
    epochs, mining, gpu_epochs = (
        [line] if shown else []
        for line, shown in (
            (
                f"- Epochs: {work['encoder']}, at most {work['max_tokens']} tokens, {work['train']}"
                f" pairs of {work['corpus']} ({work['dev']} of dev, {work['test']} of test), batch"
                f" 8, half of the negatives mined; repetitions: {result['repeat']}.",
                measured - on_gpu - {*MINING},
            ),
            (
                f"- Mining: {work['points']:,} points and as many counters of width 128; memory at"
                f" {work['memory_points']:,}.",
                measured & {*MINING},
            ),
            (
                f"- On the GPU: {work.get('gpu_train')} pairs of {work['corpus']}, half of the"
                f" negatives mined; epochs measured: {result['repeat']}, after one.",
                on_gpu,
            ),
        )
    )
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    gpu = f"; {machine['gpu']}" if machine["gpu"] else "; no GPU"
    return [
        f"- Command: `{result['command']}`, {result['date']}.",
        f"- Machine: {machine['processor']}, {machine['cores']} cores, {machine['threads']}"
        f" threads, load {machine['load'][0]:.1f} at the start{gpu}.",
        f"- Versions: {versions}.",
        *epochs,
        *mining,
        *gpu_epochs,
        "",
    ]


def _profile(epochs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Where an epoch's time goes on each side: medians over repetitions."""
    measured = {name: runs for name, runs in epochs.items() if runs}
    if not measured:
        return []
    stages = ("embed", "mine", "train", "evaluate", "total")

    lines = [
        (name, *(f"{_median(runs, stage):.2f}" for stage in stages), _rate(runs))
        for name, runs in measured.items()
    ]
    return [
        "Where the time goes: seconds of one epoch by stage, and the rate of the matrix product"
        " beside it.",
        "",
        *_table(("epoch", *stages, "GFLOP/s"), lines),
        "",
    ]


def _median(runs: Sequence[Mapping[str, float]], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def _rate(runs: Sequence[Mapping[str, float]]) -> str:
    return f"{_median(runs, 'matrix_rate') / 1e9:.0f}" if "matrix_rate" in runs[0] else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(cells)} |" for cells in rows),
    ]
