"""Why a table has a dash: what was planned and has no score, in a few words."""

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from counterpoint.evaluation.scoring import select
from counterpoint.io.text import DASH
from counterpoint.runs.folder import PlannedCell
from counterpoint.tasks.protocols import CLEAN

NOT_PLANNED = "not planned"
"""Of a place in a grid that the matrix has no cell for."""

NO_SECOND_STAGE = "no second stage"
"""Of what re-ranks nothing, under a protocol that is about re-ranking alone."""

TIED = "every text ties"
"""Of a baseline that tells no two texts apart."""

NO_BASELINE = "not evaluated yet"
"""Of a baseline without records."""


def dash(reason: str) -> str:
    """What stands for a missing score: a dash with its reason."""
    return f"{DASH} ({reason})"


def lacking(cells: Sequence[PlannedCell]) -> str:
    """What has no results of the cells that were planned for a setting, or of one; or nothing.

    `failed`, `missing`, or of several seeds `1 failed and 1 missing of 3 seeds`.
    """
    counts = Counter(cell.status for cell in cells if cell.status in ("failed", "missing"))
    if not counts or len(cells) == 1:
        return next(iter(counts), "")
    parts = [f"{counts[status]} {status}" for status in sorted(counts)]
    return f"{' and '.join(parts)} of {len(cells)} seeds"


def unscored(scores: pd.DataFrame, split: str, protocol: str) -> str:
    """Why a system that has results has no score there.

    Args:
        scores: of the run, as `scores.all_scores` gives them.
        split: where the score is missing.
        protocol: by which it is.
    """
    here = select(scores, split=split)
    if protocol == CLEAN.name and len(here) and select(here, protocol=protocol).empty:
        return "no unseen query"
    return "not evaluated"
