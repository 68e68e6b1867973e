"""Where a run stands: a grid of its cells, what failed and where its log is, and the time left.

Looks only at what the jobs leave, so it disturbs none of them.
"""

import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from counterpoint.io.text import rate_text
from counterpoint.runs import progress as progress_module
from counterpoint.runs.folder import PlannedCell, Run, read_run
from counterpoint.runs.progress import Progress, duration

State = Literal["done", "diverged", "running", "failed", "waiting"]

GRIDS_SHOWN = 3
"""Where seeds and further axes would make more grids than these, one grid counts cells instead."""

LEGEND = (
    "done; 12/60 3m: running, epoch 12 of 60, 3 min left at most; FAILED; diverged: loss no "
    "number; . waiting"
)
COUNTED = "3/5: 3 cells done of 5; r running; F FAILED; diverged ones are done"


@dataclass(frozen=True)
class CellStatus:
    """A planned cell, and what it is doing."""

    planned: PlannedCell
    state: State
    reason: str
    """Why it failed, or ended."""
    progress: Progress | None
    """Of a running one."""


def look(run: Run) -> list[CellStatus]:
    """The state of every planned cell, in the order of the matrix, and then of every recipe.

    A job that was killed leaves no reason; it is told from one that runs by
    `progress.sign_of_death`, and counts as failed.
    """
    return [_look(run, cell) for cell in (*run.cells, *run.recipes)]


def _look(run: Run, cell: PlannedCell) -> CellStatus:
    told = progress_module.read(run.folder.state(cell.name).path)
    death = None if told is None else progress_module.sign_of_death(*told)
    if told is not None and death is None:
        return CellStatus(cell, "running", "", told[0])
    if cell.status != "missing":
        return CellStatus(cell, cell.status, cell.reason, None)
    if death is not None:
        return CellStatus(cell, "failed", death, None)
    return CellStatus(cell, "waiting", "", None)


def text(run: Run) -> str:
    """The grids, the failed cells, the counts and the time left."""
    cells = look(run)
    counts = Counter(cell.state for cell in cells)
    counted = ", ".join(f"{counts[state]} {state}" for state in get_args(State) if counts[state])
    parts = [
        f"Run {run.folder.name}: {len(cells)} cells: {counted}.\n",
        *_grids(run, [cell for cell in cells if cell.planned.axes]),
        *_recipes(cells),
        *([failures(run, cells)] if counts["failed"] else []),
        time_left_text(run, cells),
    ]
    return "\n".join(parts)


def _recipes(cells: Sequence[CellStatus]) -> list[str]:
    """A line a recipe, if there is any."""
    lines = [f"{cell.planned.name}  {_word(cell)}\n" for cell in cells if not cell.planned.axes]
    return ["".join(lines)] if lines else []


def failures(run: Run, cells: Sequence[CellStatus]) -> str:
    """The failed cells, each with its reason and its log."""
    failed = [cell for cell in cells if cell.state == "failed"]
    if not failed:
        return f"No cell of run {run.folder.name} has failed; all logs: {run.folder.logs}\n"
    lines = [f"FAILED cells ({len(failed)}):"]
    for cell in failed:
        log = run.folder.cell_log(cell.planned.name)
        reason = cell.reason.strip().replace("\n", "\n    ")
        lines += [f"  {cell.planned.name}", f"    {reason}"]
        lines += [f"    log: {log if log.is_file() else 'none'}"]
    return "\n".join(lines) + "\n"


def time_left(cells: Sequence[CellStatus]) -> float | None:
    """Seconds until all cells are done, an estimate; None where nothing tells.

    The waiting cells at the median seconds of the finished ones (before there is any, at what the
    running ones will take for all their epochs), and the rest of the running ones, divided by the
    number that run at a time now. Failed cells are not counted: they wait for a new run.
    """
    done = [cell.planned.seconds().total for cell in cells if cell.state == "done"]
    running = [cell.progress for cell in cells if cell.progress is not None]
    waiting = sum(cell.state == "waiting" for cell in cells)
    if not running and not waiting:
        return 0.0
    whole = [now.epochs * now.epoch_seconds for now in running if now.epoch_seconds is not None]
    if not done and not whole:
        return None
    per_cell = statistics.median(done or whole)
    rest = sum(per_cell if now.left is None else now.left for now in running)
    return (waiting * per_cell + rest) / max(1, len(running))


def time_left_text(run: Run, cells: Sequence[CellStatus]) -> str:
    """The same in words."""
    seconds = time_left(cells)
    if seconds is None:
        return (
            "Time left: no cell has finished an epoch yet; "
            f"`counterpoint plan --run {run.folder.path}` estimates it.\n"
        )
    if seconds == 0:
        return "Nothing is left to run.\n"
    jobs = sum(cell.state == "running" for cell in cells)
    return f"Time left: about {duration(seconds)} with {jobs or 1} at a time (an estimate).\n"


def watch(
    folder: Path,
    seconds: float,
    show: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Show the status again and again, until every cell has ended or Ctrl-C.

    Args:
        folder: of the run.
        seconds: between two looks.
        show: takes the text.
        sleep: waits.
    """
    try:
        while True:
            run = read_run(folder)
            show(text(run))
            if not {cell.state for cell in look(run)} & {"running", "waiting"}:
                return
            sleep(seconds)
    except KeyboardInterrupt:
        return


def _grids(run: Run, cells: Sequence[CellStatus]) -> list[str]:
    """A grid for each seed and value of the further axes, or one that counts over them."""
    axes = ["seed", *run.extra_axes]
    groups: dict[tuple[str, ...], list[CellStatus]] = {}
    for cell in cells:
        groups.setdefault(tuple(_value(cell.planned, axis) for axis in axes), []).append(cell)
    if len(groups) > GRIDS_SHOWN:
        over = f"Counted over {', '.join(axes)}.\n"
        return [over + _grid(cells, _count), f"{COUNTED}\n"]
    grids = [
        (", ".join(f"{axis} {value}" for axis, value in zip(axes, values, strict=True)) + "\n")
        * (len(groups) > 1)
        + _grid(group, lambda cells: " ".join(map(_word, cells)))
        for values, group in groups.items()
    ]
    return [*grids, f"{LEGEND}\n"]


def _grid(cells: Sequence[CellStatus], show: Callable[[Sequence[CellStatus]], str]) -> str:
    """Rows fusion, head and (where several) r0; columns the decrease rate."""
    several = len({cell.planned.axes["initial_random_rate"] for cell in cells}) > 1
    axes = {
        "fusion": "fusion",
        "head": "head",
        **({"initial_random_rate": "r0"} if several else {}),
    }
    rates = sorted({cell.planned.number("decrease_rate") for cell in cells})
    rows: dict[tuple[str, ...], dict[float, list[CellStatus]]] = {}
    for cell in cells:
        row = rows.setdefault(tuple(_value(cell.planned, axis) for axis in axes), {})
        row.setdefault(cell.planned.number("decrease_rate"), []).append(cell)
    table = [
        [*axes.values(), *(f"δ {rate_text(rate)}" for rate in rates)],
        *([*names, *(show(row.get(rate, [])) for rate in rates)] for names, row in rows.items()),
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)
    return "".join(f"{line}\n" for line in lines)


def _word(cell: CellStatus) -> str:
    """A cell's place in the grid; reads without colour."""
    if cell.state == "running" and cell.progress is not None:
        left = cell.progress.left
        minutes = "" if left is None else f" {_short(left)}"
        return f"{cell.progress.done}/{cell.progress.epochs}{minutes}"
    return {"failed": "FAILED", "waiting": "."}.get(cell.state, cell.state)


def _short(seconds: float) -> str:
    """`50s`, `3m`, `2h05`."""
    if seconds < 60:
        return f"{math.ceil(seconds)}s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes}m" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}"


def _count(cells: Sequence[CellStatus]) -> str:
    """Several cells in one place of the grid."""
    if not cells:
        return ""
    counts = Counter(cell.state for cell in cells)
    ended = counts["done"] + counts["diverged"]
    marks = [f"{counts['running']}r"] * (counts["running"] > 0)
    marks += [f"{counts['failed']}F"] * (counts["failed"] > 0)
    return " ".join([f"{ended}/{len(cells)}", *marks])


def _value(cell: PlannedCell, axis: str) -> str:
    value = cell.axes[axis]
    if value is None:
        return "none"
    return rate_text(value) if isinstance(value, float) else str(value)
