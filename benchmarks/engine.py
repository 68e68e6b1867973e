"""How fast the engine is, beside the original study's loop and sentence-transformers.

    python -m benchmarks.engine --out engine.json --markdown docs/benchmarks.md

Both sides of every ratio take turns in one run, and the table gives the median with the lowest and
the highest. Where there is a GPU its figures are added; whatever this machine cannot do has the
reason in its row. `--only NAME` chooses rows, `--pairs` and `--points` make them smaller; `--join`
makes one page of several runs, and measures nothing.
"""

import argparse
import datetime
import json
import os
import platform
import shlex
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import epochs, gpu, mining, peers
from benchmarks.evaluate import machine
from benchmarks.figures import FIGURES, markdown, row
from benchmarks.small_corpus import read_folders, small_corpus
from benchmarks.study_loop import StudyLoop
from counterpoint.corpus import arguments as arguments_module
from counterpoint.corpus.arguments import Corpus
from counterpoint.io import atomic
from counterpoint.runs import devices

Values = list[float] | str
"""What was measured, or why it was not."""

NO_DROPOUT = {"dropout": 0.0}
BFLOAT16 = {"precision": "bfloat16"}

CELLS: Mapping[str, epochs.Changes] = {
    "ours": {},
    "ours, no dropout": {"encoder": NO_DROPOUT},
    "ours, bfloat16": {"encoder": BFLOAT16},
    "ours, bfloat16, no dropout": {"encoder": BFLOAT16 | NO_DROPOUT},
    # An epoch is so short that the first ones still warm up.
    "ours, frozen": {"encoder": {"trainable": "none"}, "training": {"epochs": 5}},
}

RATIOS = {
    "epoch": "ours",
    "bfloat16": "ours, bfloat16",
    "bfloat16-no-dropout": "ours, bfloat16, no dropout",
    "frozen": "ours, frozen",
}
"""Figure to the cell that the original study's loop is compared with."""

SHARES = {"share": "ours", "share-no-dropout": "ours, no dropout"}

SAME_WORK: epochs.Changes = {
    "classifier_loss": {"weight": 0.0},
    "projection": {"width": "none"},
}
"""What sentence-transformers' trainer does: a triplet loss on the encoder's own vectors."""

STUDY = "original study's loop"


@dataclass(frozen=True)
class Bench:
    """What the rows are measured on."""

    work: epochs.Work
    repeat: int
    points: int
    memory_points: int
    gpu_corpus: Corpus
    threads: int
    gpu_shape: Mapping[str, int] = field(default_factory=dict)
    """Sizes that are not bert-base's."""


def compare_epochs(work: epochs.Work, names: Sequence[str], repeat: int) -> dict[str, Any]:
    """Every repetition one epoch of the study's loop, where it is asked for, and of each cell.

    Args:
        work: what is trained on.
        names: of figures.
        repeat: how often.

    Returns:
        Figures to `Values`, under `rows`; and under `epochs` every epoch's seconds by stage, tokens
        and matrix rate.
    """
    uses = {name: cell for name, cell in (RATIOS | SHARES).items() if name in names}
    wanted = [cell for cell in CELLS if cell in uses.values()]
    refused = {cell: work.refused(CELLS[cell]) for cell in wanted}
    able = [cell for cell in wanted if refused[cell] is None]
    compared = any(RATIOS.get(name) in able for name in uses)
    loop = StudyLoop(work.corpus, work.options()) if compared else None
    found: dict[str, list[dict[str, float]]] = {STUDY: [], **{cell: [] for cell in able}}
    for repetition in range(repeat):
        if loop is not None:
            seconds, _ = loop.epoch(repetition)
            found[STUDY].append({**seconds, "total": sum(seconds.values())})
            tell(STUDY, found)
        for cell in able:
            found[cell].append(our_epoch(work, CELLS[cell]))
            tell(cell, found)
    rows: dict[str, Values] = {}
    for name, cell in uses.items():
        if cell not in able:
            rows[name] = f"not on this machine: {refused[cell]}"
        elif name in SHARES:
            rows[name] = [100 * each["share"] for each in found[cell]]
        else:
            pairs = zip(found[STUDY], found[cell], strict=True)
            rows[name] = [theirs["total"] / own["total"] for theirs, own in pairs]
    return {"rows": rows, "epochs": found}


def tell(cell: str, found: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """That another epoch is done; all of them take more than an hour."""
    *_, last = found[cell]
    print(f"{cell}, epoch {len(found[cell])}: {last['total']:.1f} s", file=sys.stderr, flush=True)


def our_epoch(work: epochs.Work, changes: epochs.Changes) -> dict[str, float]:
    """One epoch of a cell; for a live encoder with the arithmetic's share of it."""
    trainer = work.trainer(work.options(changes))
    encoder = trainer.model.encoder
    if not isinstance(encoder, epochs.CountingEncoder):
        *_, epoch = epochs.run_epochs(trainer)
        return {**epoch.seconds, "total": epoch.total}
    model = encoder.models["query"]
    sizes: Any = model.config
    shape = (epochs.RATE_ROWS, int(sizes.hidden_size), int(sizes.intermediate_size))
    rates = [epochs.matrix_rate(shape, work.device, torch.float32)]
    *_, epoch = epochs.run_epochs(trainer)
    rates.append(epochs.matrix_rate(shape, work.device, torch.float32))
    rate = statistics.mean(rates)
    parameters = epochs.counted_parameters(model)
    operations = epochs.arithmetic(parameters, epoch.trained, epoch.embedded)
    return {
        **epoch.seconds,
        "total": epoch.total,
        "parameters": parameters,
        "trained_tokens": epoch.trained,
        "embedded_tokens": epoch.embedded,
        "matrix_rate": rate,
        "share": operations / rate / epoch.total,
    }


def compare_trainers(work: epochs.Work, repeat: int) -> dict[str, list[float]]:
    """Seconds of training on the same triples, ours and sentence-transformers'.

    Raises:
        peers.Missing: it is not installed.
    """
    for package in peers.PACKAGES:
        peers.load(package)
    options = work.options(SAME_WORK)
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(repeat):
        trainer = work.trainer(options)
        seconds["ours"].append(epochs.run_epochs(trainer)[-1].seconds["train"])
        pairs = trainer.data.pairs
        numbers = np.stack([pairs.point, pairs.counter, *trainer.negatives.text])
        triples = [[work.corpus.texts[number] for number in part] for part in numbers.tolist()]
        seconds["theirs"].append(peers.train_seconds(triples, options))
    return seconds


def gpu_rows(
    bench: Bench, names: Sequence[str], device: torch.device
) -> tuple[dict[str, list[float]], dict[str, list[dict[str, float]]]]:
    """See `gpu.measure`; the model is made up."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer_of = bench.work.encoder["name"]
        positions = gpu.write_random_bert(Path(folder), tokenizer_of, bench.gpu_shape)
        encoder = {"name": folder, "max_tokens": positions, "precision": None}
        return gpu.measure(epochs.Work(bench.gpu_corpus, encoder, device), names, bench.repeat)


def measure(bench: Bench, names: Sequence[str]) -> dict[str, Any]:
    """All rows asked for, in the table's order, and the raw numbers that they are made of."""
    found: dict[str, Any] = compare_epochs(bench.work, names, bench.repeat)
    rows, raw = found["rows"], {}

    def mined(other: mining.Miner, alike: float) -> dict[str, list[float]]:
        return mining.compare(other, bench.points, bench.repeat, alike)

    ratios: dict[str, Callable[[], dict[str, list[float]]]] = {
        "trainer": lambda: compare_trainers(bench.work, bench.repeat),
        "balltree": lambda: mined(mining.balltree, 1.0),
        # Similarities in float32 turn a few that lie closer than they are exact.
        "hard-negatives": lambda: mined(peers.mine, 0.99),
    }
    for name, compare in ratios.items():
        if name in names:
            try:
                raw[name] = compare()
            except peers.Missing as error:
                rows[name] = str(error)
            else:
                both = zip(raw[name]["theirs"], raw[name]["ours"], strict=True)
                rows[name] = [theirs / ours for theirs, ours in both]
    if "memory" in names:
        rows["memory"] = memory(bench)
    on_gpu = [name for name in names if name.startswith("gpu-")]
    if not torch.cuda.is_available():
        rows |= dict.fromkeys(on_gpu, "not on this machine: no GPU")
    elif on_gpu:
        of_gpu, stages = gpu_rows(bench, on_gpu, torch.device("cuda"))
        rows |= of_gpu
        found["epochs"] |= stages
    return {
        "rows": [row(name, rows[name]) for name in FIGURES if name in names],
        "epochs": found["epochs"],
        "raw": raw,
    }


def memory(bench: Bench) -> Values:
    if not Path("/proc/self/status").exists():
        return "not on this machine: its memory is read from /proc/self/status"
    return [mining.memory_of_new_process(bench.memory_points, bench.threads)]


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def chosen(only: Sequence[str]) -> list[str]:
    """The rows that are named, each by its name or by how it begins up to a hyphen."""
    return [
        name
        for name in FIGURES
        if not only or any(name == given or name.startswith(f"{given}-") for given in only)
    ]


def earlier_run(path: str) -> dict[str, Any]:
    """What `--out` wrote.

    Raises:
        argparse.ArgumentTypeError: it is not such a file.
    """
    try:
        result = dict(json.loads(Path(path).read_text(encoding="utf-8")))
        for needed in ("rows", "epochs", "machine", "versions", "work", "repeat"):
            result[needed]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise argparse.ArgumentTypeError(
            f"{path}: {error!r}; expected a JSON file of an earlier run, as --out writes it"
        ) from error
    return result


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--corpus",
        default=os.environ.get("COUNTERPOINT_ARGUANA"),
        help="by default $COUNTERPOINT_ARGUANA, else a made-up corpus of its size",
    )
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="a row")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--encoder", default="all-MiniLM-L6-v2", help="a name or a folder")
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=512, help="to train on")
    parser.add_argument("--points", type=int, default=20_000, help="to mine negatives for")
    parser.add_argument("--memory-points", type=int, default=200_000, help="for mining's memory")
    parser.add_argument("--gpu-pairs", type=int, help="by default the whole training folder")
    parser.add_argument(
        "--join", nargs="+", type=earlier_run, metavar="FILE", help="JSON files of earlier runs"
    )
    parser.add_argument("--out", help="a JSON file with every repetition")
    parser.add_argument("--markdown", help="a Markdown file with the table")
    parsed = parser.parse_args(arguments)
    unknown = [given for given in parsed.only if not chosen([given])]
    if unknown:
        parser.error(f"--only: no row {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    if parsed.join and parsed.out:
        parser.error("--join measures nothing that --out could hold; give --markdown alone")
    return parsed


def main(arguments: Sequence[str]) -> None:
    parsed = parse(arguments)
    results = parsed.join or [run(parsed, arguments)]
    page = markdown(results)
    print(page)
    if parsed.out:
        atomic.write_json(parsed.out, results[0])
    if parsed.markdown:
        atomic.write_text(parsed.markdown, page)


def run(parsed: argparse.Namespace, arguments: Sequence[str]) -> dict[str, Any]:
    """Measure what is asked for, and say of what and where."""
    torch.set_num_threads(parsed.threads)
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    facts = machine(parsed.threads)
    folders = read_folders(parsed.corpus)
    small = small_corpus(folders, parsed.pairs)
    gpu_corpus = small_corpus(folders, parsed.gpu_pairs)
    encoder = {"name": parsed.encoder, "max_tokens": parsed.max_tokens}
    bench = Bench(
        work=epochs.Work(small, encoder),
        repeat=parsed.repeat,
        points=parsed.points,
        memory_points=parsed.memory_points,
        gpu_corpus=gpu_corpus,
        threads=parsed.threads,
    )
    # As a job has it; the other sides run in the same process and gain as much.
    devices.keep_freed_memory()
    with devices.no_denormals():
        measured = measure(bench, chosen(parsed.only))
    packages = ("counterpoint", "torch", "transformers", "sentence-transformers", "scikit-learn")
    return {
        "date": started,
        "command": shlex.join(["python", "-m", "benchmarks.engine", *arguments]),
        "machine": facts
        | {"gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None},
        "versions": {"python": platform.python_version()}
        | {package: installed(package) for package in packages},
        "work": {
            "corpus": Path(parsed.corpus).name if parsed.corpus else "a made-up corpus",
            "encoder": parsed.encoder,
            "max_tokens": parsed.max_tokens,
            **{
                role: len(arguments_module.pairs_of(small.split(folder)))
                for role, folder in small.roles.items()
            },
            "gpu_train": len(
                arguments_module.pairs_of(gpu_corpus.split(gpu_corpus.roles["train"]))
            ),
            "points": parsed.points,
            "memory_points": parsed.memory_points,
        },
        "repeat": parsed.repeat,
        **measured,
    }


if __name__ == "__main__":
    main(sys.argv[1:])
