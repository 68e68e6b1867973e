"""A run that exists: planned, and finished as far as a test wants."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from counterpoint.config import matrix
from counterpoint.config.loading import dump, load
from counterpoint.config.matrix import Cell
from counterpoint.io.atomic import write_text
from counterpoint.io.text import csv_text
from counterpoint.runs.folder import RunFolder
from tests.support.runs import write_files


def existing(
    results: Path, values: Mapping[str, Any], *, finished: int = 0, seconds: Sequence[float] = ()
) -> list[Cell]:
    """Plan a run and finish its first cells; all its cells.

    Args:
        results: the folder of all runs.
        values: its configuration.
        finished: how many cells.
        seconds: of each of them; 100 where there are fewer.
    """
    config = load(values, "test")
    cells = matrix.expand(config, "test")
    folder = RunFolder(results / config.run)
    write_text(folder.config, dump(config))
    write_text(folder.matrix, csv_text(matrix.rows(cells)))
    for number, cell in enumerate(cells[:finished]):
        own = folder.cell(cell.name)
        write_files(own, total=seconds[number] if number < len(seconds) else 100.0)
        write_text(own.options, dump(cell.options))
        write_text(own.records, "")
    return cells
