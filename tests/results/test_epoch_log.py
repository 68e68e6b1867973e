"""The epoch log: what is appended is what is read."""

import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.errors import InputError
from counterpoint.runs.epoch_log import append, read


def test_what_is_appended_is_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "epochs.jsonl"
    records = [{"epoch": i, "loss": {"triplet": i / 3}, "events": ["a", "ü"]} for i in range(3)]
    for record in records:
        append(path, record)
    assert read(path) == records


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**53), 2**53),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(records=st.lists(st.dictionaries(st.text(), values, max_size=3), max_size=3))
def test_any_record_comes_back(records: list[dict[str, Any]]) -> None:
    numbered = [{**record, "epoch": epoch} for epoch, record in enumerate(records)]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "epochs.jsonl"
        path.touch()
        for record in numbered:
            append(path, record)
        assert read(path) == numbered


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r"])
def test_only_a_newline_ends_a_record(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "epochs.jsonl"
    append(path, {"epoch": 0, "reason": f"a{separator}b"})
    assert read(path) == [{"epoch": 0, "reason": f"a{separator}b"}]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_becomes_null(tmp_path: Path, value: float) -> None:
    path = tmp_path / "epochs.jsonl"
    append(path, {"epoch": 0, "loss": value, "deep": {"list": [1.5, value], "pair": (value, 2)}})
    assert read(path) == [
        {"epoch": 0, "loss": None, "deep": {"list": [1.5, None], "pair": [None, 2]}}
    ]


def test_a_record_is_one_line_of_strict_json(tmp_path: Path) -> None:
    path = tmp_path / "epochs.jsonl"
    append(path, {"epoch": 0, "note": "two\nlines", "loss": math.nan})
    lines = path.read_text(encoding="utf-8").split("\n")
    assert len(lines) == 2
    assert lines[1] == ""

    def refuse(word: str) -> None:
        raise AssertionError(word)

    assert json.loads(lines[0], parse_constant=refuse)["note"] == "two\nlines"


def test_the_same_records_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        append(tmp_path / name, {"epoch": 0, "loss": 1 / 3, "word": "ü"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_empty_log_has_no_records(tmp_path: Path) -> None:
    path = tmp_path / "epochs.jsonl"
    path.touch()
    assert read(path) == []


@pytest.mark.parametrize(
    "line",
    [
        b'{"epoch": 1, "lo',
        b"\x00\x00\x00",
        b"\xff\xfe",
        b"",
        b"[1, 2]",
        b'"epoch"',
        b'{"loss": 1.0}',
    ],
)
def test_a_broken_line_is_named_with_its_file(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "epochs.jsonl"
    path.write_bytes(b'{"epoch": 0}\n' + line + b'\n{"epoch": 2}\n')
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "line 2" in str(caught.value)
