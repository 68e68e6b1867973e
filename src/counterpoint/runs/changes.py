"""What other options would do to a run that has results: told, and refused unless wanted."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterpoint.config.loading import dump, load_written
from counterpoint.config.matrix import Cell, all_cells
from counterpoint.config.options import CellOptions
from counterpoint.config.run_options import RunConfig
from counterpoint.config.section import leaves
from counterpoint.errors import InputError
from counterpoint.results.files import Seconds
from counterpoint.runs.folder import CellFolder, RunFolder
from counterpoint.runs.progress import duration

NOT_COMPARED = ("run", "tables", "plots", "trackers", "resources", "matrix")
"""Options that change no result, but for those in `OF_ALL_CELLS`; the matrix is compared by its
cells."""

OF_ALL_CELLS = ("corpus", "resources.threads", "resources.encoding_threads")
"""Options that every cell's result depends on, beside its own."""

OF_NO_CELL = ("corpus.language",)
"""Those below them that only baselines depend on."""


@dataclass(frozen=True)
class Change:
    """What becomes of a run's cells when it gets other options."""

    options: Sequence[str]
    """The options that differ, a line each: old and new."""
    kept: int
    """Finished cells that stay as they are."""
    anew: int
    """Finished cells that would be trained again."""
    waiting: int
    """Cells that are not finished, new ones among them."""
    left: int
    """Finished cells that would not be planned any more."""
    seconds: float | None
    """A finished cell's, in the median."""

    def text(self) -> str:
        """In lines: what differs, and what it would cost."""
        cost = [self._to_train(), f"{_cells(self.kept)} kept"]
        if self.left:
            cost.append(f"{_cells(self.left)} no longer planned, whose results stay on disk")
        lines = [f"  {line}" for line in self.options]
        return "\n".join([*lines, f"It would cost: {'; '.join(cost)}."])

    def _to_train(self) -> str:
        number = self.anew + self.waiting
        parts = [f"{_cells(number)} to train"]
        if self.anew:
            parts.append(f"{self.anew} of them anew")
        if number and self.seconds is not None:
            parts.append(f"about {duration(number * self.seconds)} of computing by finished ones")
        return ", ".join(parts)


def refuse(folder: RunFolder, config: RunConfig, cells: Sequence[Cell]) -> None:
    """Refuse options that would change what a run has already come to.

    A run in which nothing is trained yet may be given any.

    Args:
        folder: of the run, which need not exist.
        config: as it is asked for.
        cells: of that configuration.

    Raises:
        InputError: they would; it says which options differ and what going on would cost.
    """
    if not folder.config.is_file():
        return
    try:
        written = load_written(RunConfig, folder.config)
        if dump(written) == dump(config):
            return
        change = compare(folder, written, config, cells)
    except InputError as error:
        raise InputError(
            f"{error}\nSo it cannot be told what the run was. Name another run with --config "
            "run=NAME, or take the options as they are given with --config change=true."
        ) from error
    if change is not None:
        raise InputError(
            f"run {config.run!r} was begun with other options ({folder.config} → now):\n"
            f"{change.text()}\nNothing is changed. To go on all the same add --config change=true; "
            f"for another run, run=NAME; for this one as it is, give only run={config.run}."
        )


def compare(
    folder: RunFolder, before: RunConfig, after: RunConfig, cells: Sequence[Cell]
) -> Change | None:
    """What a run's new options do to it; None where no result changes, or none is there.

    Args:
        folder: of the run.
        before: its options so far.
        after: its new options.
        cells: of the new ones.
    """
    old, new = _values(before), _values(after)
    differing = [path for path in {**old, **new} if old.get(path) != new.get(path)]
    if not differing and before.matrix == after.matrix:
        return None
    planned = all_cells(before, str(folder.config))
    lines = [*(_line(path, old, new) for path in differing), *_matrix_lines(planned, cells)]
    begun = [cell.name for cell in planned if _is_begun(folder, cell.name)]
    if not lines or not begun:
        return None
    finished = {name for name in begun if folder.cell(name).is_whole}
    all_anew = any(path.startswith(OF_ALL_CELLS) and path not in OF_NO_CELL for path in differing)
    kept = [
        cell for cell in cells
        if cell.name in finished and not all_anew and _has(folder.cell(cell.name), cell.options)
    ]  # fmt: skip
    again = [cell for cell in cells if cell.name in finished]
    return Change(
        options=lines,
        kept=len(kept),
        anew=len(again) - len(kept),
        waiting=len(cells) - len(again),
        left=len(finished) - len(again),
        seconds=_median([folder.cell(name) for name in finished]),
    )


def _is_begun(folder: RunFolder, name: str) -> bool:
    return folder.cell(name).is_whole or bool(folder.state(name).checkpoints())


def _has(cell: CellFolder, options: CellOptions) -> bool:
    """Whether a finished cell has those options."""
    return cell.options.is_file() and load_written(CellOptions, cell.options) == options


def _median(cells: Sequence[CellFolder]) -> float | None:
    seconds = [Seconds.read(cell.seconds).total for cell in cells if cell.seconds.is_file()]
    return statistics.median(seconds) if seconds else None


def _values(config: RunConfig) -> dict[str, Any]:
    """The options that a result may depend on, by dotted path."""
    return {
        path: value
        for path, value in leaves(config)
        if path.startswith(OF_ALL_CELLS) or path.partition(".")[0] not in NOT_COMPARED
    }


def _line(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    before, after = (json.dumps(values.get(path), ensure_ascii=False) for values in (old, new))
    return f"{path}: {before} → {after}"


def _matrix_lines(before: Sequence[Cell], after: Sequence[Cell]) -> list[str]:
    """How the cells differ, by their names, in one line or none."""
    old, new = {cell.name for cell in before}, {cell.name for cell in after}
    added, dropped = len(new - old), len(old - new)
    return [f"matrix: {_cells(added)} added, {dropped} dropped"] if added or dropped else []


def _cells(number: int) -> str:
    return f"{number} cell{'' if number == 1 else 's'}"
