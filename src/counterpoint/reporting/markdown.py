"""The tables of a run in Markdown, and the summary that is printed. Computes nothing.

Wherever protocols stand together, `clean` comes first, which alone ranks, and `legacy` last, which
is named as leaking.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from counterpoint.evaluation.records import SPLITS
from counterpoint.io.atomic import replacing, write_text
from counterpoint.io.text import markdown_table
from counterpoint.reporting.axis_table import DEV, TEST, margins, several_margins
from counterpoint.reporting.scores import SHOWN, Overview, comparison_csv, figure_column, imported
from counterpoint.runs.folder import PlannedCell, Run
from counterpoint.runs.progress import duration
from counterpoint.tasks.candidates import TASKS
from counterpoint.tasks.protocols import LEGACY

Rows = list[dict[str, object]]

HEADINGS = {
    "clean": "clean",
    "official": "official",
    LEGACY.name: "legacy (leaks the answer; nothing is ranked by it)",
}
"""Protocol to how sections are headed; in a column's name it is `legacy (leaks)`."""

MISSING_SHOWN = 5
"""How many cells that are not trained yet the summary names."""


def write_tables(found: Overview, folder: Path, decimals: int) -> str:
    """Write every table of a run but LaTeX's and the claims; return the summary."""
    for name, table in (
        ("cells.csv", found.figures),
        ("comparison.csv", comparison_csv(found)),
    ):
        with replacing(folder / name) as temporary:
            table.to_csv(temporary, index=False)
    for name, write in (
        ("comparison.md", comparison),
        ("strategies.md", strategies),
        ("seeds.md", seeds),
        ("protocols.md", protocols),
        ("tasks.md", tasks),
    ):
        write_text(folder / name, write(found, decimals))
    if several_margins(found.run):
        table = margins(found)
        with replacing(folder / "margins.csv") as temporary:
            table.to_csv(temporary, index=False)
        write_text(folder / "margins.md", margin_grid(found, table, decimals))
    old = imported(found.run)
    if len(old):
        with replacing(folder / "imported.csv") as temporary:
            old.to_csv(temporary, index=False)
        write_text(folder / "imported.md", imported_logs(old, decimals))
    text = summary(found, decimals)
    write_text(folder / "summary.txt", text)
    return text


def percent(value: float, decimals: int) -> str:
    """A fraction as a percentage without its sign; a dash for what is missing."""
    return "–" if pd.isna(value) else f"{100 * value:.{decimals}f}"


def comparison(found: Overview, decimals: int) -> str:
    """`comparison.md`: fusion × head × rate for dev and test, the rest of the cells, baselines.

    Once for each protocol; `clean` with the ceiling of re-ranking beside each figure.
    """
    parts = [
        "# Comparison\n\nAccuracy@1 in % on `epa` after re-ranking; mean over seeds where there "
        "are several, a dash where one of them is missing. The best cell, chosen on dev by "
        "`clean`, is bold there.\n"
    ]
    for protocol in SHOWN:
        parts.append(f"\n## {HEADINGS[protocol]}")
        if protocol == "clean":
            parts.append(
                ": accuracy@1 after re-ranking / recall@10 of the first stage, the ceiling of "
                "re-ranking ten\n"
            )
            parts.append(no_clean_figure(found))
        else:
            parts.append("\n")
        parts += _of_protocol(found, protocol, decimals)
    return "".join(parts)


def _of_protocol(found: Overview, protocol: str, decimals: int) -> Iterator[str]:
    extra = found.run.extra_axes
    rest = []
    by = found.settings.groupby(["initial_random_rate", *extra], sort=False, dropna=False)
    for key, group in by:
        if group["decrease_rate"].nunique() < 2:
            rest.append(group)
            continue
        axes = zip(["initial random rate", *extra], key, strict=True)
        setting = ", ".join(f"{axis} {value}" for axis, value in axes)
        for split in SPLITS:
            yield f"\n### {split}: fusion × head × decrease rate ({setting})\n\n"
            yield markdown_table(_grid(found, group, split, protocol, decimals))
    if rest:
        yield "\n### Further cells\n\n"
        yield markdown_table(_listing(found, pd.concat(rest), protocol, decimals))
    if not found.baselines.empty:
        yield "\n### Baselines\n\n"
        yield markdown_table(_baselines(found, protocol, decimals))


def _grid(found: Overview, group: pd.DataFrame, split: str, protocol: str, decimals: int) -> Rows:
    rates = sorted(group["decrease_rate"].unique())
    rows: Rows = []
    for (fusion, head), part in group.groupby(["fusion", "head"], sort=False):
        row: dict[str, object] = {"fusion": fusion, "head": head}
        for rate in rates:
            here = part[part["decrease_rate"] == rate]
            text = "–"
            if len(here):
                text = percent(here.iloc[0][figure_column(split, protocol, "reranked")], decimals)
                if protocol == "clean" and text != "–":
                    text += f" / {percent(here.iloc[0][f'{split}_ceiling'], decimals)}"
                text = _marked(text, found, here.iloc[0], protocol)
            row[f"δ {rate:g}"] = text
        rows.append(row)
    return rows


def _marked(text: str, found: Overview, setting: "pd.Series[Any]", protocol: str) -> str:
    """Bold where the setting has the best cell and the protocol is the one that ranks."""
    return f"**{text}**" if protocol == "clean" and found.best in setting["cells"] else text


def _listing(found: Overview, group: pd.DataFrame, protocol: str, decimals: int) -> Rows:
    rows: Rows = []
    for _, setting in group.iterrows():
        row = _axes(found, setting)
        for split in SPLITS:
            text = percent(setting[figure_column(split, protocol, "reranked")], decimals)
            row[split] = _marked(text, found, setting, protocol)
            row |= _ceiling(setting, split, protocol, decimals)
        rows.append(row)
    return rows


def _axes(found: Overview, setting: "pd.Series[Any]") -> dict[str, object]:
    return {
        "fusion": setting["fusion"],
        "head": setting["head"],
        "r0": f"{setting['initial_random_rate']:g}",
        "δ": f"{setting['decrease_rate']:g}",
        **{axis: setting[axis] for axis in found.run.extra_axes},
    }


def _ceiling(
    system: "pd.Series[Any]", split: str, protocol: str, decimals: int
) -> dict[str, object]:
    if protocol != "clean":
        return {}
    return {f"{split} recall@10": percent(system[f"{split}_ceiling"], decimals)}


def _baselines(found: Overview, protocol: str, decimals: int) -> Rows:
    rows: Rows = []
    for name, system in found.baselines.iterrows():
        row: dict[str, object] = {"baseline": str(name).removeprefix("baseline/")}
        for split in SPLITS:
            row[split] = percent(system[figure_column(split, protocol, "retrieval")], decimals)
            row |= _ceiling(system, split, protocol, decimals)
        rows.append(row)
    return rows


def no_clean_figure(found: Overview) -> str:
    """A line for each split that `clean` asks nothing of; nothing where there is none."""
    return "".join(f"\nno unseen query in {folder}: no clean figure\n" for folder in found.all_seen)


def strategy_name(initial: float, decrease: float) -> str:
    """The name of a schedule of random negatives."""
    if initial == 0:
        return "hard only"
    if decrease > 0:
        return "decreasing"
    return "purely random" if initial == 1 else "fixed"


def strategies(found: Overview, decimals: int) -> str:
    """`strategies.md`: schedules of random negatives side by side, fusions as columns.

    For each head that was trained with more than one initial rate, or for all where none was; once
    for each protocol.
    """
    extra = found.run.extra_axes
    by = found.settings.groupby(["head", *extra], sort=False, dropna=False)
    several = [key for key, part in by if part["initial_random_rate"].nunique() > 1]
    parts = [
        "# Strategies\n\nAccuracy@1 in % on `epa` after re-ranking, as dev / test; mean over seeds "
        "where there are several; r0 is the initial random rate, δ its decrease an epoch.\n"
    ]
    for protocol in SHOWN:
        parts.append(f"\n## {HEADINGS[protocol]}\n")
        parts.append(no_clean_figure(found) if protocol == "clean" else "")
        for key, part in by:
            if key in several or not several:
                names = [f"head {key[0]}"]
                names += [f"{axis} {value}" for axis, value in zip(extra, key[1:], strict=True)]
                parts.append(f"\n### {', '.join(names)}\n\n")
                parts.append(markdown_table(_schedules(part, protocol, decimals)))
    return "".join(parts)


def _schedules(part: pd.DataFrame, protocol: str, decimals: int) -> Rows:
    fusions = part["fusion"].unique()
    columns = [figure_column(split, protocol, "reranked") for split in SPLITS]
    rows: Rows = []
    for (initial, decrease), same in part.groupby(["initial_random_rate", "decrease_rate"]):
        row: dict[str, object] = {
            "strategy": strategy_name(float(str(initial)), float(str(decrease))),
            "r0": f"{initial:g}",
            "δ": f"{decrease:g}",
        }
        for fusion in fusions:
            here = same[same["fusion"] == fusion]
            row[fusion] = "–"
            if len(here):
                row[fusion] = " / ".join(percent(here.iloc[0][name], decimals) for name in columns)
        rows.append(row)
    return rows


def seeds(found: Overview, decimals: int) -> str:
    """`seeds.md`: mean and spread of every setting that has several seeds, for each protocol."""
    several = found.settings[found.settings["seeds_planned"] > 1]
    if several.empty:
        return "# Seeds\n\nEvery setting has one seed.\n"
    parts = [
        "# Seeds\n\nAccuracy@1 in % on `epa` after re-ranking: mean ± sample standard deviation "
        "over seeds; from three seeds on the 95 % t interval of the mean, with the seed as the "
        "unit; the lowest and the highest seed. A dash where a planned seed is missing.\n"
    ]
    for protocol in SHOWN:
        parts.append(f"\n## {HEADINGS[protocol]}\n")
        parts.append(no_clean_figure(found) if protocol == "clean" else "")
        rows = [_seeds_of(found, row, protocol, decimals) for _, row in several.iterrows()]
        parts += ["\n", markdown_table(rows)]
    return "".join(parts)


def _seeds_of(
    found: Overview, setting: "pd.Series[Any]", protocol: str, decimals: int
) -> dict[str, object]:
    row = _axes(found, setting)
    row["seeds"] = _of(setting["seeds"], setting["seeds_planned"])
    cells = found.systems.loc[setting["cells"]]
    for split in SPLITS:
        figure = figure_column(split, protocol, "reranked")
        mean, sd, low, high = (
            percent(setting[figure + part], decimals) for part in ("", "_sd", "_low", "_high")
        )
        whole = mean != "–"
        row[split] = f"{mean} ± {sd}" if whole else "–"
        row[f"{split} 95 %"] = f"{low} to {high}" if low != "–" else "–"
        for word, place in (("lowest", "idxmin"), ("highest", "idxmax")):
            text = "–"
            if whole:
                cell = cells.loc[getattr(cells[figure], place)()]
                text = f"{percent(cell[figure], decimals)} (seed {cell['seed']})"
            row[f"{split} {word}"] = text
    return row


def protocols(found: Overview, decimals: int) -> str:
    """`protocols.md`: the best cell and the baselines under every protocol, with intervals."""
    head = (
        "# Protocols\n\nIn %, all points and counters of the split as candidates, with the 95 % "
        "interval of a bootstrap over debates. `official`: all queries. `clean`: queries unseen in "
        "training, copies of the query removed; what to believe. `legacy`: the seeds' evaluation, "
        "which shows the classifier the answer; its figure lies close to the recall@10 of the "
        "first stage, and nothing is ranked by it. recall@10 is the ceiling of re-ranking ten.\n"
    )

    epa = found.figures[found.figures["task"] == "epa"]
    rows: Rows = []
    for name in [*([found.best] if found.best else []), *found.baselines.index]:
        system = epa[epa["cell"] == name]
        asked = _places(system, lambda figure: str(figure["n"]))
        rows.append({"system": name, "figure": "queries (n)", **asked})
        for metric in ("accuracy@1", "recall@10"):
            for stage, figures in system[system["metric"] == metric].groupby("stage", sort=False):
                # Re-ranking the first ten moves nobody in or out of them.
                if metric == "recall@10" and stage == "reranked":
                    continue
                shown = _places(figures, partial(_with_interval, decimals=decimals))
                rows.append({"system": name, "figure": f"{metric}, {stage}", **shown})
    return head + no_clean_figure(found) + ("\n" + markdown_table(rows) if rows else "")


def _with_interval(figure: "pd.Series[Any]", decimals: int) -> str:
    ends = "–".join(percent(figure[end], decimals) for end in ("low", "high"))
    return f"{percent(figure['value'], decimals)} ({ends})"


def tasks(found: Overview, decimals: int) -> str:
    """`tasks.md`: the best cell and the baselines on each of the eight tasks, with intervals."""
    parts = [
        "# Tasks\n\nAccuracy@1 in % on each task, the best cell after re-ranking, with the 95 % "
        "interval of a bootstrap over debates. A dash where every query has one candidate.\n"
        + no_clean_figure(found)
    ]
    for protocol in (each for each in SHOWN if each != LEGACY.name):
        parts.append(f"\n## {HEADINGS[protocol]}\n")
        for split in SPLITS:
            rows: Rows = [
                {
                    "system": name,
                    **{
                        task: "–" if figure is None else _with_interval(figure, decimals)
                        for task, figure in figures.items()
                    },
                }
                for name, figures in _by_task(found, split, protocol).items()
            ]
            parts.append(f"\n### {split}\n\n{markdown_table(rows)}" if rows else "")
    return "".join(parts)


def _by_task(
    found: Overview, split: str, protocol: str
) -> dict[str, dict[str, "pd.Series[Any] | None"]]:
    """Accuracy@1 of the best cell, re-ranked, and of the baselines, by task."""
    table = found.figures[
        (found.figures["split"] == split)
        & (found.figures["protocol"] == protocol)
        & (found.figures["metric"] == "accuracy@1")
    ]
    stages = {found.best: "reranked"} if found.best else {}
    stages |= dict.fromkeys(found.baselines.index, "retrieval")
    result: dict[str, dict[str, pd.Series[Any] | None]] = {}
    for name, stage in stages.items():
        own = table[(table["cell"] == name) & (table["stage"] == stage)]
        by_task = {str(figure["task"]): figure for _, figure in own.iterrows()}
        result[str(name)] = {task: by_task.get(task) for task in TASKS}
    return result


def _places(figures: pd.DataFrame, show: Callable[["pd.Series[Any]"], str]) -> dict[str, object]:
    """A column for each split and protocol, with a dash where there is no figure."""
    row: dict[str, object] = {}
    for split in SPLITS:
        for protocol in ("official", "clean", LEGACY.name):
            here = figures[(figures["split"] == split) & (figures["protocol"] == protocol)]
            row[f"{split} {_short(protocol)}"] = show(here.iloc[0]) if len(here) else "–"
    return row


def _short(protocol: str) -> str:
    return "legacy (leaks)" if protocol == LEGACY.name else protocol


def margin_grid(found: Overview, table: pd.DataFrame, decimals: int) -> str:
    """`margins.md`: a row a margin of `margins.margins`, below the one that is picked."""
    if table.empty:
        return "# Margins\n\nNo setting is planned with every margin, so none can be compared.\n"
    head = (
        "# Margins\n\nm of the triplet loss, over cells that agree in all else. dev: accuracy@1 in "
        "% on `epa`, `clean`, after re-ranking, mean ± sample standard deviation over seeds. "
        "Distances of the dev points at the best epoch, to their counters (positive) and to one "
        "random negative each: mean ± standard deviation over points, averaged over cells. The "
        "margin with the highest dev mean is picked and bold; of equals the nearest to 1.0, then "
        "the lower; test decides nothing. A dash where a planned cell is missing.\n"
    )
    rows: Rows = []
    for _, row in table.iterrows():
        margin = f"{row['margin']:g}"
        distances = {
            f"{kind} distance": _spread(f"{row[f'{kind}_mean']:.2f}", f"{row[f'{kind}_std']:.2f}")
            for kind in ("positive", "negative")
        }
        rows.append(
            {
                "margin": f"**{margin}**" if row["picked"] else margin,
                "cells": _of(row["cells"], row["cells_planned"]),
                "seeds": _of(row["seeds"], row["seeds_planned"]),
                "dev": _spread(percent(row[DEV], decimals), percent(row[f"{DEV}_sd"], decimals)),
                **distances,
            }
        )
    parts = [head, no_clean_figure(found), _picked(table, decimals), "\n", markdown_table(rows)]
    return "".join(parts)


def _picked(table: pd.DataFrame, decimals: int) -> str:
    if not table["picked"].any():
        return "\nNo margin has all its figures yet: none is picked.\n"
    row = table[table["picked"]].iloc[0]
    text = f"\nPicked on dev: {row['margin']:g}, at {percent(row[DEV], decimals)}"
    whole = int(table[DEV].notna().sum())
    if whole < len(table):
        text += f", of the {whole} of {len(table)} margins whose cells are all there"
    if not pd.isna(row[TEST]):
        text += f"; on test it has {percent(row[TEST], decimals)}"
    return f"{text}.\n"


def _spread(mean: str, deviation: str) -> str:
    """`mean ± deviation`, less what there is not."""
    if mean in ("–", "nan"):
        return "–"
    return mean if deviation in ("–", "nan") else f"{mean} ± {deviation}"


def _of(there: int, planned: int) -> str:
    return f"{there}" if there == planned else f"{there} of {planned}"


def imported_logs(logs: pd.DataFrame, decimals: int) -> str:
    """`imported.md`: a row a log of `tables.imported`."""
    head = (
        "# Imported logs\n\nAccuracy@1 in % as the seeds' scripts logged it, best (its first "
        "epoch, counted from 0) and last. Protocol `legacy`, which shows the classifier the "
        "answer: nothing is ranked by these figures.\n\n"
    )
    rows: Rows = []
    for _, log in logs.iterrows():
        row = {"log": log["log"], "protocol": _short(LEGACY.name), "epochs": log["epochs"]}
        for split in ("train", *SPLITS):
            best, last = (percent(log[f"{split}_{name}"], decimals) for name in ("best", "last"))
            where = "" if best == "–" else f" (epoch {log[f'{split}_best_epoch']})"
            row |= {f"{split} best": best + where, f"{split} last": last}
        rows.append(row)
    return head + markdown_table(rows)


def summary(found: Overview, decimals: int) -> str:
    """The text printed at the end: what won, against what, what failed, and how long it took."""
    run = found.run
    trained = run.with_status("done", "diverged")
    lines = [f"Run {run.folder.name}: {len(trained)} of {len(run.cells)} cells trained.", ""]
    rows = [
        (f"{name.removeprefix('baseline/')} (baseline)", name, "retrieval")
        for name in found.baselines.index
    ]
    if found.best is not None:
        lines += [f"Best cell on dev: {found.best}", ""]
        rows = [
            ("best cell, re-ranked", found.best, "reranked"),
            ("best cell, first stage", found.best, "retrieval"),
            *rows,
        ]
    if rows:
        lines += ["accuracy@1 in %, epa".ljust(28) + "".join(f"{_short(p):>20}" for p in SHOWN)]
        lines += [" " * 28 + f"{'dev':>12}{'test':>8}" * len(SHOWN)]
    for label, name, stage in rows:
        system = found.systems.loc[name]
        line = f"  {label:26}"
        for protocol in SHOWN:
            dev, test = (
                percent(system[figure_column(split, protocol, stage)], decimals) for split in SPLITS
            )
            line += f"{dev:>12}{test:>8}"
        lines.append(line)
    if rows:
        lines += ["", "accuracy@1 in %, dev, clean".ljust(28) + "".join(f"{t:>8}" for t in TASKS)]
        labels = {name: label for label, name, _ in reversed(rows)}
        for name, figures in _by_task(found, "dev", "clean").items():
            shown = (
                "–" if figure is None else percent(figure["value"], decimals)
                for figure in figures.values()
            )
            lines.append(f"  {labels[name]:26}" + "".join(f"{text:>8}" for text in shown))
    lines += [no_clean_figure(found)]
    return "\n".join([*lines, *_untrained(run), *_facts(trained)]) + "\n"


def _untrained(run: Run) -> Iterator[str]:
    for status in ("failed", "diverged", "missing"):
        cells = run.with_status(status)
        if cells:
            yield f"{len(cells)} cells {status}:"
            shown = MISSING_SHOWN if status == "missing" else len(cells)
            yield from (f"  {cell.name}: {cell.reason}" for cell in cells[:shown])
            if len(cells) > shown:
                yield f"  … and {len(cells) - shown} more"


def _facts(trained: list[PlannedCell]) -> list[str]:
    if not trained:
        return []
    lines = []
    codes = {cell.provenance().code for cell in trained}
    if len(codes) > 1:
        lines.append(
            f"Warning: the cells were trained by {len(codes)} different states of the code; to "
            "make them comparable, train all again (snakemake --forcerun cell)."
        )
    seconds = [cell.seconds() for cell in trained]
    total = sum(item.total for item in seconds)
    started = min(datetime.fromisoformat(item.started) for item in seconds)
    ended = max(datetime.fromisoformat(item.ended) for item in seconds)
    wall = (ended - started).total_seconds()
    lines.append(
        f"Cells took {duration(total)} in all, {duration(wall)} from the first start to the last "
        "end."
    )
    return lines
