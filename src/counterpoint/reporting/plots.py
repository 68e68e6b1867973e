"""Tables to figures; computes no more than means over seeds."""

from collections.abc import Collection
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from counterpoint.evaluation.scoring import select
from counterpoint.io.atomic import replacing
from counterpoint.reporting import curves as curves_module
from counterpoint.reporting.curves import PANELS
from counterpoint.reporting.imported import KIND
from counterpoint.reporting.made import once
from counterpoint.reporting.scores import awaited_scores, without_parts
from counterpoint.runs.folder import AXES, Run
from counterpoint.tasks.protocols import PROTOCOLS

matplotlib.use("Agg")

# Imported logs often have Chinese names, which the default font has no signs for.
_INSTALLED = {font.name for font in font_manager.fontManager.ttflist}
plt.rcParams["font.family"] = ["DejaVu Sans"] + [
    name
    for name in ("Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "SimHei")
    if name in _INSTALLED
]


def figure_name(fusion: str, head: str) -> str:
    """File name without its ending."""
    return f"accuracy-{fusion}-{head}"


def draw(run: Run, file_format: str, dpi: int) -> None:
    """Draw all plots of a run into its folder of plots, from whatever logs and records exist.

    Settings that lack a planned seed are left out. Nothing is drawn where the plots are there and
    nothing has changed since.

    Args:
        run: whose.
        file_format: `png`, `svg` or `pdf`.
        dpi: of png.
    """

    def make() -> list[Path]:
        folder, ended = run.folder.plots, curves_module.ended(run)
        by_epoch = without_parts(run, curves_module.curves(run))
        drawn = draw_curves(by_epoch, folder, file_format, dpi, ended)
        # Last, because whoever makes the tables meanwhile computes them first.
        scores = without_parts(run, awaited_scores(run))
        return [*drawn, *draw_scores(scores, folder, file_format, dpi)]

    once(run, run.folder.plots, ("plots", file_format, dpi), make)


def draw_curves(
    curves: pd.DataFrame,
    folder: Path,
    file_format: str,
    dpi: int,
    ended: Collection[tuple[str, str]] = (),
) -> list[Path]:
    """Accuracy@1 against epoch, one figure a fusion and head: a panel a split, a line a rate.

    Imported logs, where there are any, have one figure of their own, `imported`: a line a log.

    Args:
        curves: as `curves.curves` gives them; may be empty.
        folder: to write into.
        file_format: `png`, `svg` or `pdf`.
        dpi: of png.
        ended: fusion and head of cells that have ended, which get a figure though they have no
            curve; a cell that diverged in its first epoch has none.

    Returns:
        The files written.
    """
    written: list[Path] = []
    old = curves["kind"] == KIND
    extra = [column for column in curves.columns if column not in _KNOWN]
    groups = {(str(f), str(h)): part for (f, h), part in curves[~old].groupby(["fusion", "head"])}
    for fusion, head in sorted({*groups, *ended}):
        group = groups.get((fusion, head), curves[:0])
        figure = _figure(group, PANELS, ["initial_random_rate", "decrease_rate", *extra], "r0, δ")
        figure.suptitle(f"fusion {fusion}, head {head}")
        path = folder / f"{figure_name(fusion, head)}.{file_format}"
        written.append(_save(figure, path, file_format, dpi))
    if old.any():
        protocols = ", ".join(PROTOCOLS[name].label for name in curves[old]["protocol"].unique())
        figure = _figure(curves[old], dict.fromkeys(PANELS, protocols), ["cell"], "log")
        figure.suptitle("imported logs of the original study, which ranks nothing")
        written.append(_save(figure, folder / f"imported.{file_format}", file_format, dpi))
    return written


def draw_scores(table: pd.DataFrame, folder: Path, file_format: str, dpi: int) -> list[Path]:
    """Accuracy@1 (dev, `clean`, `epa`, re-ranked) against the rate, and as a heat map.

    `rates`: a panel a fusion, a line a head, intervals as bars. `heatmap`: at the decrease rate
    that the best cell has. Both of the cells with the best cell's initial random rate and further
    axes; mean over seeds, whose lowest and highest then make the bar.

    Args:
        table: as `scores.all_scores` gives it; may have no cell.
        folder: to write into.
        file_format: `png`, `svg` or `pdf`.
        dpi: of png.

    Returns:
        The files written.
    """
    chosen = select(
        table, kind="cell", split="dev", protocol="clean", task="epa", stage="reranked",
        metric="accuracy@1",
    )  # fmt: skip
    if chosen.empty:
        return []
    best = chosen.sort_values("value", ascending=False, kind="stable").iloc[0]
    extra = [axis for axis in chosen.columns if axis not in _KNOWN | _OF_SCORES]
    for axis in ("initial_random_rate", *extra):
        same = chosen[axis].isna() if pd.isna(best[axis]) else chosen[axis] == best[axis]
        chosen = chosen[same]
    by = chosen.groupby(["fusion", "head", "decrease_rate"], sort=True)
    several = by["seed"].transform("nunique") > 1
    ends = chosen.assign(
        low=chosen["low"].where(~several, chosen["value"]),
        high=chosen["high"].where(~several, chosen["value"]),
    )
    means = ends.groupby(["fusion", "head", "decrease_rate"], sort=True).agg(
        value=("value", "mean"), low=("low", "min"), high=("high", "max")
    )
    means = 100 * means
    title = f"initial random rate {best['initial_random_rate']:g}"
    rates = _rates(means)
    rates.suptitle(f"{title}; bars: 95 % over debates, or the range of several seeds")
    heat = _heat_map(means, float(best["decrease_rate"]))
    heat.suptitle(f"{title}, decrease rate {best['decrease_rate']:g}")
    return [
        _save(rates, folder / f"rates.{file_format}", file_format, dpi),
        _save(heat, folder / f"heatmap.{file_format}", file_format, dpi),
    ]


def _rates(means: pd.DataFrame) -> Figure:
    fusions = means.index.unique("fusion")
    figure, panels = plt.subplots(
        1,
        len(fusions),
        figsize=(4.3 * len(fusions), 4.2),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    heads = list(means.index.unique("head"))
    rates = sorted(means.index.unique("decrease_rate"))
    for axis, fusion in zip(panels[0], fusions, strict=True):
        for head, line in means.xs(fusion, level="fusion").groupby("head", sort=True):
            number = heads.index(head)
            at = line.index.get_level_values("decrease_rate").to_numpy(dtype=float)
            axis.errorbar(
                # Moved apart a little, so that bars can be told from each other.
                at + max(rates) / 120 * number,
                line["value"],
                # A mean of equal numbers may lie a rounding error outside them.
                yerr=[
                    (line["value"] - line["low"]).clip(lower=0),
                    (line["high"] - line["value"]).clip(lower=0),
                ],
                marker="osD^"[number % 4],
                color=plt.get_cmap("viridis")(number / len(heads)),
                linestyle=_STYLES[number % len(_STYLES)],
                capsize=2,
                linewidth=1.3,
                label=str(head),
            )
        axis.set_title(str(fusion))
        axis.set_xticks(rates, [f"{rate:g}" for rate in rates], rotation=45)
        axis.set_xlabel("decrease rate δ (an epoch)")
        axis.grid(alpha=0.3)
    panels[0][0].set_ylabel("accuracy@1 on epa, dev, clean, re-ranked (%)")
    drawn = [axis.get_legend_handles_labels() for axis in panels[0]]
    lines = {label: handle for both in drawn for handle, label in zip(*both, strict=True)}
    figure.legend(lines.values(), lines.keys(), title="head", loc="outside right center")
    return figure


def _heat_map(means: pd.DataFrame, rate: float) -> Figure:
    table = means["value"].xs(rate, level="decrease_rate").unstack("head")
    figure, axis = plt.subplots(
        figsize=(1.5 * len(table.columns) + 2, 0.8 * len(table) + 1.6), layout="constrained"
    )
    image = axis.imshow(table.to_numpy(), cmap="Greys", aspect="auto")
    axis.set_xticks(range(len(table.columns)), [str(head) for head in table.columns])
    axis.set_yticks(range(len(table)), [str(fusion) for fusion in table.index])
    middle = (table.max().max() + table.min().min()) / 2
    for i, row in enumerate(table.to_numpy()):
        for j, value in enumerate(row):
            text = "–" if pd.isna(value) else f"{value:.1f}"
            colour = "white" if value > middle else "black"
            axis.text(j, i, text, ha="center", va="center", color=colour)
    figure.colorbar(image, label="accuracy@1 on epa, dev, clean, re-ranked (%)")
    return figure


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
    for setting, line in group.groupby(by, sort=True, dropna=False):
        number = numbers[line.index[0]]
        by_epoch = line.groupby("epoch")["value"]
        # A mean over the seeds that are still running would jump where one stops.
        mean = 100 * by_epoch.mean()[by_epoch.count() == by_epoch.count().max()]
        axis.plot(
            mean.index,
            mean.to_numpy(),
            linestyle=_STYLES[number % len(_STYLES)],
            color=plt.get_cmap("viridis")(number / max(numbers.max() + 1, 2)),
            marker="." if len(mean) < 3 else None,
            linewidth=1.3,
            label=", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in setting),
        )
    axis.grid(alpha=0.3)


_STYLES = ["-", "--", "-.", ":"]

_OF_SCORES = {"task", "stage", "metric", "low", "high", "n"}

_KNOWN = {"kind", "cell", *AXES, "epoch", "split", "protocol", "value"}
