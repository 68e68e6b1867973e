"""States that no job will take up again: found, named with the reason, and removed."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from counterpoint.config import loading, matrix
from counterpoint.config.run_options import RunConfig
from counterpoint.errors import InputError
from counterpoint.runs.folder import RunFolder, StateFolder
from counterpoint.runs.provenance import is_of_this_code
from counterpoint.training.checkpoint import CHECKPOINT, IDENTITY, Identity, differing


@dataclass(frozen=True)
class Stale:
    """A folder that may go."""

    path: Path
    reason: str
    size: int
    """Bytes that this would free."""


def stale(run: Path) -> list[Stale]:
    """The stale states of a run, but for those of cells that a job is training now.

    Args:
        run: `results/RUN`.

    Raises:
        InputError: the folder holds no run.
    """
    folder = RunFolder(run)
    if not folder.config.is_file():
        raise InputError(
            f"{folder.config}: there is none, so {run} is no run's folder; name it with --run"
        )
    config = loading.load_written(RunConfig, folder.config)
    planned = {
        cell.name: cell.options.model_dump(mode="json")
        for cell in matrix.all_cells(config, str(folder.config))
    }
    paths: dict[str, list[Path]] = {}
    for identity in sorted(folder.states.glob(f"**/{IDENTITY}")):
        name = identity.parents[1].relative_to(folder.states).as_posix()
        paths.setdefault(name, []).append(identity.parent)
    states: list[Stale] = []
    for name, of_cell in paths.items():
        with _held(folder.state(name)) as is_free:
            if not is_free:
                continue
        if folder.cell(name).outcome.exists():
            reasons = dict.fromkeys(of_cell, "its cell is finished")
        else:
            reasons = dict(_reasons(of_cell, planned.get(name)))
        states += [Stale(path, reason, _size(path)) for path, reason in reasons.items()]
    return states


def remove(states: Sequence[Stale]) -> list[Stale]:
    """Remove them but for those of cells that a job has begun to train by now; what is gone."""
    gone = []
    for state in states:
        with _held(StateFolder(state.path.parent)) as is_free:
            if is_free:
                shutil.rmtree(state.path)
                gone.append(state)
    return gone


def _reasons(
    paths: Sequence[Path], planned: Mapping[str, object] | None
) -> Iterator[tuple[Path, str]]:
    """The states of a cell that are stale, and why; `planned` are its options, if it has any."""
    usable = []
    for path in paths:
        try:
            identity = Identity.read(path / IDENTITY)
        except InputError:
            yield path, f"its {IDENTITY} cannot be read"
            continue
        if planned is None:
            yield path, "no such cell is planned"
        elif not is_of_this_code(identity):
            yield path, "another version of the training code made it"
        elif names := list(differing(identity.options, planned)):
            yield path, f"the cell has other options now: {', '.join(names)}"
        else:
            usable.append(path)
    # Alike in their options, they differ in corpus, threads or machine: what was saved last is in
    # use, or what was begun last where neither was.
    usable.sort(key=lambda path: [_written(path / CHECKPOINT), _written(path / IDENTITY)])
    for path in usable[:-1]:
        yield path, "a later one is of another corpus, number of threads or machine"


def _written(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


@contextlib.contextmanager
def _held(state: StateFolder) -> Iterator[bool]:
    """Whether no job trains a cell, by its lock; none begins meanwhile."""
    lock = FileLock(state.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _size(folder: Path) -> int:
    # A result that is linked from its cell too takes no room here.
    files = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return sum(file.st_size for file in files if file.st_nlink == 1)
