"""The reasons beside dashes."""

from pathlib import Path

import pandas as pd
import pytest

from counterpoint.reporting.missing import dash, lacking, unscored
from counterpoint.runs.folder import CellFolder, PlannedCell, Status


def cells(*status: Status) -> list[PlannedCell]:
    return [PlannedCell(f"c{i}", {}, CellFolder(Path()), each) for i, each in enumerate(status)]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (("done",), ""),
        (("diverged",), ""),
        (("failed",), "failed"),
        (("missing",), "missing"),
        (("done", "diverged"), ""),
        (("done", "missing", "missing"), "2 missing of 3 seeds"),
        (("missing", "failed", "done"), "1 failed and 1 missing of 3 seeds"),
        (("failed", "failed"), "2 failed of 2 seeds"),
    ],
)
def test_what_is_lacking_is_counted(status: tuple[Status, ...], expected: str) -> None:
    assert lacking(cells(*status)) == expected


def test_a_split_without_unseen_queries_is_told_from_what_was_never_evaluated() -> None:
    scores = pd.DataFrame(
        {"split": ["dev", "dev", "test"], "protocol": ["clean", "official", "official"]}
    )
    assert unscored(scores, "test", "clean") == "no unseen query"
    assert unscored(scores, "dev", "clean") == "not evaluated"
    assert unscored(scores, "test", "legacy") == "not evaluated"
    assert unscored(scores[:0], "test", "clean") == "not evaluated"
    assert dash("failed") == "– (failed)"
