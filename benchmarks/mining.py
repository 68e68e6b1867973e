"""Our mining beside other ways on the same seeded random vectors, and the memory that it takes.

    python -m benchmarks.mining 200000

prints the MiB that mining so many points takes above their vectors, as a process of its own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.evaluate import timed
from counterpoint.training.allowed import AllowedNegatives
from counterpoint.training.hard import hard_balltree, hard_exact

WIDTH = 128

Ints = npt.NDArray[np.int64]
Miner = Callable[[Tensor, Tensor, AllowedNegatives], Ints]


def vectors(points: int) -> tuple[Tensor, Tensor, AllowedNegatives]:
    """Points (n, d), and the pool of n counters and the same points with its vectors (2n, d).

    Of length 1, so that the nearest are the same by distance and by cosine. Each point's own two
    rows are forbidden.
    """
    random = torch.Generator().manual_seed(20261123)
    e = torch.empty((2 * points, WIDTH)).normal_(generator=random)
    functional.normalize(e, dim=1, out=e)
    own = np.arange(points)
    nothing = np.full(points, -1)
    forbidden = np.stack([own, own + points, nothing, nothing], axis=1)
    return e[points:], e, AllowedNegatives(np.arange(2 * points), points, forbidden, own[:, None])


def ours(queries: Tensor, candidates: Tensor, sets: AllowedNegatives) -> Ints:
    return hard_exact(queries, candidates, sets, 1).place[:, 0]


def balltree(queries: Tensor, candidates: Tensor, sets: AllowedNegatives) -> Ints:
    return hard_balltree(queries, candidates, sets, 1).place[:, 0]


def compare(other: Miner, points: int, repeat: int, alike: float) -> dict[str, list[float]]:
    """Seconds of both ways, in turn, and the share of points to which both give one negative.

    Raises:
        RuntimeError: that share is below `alike`.
    """
    given = vectors(points)
    result: dict[str, list[float]] = {"theirs": [], "ours": [], "same_negatives": []}
    for _ in range(repeat):
        spent, theirs = timed(other, *given)
        result["theirs"].append(spent)
        spent, own = timed(ours, *given)
        result["ours"].append(spent)
        share = float((theirs == own).mean())
        result["same_negatives"].append(share)
        if share < alike:
            raise RuntimeError(f"the two ways choose differently: {share:.2%} are the same")
    return result


def memory_of_new_process(points: int, threads: int) -> float:
    """MiB above the vectors, of mining so many points."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.mining", str(points)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).resolve().parents[1],
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(json.loads(done.stdout))


def resident_mib(field: str) -> float:
    """VmRSS, what this process holds, or VmHWM, the most it has held, in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (kib,) = (line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return int(kib) / 1024


def main(points: int) -> None:
    given = vectors(points)
    before = resident_mib("VmRSS")
    ours(*given)
    print(json.dumps(resident_mib("VmHWM") - before))


if __name__ == "__main__":
    main(int(sys.argv[1]))
