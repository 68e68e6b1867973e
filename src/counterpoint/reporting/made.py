"""What tables, plots and page were made from, so that nothing is made again from the same."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from filelock import FileLock

from counterpoint.io import atomic
from counterpoint.runs.folder import PlannedCell, Run, weight_beside
from counterpoint.study import old_logs

PACKAGE = Path(__file__).parents[1]

MADE_BY = ("evaluation", "io", "reporting", "study", "tasks")
"""The packages whose code what is shown depends on."""

MADE = ".made.json"
"""In a folder: what its files were made from, and which they are."""


def once(
    run: Run, folder: Path, options: Iterable[object], make: Callable[[], Iterable[Path]]
) -> bool:
    """Make the files of a folder, unless they are there and were made from what there is now.

    Of two processes that want them one waits for the other.

    Args:
        run: whose logs, records and failures they are made from.
        folder: that they go into.
        options: of what is made.
        make: writes them; gives their paths.

    Returns:
        Whether anything was made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / MADE
    with FileLock(folder / ".lock"):
        source = _source(run, options)
        if path.is_file():
            said = json.loads(path.read_text(encoding="utf-8"))
            if said["from"] == source and all((folder / name).is_file() for name in said["files"]):
                return False
        # Whoever is killed between two files leaves none that counts as made.
        path.unlink(missing_ok=True)
        files = sorted(made.relative_to(folder).as_posix() for made in make())
        atomic.write_json(path, {"from": source, "files": files})
    return True


def _source(run: Run, options: Iterable[object]) -> str:
    """A hash of all that is looked at."""
    digest = hashlib.sha256(repr(tuple(options)).encode("utf-8"))
    for path in _code():
        digest.update(path.read_bytes())
    for path in (run.folder.matrix, run.folder.config):
        digest.update(path.read_bytes())
    for cell in (*run.cells, *run.recipes):
        digest.update(repr((cell.name, cell.status, cell.reason)).encode("utf-8"))
    paths = [
        run.folder.arguments,
        run.folder.audit,
        *(path for cell in (*run.trained, *run.trained_recipes) for path in _results(cell)),
        *run.baselines.values(),
        *(run.folder.baseline_ties(name) for name in run.baselines),
        *(weight_beside(path) for path in run.systems.values()),
        *old_logs.sources(run.folder.imported),
    ]
    for path in paths:
        if path.is_file():
            state = path.stat()
            digest.update(repr((str(path), state.st_mtime_ns, state.st_size)).encode("utf-8"))
    return digest.hexdigest()


def _code() -> Iterator[Path]:
    for package in MADE_BY:
        yield from sorted(path for path in (PACKAGE / package).rglob("*") if path.is_file()
                          and path.suffix != ".pyc")  # fmt: skip


def _results(cell: PlannedCell) -> tuple[Path, ...]:
    results = cell.folder
    return results.records, results.epochs, results.outcome, results.seconds, results.provenance
