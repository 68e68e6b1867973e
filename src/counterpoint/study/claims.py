"""The verdicts on the documents' claims as files: `claims.csv`, and `claims.md` for a person."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from counterpoint.errors import InputError
from counterpoint.evaluation.statistics import LEAST_SEEDS
from counterpoint.io.atomic import write_text
from counterpoint.io.text import DASH, csv_text, markdown_table, signed_interval
from counterpoint.runs.folder import Run
from counterpoint.study.clauses import digits_of_clauses
from counterpoint.study.evidence import LAST_EPOCHS
from counterpoint.study.protocol import ASKED
from counterpoint.study.verdicts import LEAST_SETTINGS, Verdict, answer, could_have_shown

TABLE = "claims.csv"

MISSING_SHOWN = 10
"""How many missing cells `claims.md` names; `claims.csv` names all."""


def write_claims(run: Run, folder: Path, decimals: int) -> None:
    """Write `claims.csv` and `claims.md` into a folder.

    Raises:
        InputError: the records of two cells do not answer the same dev queries.
    """
    verdicts = answer(run)
    columns = [column.name for column in fields(Verdict)]
    table, text = files(folder)
    write_text(table, csv_text(claims_rows(verdicts), columns))
    write_text(text, claims_markdown(run, verdicts, decimals))


def files(folder: Path) -> tuple[Path, Path]:
    """Where `write_claims` writes in a folder."""
    return folder / TABLE, folder / "claims.md"


def read_verdicts(path: Path) -> list[Verdict]:
    """Read what `write_claims` wrote as `claims.csv`.

    Raises:
        InputError: a row is no verdict.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [_fields(row) for row in csv.DictReader(stream)]
    try:
        return TypeAdapter(list[Verdict]).validate_python(rows)
    except ValidationError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not the verdicts of this version ({reason})") from error


def _fields(row: dict[str, str]) -> dict[str, object]:
    """A row's texts, and None for the numbers that it lacks."""
    words = {field.name for field in fields(Verdict) if field.type is str}
    values: dict[str, object] = {
        name: text if text or name in words else None for name, text in row.items()
    }
    return {**values, "missing": tuple(row["missing"].split())}


def claims_rows(verdicts: Iterable[Verdict]) -> list[dict[str, object]]:
    """The rows of `claims.csv`: the fields of a verdict, missing cells joined by spaces."""
    return [{**asdict(verdict), "missing": " ".join(verdict.missing)} for verdict in verdicts]


def claims_markdown(run: Run, verdicts: Sequence[Verdict], decimals: int) -> str:
    """`claims.md`: what the run is, the verdicts, and the cells that they lack."""
    digits = digits_of_clauses(decimals)
    rows = [_row(verdict, digits[verdict.clause]) for verdict in verdicts]
    return f"# The documents' claims\n\n{_preface(run)}\n\n{markdown_table(rows)}" + "".join(
        f"\n{note}\n" for note in _notes(run, verdicts)
    )


def _row(verdict: Verdict, digits: int) -> dict[str, object]:
    over = signed_interval(verdict.seeds_value, verdict.seeds_low, verdict.seeds_high, digits)
    legacy = signed_interval(verdict.legacy, verdict.legacy_low, verdict.legacy_high, digits)
    return {
        "claim": verdict.claim,
        "clause": f"{verdict.clause} ({verdict.quantity})",
        "documents": verdict.documents or DASH,
        "what theirs could have shown": could_have_shown(verdict) or DASH,
        "here (95 %)": signed_interval(verdict.value, verdict.low, verdict.high, digits),
        "over seeds (95 %)": over if verdict.seeds is None else f"{over}, n = {verdict.seeds}",
        "legacy (leaks)": legacy,
        "settings": f"{verdict.settings} of {verdict.planned}",
        "verdict": f"**{verdict.verdict}**" + (f": {verdict.why}" if verdict.why else ""),
    }


def _preface(run: Run) -> str:
    corpus, trained = run.config.corpus, len(run.trained)
    return (
        "Protocol `clean`, task `epa`, after re-ranking, dev split "
        f"`{corpus.splits.dev}` of `{corpus.url or corpus.path}`; encoder "
        f"{_option(run, 'encoder.name')}, pooling "
        f"{_option(run, 'encoder.pooling')}; epochs planned: "
        f"{_option(run, 'training.epochs')}; {trained} of {len(run.cells)} cells trained. "
        "The verdicts hold for these alone.\n\n"
        "A number compares cells that agree on every axis but the compared one, averaged over an "
        "arm's values, then over seeds, then over settings. Intervals, 95 %: for accuracy, a "
        f"bootstrap over debates and, where at least {LEAST_SEEDS} seeds trained the same "
        "settings, a t interval over these with the seed as the unit; for curves and times, a "
        f"bootstrap over settings, which needs {LEAST_SETTINGS}; parameters are exact. "
        "*Supported*: every interval that there is excludes zero on the side claimed, or lies "
        "within the range claimed; *contradicted*: on the other side, or outside the range; "
        "*undecided*: these cells do not tell. Nothing is corrected for the number of clauses.\n\n"
        "Epochs to 95 % are of a cell's own best dev accuracy; unsteadiness is the standard "
        "deviation of the change of dev accuracy from epoch to epoch; the gap is train minus dev "
        f"accuracy, mean of the last {LAST_EPOCHS} epochs. `legacy`, the documents' own "
        "evaluation, shows the classifier the answer and decides nothing. Settings are at hand of "
        "planned, each seed for itself.\n\n"
        f"The documents' accuracies are over {ASKED['dev']} validation queries "
        "(docs/original-study.md). *What theirs could have shown*: the smallest difference between "
        "two models that so many queries can show at 5 %, by McNemar's exact test and with every "
        "query on which the two differ in favour of the same one; for curves the step that one "
        "query makes."
    )


def _option(run: Run, path: str) -> str:
    """An option of the run, or all its values where it is an axis of the matrix."""
    return ", ".join(f"`{value}`" for value in run.values(path))


def _notes(run: Run, verdicts: Iterable[Verdict]) -> list[str]:
    """What is not as planned: cells that stopped early, diverged, or are missing."""
    needed = {name for verdict in verdicts for name in verdict.missing}
    trained = run.with_status("done")
    stopped = [cell for cell in trained if cell.outcome().status == "stopped"]
    notes = []
    if stopped:
        notes.append(
            f"{len(stopped)} of {len(trained)} cells stopped before the planned last epoch, so the "
            "clauses about curves compare curves of different lengths; for curves of full length "
            "train `config/claims.yaml`."
        )
    diverged = [cell.name for cell in run.with_status("diverged")]
    if diverged:
        notes.append(f"Diverged; count for accuracy, not for curves:\n\n{_listed(diverged)}")
    missing = [cell.name for cell in run.with_status("missing", "failed") if cell.name in needed]
    if missing:
        notes.append(f"Missing, and left out with their settings:\n\n{_listed(missing)}")
    return notes


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MISSING_SHOWN
    lines = [f"- `{name}`" for name in names[:MISSING_SHOWN]]
    return "\n".join([*lines, f"- … and {more} more"] if more > 0 else lines)
