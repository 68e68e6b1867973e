"""How much memory a process holds while it fine-tunes an encoder for an epoch.

    python -m benchmarks.resident --label after --csv after.csv
    python -m benchmarks.resident --plot before.csv after.csv --png resident.png

The first form trains in a process of its own and asks the system for its memory every fifth of a
second, from outside. The second draws several such files, with a table on standard output. What a
figure is compared with comes from a run of the same command on the other commit.
"""

import argparse
import csv
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch

from benchmarks import epochs
from benchmarks.small_corpus import read_folders, small_corpus
from counterpoint.io.atomic import write_text
from counterpoint.io.text import markdown_table
from counterpoint.runs import devices
from counterpoint.training.epochs import Ended, StepTaken

EVERY = 0.2
"""Seconds between two looks at a process."""

BOUND = 2.5e9
"""Bytes that fine-tuning the bundled encoder in batches of 32 triples of 128 tokens may take."""

COLUMNS = ("label", "seconds", "resident_mib", "peak_mib", "steps", "cpu_seconds")


@dataclass(frozen=True)
class Sample:
    """What a process held at a time."""

    label: str
    seconds: float
    """Since it began to embed."""
    resident: float
    """MiB."""
    peak: float
    """The most until then, MiB."""
    steps: int
    """Taken until then."""
    cpu: float
    """Seconds of the CPU, of all threads, until then."""


def train(parsed: argparse.Namespace) -> None:
    """One epoch; says on standard output that it begins, and each step."""
    # As a job begins (`counterpoint.runs.worker`).
    devices.keep_freed_memory()
    torch.set_num_threads(parsed.threads)
    corpus = small_corpus(read_folders(parsed.corpus), parsed.pairs)
    encoder = {"name": parsed.encoder, "max_tokens": parsed.max_tokens, "dropout": parsed.dropout}
    work = epochs.Work(corpus, encoder)
    trainer = work.trainer(work.options({"training": {"batch_size": parsed.batch}}))
    print("begin", flush=True)
    with devices.no_denormals():
        for event in trainer.events():
            if isinstance(event, StepTaken):
                print("step", flush=True)
            if isinstance(event, Ended):
                break


def watched(label: str, arguments: Sequence[str]) -> list[Sample]:
    """What the process of an epoch held over time.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, "-m", "benchmarks.resident", "--train", *arguments]
    folder = Path(__file__).resolve().parents[1]
    found: list[Sample] = []
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        said, began = b"", None
        while process.poll() is None:
            said += process.stdout.read() or b""
            if began is None and b"begin" in said:
                began = time.monotonic()
            if began is not None:
                found.append(sample(process.pid, label, began, said.count(b"step")))
            time.sleep(EVERY)
    if process.returncode:
        raise RuntimeError(f"the epoch ended with status {process.returncode}")
    # It may have ended between being asked for and answering.
    return thinned([each for each in found if each.resident > 0])


def thinned(samples: Sequence[Sample]) -> list[Sample]:
    """Those that tell something new: another step, or another MiB; and the last one."""
    told = [
        each
        for before, each in pairwise(samples)
        if each.steps != before.steps or round(each.resident) != round(before.resident)
    ]
    return [samples[0], *told, *([] if samples[-1] in told else samples[-1:])]


def sample(pid: int, label: str, began: float, steps: int) -> Sample:
    """What a process holds now (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    fields = dict(line.split(":", 1) for line in status)
    resident, peak = (int(fields.get(name, "0").split()[0]) for name in ("VmRSS", "VmHWM"))
    # The program's name, in brackets, may hold spaces.
    times = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
    cpu = sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
    return Sample(label, time.monotonic() - began, resident / 1024, peak / 1024, steps, cpu)


def write_csv(samples: Sequence[Sample], path: str) -> None:
    lines = [",".join(COLUMNS)]
    for each in samples:
        numbers = (each.seconds, each.resident, each.peak, each.steps, each.cpu)
        lines.append(",".join([each.label, *(f"{number:.1f}" for number in numbers)]))
    write_text(path, "\n".join(lines) + "\n")


def read_csv(path: str) -> list[Sample]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        Sample(
            label=row["label"],
            seconds=float(row["seconds"]),
            resident=float(row["resident_mib"]),
            peak=float(row["peak_mib"]),
            steps=int(float(row["steps"])),
            cpu=float(row["cpu_seconds"]),
        )
        for row in rows
    ]


def summary(samples: Sequence[Sample]) -> dict[str, object]:
    """A row of the table."""
    last = max(each.steps for each in samples)
    # Looked at so rarely that a short step may have been missed.
    first, end = (next(e for e in samples if e.steps >= count) for count in (min(1, last), last))
    per_step = (end.cpu - first.cpu) / max(1, end.steps - first.steps)
    return {
        "code": samples[0].label,
        "resident at the start, MiB": f"{samples[0].peak:,.0f}",
        "peak of the first step, MiB": f"{first.peak:,.0f}",
        "peak of the epoch, MiB": f"{samples[-1].peak:,.0f}",
        "seconds of CPU a step": f"{per_step:.1f}",
    }


def draw(runs: Sequence[Sequence[Sample]], path: str) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for samples in runs:
        # Steps, not seconds: other work on the machine changes how long a step takes.
        start = {each.steps: each.seconds for each in reversed(samples)}
        end = {each.steps: each.seconds for each in samples}
        place = [
            each.steps
            + (each.seconds - start[each.steps])
            / max(EVERY, end[each.steps] - start[each.steps] + EVERY)
            for each in samples
        ]
        axes.plot(place, [each.resident / 1024 for each in samples], label=samples[0].label)
    axes.axhline(BOUND / 2**30, color="grey", linestyle=":", label="2.5 GB")
    axes.set(xlabel="step of the epoch (before 1: embedding; after the last: embedding)")
    axes.set(ylabel="resident memory, GiB", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=120)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--corpus", default=os.environ.get("COUNTERPOINT_ARGUANA"))
    parser.add_argument("--pairs", type=int, default=192)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--encoder", default="all-MiniLM-L6-v2", help="a name or a folder")
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--label", default="now", help="what the run is called")
    parser.add_argument("--csv", help="file to write")
    parser.add_argument("--plot", nargs="+", metavar="CSV", help="files to draw; nothing is run")
    parser.add_argument("--png", default="resident.png", help="the drawing")
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    parsed = parse(arguments)
    if parsed.train:
        devices.restart_without_small_caches()
        train(parsed)
        return
    if parsed.plot:
        runs = [read_csv(path) for path in parsed.plot]
        draw(runs, parsed.png)
    else:
        runs = [watched(parsed.label, arguments)]
        if parsed.csv:
            write_csv(runs[0], parsed.csv)
    print(markdown_table([summary(samples) for samples in runs]), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
