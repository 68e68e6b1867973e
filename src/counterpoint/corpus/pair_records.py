"""From the bytes of a file of pairs to its rows, as CSV or JSON lines give them."""

import csv
import difflib
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from counterpoint.corpus.sources import PAIR_FILE_ENDINGS, is_pair_file
from counterpoint.errors import InputError

NEEDED = ("point", "counter")
OPTIONAL = ("debate", "theme", "side", "split")

Record = Mapping[str, object] | str
"""Column to value, or why the row could not be taken apart."""


def read_records(path: Path) -> list[tuple[int, Record]]:
    """(line, record) of every row of a file; the line is where the row begins.

    Raises:
        InputError: no such file, not UTF-8, empty, or without a needed column.
    """
    return _records(path, _read(path))


def _read(path: Path) -> str:
    if not is_pair_file(path):
        raise InputError(f"{path}: expected a name that ends in {', '.join(PAIR_FILE_ENDINGS)}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        text = data.decode("utf-8-sig")  # as spreadsheets write it
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        value = error.object[error.start]
        raise InputError(
            f"{path}:{line}: not UTF-8 (byte {value:#04x}); convert the file"
        ) from error
    if not text.strip():
        raise InputError(f"{path}: an empty file; expected the columns {listed(NEEDED)}")
    return text


def _records(path: Path, text: str) -> list[tuple[int, Record]]:
    """(line, record) of every row; the line is where the row begins."""
    ending = path.suffix.lower()
    if ending in (".csv", ".tsv"):
        return _csv_records(path, text, "\t" if ending == ".tsv" else ",")
    return _json_records(path, text)


def _csv_records(path: Path, text: str, delimiter: str) -> list[tuple[int, Record]]:
    rows = _csv_rows(text, delimiter)
    line, header = rows[0]
    if isinstance(header, str):
        raise InputError(f"{path}:{line}: the header: {header}")
    names = [_column(name) for name in header]
    _check_columns(path, names)
    places = {name: names.index(name) for name in (*NEEDED, *OPTIONAL) if name in names}

    def record(fields: list[str] | str) -> Record:
        if isinstance(fields, str):
            return fields
        if len(fields) > len(names):
            return (
                f"{len(fields)} fields, but {len(names)} columns; quote a field with {delimiter!r}"
            )
        # Spreadsheets leave out empty fields at the end of a row.
        return {name: fields[place] for name, place in places.items() if place < len(fields)}

    return [(line, record(fields)) for line, fields in rows[1:]]


def _csv_rows(text: str, delimiter: str) -> list[tuple[int, list[str] | str]]:
    """(line, fields) of every row that is not blank; a text says why there are no fields."""
    rows: list[tuple[int, list[str] | str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    # No field is longer than the file: what is too long for a text is reported by its row.
    before = csv.field_size_limit(len(text))
    try:
        while True:
            line = reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return rows
            except csv.Error as error:
                what = f"lines {line} to {reader.line_num}: {error}; check the quotes"
                rows.append((line, what))
            else:
                if fields:
                    rows.append((line, fields))
    finally:
        csv.field_size_limit(before)


def _json_records(path: Path, text: str) -> list[tuple[int, Record]]:
    if text.lstrip().startswith("["):
        raise InputError(f"{path}: begins with '['; expected JSON lines, one object a line")
    # Not splitlines, which also splits at characters that may stand within a JSON string.
    lines = enumerate(text.split("\n"), start=1)
    records = [(line, _json_record(row)) for line, row in lines if row.strip()]
    names = dict.fromkeys(name for _, row in records if isinstance(row, Mapping) for name in row)
    if names:
        _check_columns(path, list(names))
    return records


def _json_record(row: str) -> Record:
    try:
        value = json.loads(row, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        return f"not JSON ({error.msg} at column {error.colno}); expected one object a line"
    except (ValueError, RecursionError) as error:
        return f"not JSON ({error}); expected one object a line"
    if not isinstance(value, dict):
        return f"{shown(value)} is no object; expected one object a line"
    return {_column(name): field for name, field in value.items()}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value; write null for what is missing")


def _column(name: str) -> str:
    return name.strip().lower()


def _check_columns(path: Path, names: Sequence[str]) -> None:
    twice = [name for name in (*NEEDED, *OPTIONAL) if names.count(name) > 1]
    if twice:
        raise InputError(f"{path}: several columns {listed(twice)}; leave one of that name")
    missing = [name for name in NEEDED if name not in names]
    if not missing:
        return
    raise InputError(
        f"{path}: no column {listed(missing)} (columns found: {listed(names)}); expected "
        f"{listed(NEEDED)}, and optionally {listed(OPTIONAL)}{_hint(missing, names)}"
    )


def _hint(missing: Sequence[str], names: Sequence[str]) -> str:
    if len(names) == 1 and set(NEEDED) <= set(re.split(r"[,;|\t]", names[0])):
        return "; separate the columns by commas in .csv, by tabs in .tsv"
    others = [name for name in names if name not in (*NEEDED, *OPTIONAL)]
    near = [(name, difflib.get_close_matches(name, others, n=1)) for name in missing]
    return "".join(f"; rename {close[0]!r} to {name!r}?" for name, close in near if close)


def listed(names: Sequence[str]) -> str:
    """Names as a message shows them."""
    # A file without a header has texts in its place.
    return ", ".join(shown(name) for name in names[:20])


def shown(value: object) -> str:
    """A value as a message shows it."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
