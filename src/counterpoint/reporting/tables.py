"""All tables of a run: the summary, Markdown, CSV, LaTeX, and the claims with their verdicts."""

from pathlib import Path

import pandas as pd

from counterpoint.io.atomic import replacing, write_text
from counterpoint.reporting import latex, markdown
from counterpoint.reporting.axis_table import axis_markdown, axis_table
from counterpoint.reporting.curves import epoch_table
from counterpoint.reporting.imported import imported_markdown, imported_table
from counterpoint.reporting.made import once
from counterpoint.reporting.overview import Overview
from counterpoint.reporting.scores import write_scores
from counterpoint.reporting.summary import summary
from counterpoint.runs.folder import Run
from counterpoint.study import claims

SUMMARY = "summary.txt"
"""What is printed."""


def write_tables(run: Run, decimals: int, *, intervals: bool) -> str:
    """Write every table of a run into its folder of tables, from whatever records exist.

    Nothing is written where the tables are there and nothing has changed since.

    Args:
        run: whose.
        decimals: of percentages.
        intervals: give the scores of the LaTeX tables their 95 % intervals as subscripts.

    Returns:
        The summary, to be printed.

    Raises:
        InputError: records that cannot be used, or that lack a query which others have.
    """

    def make() -> list[Path]:
        folder = run.folder.tables
        # First, because whoever draws the plots meanwhile waits for them.
        scores = write_scores(run)
        claims.write_claims(run, folder, decimals)
        compared = write_comparisons(run, scores, decimals, intervals=intervals)
        return [run.folder.scores, *compared, *claims.files(folder)]

    once(run, run.folder.tables, ("tables", decimals, intervals), make)
    return (run.folder.tables / SUMMARY).read_text(encoding="utf-8")


def write_comparisons(
    run: Run, scores: pd.DataFrame, decimals: int, *, intervals: bool
) -> list[Path]:
    """All of them but the scores and the claims; their paths."""
    overview = Overview(run, scores)
    by_value, imported = axis_table(overview), imported_table(run)
    frames = {
        "comparison.csv": overview.comparison(),
        "curves.csv": epoch_table(run),
    }
    texts = {
        "comparison.md": markdown.comparison(overview, decimals),
        "strategies.md": markdown.strategies(overview, decimals),
        "seeds.md": markdown.seeds(overview, decimals),
        "protocols.md": markdown.protocols(overview, decimals),
        "tasks.md": markdown.tasks(overview, decimals),
        **latex.tables(overview, decimals, intervals=intervals),
        SUMMARY: summary(overview, decimals),
    }
    if by_value is not None:
        frames["axis.csv"] = by_value.rows
        texts["axis.md"] = axis_markdown(overview, by_value, decimals)
    if len(imported):
        frames["imported.csv"] = imported
        texts["imported.md"] = imported_markdown(imported, decimals)
    return _write(run, frames, texts)


def _write(run: Run, frames: dict[str, pd.DataFrame], texts: dict[str, str]) -> list[Path]:
    folder = run.folder.tables
    for name, frame in frames.items():
        with replacing(folder / name) as temporary:
            frame.to_csv(temporary, index=False)
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in (*frames, *texts)]
