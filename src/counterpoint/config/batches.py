"""Which cells share a process: loading costs more than training a small cell."""

from collections.abc import Iterable, Sequence

from counterpoint.config.cache_keys import features_key, tokens_key
from counterpoint.config.matrix import RECIPE, Cell
from counterpoint.config.options import EncoderOptions

BATCHES_PER_CORE = 2
"""Of frozen cells on a workstation: what the last ones leave idle is about half of a batch."""

ON_A_CLUSTER = 20
"""Frozen cells a job where nobody says how many run at a time."""

MOST = 250
"""Cells a job; their names stand in one command, which the system limits to 128 kB."""


def inputs_key(options: EncoderOptions) -> tuple[str, str]:
    """What a cell reads of its texts: `features` or `tokens`, and the folder that has them."""
    if options.trainable == "none":
        return "features", features_key(options)
    return "tokens", tokens_key(options)


def batches(
    cells: Iterable[Cell], cells_per_job: int | None, parallel: int | None
) -> list[list[Cell]]:
    """Spread the cells over jobs; those of a job read the same files.

    A recipe has a job of its own, and so has a cross-encoder. Where nobody says how many, so has a
    cell with a live encoder, because it takes far longer than loading, and the frozen ones are
    spread so that every core is busy to the end.

    Args:
        cells: of the matrix.
        cells_per_job: `resources.cells_per_job`.
        parallel: how many jobs run at a time; None for a cluster.
    """
    groups: dict[tuple[str, str], list[Cell]] = {}
    jobs: list[list[Cell]] = []
    for cell in cells:
        # Snakemake must know a recipe's options, which its name does not tell. A second stage waits
        # for its first.
        if cell.name.startswith(RECIPE) or cell.first is not None:
            jobs.append([cell])
        else:
            groups.setdefault(inputs_key(cell.options.encoder), []).append(cell)
    for (kind, _), group in groups.items():
        if cells_per_job is not None:
            size = cells_per_job
        elif kind == "tokens":
            size = 1
        elif parallel is None:
            size = ON_A_CLUSTER
        else:
            size = -(-len(group) // (parallel * BATCHES_PER_CORE))
        jobs += _dealt(group, -(-len(group) // min(size, MOST)))
    return jobs


def _dealt(cells: Sequence[Cell], jobs: int) -> list[list[Cell]]:
    """Like cards: neighbours in the grid, which take about as long, go to different jobs."""
    return [list(cells[first::jobs]) for first in range(jobs)]
