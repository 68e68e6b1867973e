"""Tables to figures; computes nothing."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from counterpoint.files import replacing
from counterpoint.tables import AXES
from counterpoint.tasks import LEGACY

PANELS = {"train": "official", "dev": "clean", "test": "clean"}
"""Split to the protocol that a cell's curve of it follows."""


def figure_name(fusion: str, head: str) -> str:
    """File name without its ending."""
    return f"accuracy-{fusion}-{head}"


def draw_curves(curves: pd.DataFrame, folder: Path, file_format: str, dpi: int) -> list[Path]:
    """Accuracy@1 against epoch, one figure a fusion and head: a panel a split, a line a rate.

    Imported logs, where there are any, have one figure of their own, `imported`: a line a log.

    Args:
        curves: as `tables.curves` gives them; may be empty.
        folder: to write into.
        file_format: `png`, `svg` or `pdf`.
        dpi: of png.

    Returns:
        The files written.
    """
    written: list[Path] = []
    old = curves["protocol"] == LEGACY
    extra = [column for column in curves.columns if column not in _KNOWN]
    for (fusion, head), group in curves[~old].groupby(["fusion", "head"], sort=True):
        figure = _figure(group, PANELS, ["initial_random_rate", "decrease_rate", *extra], "r0, δ")
        figure.suptitle(f"fusion {fusion}, head {head}")
        path = folder / f"{figure_name(str(fusion), str(head))}.{file_format}"
        written.append(_save(figure, path, file_format, dpi))
    if old.any():
        figure = _figure(curves[old], dict.fromkeys(PANELS, LEGACY), ["cell"], "log")
        figure.suptitle("imported logs: legacy protocol, leaks the answer")
        written.append(_save(figure, folder / f"imported.{file_format}", file_format, dpi))
    return written


def _figure(group: pd.DataFrame, protocols: dict[str, str], by: list[str], legend: str) -> Figure:
    """A panel a split, each with a line for every combination of the columns `by`."""
    figure, axes = plt.subplots(
        1, len(PANELS), figsize=(13, 4.2), sharey=True, layout="constrained"
    )
    # Numbered before the splits part, so that a line looks the same in every panel.
    numbers = group.groupby(by, sort=True, dropna=False).ngroup()
    for axis, (split, protocol) in zip(axes, protocols.items(), strict=True):
        _draw_panel(axis, group[group["split"] == split], by, numbers)
        axis.set_title(f"{split} ({protocol})")
        axis.set_xlabel("epoch")
    axes[0].set_ylabel("accuracy@1 on epa, re-ranked (%)")
    # A panel may lack lines: test by option, any in an imported log.
    drawn = [axis.get_legend_handles_labels() for axis in axes]
    lines = {label: handle for both in drawn for handle, label in zip(*both, strict=True)}
    axes[-1].legend(
        lines.values(),
        lines.keys(),
        title=legend,
        fontsize="x-small",
        loc="center left",
        bbox_to_anchor=(1, 0.5),
    )
    return figure


def _save(figure: Figure, path: Path, file_format: str, dpi: int) -> Path:
    with replacing(path) as temporary:
        figure.savefig(temporary, format=file_format, dpi=dpi, metadata=_METADATA.get(file_format))
    plt.close(figure)
    return path


# Dates would make two drawings of the same data differ.
_METADATA = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


def _draw_panel(axis: Axes, group: pd.DataFrame, by: list[str], numbers: "pd.Series[int]") -> None:
    styles = ["-", "--", "-.", ":"]
    for setting, line in group.groupby(by, sort=True, dropna=False):
        number = numbers[line.index[0]]
        by_epoch = line.groupby("epoch")["value"]
        # A mean over the seeds that are still running would jump where one stops.
        mean = 100 * by_epoch.mean()[by_epoch.count() == by_epoch.count().max()]
        axis.plot(
            mean.index,
            mean.to_numpy(),
            linestyle=styles[number % len(styles)],
            color=plt.get_cmap("viridis")(number / max(numbers.max() + 1, 2)),
            marker="." if len(mean) < 3 else None,
            linewidth=1.3,
            label=", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in setting),
        )
    axis.grid(alpha=0.3)


_KNOWN = {"cell", *AXES, "epoch", "split", "protocol", "value"}
