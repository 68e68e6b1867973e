"""Tables to figures; computes nothing."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from counterpoint.files import replacing
from counterpoint.tables import AXES

PANELS = {"train": "train (official)", "dev": "dev (clean)", "test": "test (clean)"}


def figure_name(fusion: str, head: str) -> str:
    """File name without its ending."""
    return f"accuracy-{fusion}-{head}"


def draw_curves(curves: pd.DataFrame, folder: Path, file_format: str, dpi: int) -> list[Path]:
    """Accuracy@1 against epoch, one figure a fusion and head: a panel a split, a line a rate.

    Args:
        curves: as `tables.curves` gives them; may be empty.
        folder: to write into.
        file_format: `png`, `svg` or `pdf`.
        dpi: of png.

    Returns:
        The files written.
    """
    written: list[Path] = []
    if curves.empty:
        return written
    for (fusion, head), group in curves.groupby(["fusion", "head"], sort=True):
        path = folder / f"{figure_name(str(fusion), str(head))}.{file_format}"
        figure, axes = plt.subplots(
            1, len(PANELS), figsize=(13, 4.2), sharey=True, layout="constrained"
        )
        for axis, (split, title) in zip(axes, PANELS.items(), strict=True):
            _draw_panel(axis, group[group["split"] == split])
            axis.set_title(title)
            axis.set_xlabel("epoch")
        axes[0].set_ylabel("accuracy@1 on epa, re-ranked (%)")
        # The train panel has a line for every cell; a test panel may be empty by option.
        handles, labels = axes[0].get_legend_handles_labels()
        axes[-1].legend(
            handles,
            labels,
            title="r0, δ",
            fontsize="x-small",
            loc="center left",
            bbox_to_anchor=(1, 0.5),
        )
        figure.suptitle(f"fusion {fusion}, head {head}")
        with replacing(path) as temporary:
            figure.savefig(
                temporary, format=file_format, dpi=dpi, metadata=_METADATA.get(file_format)
            )
        plt.close(figure)
        written.append(path)
    return written


# Dates would make two drawings of the same data differ.
_METADATA = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


def _draw_panel(axis: Axes, group: pd.DataFrame) -> None:
    styles = ["-", "--", "-.", ":"]
    extra = [column for column in group.columns if column not in _KNOWN]
    lines = group.groupby(["initial_random_rate", "decrease_rate", *extra], sort=True, dropna=False)
    for number, (setting, line) in enumerate(lines):
        by_epoch = line.groupby("epoch")["value"]
        # A mean over the seeds that are still running would jump where one stops.
        mean = 100 * by_epoch.mean()[by_epoch.count() == by_epoch.count().max()]
        axis.plot(
            mean.index,
            mean.to_numpy(),
            linestyle=styles[number % len(styles)],
            color=plt.get_cmap("viridis")(number / max(len(lines), 2)),
            marker="." if len(mean) < 3 else None,
            linewidth=1.3,
            label=", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in setting),
        )
    axis.grid(alpha=0.3)


_KNOWN = {"cell", *AXES, "epoch", "split", "value"}
