"""Rows and numbers to text: CSV, Markdown, percentages, intervals."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence

DASH = "–"
"""What is shown for a number that is missing."""


def json_text(value: object) -> str:
    """Indented JSON.

    Raises:
        ValueError: there is a not-a-number in it.
    """
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


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


def percent(fraction: float | None, decimals: int) -> str:
    """A fraction as a percentage without its sign; a dash for what is missing."""
    if fraction is None or math.isnan(fraction):
        return DASH
    return f"{100 * fraction:.{decimals}f}"


def percent_interval(
    fraction: float | None, low: float | None, high: float | None, decimals: int, unit: str = ""
) -> str:
    """`53.1 (50.0–56.2)`, as far as there is anything; the unit follows the percentage."""
    text, *ends = (percent(number, decimals) for number in (fraction, low, high))
    if text == DASH:
        return DASH
    return f"{text}{unit}" if DASH in ends else f"{text}{unit} ({'–'.join(ends)})"


def signed(value: float | None, digits: int) -> str:
    """A difference with its sign; a dash for what is missing."""
    if value is None or math.isnan(value):
        return DASH
    return f"{value:+,.{digits}f}"


def signed_interval(value: float | None, low: float | None, high: float | None, digits: int) -> str:
    """`+1.2 (+0.1 to +2.3)`, as far as there is anything."""
    text, *ends = (signed(number, digits) for number in (value, low, high))
    return text if DASH in (text, *ends) else f"{text} ({' to '.join(ends)})"


def terminal_text(text: str) -> str:
    """A text that does nothing to a terminal but to stand there.

    Control characters and turns of the direction of writing are escaped; line breaks and tabs stay.
    """
    import regex

    safe: str = regex.sub(
        r"[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069--[\t\n]]",
        lambda match: match[0].encode("unicode_escape").decode("ascii"),
        text,
        flags=regex.V1,
    )
    return safe


def option_text(value: object) -> str:
    """An option's value as a person writes it: `0.02`, `concat`, `none`."""
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
