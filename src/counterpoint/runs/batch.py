"""Cells of a run in one process, one after the other; none costs another anything."""

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from counterpoint.config.batches import inputs_key
from counterpoint.config.cache_keys import tokens_key
from counterpoint.config.loading import load_written
from counterpoint.config.matrix import Cell, all_cells
from counterpoint.config.run_options import RunConfig
from counterpoint.errors import InputError, Interrupted
from counterpoint.runs.folder import CELLS, RunFolder
from counterpoint.runs.job import Job
from counterpoint.runs.stages import FirstStage
from counterpoint.runs.worker import Worker, at_work


@dataclass(frozen=True)
class Batch:
    """Some cells of a run, which its configuration describes."""

    folder: RunFolder
    config: RunConfig
    cells: Sequence[Cell]

    @classmethod
    def of_run(cls, path: Path, names: Sequence[str]) -> "Batch":
        """The cells of a run by their names, or by their folders in it.

        Raises:
            InputError: there is no such run, or no such cell in its matrix.
        """
        folder = RunFolder(path)
        if not folder.config.is_file():
            raise InputError(
                f"{folder.config}: no such file, so {path} is no run's folder; "
                "`snakemake tables` or `counterpoint matrix` makes one"
            )
        config = load_written(RunConfig, folder.config)
        planned = {cell.name: cell for cell in all_cells(config, str(folder.config))}
        prefix = f"{folder.path / CELLS}/"
        wanted = [name.rstrip("/").removeprefix(prefix) for name in names]
        if unknown := [name for name in wanted if name not in planned]:
            raise InputError(
                f"{unknown[0]!r}: no cell of run {config.run}"
                f"{f', nor are {len(unknown) - 1} others' if unknown[1:] else ''}; "
                f"{folder.matrix} has the names of the matrix, and a recipe's is recipe/NAME"
            )
        return cls(folder, config, [planned[name] for name in dict.fromkeys(wanted)])

    def run(self) -> None:
        """Train them; what each prints goes to its own log.

        Raises:
            InputError: some failed; the others are trained.
            Interrupted: asked to stop; what has been trained is saved.
        """
        resources, failed = self.config.resources, []
        with at_work(resources.threads, resources.jobs_per_gpu) as worker:
            for number, cell in enumerate(self.cells):
                if worker.asked_to_stop():
                    raise Interrupted(
                        f"asked to stop; {len(self.cells) - number} cells are not begun, and the "
                        "same command goes on from there"
                    )
                print(
                    f"{number + 1} of {len(self.cells)}: {cell.name}", file=sys.stderr, flush=True
                )
                reason = self._train(cell, worker)
                if reason is not None:
                    failed.append((cell, reason))
        if failed:
            told = "".join(
                f"\n  {cell.name}\n    {reason}\n    log: {self._log(cell)}"
                for cell, reason in failed
            )
            raise InputError(f"{len(failed)} of {len(self.cells)} cells failed:{told}")

    def _train(self, cell: Cell, worker: Worker) -> str | None:
        """Train one cell; why it failed, or None."""
        with _printed_to(self._log(cell)):
            try:
                self._job(cell).train(worker)
            except (InputError, OSError) as error:
                print(f"counterpoint: {error}", file=sys.stderr, flush=True)
                return str(error)
            except Interrupted as error:
                print(f"counterpoint: {error}", file=sys.stderr, flush=True)
                raise
            # Whatever it is, the other cells are to be trained.
            except Exception as error:  # noqa: BLE001
                traceback.print_exc()
                return f"{type(error).__name__}: {error}"
        return None

    def _job(self, cell: Cell) -> Job:
        resources = self.config.resources
        kind, key = inputs_key(cell.options.encoder)
        frozen = kind == "features"
        pairs = tokens_key(cell.options.reranker.encoder)
        return Job(
            options=cell.options,
            arguments=self.folder.arguments,
            features=self.folder.features(key) if frozen else None,
            tokens=None if frozen else self.folder.tokens(key),
            threads=resources.threads,
            jobs_per_gpu=resources.jobs_per_gpu,
            state=self.folder.state(cell.name).path,
            out=self.folder.cell(cell.name).path,
            first=FirstStage(cell.first, self.folder) if cell.first else None,
            pairs=self.folder.tokens(pairs) if cell.first else None,
            checkpoint_seconds=resources.checkpoint_seconds,
            checkpoint_steps=resources.checkpoint_steps,
            tracker_names=self.config.trackers,
        )

    def _log(self, cell: Cell) -> Path:
        return self.folder.cell_log(cell.name)


@contextlib.contextmanager
def _printed_to(path: Path) -> Iterator[None]:
    """Send all that this process prints to a file, also what is not Python's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    before = [(stream, os.dup(stream)) for stream in (1, 2)]
    try:
        with path.open("w", encoding="utf-8", errors="backslashreplace", buffering=1) as log:
            for stream, _ in before:
                os.dup2(log.fileno(), stream)
            # Python's own too, which a notebook or a test sends elsewhere than to the process's.
            with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                yield
    finally:
        for stream, kept in before:
            os.dup2(kept, stream)
            os.close(kept)
