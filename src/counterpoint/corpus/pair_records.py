"""From a file of pairs to its rows, whatever form they have; columns by the names that we use."""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from counterpoint.corpus.pair_files import PairFile, decoded, open_pair_file
from counterpoint.corpus.pair_names import COLUMNS, NEEDED, OPTIONAL, proposed
from counterpoint.errors import InputError

Record = Mapping[str, object] | str
"""Column to value, or why the row could not be taken apart."""

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class PairTable:
    """The rows of a file."""

    records: Sequence[tuple[str, Record]]
    """(place, record) of every row: `FILE:LINE` where it begins, or `FILE row N`."""
    columns: Mapping[str, str]
    """Each of our columns that is there, to its name in the file."""
    notes: tuple[str, ...]
    """How the file was understood."""


@dataclass(frozen=True)
class Table:
    """The rows of a file of any columns."""

    records: Sequence[tuple[str, Record]]
    """As `PairTable` has them, by the file's own names."""
    names: Sequence[str]
    """Of the columns, in lower case; none where no row can be taken apart."""
    form: str
    """How the file was read, for people."""


def read_records(path: Path, columns: Mapping[str, str] | None = None) -> PairTable:
    """The rows of a file, with our columns alone.

    Args:
        path: see `read_table`.
        columns: some of our columns to their names in the file.

    Raises:
        InputError: no such file, of no encoding, empty, or without a needed column.
    """
    columns = {ours: _folded(name) for ours, name in (columns or {}).items()}
    table = read_table(path, [columns.get(ours, ours) for ours in NEEDED])
    # Without any object there is nothing to miss a column in; each row says what is wrong with it.
    return _named(path, table, columns) if table.names else PairTable(table.records, {}, ())


def read_table(path: Path, needed: Sequence[str]) -> Table:
    """The rows of a file, with all its columns.

    Args:
        path: `.csv`, `.tsv`, `.jsonl`, `.ndjson`, `.json` (an array, or a line an object) or
            `.parquet`, each also with `.gz`.
        needed: columns that are expected, by which it is told what parts them. That they are there
            is for the caller to check.

    Raises:
        InputError: no such file, of no encoding, or empty.
    """
    file = open_pair_file(path)
    needed = [_folded(name) for name in needed]
    if file.form == ".parquet":
        return _of_objects(_parquet_records(file, needed), "parquet")
    text, encoding = decoded(file)
    if not text.strip():
        raise _empty(path, needed)
    if encoding != "UTF-8":
        encoding += " (a guess, it is not UTF-8; where letters look wrong, save it as UTF-8)"
    if file.form in (".csv", ".tsv"):
        return _csv_table(file, text, needed, encoding)
    return _of_objects(_json_records(path, text), f"JSON, {encoding}")


def _empty(path: Path, needed: Sequence[str]) -> InputError:
    return InputError(f"{path}: an empty file; expected the columns {listed(needed)}")


# Columns


def _named(path: Path, table: Table, columns: Mapping[str, str]) -> PairTable:
    """Rows with the file's columns as rows with ours."""
    found = _found(path, table.names, columns)

    def renamed(row: Record) -> Record:
        if isinstance(row, str):
            return row
        return {ours: row[name] for ours, name in found.items() if name in row}

    return PairTable(
        [(place, renamed(row)) for place, row in table.records],
        found,
        (f"read as {table.form}", *_on_columns(found, table.names)),
    )


def _of_objects(records: Sequence[tuple[str, Record]], form: str) -> Table:
    """Rows that each name their own columns."""
    names = dict.fromkeys(name for _, row in records if isinstance(row, Mapping) for name in row)
    return Table(records, list(names), form)


def _found(path: Path, names: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Each of our columns that is there, to its name among those of a file.

    Raises:
        InputError: one is missing that is needed or was asked for, or stands there twice.
    """
    wanted = {ours: columns.get(ours, ours) for ours in COLUMNS}
    # A column that is read as something else is not also what its name says.
    taken = set(columns.values())
    wanted = {ours: name for ours, name in wanted.items() if ours in columns or name not in taken}
    twice = [name for name in wanted.values() if names.count(name) > 1]
    if twice:
        raise InputError(f"{path}: several columns {listed(twice)}; leave one of that name")
    asked = [name for name in columns.values() if name not in names]
    if asked:
        raise InputError(
            f"{path}: corpus.columns: no column {listed(asked)} (columns found: {listed(names)})"
        )
    found = {ours: name for ours, name in wanted.items() if name in names}
    missing = [ours for ours in NEEDED if ours not in found]
    if missing:
        free = [name for name in names if name not in taken]
        raise InputError(
            f"{path}: no column {listed(missing)} (columns found: {listed(names)}); expected "
            f"{listed(NEEDED)}, and optionally {listed(OPTIONAL)}"
            f"{_proposal(missing, free, columns)}"
        )
    return found


def _proposal(missing: Sequence[str], names: Sequence[str], columns: Mapping[str, str]) -> str:
    found = proposed(missing, names)
    if not found:
        return "; rename them, or name yours in corpus.columns"
    mapping = ", ".join(f"{ours}: {_plain(name)}" for ours, name in {**columns, **found}.items())
    option = " ".join(f"{ours}={_plain(name)}" for ours, name in {**columns, **found}.items())
    meant = " and ".join(f"{shown(name)} is the {ours}" for ours, name in found.items())
    rest = [ours for ours in missing if ours not in found]
    also = f", and name the {' and '.join(rest)} likewise" if rest else ""
    return (
        f"; if {meant}, set corpus.columns: {{{mapping}}} (counterpoint corpus --columns "
        f"{option}){also}"
    )


def _plain(name: str) -> str:
    """A name as YAML and a shell take it, quoted where it is no plain word."""
    return name if re.fullmatch(r"[\w-]+", name) else json.dumps(name, ensure_ascii=False)


def _on_columns(found: Mapping[str, str], names: Sequence[str]) -> list[str]:
    """Which columns are read, and which are not."""
    read = [ours if ours == name else f"{ours} from {shown(name)}" for ours, name in found.items()]
    notes = [f"columns: {', '.join(read)}"]
    unused = [name for name in names if name not in found.values()]
    if unused:
        missing = [ours for ours in COLUMNS if ours not in found]
        near = proposed(missing, unused)
        hints = ", ".join(f"{shown(name)} may be the {ours}" for ours, name in near.items())
        hint = f" ({hints}: name it in corpus.columns)" if hints else ""
        notes.append(f"columns not used: {listed(unused)}{hint}")
    return notes


def _folded(name: str) -> str:
    return name.strip().lower()


# CSV


def _csv_table(file: PairFile, text: str, needed: Sequence[str], encoding: str) -> Table:
    usual = "\t" if file.form == ".tsv" else ","
    delimiter = _delimiter(text, usual, set(needed))
    rows = _csv_rows(text, delimiter)
    line, header = rows[0]
    if isinstance(header, str):
        raise InputError(f"{file.path}:{line}: the header: {header}")
    names = [_folded(name) for name in header]

    def record(fields: list[str] | str) -> Record:
        if isinstance(fields, str):
            return fields
        if len(fields) > len(names):
            return (
                f"{len(fields)} fields, but {len(names)} columns; quote a field with {delimiter!r}"
            )
        # Spreadsheets leave out empty fields at the end of a row.
        return dict(zip(names, fields, strict=False))

    records: list[tuple[str, Record]] = [
        (f"{file.path}:{line}", record(fields)) for line, fields in rows[1:]
    ]
    form = f"CSV with {DELIMITERS[delimiter]} between columns, {encoding}"
    return Table(records, names, form)


def _delimiter(text: str, usual: str, needed: set[str]) -> str:
    """What parts the columns: under which the header has the columns needed, else most columns."""

    def fit(delimiter: str) -> tuple[bool, int, bool]:
        rows = _csv_rows(text, delimiter, most=1)
        header = rows[0][1] if rows else ""
        # A header that cannot be taken apart is told of as the file's ending has it.
        names = [""] if isinstance(header, str) else [_folded(name) for name in header]
        return needed <= set(names), len(names), delimiter == usual

    return max(DELIMITERS, key=fit)


def _csv_rows(
    text: str, delimiter: str, most: int | None = None
) -> list[tuple[int, list[str] | str]]:
    """(line, fields) of every row that is not blank; a text says why there are no fields."""
    rows: list[tuple[int, list[str] | str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    # No field is longer than the file: what is too long for a text is reported by its row.
    before = csv.field_size_limit(len(text))
    try:
        while most is None or len(rows) < most:
            line = reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                what = f"lines {line} to {reader.line_num}: {error}; check the quotes"
                rows.append((line, what))
            else:
                if fields:
                    rows.append((line, fields))
    finally:
        csv.field_size_limit(before)
    return rows


# JSON and parquet


def _json_records(path: Path, text: str) -> list[tuple[str, Record]]:
    if text.lstrip().startswith("["):
        return _json_array(path, text)
    # Not splitlines, which also splits at characters that may stand within a JSON string.
    lines = enumerate(text.split("\n"), start=1)
    return [(f"{path}:{line}", _json_record(row)) for line, row in lines if row.strip()]


def _json_array(path: Path, text: str) -> list[tuple[str, Record]]:
    try:
        rows = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}:{error.lineno}: not JSON ({error.msg} at column {error.colno}); expected an "
            "array of objects, or an object a line"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: not JSON ({error}); expected an array of objects, or an object a line"
        ) from error
    return [(f"{path} row {number}", _object(row)) for number, row in enumerate(rows, start=1)]


def _json_record(row: str) -> Record:
    try:
        value = json.loads(row, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        return f"not JSON ({error.msg} at column {error.colno}); expected one object a line"
    except (ValueError, RecursionError) as error:
        return f"not JSON ({error}); expected one object a line"
    return _object(value)


def _object(value: object) -> Record:
    if not isinstance(value, dict):
        return f"{shown(value)} is no object; expected one object a line"
    return {_folded(name): field for name, field in value.items()}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value; write null for what is missing")


def _parquet_records(file: PairFile, needed: Sequence[str]) -> list[tuple[str, Record]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.ParquetFile(pa.BufferReader(file.data)).read().to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{file.path}: not a parquet file that can be read: {error}") from error
    if not rows:
        raise _empty(file.path, needed)
    return [
        (f"{file.path} row {number}", {_folded(name): field for name, field in row.items()})
        for number, row in enumerate(rows, start=1)
    ]


# Words of messages


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
