"""A run's report: one page that opens from disk, made from its tables, logs and records.

Figures are read from `tables/`, never computed again; only the answer at the top pairs two systems.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, cast

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from counterpoint.corpus.arguments import Argument, read_arguments
from counterpoint.errors import InputError
from counterpoint.evaluation.records import KEYS, SPLITS
from counterpoint.evaluation.statistics import LEAST_SEEDS, over_seeds
from counterpoint.io import rng as rng_module
from counterpoint.io.atomic import write_text
from counterpoint.reporting import compare
from counterpoint.reporting.markdown import percent
from counterpoint.reporting.scores import SHOWN, best_cell, headline, imported_logs
from counterpoint.results.epoch_log import EpochRecord
from counterpoint.runs.folder import AXES, PlannedCell, Run
from counterpoint.runs.progress import duration
from counterpoint.study import claims
from counterpoint.study.old_log import OldEpoch
from counterpoint.tasks.candidates import TASKS
from counterpoint.tasks.protocols import LEGACY

SCALE = 10_000_000
"""Fractions, losses and rates are embedded as whole numbers of this part of one; with fewer digits
a figure that is rounded again for show would differ from the tables."""

QUERIES_SHOWN = 10
"""How many queries that the best cell answers, and that it fails, are shown."""

LOSSES = ("retrieval", "counter", "negative")
"""The terms of the loss, as the epoch log names them."""

ALWAYS_NAMED = ("fusion", "head", "decrease_rate")
"""The axes that a cell's label has, even where all cells agree on them."""

MISSING = "–"


@dataclass(frozen=True)
class Found:
    """What the page is made from."""

    run: Run
    figures: pd.DataFrame
    """`cells.csv`."""
    systems: pd.DataFrame
    """As `tables.headline` gives them."""
    labels: dict[str, str]
    """Cell to what it is called."""
    best: str | None
    """The best cell on dev."""
    baseline: str | None
    """The best baseline on dev."""
    decimals: int

    @property
    def asked(self) -> str:
        """The split of the answer: test, or dev where it is the same folder or has no figure."""
        if self.best is None or "test" not in self.run.held_out:
            return "dev"
        return "test" if self.systems["test_reranked"].notna()[self.best] else "dev"


def write_report(run: Run, decimals: int) -> Path:
    """Write `report/index.html` from the run's tables, which must be there; return its path.

    Raises:
        InputError: the tables, a log or the corpus's table cannot be used.
    """
    path = run.folder.report
    write_text(path, page(look(run, decimals)))
    return path


def look(run: Run, decimals: int) -> Found:
    """Read the run's tables.

    Raises:
        InputError: there are none.
    """
    path = run.folder.scores
    if not path.is_file():
        raise InputError(f"{path}: no such file; run `counterpoint tables --run {run.folder.path}`")
    figures = pd.read_csv(path, dtype={"cell": str})
    systems = headline(figures)
    baselines = systems[systems["kind"] == "baseline"]["dev_retrieval"].dropna()
    return Found(
        run=run,
        figures=figures,
        systems=systems,
        labels=labels(run),
        best=best_cell(systems),
        baseline=None if baselines.empty else str(baselines.idxmax()),
        decimals=decimals,
    )


def page(found: Found) -> str:
    """The whole page as HTML."""
    # Imported here, because it takes longer than all the rest of this module's imports.
    from plotly.offline import get_plotlyjs

    loader = jinja2.PackageLoader("counterpoint.reporting", "page")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sources = {
        name: Markup(loader.get_source(environment, f"page.{name}")[0]) for name in ("css", "js")
    }
    return environment.get_template("page.html").render(
        run=found.run,
        answer=answer(found),
        untrained=_untrained(found),
        claims=_claims(found),
        baselines=_baselines(found),
        audit=_audit(found.run),
        queries=_queries(found),
        facts=_facts(found),
        best=found.labels.get(found.best or ""),
        asked=found.asked,
        plotly=Markup(get_plotlyjs()),
        data=embedded(data(found)),
        **sources,
    )


def embedded(value: Any) -> Markup:
    """JSON that may stand in a script element: without `<` it can neither end nor open one."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


# --- names ---


def _plain(value: Any) -> Any:
    """A value of an axis as JSON has it."""
    if pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _word(value: Any) -> str:
    plain = _plain(value)
    if plain is None:
        return "none"
    return f"{plain:g}" if isinstance(plain, float) else str(plain)


def _axes(run: Run) -> list[dict[str, Any]]:
    """The axes with their values: numbers in order, words as the matrix has them."""
    axes = []
    for name in (*AXES, *run.extra_axes):
        values = list(dict.fromkeys(_plain(cell.axes[name]) for cell in run.cells))
        if all(isinstance(value, int | float) for value in values):
            values.sort()
        axes.append({"name": name, "short": claims.SHORT.get(name, name), "values": values})
    return axes


def labels(run: Run) -> dict[str, str]:
    """What each planned cell is called: the axes that tell it from others."""
    named = [
        axis["name"]
        for axis in _axes(run)
        if axis["name"] in ALWAYS_NAMED or len(axis["values"]) > 1
    ]
    return {
        cell.name: ", ".join(
            _word(cell.axes[name])
            if name in ("fusion", "head")
            else f"{claims.SHORT.get(name, name)} {_word(cell.axes[name])}"
            for name in named
        )
        for cell in run.cells
    }


def _short(system: str) -> str:
    return system.removeprefix("baseline/")


# --- the answer ---


def answer(found: Found) -> str:
    """The run in one sentence or two, which claim no more than the interval does."""
    run = found.run
    trained, planned = len(run.with_status("done", "diverged")), len(run.cells)
    if not trained:
        return f"No cell has been trained yet (0 of {planned})."
    figure = None if found.best is None else _figure(found, found.best, found.asked, "reranked")
    if found.best is None or figure is None:
        return (
            f"{trained} of {planned} cells are trained, but none can be chosen: no dev query is "
            "unseen in training, so there is no clean figure."
        )
    so_far = "" if trained == planned else f", of the {trained} cells of {planned} trained so far"
    text = (
        f"Best on dev{so_far}: {found.labels[found.best]}. On {figure['n']:,} unseen {found.asked} "
        f"queries it finds the counterargument first in "
        f"{_interval(figure, found.decimals, unit=' %')}"
    )
    if found.baseline is None:
        text += "; no baseline has been evaluated yet."
    else:
        text += _against(found, found.best, found.baseline)
    if found.asked == "dev":
        text += " It was chosen by these very queries, which flatters it."
    return text


def _against(found: Found, cell: str, baseline: str) -> str:
    rows = compare.compare(found.run, cell, baseline, protocols=("clean",), tasks=("epa",))
    row = next(row for row in rows if row["split"] == found.asked)
    low, high, difference = (
        _signed(100 * row[key], found.decimals) for key in ("low", "high", "difference")
    )
    if row["low"] > 0:
        word = "above the baseline by more than noise"
    elif row["high"] < 0:
        word = "below the baseline by more than noise"
    else:
        word = "within noise"
    return (
        f"; the best baseline, {_short(baseline)}, in {percent(row['b'], found.decimals)} %; "
        f"difference {difference} points ({low} to {high}): {word}."
    )


def _figure(
    found: Found, system: str, split: str, stage: str, protocol: str = "clean"
) -> "pd.Series[Any] | None":
    """Accuracy@1 on `epa` of a system, where it has that."""
    table = found.figures
    chosen = (table["cell"] == system) & (table["split"] == split) & (table["stage"] == stage)
    chosen &= (table["protocol"] == protocol) & (table["task"] == "epa")
    rows = table[chosen & (table["metric"] == "accuracy@1")]
    return None if rows.empty else rows.iloc[0]


def _signed(value: float, decimals: int) -> str:
    return f"{value:+,.{decimals}f}".replace("-", "−")


def _interval(figure: "pd.Series[Any]", decimals: int, unit: str = "") -> str:
    ends = "–".join(percent(figure[end], decimals) for end in ("low", "high"))
    return f"{percent(figure['value'], decimals)}{unit} ({ends})"


# --- what the charts are drawn from ---


def data(found: Found) -> dict[str, Any]:
    """What the script of the page reads; page.js says how."""
    run = found.run
    axes = _axes(run)
    systems = [
        {
            "label": found.labels[cell.name],
            "status": cell.status,
            "at": [axis["values"].index(_plain(cell.axes[axis["name"]])) for axis in axes],
        }
        for cell in run.cells
    ]
    systems += [{"label": _short(f"{name}"), "status": "baseline"} for name in run.baselines]
    names = [*(cell.name for cell in run.cells), *(f"baseline/{name}" for name in run.baselines)]
    most = max(Counter(cell.setting for cell in run.cells).values())
    return {
        "scale": SCALE,
        "decimals": found.decimals,
        "axes": axes,
        "systems": systems,
        "best": _index(names, found.best),
        "baseline": _index(names, found.baseline),
        "held_out": list(run.held_out),
        "protocols": list(SHOWN),
        "leaks": LEGACY.name,
        **_figures(found.figures, names),
        "reach": {n: _reach(n) for n in range(LEAST_SEEDS, most + 1)},
        "courses": _courses(found),
    }


def _index(names: Sequence[str], name: str | None) -> int | None:
    return None if name is None else names.index(name)


def _reach(seeds: int) -> float:
    """How many standard deviations the 95 % t interval of a mean over seeds reaches."""
    values = np.zeros(seeds)
    values[0] = 1.0
    spread = over_seeds(values)
    return round((spread.high - spread.mean) / spread.sd, 4)


def _figures(table: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    """`where`, every split, protocol and task, and `figures`: a list of each, by place and system.

    `value` is accuracy@1 of the last stage, `first` of the first, with intervals; `ceiling` is the
    first stage's recall@10; `n` is by place alone.
    """
    asked = table[KEYS].drop_duplicates().itertuples(index=False, name=None)
    order: tuple[Sequence[str], ...] = (("train", *SPLITS), SHOWN, TASKS)
    where = sorted(
        asked, key=lambda place: [keys.index(key) for key, keys in zip(place, order, strict=True)]
    )
    several = table.set_index(["stage", "metric", *KEYS, "cell"])[["value", "low", "high"]]
    several = several.sort_index()

    def of(stage: str, metric: str, column: str) -> pd.DataFrame:
        """(places, systems)."""
        try:
            values = several[column].loc[(stage, metric)]
        except KeyError:
            values = several[column].iloc[:0].droplevel(["stage", "metric"])
        index = pd.MultiIndex.from_tuples(where, names=KEYS) if where else None
        wide = values.unstack("cell") if len(values) else pd.DataFrame(index=index)
        return wide.reindex(index=index, columns=list(names)).astype(float)

    def last(metric: str, column: str = "value") -> pd.DataFrame:
        return of("reranked", metric, column).fillna(of("retrieval", metric, column))

    columns = {
        "value": last("accuracy@1"),
        "low": last("accuracy@1", "low"),
        "high": last("accuracy@1", "high"),
        "first": of("retrieval", "accuracy@1", "value"),
        "first_low": of("retrieval", "accuracy@1", "low"),
        "first_high": of("retrieval", "accuracy@1", "high"),
        "ceiling": of("retrieval", "recall@10", "value"),
        "mrr": last("mrr"),
        "ndcg": last("ndcg@10"),
    }
    asked_n = table.groupby(KEYS)["n"].max()
    return {
        "where": where,
        "n": [int(asked_n[place]) for place in where],
        "figures": {
            name: [_scaled(row) for row in frame.to_numpy().tolist()]
            for name, frame in columns.items()
        },
    }


def _scaled(values: Iterable[float | None]) -> list[int | None]:
    return [None if value is None or value != value else round(SCALE * value) for value in values]


def _courses(found: Found) -> list[dict[str, Any]]:
    """The epoch logs of cells, and imported ones, which are all `legacy`."""
    run = found.run
    courses = []
    for place, cell in enumerate(run.cells):
        path = cell.folder.epochs
        if cell.status in ("done", "diverged") and path.is_file():
            best = cell.outcome().best_epoch
            label = found.labels[cell.name] + (" (diverged)" if cell.status == "diverged" else "")
            courses.append(
                {"label": label, "system": place, "best": best, **_of_cell(cell.epochs())}
            )
    for name, epochs in imported_logs(run).items():
        label = f"imported/{name} ({LEGACY.name}, leaks the answer)"
        courses.append({"label": label, "system": None, "best": None, **_of_old_log(epochs)})
    return courses


def _of_cell(records: Sequence[EpochRecord]) -> dict[str, Any]:
    counts = [asdict(record.negatives) for record in records]
    return {
        "epochs": [record.epoch for record in records],
        "columns": _columns([_numbers(record) for record in records]),
        "negatives": {
            kind: [row[kind] for row in counts] for kind in (counts[0] if counts else ())
        },
    }


def _of_old_log(epochs: Sequence[OldEpoch]) -> dict[str, Any]:
    rows: list[dict[str, float | None]] = [
        {f"accuracy/{split}/{LEGACY.name}": value for split, value in epoch.accuracy.items()}
        for epoch in epochs
    ]
    return {
        "epochs": [epoch.epoch for epoch in epochs],
        "columns": _columns(rows),
        "negatives": {},
    }


def _columns(rows: Sequence[Mapping[str, float | None]]) -> dict[str, list[int | None]]:
    """Columns of an epoch log; those without any number are left out."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: _scaled(row.get(name) for row in rows) for name in names}
    return {
        name: column
        for name, column in columns.items()
        if any(value is not None for value in column)
    }


def _numbers(record: EpochRecord) -> dict[str, float | None]:
    numbers: dict[str, float | None] = {"rate": record.random_rate}
    for split, protocols in record.accuracy.items():
        for protocol, scores in protocols.items():
            numbers[f"accuracy/{split}/{protocol}"] = scores.reranked
    for split, losses in record.losses.items():
        for kind in LOSSES:
            numbers[f"loss/{split}/{kind}"] = getattr(losses, kind)
    return numbers


# --- tables that need no script ---


def _untrained(found: Found) -> list[dict[str, object]]:
    """Failed, diverged and missing cells, each with its reason and its log."""
    return [
        {
            "label": found.labels[cell.name],
            "status": cell.status,
            "reason": cell.reason,
            "log": _log(found.run, cell),
        }
        for status in ("failed", "diverged", "missing")
        for cell in found.run.with_status(cast(Any, status))
    ]


def _log(run: Run, cell: PlannedCell) -> str:
    path = run.folder.cell_log(cell.name)
    return str(path) if path.is_file() else MISSING


def _claims(found: Found) -> list[dict[str, str]]:
    """`claims.csv` for a person."""
    path = found.run.folder.tables / "claims.csv"
    if not path.is_file():
        return []
    digits = claims.digits_of_clauses(found.decimals)
    table = pd.read_csv(path, keep_default_na=False)
    return [_claim(row, digits.get(row["clause"], found.decimals)) for _, row in table.iterrows()]


def _claim(row: "pd.Series[Any]", digits: int) -> dict[str, str]:
    def numbers(prefix: str, value: str) -> str:
        texts = [
            _signed(float(row[name]), digits) if row[name] != "" else ""
            for name in (value, f"{prefix}low", f"{prefix}high")
        ]
        if not texts[0]:
            return MISSING
        return texts[0] + (f" ({texts[1]} to {texts[2]})" if texts[1] else "")

    over = numbers("seeds_", "seeds_value")
    return {
        "claim": row["claim"],
        "clause": row["clause"],
        "quantity": row["quantity"],
        "documents": row["documents"] or MISSING,
        "here": numbers("", "value"),
        "seeds": over if over == MISSING else f"{over}, n = {int(float(row['seeds']))}",
        "legacy": numbers("legacy_", "legacy"),
        "settings": f"{row['settings']} of {row['planned']}",
        "verdict": row["verdict"],
        "why": row["why"],
    }


def _baselines(found: Found) -> list[dict[str, Any]]:
    """A row a baseline: accuracy@1 with its interval under each protocol, dev and test."""
    rows = []
    for name, system in found.systems[found.systems["kind"] == "baseline"].iterrows():
        texts = []
        for split in SPLITS:
            for protocol in SHOWN:
                figure = _figure(found, str(name), split, "retrieval", protocol)
                texts.append(MISSING if figure is None else _interval(figure, found.decimals))
            texts.append(percent(system[f"{split}_ceiling"], found.decimals))
        rows.append({"name": _short(str(name)), "best": name == found.baseline, "figures": texts})
    return rows


def _audit(run: Run) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """`audit.csv` on its side: the splits, and each count with a value a split."""
    path = run.folder.audit
    if not path.is_file():
        return [], []
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    splits = [
        f"{folder} ({roles})" for folder, roles in zip(table["split"], table["roles"], strict=True)
    ]
    counts = [name for name in table.columns if name not in ("split", "roles")]
    return splits, [
        (name.replace("_", " "), [_thousands(value) for value in table[name]]) for name in counts
    ]


def _thousands(text: str) -> str:
    return f"{int(text):,}" if text.isdecimal() else text or MISSING


# --- queries ---


@dataclass(frozen=True)
class Query:
    """A query, and what the best cell answers."""

    point: Argument
    gold: Argument
    chosen: Argument
    rank: int
    """Of the gold, first stage."""
    reranked: int
    candidates: int

    @property
    def relation(self) -> str:
        """What the chosen text is to the query."""
        where = "another debate" if self.chosen.debate != self.point.debate else "the same debate"
        if where == "the same debate":
            answers = self.chosen.kind == "counter"
            agrees = (self.chosen.side == self.point.side) != answers
            stance = "on the query's own side" if agrees else "on the opposing side"
            return f"a {self.chosen.kind} of the same debate, {stance}"
        return f"a {self.chosen.kind} of another debate"


def _queries(found: Found) -> dict[str, list[Query]]:
    """Queries drawn at random from those that the best cell answers, and from those it fails.

    `clean`, `epa`; nothing where there is no best cell or no table of the corpus.
    """
    arguments = found.run.folder.arguments
    if found.best is None or not arguments.is_file():
        return {}
    by_id = {argument.id: argument for argument in read_arguments(arguments).arguments}
    wanted = [("task", "==", "epa"), ("protocol", "==", "clean"), ("split", "==", found.asked)]
    records = pd.read_parquet(found.run.systems[found.best], filters=wanted)
    records = records.sort_values("query", ignore_index=True)
    rng = rng_module.generator(0, -1, "queries of the report")
    drawn = {}
    for name, part in (
        ("answers", records[records["reranked"] == 1]),
        ("fails", records[records["reranked"] > 1]),
    ):
        chosen = rng.choice(len(part), size=min(QUERIES_SHOWN, len(part)), replace=False)
        drawn[name] = [_query(part.iloc[place], by_id) for place in sorted(chosen)]
    return drawn


def _query(record: "pd.Series[Any]", by_id: Mapping[str, Argument]) -> Query:
    point = by_id[record["query"]]
    return Query(
        point=point,
        gold=by_id[point.id[:-1] + "b"],
        chosen=by_id[record["reordered"][0]],
        rank=int(record["rank"]),
        reranked=int(record["reranked"]),
        candidates=int(record["candidates"]),
    )


# --- facts ---


def _facts(found: Found) -> list[tuple[str, str]]:
    """What was run, how long it took, and by what; each with its value in words."""
    run = found.run
    counted = Counter(cell.status for cell in run.cells)
    cells = ", ".join(
        f"{counted[status]} {status}"
        for status in ("done", "diverged", "failed", "missing")
        if counted[cast(Any, status)]
    )
    facts = [("run", run.folder.name), ("cells", f"{len(run.cells)} planned: {cells}")]
    return [*facts, *_planned(run), *_times(run), *_versions(run)]


def _planned(run: Run) -> Iterable[tuple[str, str]]:
    options = run.config.model_dump(mode="json")
    corpus = options["corpus"]
    source = corpus.get("url") or corpus.get("path")
    if source:
        yield "corpus", str(source)
    yield "splits", ", ".join(f"{role}: {folder}" for role, folder in corpus["splits"].items())
    yield (
        "training pairs shared with dev or test",
        ("left out" if corpus.get("decontaminate", "none") == "train" else "kept"),
    )
    for path in ("encoder.name", "encoder.pooling", "encoder.trainable", "training.epochs"):
        section, key = path.split(".")
        base = options.get(section, {}).get(key)
        values = dict.fromkeys(_word(cell.axes.get(path, base)) for cell in run.cells)
        if base is not None:
            yield path, ", ".join(values)


def _times(run: Run) -> Iterable[tuple[str, str]]:
    trained = run.with_status("done", "diverged")
    if not trained:
        return
    seconds = [cell.seconds() for cell in trained]
    totals = [item.total for item in seconds]
    started, ended = (
        choose(datetime.fromisoformat(getattr(item, key)) for item in seconds)
        for key, choose in (("started", min), ("ended", max))
    )
    yield (
        "training",
        (
            f"{duration(sum(totals))} in all; a cell {duration(median(totals))} (median), "
            f"{duration(max(totals))} at most"
        ),
    )
    yield "from first start to last end", duration((ended - started).total_seconds())
    yield "last cell ended", f"{ended:%Y-%m-%d %H:%M %Z}"


def _versions(run: Run) -> Iterable[tuple[str, str]]:
    found: dict[str, dict[str, None]] = {}
    for cell in run.with_status("done", "diverged"):
        provenance = cell.provenance()
        for name, version in provenance.packages.items():
            found.setdefault(name, {})[str(version)] = None
        for name in ("counterpoint", "code", "commit", "corpus", "device", "python", "platform"):
            value = str(getattr(provenance, name))
            found.setdefault(_CALLED.get(name, name), {})[value] = None
    for name, values in found.items():
        yield name, ", ".join(values)
    if len(found.get(_CALLED["code"], {})) > 1:
        yield (
            "warning",
            (
                "The cells were trained by different states of the code; to make them comparable, "
                "train all again (snakemake --forcerun cell)."
            ),
        )


_CALLED = {"code": "hash of the code", "corpus": "hash of the corpus", "commit": "git commit"}
