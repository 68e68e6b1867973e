"""The tables that go into a paper, as LaTeX (booktabs): best in bold, second underlined."""

import re
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd

from counterpoint.evaluation.records import SPLITS
from counterpoint.io.text import percent
from counterpoint.reporting.missing import NO_SECOND_STAGE, NOT_PLANNED
from counterpoint.reporting.overview import Listed, Overview
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
    for system in overview.planned:
        row: list[str | Score] = [escape(system.label.removesuffix(" (baseline)"))]
        for split in SPLITS:
            row += [_of_system(overview, system, split, protocol) for protocol in SHOWN]
        rows.append(row)
    # Nothing is ranked by the protocol that leaks.
    leaks = [name for name in head if name.endswith("(leaks)")]
    return _comment("accuracy@1 in %, epa") + tabular(
        head, rows, decimals, intervals, unranked=leaks
    )


class Score(tuple[float, float, float]):
    """A value with the ends of its interval, each not-a-number where there is none."""

    __slots__ = ()


def _absent(reason: str) -> str:
    """What stands for a missing score: a dash with its reason."""
    return f"-- ({escape(reason)})"


def _of_setting(overview: Overview, by_rate: pd.DataFrame, rate: Any, split: str) -> str | Score:
    """A setting's mean over seeds, with the interval over seeds or that of its only cell."""
    if rate not in by_rate.index:
        return _absent(NOT_PLANNED)
    setting = by_rate.loc[rate]
    column = score_column(split, "clean", "reranked")
    if pd.isna(setting[column]):
        return _absent(overview.why(split, "clean", setting["lacking"]))
    ends = setting[f"{column}_low"], setting[f"{column}_high"]
    if setting["seeds_planned"] == 1:
        score = overview.score(setting["cells"][0], split, "clean", "reranked")
        ends = ends if score is None else (score["low"], score["high"])
    return Score((setting[column], *ends))


def _of_system(overview: Overview, system: Listed, split: str, protocol: str) -> str | Score:
    if not is_shown(protocol, baseline=system.stage == "retrieval"):
        return _absent(NO_SECOND_STAGE)
    score = overview.score(system.name, split, protocol, system.stage)
    if score is None:
        return _absent(overview.why(split, protocol, system.reason))
    return Score(score[end] for end in ("value", "low", "high"))


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
        rows: text, also in the place of a missing score, and scores as fractions.
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
