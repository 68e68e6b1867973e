"""The tables that go into a paper, as LaTeX (booktabs): best in bold, second underlined."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from counterpoint.evaluation.records import SPLITS
from counterpoint.io.atomic import write_text
from counterpoint.reporting.markdown import percent
from counterpoint.reporting.scores import Overview, figure_column
from counterpoint.tasks.protocols import LEGACY

ESCAPES = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
"""What a backslash alone would not make plain text of."""


def write_latex(found: Overview, folder: Path, decimals: int, *, intervals: bool) -> None:
    """Write `comparison-SPLIT.tex` and `baselines.tex`; both need the package booktabs.

    Args:
        found: of the run.
        folder: to write into.
        decimals: of percentages.
        intervals: whether figures have their 95 % intervals as subscripts.
    """
    for split in SPLITS:
        write_text(
            folder / f"comparison-{split}.tex", comparison(found, split, decimals, intervals)
        )
    write_text(folder / "baselines.tex", systems(found, decimals, intervals))


def comparison(found: Overview, split: str, decimals: int, intervals: bool) -> str:
    """Fusion × head × decrease rate: accuracy@1 on `epa`, `clean`, re-ranked, of dev or test.

    A table for each initial random rate and further axes with more than one decrease rate.
    """
    extra = found.run.extra_axes
    parts = [_comment(f"accuracy@1 in %, epa, clean, re-ranked, {split}")]
    by = found.settings.groupby(["initial_random_rate", *extra], sort=False, dropna=False)
    for key, group in by:
        rates = sorted(group["decrease_rate"].unique())
        if len(rates) < 2:
            continue
        names = zip(["initial random rate", *extra], key, strict=True)
        parts.append(_comment(", ".join(f"{axis} {value}" for axis, value in names)))
        head = ["fusion", "head", *(rf"$\delta={rate:g}$" for rate in rates)]
        rows: list[list[str | _Figure]] = []
        for (fusion, kind), part in group.groupby(["fusion", "head"], sort=False):
            by_rate = part.drop_duplicates("decrease_rate").set_index("decrease_rate")
            figures = [_of_setting(found, by_rate, rate, split) for rate in rates]
            rows.append([escape(fusion), escape(kind), *figures])
        parts.append(tabular(head, rows, decimals, intervals, over_columns=True))
    return "".join(parts)


def systems(found: Overview, decimals: int, intervals: bool) -> str:
    """The best cell and the baselines: accuracy@1 on `epa`, all protocols, dev and test."""
    protocols = ("clean", "official", LEGACY.name)
    named = {"best cell": found.best} if found.best is not None else {}
    named |= {str(name).removeprefix("baseline/"): str(name) for name in found.baselines.index}
    head = ["system"]
    for split in SPLITS:
        head += [f"{split} {p}{' (leaks)' if p == 'legacy' else ''}" for p in protocols]
    rows: list[list[str | _Figure]] = []
    for label, name in named.items():
        stage = "reranked" if name == found.best else "retrieval"
        row: list[str | _Figure] = [escape(label)]
        for split in SPLITS:
            row += [_of_system(found, name, split, protocol, stage) for protocol in protocols]
        rows.append(row)
    # Nothing is ranked by the protocol that leaks.
    leaks = [name for name in head if name.endswith("(leaks)")]
    return _comment("accuracy@1 in %, epa") + tabular(
        head, rows, decimals, intervals, unranked=leaks
    )


class _Figure(tuple[float, float, float]):
    """A value with the ends of its interval, each not-a-number where there is none."""

    __slots__ = ()


def _of_setting(found: Overview, by_rate: pd.DataFrame, rate: Any, split: str) -> _Figure:
    """A setting's mean over seeds, with the interval over seeds or that of its only cell."""
    if rate not in by_rate.index:
        return _Figure((np.nan, np.nan, np.nan))
    setting = by_rate.loc[rate]
    column = figure_column(split, "clean", "reranked")
    ends = setting[f"{column}_low"], setting[f"{column}_high"]
    if setting["seeds_planned"] == 1:
        ends = _of_system(found, setting["cells"][0], split, "clean", "reranked")[1:]
    return _Figure((setting[column], *ends))


def _of_system(found: Overview, name: str, split: str, protocol: str, stage: str) -> _Figure:
    figures = found.figures
    row = figures[
        (figures["cell"] == name)
        & (figures["split"] == split)
        & (figures["protocol"] == protocol)
        & (figures["task"] == "epa")
        & (figures["stage"] == stage)
        & (figures["metric"] == "accuracy@1")
    ]
    if row.empty:
        return _Figure((np.nan, np.nan, np.nan))
    return _Figure(float(row.iloc[0][end]) for end in ("value", "low", "high"))


def tabular(
    head: Sequence[str],
    rows: Sequence[Sequence[str | _Figure]],
    decimals: int,
    intervals: bool,
    *,
    over_columns: bool = False,
    unranked: Collection[str] = (),
) -> str:
    """A `tabular`: the highest figure bold and the next underlined, equals alike.

    Args:
        head: of the columns.
        rows: text, and figures as fractions.
        decimals: of percentages.
        intervals: whether to print them.
        over_columns: look for the highest in all columns together, and not in each.
        unranked: columns in which nothing is marked.
    """
    width = len(head)
    figures = [[cell[0] if isinstance(cell, _Figure) else np.nan for cell in row] for row in rows]
    # What is printed alike ranks alike.
    values = np.round(100 * np.array(figures, dtype=float).reshape(-1, width), decimals)
    lines = []
    for i, row in enumerate(rows):
        cells = []
        for j, cell in enumerate(row):
            if isinstance(cell, _Figure):
                rivals = values if over_columns else values[:, j]
                if head[j] in unranked:
                    rivals = values[:0]
                cells.append(_printed(cell, values[i, j], rivals, decimals, intervals))
            else:
                cells.append(cell)
        lines.append(" & ".join(cells) + r" \\")
    columns = "".join(
        "r" if any(isinstance(row[j], _Figure) for row in rows) else "l" for j in range(width)
    )
    body = "\n".join(lines)
    return (
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{' & '.join(head)} \\\\\n\\midrule\n"
        f"{body}\n\\bottomrule\n\\end{{tabular}}\n"
    )


def _printed(
    cell: _Figure, value: float, rivals: np.ndarray[Any, Any], decimals: int, intervals: bool
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
