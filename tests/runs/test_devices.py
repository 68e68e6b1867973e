"""GPU leases: each job its own slot, released however the job ends."""

import multiprocessing
import os
import signal
import subprocess
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from counterpoint.errors import Interrupted
from counterpoint.runs import devices
from counterpoint.runs.devices import Lease, device_for_job, leases, visible_devices


def leased(names: list[str], jobs_per_gpu: int, folder: Path) -> Lease:
    """A slot, as soon as one is free."""
    return next(lease for lease in leases(names, jobs_per_gpu, folder) if lease is not None)


def hold(folder: Path, ready: "multiprocessing.Queue[str]") -> None:
    with leased(["0", "1"], 1, folder) as lease:
        ready.put(lease.device)
        signal.pause()


def start(folder: Path) -> tuple[BaseProcess, str]:
    context = multiprocessing.get_context("fork")
    ready: multiprocessing.Queue[str] = context.Queue()
    process = context.Process(target=hold, args=(folder, ready))
    process.start()
    return process, ready.get(timeout=30)


def test_two_jobs_get_two_devices_and_a_killed_one_gives_its_back(tmp_path: Path) -> None:
    first, one = start(tmp_path)
    second, two = start(tmp_path)
    try:
        assert sorted([one, two]) == ["0", "1"]
        first.kill()
        first.join()
        with leased(["0", "1"], 1, tmp_path) as free:
            assert free.device == one
    finally:
        for process in (first, second):
            process.kill()
            process.join()


def test_jobs_spread_over_devices_before_they_share_one(tmp_path: Path) -> None:
    names = ["0", "1"]
    with leased(names, 2, tmp_path) as a, leased(names, 2, tmp_path) as b:
        assert {a.device, b.device} == {"0", "1"}
        with leased(names, 2, tmp_path) as c, leased(names, 2, tmp_path) as d:
            assert {c.device, d.device} == {"0", "1"}
            assert next(leases(names, 2, tmp_path)) is None


def test_a_job_that_waits_for_a_device_can_be_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stop() -> None:
        raise Interrupted("asked to stop")

    monkeypatch.setattr(devices, "visible_devices", lambda: ["0"])
    monkeypatch.setattr(devices, "lock_folder", lambda: tmp_path)
    with (
        leased(["0"], 1, tmp_path),
        pytest.raises(Interrupted),
        device_for_job(1, while_waiting=stop),
    ):
        pass


def test_a_set_variable_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-abc")
    assert visible_devices() == ["3", "GPU-abc"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert visible_devices() == ["0", "1"]


def test_a_leased_device_is_the_only_visible_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,6")
    monkeypatch.setattr(devices, "lock_folder", lambda: tmp_path)
    with device_for_job(1) as name:
        assert name == "cuda"
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"


def test_without_a_gpu_the_job_runs_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with device_for_job(1) as name:
        assert name == "cpu"


def test_jobs_of_slurm_have_locks_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm may call the device of each of its jobs 0; that is no reason for them to wait."""
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    folders = {devices.lock_folder()}
    for job in ("17", "18"):
        monkeypatch.setenv("SLURM_JOB_ID", job)
        folders.add(devices.lock_folder())
    assert len(folders) == 3


def test_locks_do_not_depend_on_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    before = devices.lock_folder()
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/nobody")
    assert devices.lock_folder() == before


def test_freed_memory_is_kept_where_the_c_library_can(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda name, value: asked.append((name, value)))
    monkeypatch.setattr("ctypes.CDLL", lambda name: library)
    devices.keep_freed_memory()
    # malloc.h: M_MMAP_MAX is -4, M_TRIM_THRESHOLD is -1, M_MXFAST is 1.
    assert dict(asked) == {-4: 0, -1: 2**31 - 1, 1: 0}
    monkeypatch.setattr("ctypes.CDLL", lambda name: SimpleNamespace())
    devices.keep_freed_memory()
    assert len(asked) == 3


ALLOCATIONS = """
import ctypes
import sys
from counterpoint.runs import devices

if sys.argv[1] == "restarted":
    devices.restart_without_small_caches()
devices.keep_freed_memory()
library = ctypes.CDLL(None)
library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def block():
    place = ctypes.c_void_p()
    assert library.posix_memalign(ctypes.byref(place), ctypes.c_size_t(64), 3_000_000) == 0
    return place.value
places = set()
for _ in range(50):
    first = block()
    small = [library.malloc(size) for size in range(16, 112, 16)]  # never freed
    library.free(first)
    places.add(first)
print(len(places))
"""


def places_of_blocks(way: str) -> int:
    """At how many addresses fifty blocks lay, each freed before the next was asked for."""
    environment = {name: value for name, value in os.environ.items() if name != devices.TUNABLES}
    command = [sys.executable, "-c", ALLOCATIONS, way]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not devices.has_glibc(), reason="another C library")
def test_a_large_block_that_was_freed_is_used_again_after_a_restart() -> None:
    assert places_of_blocks("restarted") <= 2


def test_a_process_starts_anew_at_most_once(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr("os.execve", lambda _, words, names: started.append((words, names)))
    monkeypatch.setattr("os.confstr", lambda _: "glibc 2.36")
    monkeypatch.setattr("sys.orig_argv", ["python3", "-m", "counterpoint", "train"])
    monkeypatch.delenv(devices.TUNABLES, raising=False)
    devices.restart_without_small_caches()
    ((words, names),) = started
    assert words == [sys.executable, "-m", "counterpoint", "train"]
    assert names == {**os.environ, devices.TUNABLES: "glibc.malloc.tcache_count=0"}
    monkeypatch.setenv(devices.TUNABLES, "glibc.malloc.perturb=1")
    devices.restart_without_small_caches()
    monkeypatch.delenv(devices.TUNABLES)
    monkeypatch.setattr("os.confstr", lambda _: None)
    devices.restart_without_small_caches()
    assert len(started) == 1


def test_denormals_are_zero_for_a_while() -> None:
    tiny = torch.tensor([1e-38])
    with devices.no_denormals():
        inside = (tiny / 16).item()
    if inside:
        pytest.skip("this CPU cannot flush them")
    assert (tiny / 16).item() > 0
