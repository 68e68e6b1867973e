"""What the page calls axes, cells and baselines."""

import re
from dataclasses import dataclass

from counterpoint.config.matrix import RECIPE
from counterpoint.io.text import option_text
from counterpoint.reporting.overview import recipe_label
from counterpoint.runs.folder import AXES, Run, Value
from counterpoint.study.clauses import SHORT

ALWAYS_NAMED = ("fusion", "head", "decrease_rate")
"""The axes that a cell's label has, even where all cells agree on them."""


@dataclass(frozen=True)
class Axis:
    """An axis of the matrix."""

    name: str
    short: str
    values: list[Value]
    """Numbers in order, words as the matrix has them."""


def axes_of(run: Run) -> list[Axis]:
    """The axes of a run with their values."""
    axes = []
    for name in (*AXES, *run.extra_axes):
        values = list(dict.fromkeys(cell.axes[name] for cell in run.cells))
        numbers = [value for value in values if isinstance(value, int | float)]
        if len(numbers) == len(values):
            values = [*sorted(numbers)]
        axes.append(Axis(name, SHORT.get(name, name), values))
    return axes


def labels_of(run: Run) -> dict[str, str]:
    """What each planned cell is called: the axes that tell it from others."""
    named = [axis for axis in axes_of(run) if axis.name in ALWAYS_NAMED or len(axis.values) > 1]
    return {
        cell.name: ", ".join(
            option_text(cell.axes[axis.name])
            if axis.name in ("fusion", "head")
            else f"{axis.short} {option_text(cell.axes[axis.name])}"
            for axis in named
        )
        for cell in run.cells
    }


def short(system: str) -> str:
    """A baseline's name without what tells it from a cell; a recipe says that it is one."""
    if system.startswith(RECIPE):
        return recipe_label(system)
    return system.removeprefix("baseline/")


def typographic(text: str) -> str:
    """With the sign that is a minus, for numbers in running text."""
    return re.sub(r"(?<!\w)-(?=\d)", "−", text)
