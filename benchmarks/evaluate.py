"""Seconds and memory of evaluation once vectors exist, beside the way the original study evaluated.

    python benchmarks/evaluate.py --all-unseen --out evaluate.json

The original study's way, written anew from its description: a BallTree with leaf size 2 over all
points and counters, the 10 nearest to each point, and one call of the classifier for each of them.
It knows the protocol `legacy` alone, so that is what both are compared by; beside it stands what
all tasks, stages and protocols take us. The model has random weights, and the vectors are random
with those of one debate near each other, as real ones are: a tree gains by that.
"""

import argparse
import datetime
import json
import os
import platform
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from sklearn.neighbors import BallTree

from counterpoint.config.options import CellOptions
from counterpoint.corpus import arguana, sources, synthetic
from counterpoint.corpus import arguments as arguments_module
from counterpoint.encoders.features import FrozenFeatures, same_outputs
from counterpoint.evaluation.evaluate import Evaluation, query_results
from counterpoint.evaluation.legacy import legacy_results
from counterpoint.evaluation.records import QueryResults
from counterpoint.evaluation.system import TrainedSystem, embed
from counterpoint.io import atomic
from counterpoint.io.rng import generator, torch_seed
from counterpoint.models.cell_model import CellModel
from counterpoint.tasks.candidates import CandidateSets, candidate_sets

HIDDEN_SIZE = 384
"""Width of the bundled encoder's outputs."""

NEAREST = 10
"""How many the classifier re-orders, in the original study's way and in ours."""

SYNTHETIC_PAIRS = 6775
"""Of the three splits of a made-up corpus whose training split is as large as the real one."""

SECONDS_ALLOWED, MIB_ALLOWED = 20, 1536
"""What all tasks, stages and protocols of the real training split may take on two cores."""

Ints = npt.NDArray[np.int64]
Result = TypeVar("Result")


def read_split(path: str | None, folder: str) -> tuple[arguments_module.Corpus, CandidateSets]:
    """A split as a corpus of its own, and its candidate sets; without a path it is made up."""
    with tempfile.TemporaryDirectory() as name:
        if path is None:
            path = f"{name}/corpus"
            synthetic.write_corpus(Path(path), pairs=SYNTHETIC_PAIRS, seed=0)
        found = arguana.read_splits(sources.open_source(path), [folder])
    read = arguments_module.Corpus(found.arguments, {"train": folder}, found.bare_debates)
    return read, candidate_sets(read, folder)


def random_system(sets: CandidateSets, texts: int, options: CellOptions) -> TrainedSystem:
    """A model with random weights, and random vectors that lie near their debate's centre."""
    rng = generator(options.seed, -1, "benchmark vectors")
    centres = rng.standard_normal((sets.debate.max() + 1, HIDDEN_SIZE), dtype=np.float32)
    x = rng.standard_normal((texts, HIDDEN_SIZE), dtype=np.float32)
    x[sets.text] += centres[sets.debate]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(options.seed, -1, "initial weights"))
        model = CellModel(options, FrozenFeatures(same_outputs(x))).eval()
    return TrainedSystem(model, embed(model, torch.arange(texts), texts), NEAREST)


@torch.no_grad()
def our_legacy(system: TrainedSystem, sets: CandidateSets, queries: Ints) -> QueryResults:
    return legacy_results(sets, system.costs_of(sets), system.reranker, queries=queries)


@torch.no_grad()
def our_everything(system: TrainedSystem, sets: CandidateSets, queries: Ints) -> list[QueryResults]:
    """All tasks and protocols, both stages."""
    asked = Evaluation(queries=queries)
    return query_results(sets, system.costs_of(sets), system.reranker, asked)


def study_way(system: TrainedSystem, sets: CandidateSets, queries: Ints) -> Ints:
    """(n,) the rows that answer the queries under `legacy`, one call of the classifier each."""
    rows = system.vectors["candidate"].rows(torch.from_numpy(sets.text))
    points = system.vectors["query"].e[torch.from_numpy(sets.text[sets.pairs :])].numpy()
    tree = BallTree(rows.e.numpy(), leaf_size=2)
    answers = []
    for query in queries.tolist():
        _, nearest = tree.query(points[query : query + 1], k=NEAREST)
        gold = rows.rows(slice(query, query + 1))
        answer, highest = -1, -1.0
        for row in nearest[0].tolist():
            with torch.no_grad():
                logits = system.model.logits(gold, rows.rows(slice(row, row + 1)))
            probability = logits.softmax(dim=1)[0, 1].item()
            if probability > highest:
                answer, highest = row, probability
        answers.append(answer)
    return np.array(answers, dtype=np.int64)


def accuracy(sets: CandidateSets, answers: Ints, queries: Ints) -> float:
    """Share of queries answered with the gold's text; which of its copies it is, a tie decides."""
    return float((sets.text[answers] == sets.text[queries]).mean())


def timed(function: Callable[..., Result], *arguments: Any) -> tuple[float, Result]:
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def compare(
    system: TrainedSystem, sets: CandidateSets, queries: Ints, repeat: int
) -> dict[str, Any]:
    """Seconds of each way, in turn so that both meet the same machine.

    Raises:
        RuntimeError: the two ways answer differently.
    """
    seconds: dict[str, list[float]] = {"study_legacy": [], "our_legacy": [], "our_everything": []}
    for _ in range(repeat):
        spent, slow = timed(study_way, system, sets, queries)
        seconds["study_legacy"].append(spent)
        spent, records = timed(our_legacy, system, sets, queries)
        seconds["our_legacy"].append(spent)
        spent, everything = timed(our_everything, system, sets, queries)
        seconds["our_everything"].append(spent)
        assert records.reordered is not None
        fast = records.reordered[:, 0]
        found = {"study": accuracy(sets, slow, queries), "ours": accuracy(sets, fast, queries)}
        if found["study"] != found["ours"]:
            raise RuntimeError(f"the two ways answer differently: accuracy {found}")
    slow_seconds = np.array(seconds["study_legacy"])
    ratios = {
        "study_legacy_to_our_legacy": (slow_seconds / seconds["our_legacy"]).tolist(),
        "study_legacy_to_our_everything": (slow_seconds / seconds["our_everything"]).tolist(),
    }
    return {
        "pairs": {f"{one.protocol} {one.task}": int(one.candidates.sum()) for one in everything},
        "accuracy": found,
        "same_answers": float((sets.text[slow] == sets.text[fast]).mean()),
        "seconds": seconds,
        "ratios": ratios,
        "medians": {name: statistics.median(values) for name, values in (seconds | ratios).items()},
    }


def peak_mib() -> float:
    """The most memory that this process has held, in MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def peak_of_new_process(arguments: Sequence[str]) -> dict[str, float]:
    """Peak memory before and after our evaluation of everything, in a process of its own.

    Linux counts the memory of whoever starts a process as that process's, so this comes first.
    """
    command = [sys.executable, str(Path(__file__).resolve()), *arguments, "--peak"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    peaks: dict[str, float] = json.loads(done.stdout)
    return peaks


def machine(threads: int) -> dict[str, Any]:
    model = platform.processor()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    return {
        "platform": platform.platform(),
        "processor": model,
        "cores": os.cpu_count(),
        "threads": threads,
        "load": os.getloadavg(),
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY"),
    }


def table(result: dict[str, Any]) -> str:
    rows = [("", "median", "least", "most")]
    for name, values in (result["seconds"] | result["ratios"]).items():
        unit = " s" if name in result["seconds"] else " ×"
        numbers = (result["medians"][name], min(values), max(values))
        rows.append((name.replace("_", " "), *(f"{number:.2f}{unit}" for number in numbers)))
    lines = [f"{row[0]:32}" + "".join(f"{cell:>12}" for cell in row[1:]) for row in rows]
    lines.append(
        f"{'peak memory of our everything':32}{result['peak_mib']['after']:8.0f} MiB"
        f" ({result['peak_mib']['before']:.0f} before it began)"
    )
    lines.append(f"allowed: {SECONDS_ALLOWED} s, {MIB_ALLOWED} MiB")
    return "\n".join(lines)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--corpus",
        default=os.environ.get("COUNTERPOINT_ARGUANA"),
        help="by default $COUNTERPOINT_ARGUANA, else a made-up corpus of its size",
    )
    parser.add_argument("--folder", default="training")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--queries", type=int, help="only the first so many, for a quick look")
    parser.add_argument(
        "--all-unseen",
        action="store_true",
        help="count every query as unseen: `clean`, which asks none of training, then costs too",
    )
    parser.add_argument("--out", help="a JSON file")
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    parsed = parse(arguments)
    torch.set_num_threads(parsed.threads)
    peak = None if parsed.peak else peak_of_new_process(arguments)
    read, sets = read_split(parsed.corpus, parsed.folder)
    if parsed.all_unseen:
        sets = replace(sets, unseen=np.ones_like(sets.unseen))
    queries = sets.queries("official")[: parsed.queries]
    system = random_system(sets, len(read.texts), CellOptions())
    if parsed.peak:
        before = peak_mib()
        our_everything(system, sets, queries)
        print(json.dumps({"before": before, "after": peak_mib()}))
        return
    packages = ("counterpoint", "torch", "numpy", "scikit-learn")
    result = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", "benchmarks/evaluate.py", *arguments]),
        "machine": machine(parsed.threads),
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in packages},
        "corpus": parsed.corpus or f"made up, {SYNTHETIC_PAIRS} pairs",
        "folder": parsed.folder,
        "queries": len(queries),
        "all_unseen": parsed.all_unseen,
        **compare(system, sets, queries, parsed.repeat),
        "peak_mib": peak,
    }
    print(table(result))
    if parsed.out:
        atomic.write_json(parsed.out, result)


if __name__ == "__main__":
    main(sys.argv[1:])
