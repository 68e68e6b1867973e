"""The run in one sentence or two, which claim no more than the interval does."""

from counterpoint.io.text import percent, percent_interval, signed
from counterpoint.reporting import compare
from counterpoint.reporting.page.contents import Contents
from counterpoint.reporting.page.names import short, typographic
from counterpoint.reporting.standing import loses_to, who_wins
from counterpoint.tasks.protocols import CLEAN


def answer(contents: Contents) -> str:
    """Which cell is best, how good it is, and how it stands to the best baseline."""
    run, best = contents.run, contents.overview.best
    trained, planned = len(run.trained), len(run.cells)
    if not trained:
        return f"No cell has been trained yet (0 of {planned})."
    score = None
    if best is not None:
        score = contents.overview.score(best, contents.asked, CLEAN.name, "reranked")
    if best is None or score is None:
        return (
            f"{trained} of {planned} cells are trained, but none can be chosen: no dev query is "
            "unseen in training, so there is no clean score."
        )
    so_far = "" if trained == planned else f", of the {trained} cells of {planned} trained so far"
    shown = percent_interval(
        score["value"], score["low"], score["high"], contents.decimals, unit=" %"
    )
    text = (
        f"Best on dev{so_far}: {contents.labels[best]}{loses_to(contents.overview)}. "
        f"On {score['n']:,} unseen {contents.asked} queries it finds the counterargument first "
        f"in {shown}"
    )
    if contents.overview.best_baseline is None:
        tied = bool(contents.overview.ties)
        text += "; no baseline has scores." if tied else "; no baseline has been evaluated yet."
    else:
        text += _against(contents, best, contents.overview.best_baseline)
    if contents.run.recipes:
        text = f"{typographic(who_wins(contents.overview, contents.decimals))} {text}"
    if contents.asked == "dev":
        text += " It was chosen by these very queries, which flatters it."
    return text


def _against(contents: Contents, cell: str, baseline: str) -> str:
    both = compare.compare(contents.run, cell, baseline, protocols=(CLEAN.name,), tasks=("epa",))
    row = next(row for row in both if row.split == contents.asked)
    low, high, difference = (
        typographic(signed(100 * points, contents.decimals))
        for points in (row.low, row.high, row.difference)
    )
    if row.low > 0:
        word = "above the baseline by more than noise"
    elif row.high < 0:
        word = "below the baseline by more than noise"
    else:
        word = "within noise"
    return (
        f"; the best baseline, {short(baseline)}, in {percent(row.b, contents.decimals)} %; "
        f"difference {difference} points ({low} to {high}): {word}."
    )
