"""Which operators of torch an epoch with a live encoder spends its time in.

    python -m benchmarks.operators --dropout 0

What is no matrix product is what an epoch lacks to the full share of the encoder's arithmetic.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Collection, Sequence

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks import epochs
from benchmarks.small_corpus import read_folders, small_corpus
from counterpoint.evaluation.system import returned
from counterpoint.io.text import markdown_table
from counterpoint.runs import devices


def spent(work: Callable[[], object]) -> dict[str, float]:
    """Operator to its share of the time that all take in themselves, from 0 to 1."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        work()
    times = Counter({each.key: each.self_cpu_time_total for each in seen.key_averages()})
    return {name: time / times.total() for name, time in times.most_common()}


def rows(found: dict[str, dict[str, float]], most: int) -> list[dict[str, object]]:
    """A row an operator, those that take most of the last column; the rest in one."""
    *_, last = found.values()
    shown = list(last)[:most]
    others = {name for shares in found.values() for name in shares}.difference(shown)

    def row(label: str, names: Collection[str]) -> dict[str, object]:
        sums = {
            column: sum(shares.get(name, 0.0) for name in names) for column, shares in found.items()
        }
        return {"operator": label, **{column: f"{100 * sums[column]:.1f} %" for column in sums}}

    return [*(row(name, [name]) for name in shown), row("all others", others)]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--corpus", default=os.environ.get("COUNTERPOINT_ARGUANA"))
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--encoder", default="all-MiniLM-L6-v2", help="a name or a folder")
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--dropout", type=float, help="by default the checkpoint's")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--most", type=int, default=10, help="operators shown")
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(parsed.threads)
    encoder = {"name": parsed.encoder, "max_tokens": parsed.max_tokens}
    work = epochs.Work(small_corpus(read_folders(parsed.corpus), parsed.pairs), encoder)
    changes = {"encoder": {"dropout": parsed.dropout, "precision": parsed.precision}}
    trainer = work.trainer(work.options(changes))
    devices.keep_freed_memory()
    with devices.no_denormals():
        # The first pass, which the trainer keeps.
        found = {"embedding pass": spent(lambda: returned(trainer.embedded(("train",))))}
        found["epoch"] = spent(lambda: epochs.run_epochs(trainer))
    print(markdown_table(rows(found, parsed.most)), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
