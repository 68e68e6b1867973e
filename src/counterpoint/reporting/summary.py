"""The summary of a run that is printed: what won, against what, what failed, how long it took."""

import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime

from counterpoint.evaluation.records import SPLITS
from counterpoint.io.text import DASH, percent
from counterpoint.reporting.missing import dash
from counterpoint.reporting.overview import Overview
from counterpoint.reporting.scores import SHOWN, is_shown
from counterpoint.reporting.settings import score_column
from counterpoint.reporting.standing import loses_to, who_wins
from counterpoint.runs.folder import PlannedCell, Run
from counterpoint.runs.progress import duration
from counterpoint.tasks.candidates import TASKS
from counterpoint.tasks.protocols import CLEAN, PROTOCOLS

SUMMED_UP = tuple(name for name in SHOWN if not PROTOCOLS[name].asks_few)
"""The protocols that the summary has: one that asks few queries says too little for its room."""

MISSING_SHOWN = 5
"""How many cells that are not trained yet the summary names."""


def summary(overview: Overview, decimals: int) -> str:
    """The text printed at the end: what won, against what, what failed, and how long it took."""
    run = overview.run
    trained = run.trained
    recipes = ""
    if run.recipes:
        recipes = f" and {len(run.trained_recipes)} of {len(run.recipes)} recipes"
    counted = f"{len(trained)} of {len(run.cells)} cells{recipes} trained."
    lines = [f"Run {run.folder.name}: {counted}", ""]
    rows = [(system.label, system.name, system.stage) for system in overview.listed]
    if overview.best is not None:
        lines += [f"Best cell on dev: {overview.best}{loses_to(overview)}", ""]
        rows = [
            ("best cell, re-ranked", overview.best, "reranked"),
            ("best cell, first stage", overview.best, "retrieval"),
            *rows[1:],
        ]
    if rows:
        lines += [
            "accuracy@1 in %, epa".ljust(28)
            + "".join(f"{PROTOCOLS[name].label:>20}" for name in SUMMED_UP)
        ]
        lines += [" " * 28 + f"{'dev':>12}{'test':>8}" * len(SUMMED_UP)]
    for label, name, stage in rows:
        line = f"  {label:26}"
        for protocol in SUMMED_UP:
            is_told = is_shown(protocol, first_stage=stage == "retrieval")
            dev, test = (
                percent(overview.systems[score_column(split, protocol, stage)][name], decimals)
                if is_told
                else DASH
                for split in SPLITS
            )
            line += f"{dev:>12}{test:>8}"
        lines.append(line)
    lines += [
        f"  {each.label:26} {dash(each.reason)}"
        for each in overview.planned
        if each not in overview.listed
    ]
    if rows:
        lines += ["", "accuracy@1 in %, dev, clean".ljust(28) + "".join(f"{t:>8}" for t in TASKS)]
        labels = {name: label for label, name, _ in reversed(rows)}
        for name, scores in overview.by_task("dev", CLEAN.name).items():
            shown = (
                DASH if score is None else percent(score["value"], decimals)
                for score in scores.values()
            )
            lines.append(f"  {labels[name]:26}" + "".join(f"{text:>8}" for text in shown))
    lines += [overview.on_few_unseen]
    for line in overview.notes:
        lines += [*textwrap.wrap(line[0].upper() + line[1:], 100), ""]
    if sentence := who_wins(overview, decimals):
        lines += [*textwrap.wrap(sentence, 100), ""]
    done = [*trained, *run.trained_recipes]
    return "\n".join([*lines, *_untrained(run), *_facts(done)]) + "\n"


def _untrained(run: Run) -> Iterator[str]:
    for status in ("failed", "diverged", "missing"):
        cells = [*run.with_status(status), *(r for r in run.recipes if r.status == status)]
        if cells:
            yield f"{len(cells)} cells {status}:"
            shown = MISSING_SHOWN if status == "missing" else len(cells)
            yield from (f"  {cell.name}: {cell.reason}" for cell in cells[:shown])
            if len(cells) > shown:
                yield f"  … and {len(cells) - shown} more"


def _facts(trained: Sequence[PlannedCell]) -> list[str]:
    if not trained:
        return []
    lines = []
    codes = {cell.provenance().code for cell in trained}
    if len(codes) > 1:
        lines.append(
            f"Warning: the cells were trained by {len(codes)} different states of the code; to "
            "make them comparable, train all again (snakemake --forcerun train)."
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
