"""The imported logs of the original study beside a run: their table, and where they meet cells."""

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from counterpoint.config.scalars import Scalar
from counterpoint.evaluation.records import KEYS, SPLITS
from counterpoint.evaluation.scoring import select
from counterpoint.io.text import DASH, markdown_table, option_text, percent_interval
from counterpoint.runs.folder import AXES, Run
from counterpoint.study import old_logs
from counterpoint.study.log_summary import LogSummary, compared_epoch, share, summaries
from counterpoint.study.old_log import OldLog
from counterpoint.tasks.protocols import PROTOCOLS

KIND = "imported"
"""What tables call such a system, beside `cell`, `recipe` and `baseline`."""

ROLES = ("train", *SPLITS)

_PARTS = ("n", "best", "best_low", "best_high", "best_epoch", "last", "last_low", "last_high")
_WHOLE = ("n", "best_epoch")


def imported_logs(run: Run) -> list[OldLog]:
    """The old logs beside the run."""
    return list(old_logs.read_imported(run.folder.imported).values())


def imported_table(run: Run) -> pd.DataFrame:
    """`imported.csv`: one row an imported log beside the run.

    Columns are `log`, `protocol`, `axes` (as they were given), `epochs`, and for train, dev and
    test, empty where the log lacks the split: `SPLIT_n`, the queries that its accuracies are over,
    empty where they do not tell; `SPLIT_best` and `SPLIT_last` (fractions), each with `_low` and
    `_high`, the 95 % interval (Wilson) at that n; and `SPLIT_best_epoch`.
    """
    rows = []
    for log in imported_logs(run):
        row: dict[str, Any] = {"log": log.name, "protocol": log.source.protocol}
        row |= {"axes": _axes_text(log.source.axes), "epochs": len(log.epochs)}
        for split, found in summaries(log).items():
            row |= {f"{split}_{part}": value for part, value in _parts(log, split, found).items()}
        rows.append(row)
    columns = [f"{split}_{part}" for split in ROLES for part in _PARTS]
    table = pd.DataFrame(rows, columns=["log", "protocol", "axes", "epochs", *columns])
    return table.astype({f"{split}_{part}": "Int64" for split in ROLES for part in _WHOLE})


def _parts(log: OldLog, split: str, found: LogSummary) -> dict[str, float | None]:
    best, last = found.best, found.last
    values = (best.value, best.low, best.high, found.best_epoch, last.value, last.low, last.high)
    return dict(zip(_PARTS, (log.n(split), *values), strict=True))


def _axes_text(axes: Mapping[str, Scalar]) -> str:
    return ", ".join(f"{axis} {option_text(value)}" for axis, value in axes.items())


def imported_markdown(table: pd.DataFrame, decimals: int) -> str:
    """`imported.md`: a row a log of `imported_table`."""
    head = (
        "# Imported logs\n\nAccuracy@1 in % as the original study's scripts logged it, best (its "
        "first epoch, counted from 0) and last, with the 95 % interval (Wilson) of a share of n "
        "queries. n is found from the values, which are all multiples of 1/n; a dash where they "
        "do not tell. The study's evaluator asks the first ⌈N/16⌉ of a split's N pairs alone and "
        "shows the classifier the answer (protocol `legacy-subset`): nothing is ranked by these "
        "scores, and a best epoch is chosen by the same queries, which flatters it.\n\n"
    )
    rows: list[dict[str, object]] = []
    for _, log in table.iterrows():
        row = {"log": log["log"], "protocol": PROTOCOLS[log["protocol"]].label}
        row |= {"axes": log["axes"] or DASH, "epochs": log["epochs"]}
        for split in ROLES:
            row[f"{split} n"] = DASH if pd.isna(log[f"{split}_n"]) else log[f"{split}_n"]
            best, last = (_shown(log, f"{split}_{part}", decimals) for part in ("best", "last"))
            epoch = "" if best == DASH else f" (epoch {log[f'{split}_best_epoch']})"
            row |= {f"{split} best": best + epoch, f"{split} last": last}
        rows.append(row)
    return head + markdown_table(rows)


def _shown(log: "pd.Series[Any]", column: str, decimals: int) -> str:
    return percent_interval(log[column], log[f"{column}_low"], log[f"{column}_high"], decimals)


# --- among the cells of a run ---


def compared(run: Run) -> pd.DataFrame:
    """The logs that were given axes, as systems of the run: one row a score.

    Columns are those of `scores.all_scores`, and `further`, the axes that the run's tables have no
    column for. A score is accuracy@1 on `epa` of the last stage at the log's best epoch on dev, as
    cells' are, or at its last where it has no dev score.
    """
    columns = [*AXES, *run.extra_axes]
    rows = [row for log in imported_logs(run) if log.source.axes for row in _scores(log, columns)]
    names = ["kind", "cell", *columns, "further", *KEYS, "stage", "metric", "value", "low", "high"]
    return pd.DataFrame(rows, columns=[*names, "n"]).astype({"n": "Int64"})


def _scores(log: OldLog, columns: list[str]) -> list[dict[str, Any]]:
    axes = log.source.axes
    head: dict[str, Any] = {"kind": KIND, "cell": log.system, "further": further(log, columns)}
    head |= {axis: value for axis, value in axes.items() if axis in columns}
    head |= {"protocol": log.source.protocol, "task": "epa", "stage": "reranked"}
    rows = []
    for split, value in compared_epoch(log).accuracy.items():
        found = share(log, split, value)
        numbers = {"value": found.value, "low": found.low, "high": found.high, "n": log.n(split)}
        rows.append({**head, "split": split, "metric": "accuracy@1", **numbers})
    return rows


def further(log: OldLog, columns: Collection[str]) -> str:
    """The axes of a log that some tables have no column for, in words."""
    return _axes_text({axis: of for axis, of in log.source.axes.items() if axis not in columns})


def compared_markdown(scores: pd.DataFrame, protocol: str, decimals: int) -> str:
    """The imported logs of a protocol in `comparison.md`, a row a log; empty without any."""
    here = scores[scores["protocol"] == protocol]
    if here.empty:
        return ""
    columns = here.columns[2 : here.columns.get_loc("further")]
    named = [axis for axis in columns if here[axis].notna().any()]
    rows: list[dict[str, object]] = []
    for name, log in here.groupby("cell", sort=False):
        first = log.iloc[0]
        row: dict[str, object] = {"imported log": str(name).removeprefix(f"{KIND}/")}
        row |= {axis: _axis_text(first[axis]) for axis in named}
        if here["further"].any():
            row["further axes"] = first["further"] or DASH
        for split in SPLITS:
            row |= {split: DASH, f"{split} n": DASH}
            for _, score in select(log, split=split).iterrows():
                row[split] = percent_interval(score["value"], score["low"], score["high"], decimals)
                row[f"{split} n"] = DASH if pd.isna(score["n"]) else score["n"]
        rows.append(row)
    return (
        "\n### Imported logs\n\nOf the original study, at the epoch that is best on dev, with 95 % "
        "intervals (Wilson) over the n queries that they asked; from another program on other "
        f"machines, and never ranked.\n\n{markdown_table(rows)}"
    )


def _axis_text(value: Any) -> str:
    return DASH if pd.isna(value) else option_text(value)
