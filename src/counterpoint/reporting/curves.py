"""The learning curves of a run: of its cells, and of the imported logs beside it."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from counterpoint.evaluation.records import SPLITS
from counterpoint.io.text import DASH, markdown_table, percent
from counterpoint.runs.folder import AXES, PlannedCell, Run
from counterpoint.study import old_logs
from counterpoint.study.old_log import OldEpoch
from counterpoint.tasks.protocols import CLEAN, LEGACY, OFFICIAL


def imported_logs(run: Run) -> dict[str, list[OldEpoch]]:
    """Name to epochs of the old logs beside the run."""
    return old_logs.read_imported(run.folder.imported)


def curves(run: Run) -> pd.DataFrame:
    """Every epoch of every cell and imported log: accuracy@1 on `epa`, re-ranked.

    One row a cell, epoch and split: cells' train split under `official`, their dev and test under
    `clean`. An imported log is `imported/NAME`, without axes, under `legacy`.
    """
    rows = []
    for cell in run.trained:
        for record in cell.epochs():
            for split, protocols in record.accuracy.items():
                protocol = OFFICIAL.name if split == "train" else CLEAN.name
                if protocol in protocols:
                    row = {"cell": cell.name, **cell.axes, "epoch": record.epoch, "split": split}
                    row |= {"protocol": protocol, "value": protocols[protocol].reranked}
                    rows.append(row)
    extra = [*AXES, *run.extra_axes]
    table = pd.DataFrame(rows, columns=["cell", *extra, "epoch", "split", "protocol", "value"])
    old = [
        {"cell": f"imported/{name}", "epoch": epoch.epoch, "split": split, "protocol": LEGACY.name}
        | {"value": value}
        for name, epochs in imported_logs(run).items()
        for epoch in epochs
        for split, value in epoch.accuracy.items()
    ]
    if not old:
        return table
    # Without this the imported rows' empty fields would turn the axes' whole numbers into 1.0.
    whole = dict.fromkeys(table[extra].select_dtypes("integer"), "Int64")
    frames = [frame for frame in (table.astype(whole), pd.DataFrame(old)) if not frame.empty]
    return pd.concat(frames, ignore_index=True).reindex(columns=table.columns)


def ended(run: Run) -> set[tuple[str, str]]:
    """Fusion and head of which every planned cell has ended, well or not."""

    def pairs(cells: Iterable[PlannedCell]) -> set[tuple[str, str]]:
        return {(str(cell.axes["fusion"]), str(cell.axes["head"])) for cell in cells}

    over = ("done", "diverged")
    return pairs(run.cells) - pairs(cell for cell in run.cells if cell.status not in over)


def imported_table(run: Run) -> pd.DataFrame:
    """`imported.csv`: one row an imported log beside the run, all of them under `legacy`.

    Columns are `log`, `protocol`, `epochs`, and for train, dev and test `SPLIT_best` (a fraction),
    `SPLIT_best_epoch` and `SPLIT_last`, empty where the log lacks the split.
    """
    rows = []
    for name, epochs in imported_logs(run).items():
        row: dict[str, Any] = {"log": name, "protocol": LEGACY.name, "epochs": len(epochs)}
        for split, log in old_logs.summaries(epochs).items():
            row |= {f"{split}_best": log.best, f"{split}_best_epoch": log.best_epoch}
            row[f"{split}_last"] = log.last
        rows.append(row)
    parts = ("best", "best_epoch", "last")
    columns = [f"{split}_{part}" for split in ("train", *SPLITS) for part in parts]
    table = pd.DataFrame(rows, columns=["log", "protocol", "epochs", *columns])
    return table.astype({f"{split}_best_epoch": "Int64" for split in ("train", *SPLITS)})


def imported_markdown(table: pd.DataFrame, decimals: int) -> str:
    """`imported.md`: a row a log of `imported_table`."""
    head = (
        "# Imported logs\n\nAccuracy@1 in % as the original study's scripts logged it, best (its "
        "first epoch, counted from 0) and last. Protocol `legacy`, which shows the classifier the "
        "answer: nothing is ranked by these scores.\n\n"
    )
    rows: list[dict[str, object]] = []
    for _, log in table.iterrows():
        row = {"log": log["log"], "protocol": LEGACY.label, "epochs": log["epochs"]}
        for split in ("train", *SPLITS):
            best, last = (percent(log[f"{split}_{part}"], decimals) for part in ("best", "last"))
            epoch = "" if best == DASH else f" (epoch {log[f'{split}_best_epoch']})"
            row |= {f"{split} best": best + epoch, f"{split} last": last}
        rows.append(row)
    return head + markdown_table(rows)
