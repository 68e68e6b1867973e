"""The tables that go into a paper, as LaTeX (booktabs): best in bold, second underlined."""

import re
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd

from counterpoint.evaluation.records import SPLITS
from counterpoint.io.text import percent
from counterpoint.reporting.overview import Overview
from counterpoint.reporting.scores import SHOWN, is_shown
from counterpoint.reporting.settings import score_column
from counterpoint.tasks.protocols import PROTOCOLS

ESCAPES = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
"""What a backslash alone would not make plain text of."""


def tables(overview: Overview, decimals: int, *, intervals: bool) -> dict[str, str]:
    """File name to text of `comparison-SPLIT.tex` and `baselines.tex`, which need booktabs.

    Args:
        overview: of the run.
        decimals: of percentages.
        intervals: whether scores have their 95 % intervals as subscripts.
    """
    texts = {
        f"comparison-{split}.tex": comparison(overview, split, decimals, intervals)
        for split in SPLITS
    }
    return {**texts, "baselines.tex": systems(overview, decimals, intervals)}


def comparison(overview: Overview, split: str, decimals: int, intervals: bool) -> str:
    """Fusion × head × decrease rate: accuracy@1 on `epa`, `clean`, re-ranked, of dev or test.

    A table for each initial random rate and further axes with more than one decrease rate.
    """
    extra = overview.run.extra_axes
    parts = [_comment(f"accuracy@1 in %, epa, clean, re-ranked, {split}")]
    by = overview.settings.groupby(["initial_random_rate", *extra], sort=False, dropna=False)
    for key, group in by:
        rates = sorted(group["decrease_rate"].unique())
        if len(rates) < 2:
            continue
        names = zip(["initial random rate", *extra], key, strict=True)
        parts.append(_comment(", ".join(f"{axis} {value}" for axis, value in names)))
        head = ["fusion", "head", *(rf"$\delta={rate:g}$" for rate in rates)]
        rows: list[list[str | Score]] = []
        for (fusion, kind), part in group.groupby(["fusion", "head"], sort=False):
            by_rate = part.drop_duplicates("decrease_rate").set_index("decrease_rate")
            scores = [_of_setting(overview, by_rate, rate, split) for rate in rates]
            rows.append([escape(fusion), escape(kind), *scores])
        parts.append(tabular(head, rows, decimals, intervals, over_columns=True))
    return "".join(parts)


def systems(overview: Overview, decimals: int, intervals: bool) -> str:
    """The best cell, recipes and baselines: accuracy@1 on `epa`, all protocols, dev and test."""
    head = ["system"]
    for split in SPLITS:
        head += [f"{split} {PROTOCOLS[protocol].label}" for protocol in SHOWN]
    rows: list[list[str | Score]] = []
    for name, label, stage in overview.listed:
        row: list[str | Score] = [escape(label.removesuffix(" (baseline)"))]
        for split in SPLITS:
            row += [
                _of_system(overview, name, split, protocol, stage)
                if is_shown(protocol, baseline=stage == "retrieval")
                else MISSING
                for protocol in SHOWN
            ]
        rows.append(row)
    # Nothing is ranked by the protocol that leaks.
    leaks = [name for name in head if name.endswith("(leaks)")]
    return _comment("accuracy@1 in %, epa") + tabular(
        head, rows, decimals, intervals, unranked=leaks
    )


class Score(tuple[float, float, float]):
    """A value with the ends of its interval, each not-a-number where there is none."""

    __slots__ = ()


MISSING = Score((np.nan, np.nan, np.nan))


def _of_setting(overview: Overview, by_rate: pd.DataFrame, rate: Any, split: str) -> Score:
    """A setting's mean over seeds, with the interval over seeds or that of its only cell."""
    if rate not in by_rate.index:
        return MISSING
    setting = by_rate.loc[rate]
    column = score_column(split, "clean", "reranked")
    ends = setting[f"{column}_low"], setting[f"{column}_high"]
    if setting["seeds_planned"] == 1:
        ends = _of_system(overview, setting["cells"][0], split, "clean", "reranked")[1:]
    return Score((setting[column], *ends))


def _of_system(overview: Overview, name: str, split: str, protocol: str, stage: str) -> Score:
    score = overview.score(name, split, protocol, stage)
    return MISSING if score is None else Score(score[end] for end in ("value", "low", "high"))


def tabular(
    head: Sequence[str],
    rows: Sequence[Sequence[str | Score]],
    decimals: int,
    intervals: bool,
    *,
    over_columns: bool = False,
    unranked: Collection[str] = (),
) -> str:
    """A `tabular`: the highest score bold and the next underlined, equals alike.

    Args:
        head: of the columns.
        rows: text, and scores as fractions.
        decimals: of percentages.
        intervals: whether to print them.
        over_columns: look for the highest in all columns together, and not in each.
        unranked: columns in which nothing is marked.
    """
    width = len(head)
    scores = [[cell[0] if isinstance(cell, Score) else np.nan for cell in row] for row in rows]
    # What is printed alike ranks alike.
    values = np.round(100 * np.array(scores, dtype=float).reshape(-1, width), decimals)
    lines = []
    for i, row in enumerate(rows):
        cells = []
        for j, cell in enumerate(row):
            if isinstance(cell, Score):
                rivals = values if over_columns else values[:, j]
                if head[j] in unranked:
                    rivals = values[:0]
                cells.append(_printed(cell, values[i, j], rivals, decimals, intervals))
            else:
                cells.append(cell)
        lines.append(" & ".join(cells) + r" \\")
    columns = "".join(
        "r" if any(isinstance(row[j], Score) for row in rows) else "l" for j in range(width)
    )
    body = "\n".join(lines)
    return (
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{' & '.join(head)} \\\\\n\\midrule\n"
        f"{body}\n\\bottomrule\n\\end{{tabular}}\n"
    )


def _printed(
    cell: Score, value: float, rivals: np.ndarray[Any, Any], decimals: int, intervals: bool
) -> str:
    if np.isnan(value):
        return "--"
    text = percent(cell[0], decimals)
    ranked = np.unique(rivals[~np.isnan(rivals)])[::-1]
    if value in ranked[:1]:
        text = rf"\textbf{{{text}}}"
    elif value in ranked[1:2]:
        text = rf"\underline{{{text}}}"
    if intervals and not np.isnan(cell[1]):
        low, high = (percent(end, decimals) for end in cell[1:])
        text += rf"\textsubscript{{{low}--{high}}}"
    return text


def escape(text: object) -> str:
    """Text with LaTeX's special characters made plain."""
    return re.sub(r"[\\~^&%$#_{}]", lambda match: ESCAPES.get(match[0], f"\\{match[0]}"), str(text))


def _comment(text: str) -> str:
    return f"% {text}\n"
