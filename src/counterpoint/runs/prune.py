"""States that no job will take up again: found, named with the reason, and removed."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from counterpoint.config import loading, matrix, options
from counterpoint.errors import InputError
from counterpoint.runs.provenance import code
from counterpoint.training.checkpoint import IDENTITY, STATE, differing


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
    plan = run / "config.json"
    if not plan.is_file():
        raise InputError(f"{plan}: there is none, so {run} is no run's folder; name it with --run")
    cells = matrix.expand(loading.load_written(options.RunConfig, plan), str(plan))
    planned = {cell.name: cell.options.model_dump(mode="json") for cell in cells}
    found: list[Stale] = []
    by_cell: dict[Path, list[Path]] = {}
    for known in sorted((run / "state").glob(f"**/{IDENTITY}")):
        by_cell.setdefault(known.parent.parent, []).append(known.parent)
    for cell, states in by_cell.items():
        with _held(cell) as free:
            if not free:
                continue
        name = cell.relative_to(run / "state").as_posix()
        if (run / "cells" / name / "outcome.json").exists():
            reasons = dict.fromkeys(states, "its cell is finished")
        else:
            reasons = dict(_reasons(states, planned.get(name)))
        found += [Stale(path, reason, _size(path)) for path, reason in reasons.items()]
    return found


def remove(states: list[Stale]) -> list[Stale]:
    """Remove them but for those of cells that a job has begun to train by now; what is gone."""
    gone = []
    for state in states:
        with _held(state.path.parent) as free:
            if free:
                shutil.rmtree(state.path)
                gone.append(state)
    return gone


def _reasons(states: list[Path], planned: object) -> Iterator[tuple[Path, str]]:
    usable = []
    for path in states:
        try:
            identity = json.loads((path / IDENTITY).read_text(encoding="utf-8"))
        except ValueError:
            yield path, f"its {IDENTITY} cannot be read"
            continue
        if planned is None:
            yield path, "no such cell is planned"
        elif any(identity.get(key) != value for key, value in code().items()):
            yield path, "another version of the training code made it"
        elif names := list(differing(identity.get("options"), planned)):
            yield path, f"the cell has other options now: {', '.join(names)}"
        else:
            usable.append(path)
    # Alike in their options, they differ in corpus, threads or machine: what was saved last is in
    # use, or what was begun last where neither was.
    usable.sort(key=lambda path: [_written(path / STATE), _written(path / IDENTITY)])
    for path in usable[:-1]:
        yield path, "a later one is of another corpus, number of threads or machine"


def _written(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


@contextlib.contextmanager
def _held(cell: Path) -> Iterator[bool]:
    """Whether no job trains a cell, by its lock; none begins meanwhile."""
    lock = FileLock(cell / "lock")
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
    return sum(each.st_size for each in files if each.st_nlink == 1)
