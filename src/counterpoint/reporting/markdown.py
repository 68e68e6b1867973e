"""The tables of a run in Markdown. Computes nothing, and writes nothing.

Wherever protocols stand together, `clean` comes first, which alone ranks, and those last that leak,
which are named so.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pandas as pd

from counterpoint.config.matrix import RECIPE
from counterpoint.evaluation.metrics import metrics
from counterpoint.evaluation.records import SPLITS
from counterpoint.evaluation.scoring import select
from counterpoint.io.text import DASH, markdown_table, percent, percent_interval
from counterpoint.reporting.axis_table import of_planned
from counterpoint.reporting.imported import compared_markdown
from counterpoint.reporting.missing import NO_SECOND_STAGE, NOT_PLANNED, dash
from counterpoint.reporting.overview import Overview
from counterpoint.reporting.scores import SHOWN, ceiling_k, is_shown
from counterpoint.reporting.settings import score_column
from counterpoint.reporting.standing import loses_to
from counterpoint.tasks.candidates import TASKS
from counterpoint.tasks.protocols import CLEAN, PROTOCOLS

Rows = list[dict[str, object]]

Setting = dict[str, Any]
"""A row of a table of settings or systems, by column."""

BASELINE = "baseline/"
"""Begins the name of a baseline."""


def comparison(overview: Overview, decimals: int) -> str:
    """`comparison.md`: fusion × head × rate for dev and test, the rest of the cells, baselines.

    Once for each protocol, with its imported logs; `clean` with the ceiling of re-ranking beside
    each score.
    """
    parts = [
        "# Comparison\n\nAccuracy@1 in % on `epa` after re-ranking; mean over seeds where there "
        "are several; a dash, with its reason, for what is missing. The best cell, chosen on dev "
        f"by `clean`, is bold there{loses_to(overview)}. Why cells failed stands in "
        "`summary.txt`.\n"
    ]
    for protocol in SHOWN:
        parts.append(f"\n## {PROTOCOLS[protocol].heading}")
        if protocol == CLEAN.name:
            parts.append(
                f": accuracy@1 after re-ranking / {overview.ceiling_name} of the first stage, the "
                f"ceiling of {overview.ceiling_of}\n"
            )
            parts.append(overview.on_few_unseen)
        else:
            parts.append("\n")
        parts += _of_protocol(overview, protocol, decimals)
    return "".join(parts)


def _of_protocol(overview: Overview, protocol: str, decimals: int) -> Iterator[str]:
    extra = overview.run.extra_axes
    rest = []
    by = overview.settings.groupby(["initial_random_rate", *extra], sort=False, dropna=False)
    for key, group in by:
        if group["decrease_rate"].nunique() < 2:
            rest.append(group)
            continue
        axes = zip(["initial random rate", *extra], key, strict=True)
        setting = ", ".join(f"{axis} {value}" for axis, value in axes)
        for split in SPLITS:
            yield f"\n### {split}: fusion × head × decrease rate ({setting})\n\n"
            yield markdown_table(_grid(overview, group, split, protocol, decimals))
    if rest:
        yield "\n### Further cells\n\n"
        yield markdown_table(_listing(overview, pd.concat(rest), protocol, decimals))
    if overview.run.recipes:
        yield "\n### Recipes\n\n"
        yield markdown_table(_outside(overview, RECIPE, protocol, decimals))
    if overview.run.config.baselines:
        yield "\n### Baselines\n\n"
        yield markdown_table(_outside(overview, BASELINE, protocol, decimals))
        yield "".join(f"\n{line}\n" for line in overview.notes)
    yield compared_markdown(overview.imported, protocol, decimals)


def _grid(
    overview: Overview, group: pd.DataFrame, split: str, protocol: str, decimals: int
) -> Rows:
    rates = sorted(group["decrease_rate"].unique())
    rows: Rows = []
    for (fusion, head), part in group.groupby(["fusion", "head"], sort=False):
        row: dict[str, object] = {"fusion": fusion, "head": head}
        of_rate = {setting["decrease_rate"]: setting for setting in _each(part)}
        for rate in rates:
            text = dash(NOT_PLANNED)
            if rate in of_rate:
                setting = of_rate[rate]
                column = score_column(split, protocol, "reranked")
                text = _of_setting(overview, setting, split, protocol, decimals)
                if protocol == CLEAN.name and not pd.isna(setting[column]):
                    text += f" / {percent(setting[f'{split}_ceiling'], decimals)}"
                text = _marked(text, overview, setting, protocol)
            row[f"δ {rate:g}"] = text
        rows.append(row)
    return rows


def _each(table: pd.DataFrame) -> list[Setting]:
    """The rows: as a `Series` each would take pandas longer than all that is done with it."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _of_setting(
    overview: Overview, setting: Setting, split: str, protocol: str, decimals: int
) -> str:
    """A setting's mean, re-ranked; a dash with its reason where there is none."""
    score = setting[score_column(split, protocol, "reranked")]
    if pd.isna(score):
        return dash(overview.why(split, protocol, setting["lacking"]))
    return percent(score, decimals)


def _marked(text: str, overview: Overview, setting: Setting, protocol: str) -> str:
    """Bold where the setting has the best cell and the protocol is the one that ranks."""
    return f"**{text}**" if protocol == CLEAN.name and overview.best in setting["cells"] else text


def _listing(overview: Overview, group: pd.DataFrame, protocol: str, decimals: int) -> Rows:
    rows: Rows = []
    for setting in _each(group):
        row = _axes(overview, setting)
        for split in SPLITS:
            text = _of_setting(overview, setting, split, protocol, decimals)
            row[split] = _marked(text, overview, setting, protocol)
            row |= _ceiling(overview, setting, split, protocol, decimals)
        rows.append(row)
    return rows


def _axes(overview: Overview, setting: Setting) -> dict[str, object]:
    return {
        "fusion": setting["fusion"],
        "head": setting["head"],
        "r0": f"{setting['initial_random_rate']:g}",
        "δ": f"{setting['decrease_rate']:g}",
        **{axis: setting[axis] for axis in overview.run.extra_axes},
    }


def _ceiling(
    overview: Overview, system: Setting, split: str, protocol: str, decimals: int
) -> dict[str, object]:
    if protocol != CLEAN.name:
        return {}
    return {f"{split} {overview.ceiling_name}": percent(system[f"{split}_ceiling"], decimals)}


def _outside(overview: Overview, prefix: str, protocol: str, decimals: int) -> Rows:
    """The recipes, or the baselines: all that are planned, by what their names begin with."""
    rows: Rows = []
    baseline = prefix == BASELINE
    stage = "retrieval" if baseline else "reranked"
    frame = overview.systems.reindex([system.name for system in overview.planned])
    for planned, system in zip(overview.planned, _each(frame), strict=True):
        if not planned.name.startswith(prefix):
            continue
        row: dict[str, object] = {prefix.removesuffix("/"): planned.name.removeprefix(prefix)}
        for split in SPLITS:
            score = system[score_column(split, protocol, stage)]
            if not is_shown(protocol, baseline=baseline):
                row[split] = dash(NO_SECOND_STAGE)
            elif pd.isna(score):
                row[split] = dash(overview.why(split, protocol, planned.reason))
            else:
                row[split] = percent(score, decimals)
            row |= _ceiling(overview, system, split, protocol, decimals)
        rows.append(row)
    return rows


def strategy_name(initial: float, decrease: float) -> str:
    """The name of a schedule of random negatives."""
    if initial == 0:
        return "hard only"
    if decrease > 0:
        return "decreasing"
    return "purely random" if initial == 1 else "fixed"


def strategies(overview: Overview, decimals: int) -> str:
    """`strategies.md`: schedules of random negatives side by side, fusions as columns.

    For each head that was trained with more than one initial rate, or for all where none was; once
    for each protocol.
    """
    extra = overview.run.extra_axes
    by = overview.settings.groupby(["head", *extra], sort=False, dropna=False)
    several = [key for key, part in by if part["initial_random_rate"].nunique() > 1]
    parts = [
        "# Strategies\n\nAccuracy@1 in % on `epa` after re-ranking, as dev / test; mean over seeds "
        "where there are several; r0 is the initial random rate, δ its decrease an epoch. A dash, "
        "with its reason, for what is missing.\n"
    ]
    for protocol in SHOWN:
        parts.append(f"\n## {PROTOCOLS[protocol].heading}\n")
        parts.append(overview.on_few_unseen if protocol == CLEAN.name else "")
        for key, part in by:
            if key in several or not several:
                names = [f"head {key[0]}"]
                names += [f"{axis} {value}" for axis, value in zip(extra, key[1:], strict=True)]
                parts.append(f"\n### {', '.join(names)}\n\n")
                parts.append(markdown_table(_schedules(overview, part, protocol, decimals)))
    return "".join(parts)


def _schedules(overview: Overview, part: pd.DataFrame, protocol: str, decimals: int) -> Rows:
    fusions = part["fusion"].unique()
    rows: Rows = []
    for (initial, decrease), same in part.groupby(["initial_random_rate", "decrease_rate"]):
        row: dict[str, object] = {
            "strategy": strategy_name(float(str(initial)), float(str(decrease))),
            "r0": f"{initial:g}",
            "δ": f"{decrease:g}",
        }
        of_fusion = {setting["fusion"]: setting for setting in _each(same)}
        for fusion in fusions:
            row[fusion] = dash(NOT_PLANNED)
            if fusion in of_fusion:
                setting = of_fusion[fusion]
                row[fusion] = (
                    dash(setting["lacking"])
                    if setting["lacking"]
                    else " / ".join(
                        _of_setting(overview, setting, split, protocol, decimals)
                        for split in SPLITS
                    )
                )
        rows.append(row)
    return rows


def seeds(overview: Overview, decimals: int) -> str:
    """`seeds.md`: mean and spread of every setting that has several seeds, for each protocol."""
    several = overview.settings[overview.settings["seeds_planned"] > 1]
    if several.empty:
        return "# Seeds\n\nEvery setting has one seed.\n"
    parts = [
        "# Seeds\n\nAccuracy@1 in % on `epa` after re-ranking: mean ± sample standard deviation "
        "over seeds; from three seeds on the 95 % t interval of the mean, with the seed as the "
        "unit; the lowest and the highest seed. A dash, with its reason, where a planned seed is "
        "missing.\n"
    ]
    for protocol in SHOWN:
        parts.append(f"\n## {PROTOCOLS[protocol].heading}\n")
        parts.append(overview.on_few_unseen if protocol == CLEAN.name else "")
        rows = [_seeds_of(overview, setting, protocol, decimals) for setting in _each(several)]
        parts += ["\n", markdown_table(rows)]
    return "".join(parts)


def _seeds_of(
    overview: Overview, setting: Setting, protocol: str, decimals: int
) -> dict[str, object]:
    row = _axes(overview, setting)
    row["seeds"] = of_planned(setting["seeds"], setting["seeds_planned"])
    cells = overview.systems.loc[setting["cells"]]
    for split in SPLITS:
        column = score_column(split, protocol, "reranked")
        mean, sd, low, high = (
            percent(setting[column + part], decimals) for part in ("", "_sd", "_low", "_high")
        )
        whole = mean != DASH
        why = dash(overview.why(split, protocol, setting["lacking"]))
        row[split] = f"{mean} ± {sd}" if whole else why
        row[f"{split} 95 %"] = f"{low} to {high}" if low != DASH else DASH
        for word, extreme in (("lowest", "idxmin"), ("highest", "idxmax")):
            text = DASH
            if whole:
                cell = cells.loc[getattr(cells[column], extreme)()]
                text = f"{percent(cell[column], decimals)} (seed {cell['seed']})"
            row[f"{split} {word}"] = text
    return row


def protocols(overview: Overview, decimals: int) -> str:
    """`protocols.md`: the best cell, recipes and baselines under every protocol, with intervals."""
    k = ceiling_k(overview.run)
    beyond_ten = k is None or k > 10
    head = (
        "# Protocols\n\nIn %, all points and counters of the split as candidates, with the 95 % "
        "interval of a bootstrap over debates. `official`: all queries. `clean`: queries unseen in "
        "training, copies of the query removed; what to believe. `legacy`: the original study's "
        "evaluation, which shows the classifier the answer; its score lies close to the recall@10 "
        "of the first stage. `legacy-subset`: the same over the first ⌈N/16⌉ of N queries, which "
        "is what the study's logs hold. Nothing is ranked by these two. recall@10 is the ceiling "
        f"of re-ranking 10. A dash has its reason beside it.{_best(overview)}\n"
    )

    rows: Rows = []
    for name, _, last, reason in overview.planned:
        scores = select(overview.scores, cell=name, task="epa")
        if reason:
            every = _by_protocol(overview, scores, name, lambda _: "", reason=reason)
            rows.append({"system": name, "score": f"accuracy@1, {last}", **every})
            continue
        if last == "retrieval":
            scores = select(scores, stage="retrieval")
        asked = _by_protocol(overview, scores, name, lambda score: str(score["n"]))
        rows.append({"system": name, "score": "queries (n)", **asked})
        for metric in _of_summary(overview):
            for stage, part in select(scores, metric=metric).groupby("stage", sort=False):
                # Re-ranking the first ten or fewer moves nobody in or out of them.
                if metric.endswith("@10") and stage == "reranked" and not beyond_ten:
                    continue
                first = metric.startswith("accuracy") and stage == "retrieval"
                shown = _by_protocol(
                    overview,
                    part,
                    name,
                    partial(_with_interval, decimals=decimals),
                    first_stage=first,
                )
                rows.append({"system": name, "score": f"{metric}, {stage}", **shown})
    return head + overview.on_few_unseen + ("\n" + markdown_table(rows) if rows else "")


def _of_summary(overview: Overview) -> list[str]:
    """The metrics that the summary shows: accuracy and recall at each k that is asked for."""
    names = metrics(overview.run.config.evaluation.top_k)
    return [name for name in names if name.startswith(("accuracy", "recall"))]


def _best(overview: Overview) -> str:
    """Which row is the best cell, and what it loses to."""
    if overview.best is None:
        return ""
    return f" The best cell on dev is {overview.best}{loses_to(overview)}."


def _with_interval(score: "pd.Series[Any]", decimals: int) -> str:
    return percent_interval(score["value"], score["low"], score["high"], decimals)


def tasks(overview: Overview, decimals: int) -> str:
    """`tasks.md`: best cell, recipes and baselines on each of the eight tasks, with intervals."""
    parts = [
        "# Tasks\n\nAccuracy@1 in % on each task, cells after re-ranking, with the 95 % "
        "interval of a bootstrap over debates. A dash where every query has one candidate, or with "
        "its reason."
        f"{_best(overview)}\n" + overview.on_few_unseen
    ]
    for protocol in (name for name in SHOWN if PROTOCOLS[name].has_tasks):
        parts.append(f"\n## {PROTOCOLS[protocol].heading}\n")
        for split in SPLITS:
            found = overview.by_task(split, protocol)
            rows: Rows = []
            for name, _, _, reason in overview.planned:
                scores = {} if reason else found.get(name, {})
                empty = (
                    DASH
                    if any(score is not None for score in scores.values())
                    else dash(overview.why(split, protocol, reason))
                )
                row: dict[str, object] = {"system": name}
                for task in TASKS:
                    score = scores.get(task)
                    row[task] = empty if score is None else _with_interval(score, decimals)
                rows.append(row)
            parts.append(f"\n### {split}\n\n{markdown_table(rows)}" if rows else "")
    return "".join(parts)


def _by_protocol(
    overview: Overview,
    scores: pd.DataFrame,
    system: str,
    show: Callable[["pd.Series[Any]"], str],
    *,
    first_stage: bool = False,
    reason: str = "",
) -> dict[str, object]:
    """A column for each split and protocol, with a dash and its reason where there is no score."""
    row: dict[str, object] = {}
    baseline = system.startswith(BASELINE)
    for split in SPLITS:
        for protocol in PROTOCOLS.values():
            here = select(scores, split=split, protocol=protocol.name)
            if not is_shown(protocol.name, baseline=baseline, first_stage=first_stage):
                text = dash(NO_SECOND_STAGE)
            elif reason or here.empty:
                text = dash(overview.why(split, protocol.name, reason))
            else:
                text = show(here.iloc[0])
            row[f"{split} {protocol.label}"] = text
    return row
