"""The tables of the page that need no script."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from counterpoint.evaluation.records import SPLITS
from counterpoint.io.text import DASH, percent, percent_interval, signed_interval
from counterpoint.reporting.page.contents import Contents
from counterpoint.reporting.page.names import short, typographic
from counterpoint.reporting.scores import SHOWN, is_shown
from counterpoint.runs.folder import Run, Status
from counterpoint.study import claims
from counterpoint.study.clauses import digits_of_clauses
from counterpoint.study.verdicts import Verdict, could_have_shown


@dataclass(frozen=True)
class UntrainedRow:
    """A cell that is not done."""

    label: str
    status: Status
    reason: str
    log: str


@dataclass(frozen=True)
class ClaimRow:
    """A verdict, for a person."""

    claim: str
    clause: str
    quantity: str
    documents: str
    could_show: str
    here: str
    seeds: str
    legacy: str
    settings: str
    verdict: str
    why: str


@dataclass(frozen=True)
class BaselineRow:
    """A recipe's or baseline's scores under each protocol, then its ceiling, dev before test."""

    name: str
    best: bool
    scores: list[str]


@dataclass(frozen=True)
class Audit:
    """The counts of the corpus, a column a split."""

    splits: list[str]
    counts: list[tuple[str, list[str]]]


def untrained(contents: Contents) -> list[UntrainedRow]:
    """Failed, diverged and missing cells, each with its reason and its log."""
    run = contents.run
    states: tuple[Literal["failed", "diverged", "missing"], ...] = ("failed", "diverged", "missing")
    return [
        UntrainedRow(
            contents.labels[cell.name],
            cell.status,
            cell.reason,
            _log(run.folder.cell_log(cell.name)),
        )
        for status in states
        for cell in run.with_status(status)
    ]


def _log(path: Path) -> str:
    return str(path) if path.is_file() else DASH


def claim_rows(contents: Contents) -> list[ClaimRow]:
    """The verdicts on the documents' claims, as they are written."""
    path = contents.run.folder.tables / claims.TABLE
    if not path.is_file():
        return []
    digits = digits_of_clauses(contents.decimals)
    return [
        _claim(verdict, digits.get(verdict.clause, contents.decimals))
        for verdict in claims.read_verdicts(path)
    ]


def _claim(verdict: Verdict, digits: int) -> ClaimRow:
    def shown(value: float | None, low: float | None, high: float | None) -> str:
        return typographic(signed_interval(value, low, high, digits))

    over = shown(verdict.seeds_value, verdict.seeds_low, verdict.seeds_high)
    return ClaimRow(
        claim=verdict.claim,
        clause=verdict.clause,
        quantity=verdict.quantity,
        documents=verdict.documents or DASH,
        could_show=could_have_shown(verdict) or DASH,
        here=shown(verdict.value, verdict.low, verdict.high),
        seeds=over if over == DASH else f"{over}, n = {verdict.seeds}",
        legacy=shown(verdict.legacy, verdict.legacy_low, verdict.legacy_high),
        settings=f"{verdict.settings} of {verdict.planned}",
        verdict=verdict.verdict,
        why=verdict.why,
    )


def baseline_rows(contents: Contents) -> list[BaselineRow]:
    """A row a recipe and baseline: accuracy@1 with its interval by protocol, dev and test."""
    overview, rows = contents.overview, []
    for name, _, stage, _ in overview.listed:
        if name == overview.best:
            continue
        texts = []
        for split in SPLITS:
            for protocol in SHOWN:
                score = overview.score(name, split, protocol, stage)
                if score is None or not is_shown(protocol, baseline=stage == "retrieval"):
                    texts.append(DASH)
                else:
                    texts.append(_with_interval(score, contents.decimals))
            ceiling = overview.systems[f"{split}_ceiling"][name]
            texts.append(percent(ceiling, contents.decimals))
        rows.append(BaselineRow(short(name), name == overview.best_baseline, texts))
    return rows


def _with_interval(score: "pd.Series[float]", decimals: int) -> str:
    return percent_interval(score["value"], score["low"], score["high"], decimals)


def audit(run: Run) -> Audit:
    """The audit of the corpus on its side: the splits, and each count with a value a split."""
    if not run.folder.audit.is_file():
        return Audit([], [])
    table = pd.read_csv(run.folder.audit, dtype=str, keep_default_na=False)
    splits = [
        f"{folder} ({roles})" for folder, roles in zip(table["split"], table["roles"], strict=True)
    ]
    counts = [name for name in table.columns if name not in ("split", "roles")]
    return Audit(
        splits,
        [(name.replace("_", " "), [_thousands(value) for value in table[name]]) for name in counts],
    )


def _thousands(text: str) -> str:
    return f"{int(text):,}" if text.isdecimal() else text or DASH
