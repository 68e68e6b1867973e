"""Rows to text: CSV and Markdown."""

import csv
import io
import math
from collections.abc import Mapping, Sequence


def csv_text(rows: Sequence[Mapping[str, object]], columns: Sequence[str] | None = None) -> str:
    """Comma-separated values with a header; None is an empty field."""
    columns = columns or list(rows[0])
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def markdown_table(rows: Sequence[Mapping[str, object]]) -> str:
    """A Markdown table with the first row's keys as header; numbers are right-aligned."""
    columns = list(rows[0])
    cells = [[_cell(row.get(column, "")) for column in columns] for row in rows]
    numeric = [all(_is_number(row[index]) for row in cells) for index in range(len(columns))]
    rule = ["---:" if right else "---" for right in numeric]
    lines = [[_cell(column) for column in columns], rule, *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(value: object) -> str:
    return "" if value is None else " ".join(str(value).replace("|", "\\|").split())


def _is_number(text: str) -> bool:
    try:
        float(text.strip("*~ ").replace(",", "") or "0")
    except ValueError:
        return False
    return True


def rate_text(rate: float) -> str:
    """A rate as file names and tables write it: `1`, `0.8`, `0.005`."""
    if not math.isfinite(rate):
        raise ValueError(f"a rate is a finite number, not {rate}")
    return repr(float(rate)).removesuffix(".0")
