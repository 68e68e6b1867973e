"""Which device a job computes on: a leased GPU where there is one, else the CPU.

Snakemake only counts GPUs on a workstation; it never says which one a job has. So each job leases
a slot of a device by a file lock, which the system releases however the job ends.
"""

import contextlib
import ctypes
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

POLL_SECONDS = 1.0

M_MXFAST, M_TRIM_THRESHOLD, M_MMAP_MAX = 1, -1, -4
"""Parameters of `mallopt`, as malloc.h numbers them."""

TUNABLES = "GLIBC_TUNABLES"
"""The environment variable that glibc reads when a process starts."""


def visible_devices() -> list[str]:
    """The devices that this process may use, as CUDA_VISIBLE_DEVICES names them; [] without a GPU.

    A variable that is set already, by a person or a cluster, is respected.
    """
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if count == 0:
        return []
    if named is None:
        return [str(index) for index in range(count)]
    return [name.strip() for name in named.split(",") if name.strip()][:count]


def lock_folder() -> Path:
    """Where the locks of this user's leases lie, the same for every run on the machine.

    Within a Slurm job they are the job's own: Slurm has given it its devices, and may number those
    of every job from 0.
    """
    job = os.environ.get("SLURM_JOB_ID")
    of_job = f"-slurm-{job}" if job else ""
    return Path(tempfile.gettempdir()) / f"counterpoint-gpus-{os.getuid()}{of_job}"


def restart_without_small_caches() -> None:
    """Begin this process anew so that the C library keeps no small blocks apart, where it is glibc.

    torch asks for blocks that begin at multiples of 64 bytes. glibc cuts each from a larger one;
    the cut-off piece goes into a cache of small blocks (one a thread), from which it is given to
    something that stays, and the large block never again becomes what it was. So the next one of
    the same size is cut from elsewhere: a fine-tuning job's memory grows to twice what it needs.
    The caches' size is read at the start of a process alone. Without them the pieces grow together
    again (with `keep_freed_memory`).

    A process whose `GLIBC_TUNABLES` are set already is left alone.
    """
    if TUNABLES in os.environ or not has_glibc():
        return
    arguments = [sys.executable, *sys.orig_argv[1:]]
    os.execve(sys.executable, arguments, {**os.environ, TUNABLES: "glibc.malloc.tcache_count=0"})


def has_glibc() -> bool:
    """Whether the C library is glibc."""
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError):
        return False


def keep_freed_memory() -> None:
    """Have the C library keep memory that is freed for what comes next, where it is glibc.

    It would give large blocks back to the system, which then clears each page anew for the next
    tensor: more than half of the time of an operation that does little with each element. Freed
    blocks, small ones too, grow together with their neighbours at once.
    """
    try:
        tune = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    tune(M_MMAP_MAX, 0)
    tune(M_TRIM_THRESHOLD, 2**31 - 1)
    tune(M_MXFAST, 0)


@contextlib.contextmanager
def no_denormals() -> Iterator[None]:
    """Take numbers below 1e-38 for zero, in this thread and those that it starts.

    Adam's means of rows that get no gradient any more, such as those of rare words, shrink until
    they are denormal, which most CPUs compute with many times slower.
    """
    import torch

    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@dataclass(frozen=True)
class Lease:
    """A held slot of a device, as a context that gives it back at its end."""

    device: str
    lock: FileLock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.lock.release()


def leases(devices: Sequence[str], jobs_per_gpu: int, folder: Path) -> Iterator[Lease | None]:
    """Try for a slot of a device: None every second while none is free, then a lease.

    Every device's first slot is tried before any device's second, so jobs spread out.

    Args:
        devices: names.
        jobs_per_gpu: slots of each.
        folder: of the locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        for slot in range(jobs_per_gpu):
            for name in devices:
                lock = FileLock(folder / f"{name.replace('/', '_')}-{slot}.lock")
                with contextlib.suppress(Timeout):
                    lock.acquire(timeout=0)
                    yield Lease(name, lock)
                    return
        yield None
        time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def device_for_job(
    jobs_per_gpu: int, while_waiting: Callable[[], None] = lambda: None
) -> Iterator[str]:
    """`cuda`, with one leased device visible, or `cpu`.

    Must come before anything that initialises CUDA.

    Args:
        jobs_per_gpu: how many may share a device.
        while_waiting: called every second while no device is free; may raise.
    """
    devices = visible_devices()
    if not devices:
        yield "cpu"
        return
    for lease in leases(devices, jobs_per_gpu, lock_folder()):
        if lease is None:
            while_waiting()
            continue
        with lease:
            os.environ["CUDA_VISIBLE_DEVICES"] = lease.device
            yield "cuda"
