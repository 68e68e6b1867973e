"""All tables of a run: the summary, Markdown, CSV, LaTeX, and the claims with their verdicts."""

from counterpoint.reporting import latex, markdown, scores
from counterpoint.runs.folder import Run
from counterpoint.study import claims


def write_tables(run: Run, decimals: int, *, intervals: bool) -> str:
    """Write every table of a run into its folder of tables, from whatever records exist.

    Args:
        run: whose.
        decimals: of percentages.
        intervals: give the scores of the LaTeX tables their 95 % intervals as subscripts.

    Returns:
        The summary, in Markdown.

    Raises:
        InputError: records that cannot be used, or that lack a query which others have.
    """
    overview, folder = scores.overview(run), run.folder.tables
    summary = markdown.write_tables(overview, folder, decimals)
    latex.write_latex(overview, folder, decimals, intervals=intervals)
    claims.write_claims(run, folder, decimals)
    return summary


def update_tables(run: Run, decimals: int, *, intervals: bool) -> None:
    """Write the tables again where records are newer than they are; see `write_tables`."""
    if not scores.is_current(run, "claims.csv"):
        write_tables(run, decimals, intervals=intervals)
