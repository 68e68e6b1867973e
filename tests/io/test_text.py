"""Rows to CSV and Markdown, and numbers to text."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.io.text import csv_text, markdown_table, rate_text


def test_csv_has_a_header_and_unix_lines() -> None:
    assert csv_text([{"a": 1, "b": "x"}, {"a": 2.5, "b": "y"}]) == "a,b\n1,x\n2.5,y\n"


def test_csv_quotes_what_it_must() -> None:
    assert (
        csv_text([{"a": 'say "a, b"', "b": "two\nlines"}]) == 'a,b\n"say ""a, b""","two\nlines"\n'
    )


def test_none_is_an_empty_field() -> None:
    assert csv_text([{"a": None, "b": 0}]) == "a,b\n,0\n"


def test_csv_columns_may_be_given_in_another_order() -> None:
    assert csv_text([{"a": 1, "b": 2}], ["b", "a"]) == "b,a\n2,1\n"


def test_csv_without_rows_is_its_header() -> None:
    assert csv_text([], ["a", "b"]) == "a,b\n"


def test_a_key_that_is_no_column_is_refused() -> None:
    with pytest.raises(ValueError, match="c"):
        csv_text([{"a": 1}, {"a": 1, "c": 2}])


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.text(st.characters(exclude_characters="\0\r", codec="utf-8"))] * 2),
        min_size=1,
        max_size=5,
    )
)
def test_csv_reads_back(pairs: list[tuple[str, str]]) -> None:
    rows = [{"a": left, "b": right} for left, right in pairs]
    assert list(csv.DictReader(io.StringIO(csv_text(rows), newline=""))) == rows


def test_markdown_aligns_numbers_right() -> None:
    assert markdown_table([{"name": "a", "n": 1}, {"name": "b", "n": 20}]) == (
        "| name | n |\n| --- | ---: |\n| a | 1 |\n| b | 20 |\n"
    )


@pytest.mark.parametrize("cell", ["-1.5", "12,345", "**38.2**", "~3", 4.0, None, ""])
def test_markdown_knows_numbers(cell: object) -> None:
    assert markdown_table([{"n": 1}, {"n": cell}]).split("\n")[1] == "| ---: |"


@pytest.mark.parametrize("cell", ["a", "1 of 2", "0.8, 0.02", "≈ 3"])
def test_one_word_makes_a_column_of_words(cell: str) -> None:
    assert markdown_table([{"n": 1}, {"n": cell}]).split("\n")[1] == "| --- |"


def test_none_and_missing_cells_are_empty() -> None:
    assert markdown_table([{"a": "x", "b": None}, {"a": "y"}]).split("\n")[2:4] == [
        "| x |  |",
        "| y |  |",
    ]


def test_a_bar_does_not_split_a_cell() -> None:
    assert "| a\\|b |\n" in markdown_table([{"x": "a|b"}])


@pytest.mark.parametrize(
    ("rate", "text"),
    [(1.0, "1"), (0.0, "0"), (0.8, "0.8"), (0.005, "0.005"), (3e-6, "3e-06"), (0.0075, "0.0075")],
)
def test_a_rate_is_written_short(rate: float, text: str) -> None:
    assert rate_text(rate) == text


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), -float("inf")])
def test_a_rate_that_is_no_number_is_not_written(rate: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        rate_text(rate)
