"""Writing pairs of any format: what no file of pairs can hold, and where nothing is written."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from counterpoint.corpus.converters import formats
from counterpoint.corpus.converters.rows import Row, Tally, readable
from counterpoint.corpus.sources import MAX_TEXT_BYTES
from counterpoint.errors import InputError

ROW = Row(point="p", counter="c", debate="d")


def stand_in(monkeypatch: pytest.MonkeyPatch, rows: Iterator[Row]) -> None:
    monkeypatch.setattr(formats, "FORMATS", {"any": lambda path, tally: rows})


def test_what_a_file_of_pairs_cannot_hold_is_counted() -> None:
    tally = Tally()
    long = "é" * (MAX_TEXT_BYTES // 2)
    rows = [
        ROW,
        Row(point=" ", counter="c", debate="d"),
        Row(point="p", counter="\ud800", debate="d"),
        Row(point=long, counter="c", debate="d"),
        Row(point=f"{long}!", counter="c", debate="d"),
        Row(point="p", counter=" p", debate="d"),
        Row(point="p", counter="c", debate=""),
        Row(point="p", counter="c", debate="e"),
        ROW,
    ]
    assert list(readable(rows, tally)) == [rows[0], rows[3], rows[7]]
    assert tally.left_out == {
        "pairs with an empty text": 2,
        "pairs with half a surrogate pair": 1,
        f"pairs with a text of more than {MAX_TEXT_BYTES:,} bytes": 1,
        "pairs whose point and counter are the same text": 1,
        "pairs that stand there twice": 1,
    }


def test_a_line_has_the_columns_that_its_row_has() -> None:
    assert ROW.line() == '{"point": "p", "counter": "c", "debate": "d"}\n'
    full = Row(point="ü\n", counter="c", debate="d", theme="t", side="con", split="train")
    assert full.line() == (
        '{"point": "ü\\n", "counter": "c", "debate": "d", "theme": "t", "side": "con", '
        '"split": "train"}\n'
    )


def test_a_file_is_replaced_only_where_that_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "source", tmp_path / "pairs.jsonl"
    source.write_text("")
    out.write_text("keep")
    stand_in(monkeypatch, iter([ROW]))
    with pytest.raises(InputError, match=r"pairs\.jsonl: exists; .*--overwrite"):
        formats.convert("any", source, out)
    assert out.read_text() == "keep"
    formats.convert("any", source, out, overwrite=True)
    assert out.read_text() == ROW.line()


def test_the_publishers_split_can_be_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for keep, splits in ((True, {"train": 1}), (False, {})):
        stand_in(monkeypatch, iter([replace(ROW, split="train")]))
        out = tmp_path / f"{keep}.jsonl"
        assert formats.convert("any", tmp_path, out, splits=keep).splits == splits
        assert ("split" in out.read_text()) is keep


def test_what_is_read_is_never_written_over(tmp_path: Path) -> None:
    source, link = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    source.write_text("keep")
    os.link(source, link)
    for out in (source, link):
        with pytest.raises(InputError, match="is what is read"):
            formats.convert("kialo", source, out, overwrite=True)
    assert source.read_text() == "keep"


@pytest.mark.parametrize("name", ["pairs.csv", "pairs", "pairs.jsonl.gz"])
def test_only_names_of_json_lines_are_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"ends in \.jsonl or \.ndjson"):
        formats.convert("kialo", tmp_path, tmp_path / name)


def test_a_source_that_fails_half_way_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows() -> Iterator[Row]:
        yield ROW
        raise InputError("line 2 is bad")

    out = tmp_path / "pairs.jsonl"
    out.write_text("keep")
    stand_in(monkeypatch, rows())
    with pytest.raises(InputError, match="line 2 is bad"):
        formats.convert("any", tmp_path, out, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.jsonl"]
    assert out.read_text() == "keep"


def test_formats_files_and_folders_that_are_not_there_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "pairs.jsonl"
    with pytest.raises(InputError, match="no format 'Kialo'; expected one of kialo, argsme, winn"):
        formats.convert("Kialo", tmp_path, out)
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        formats.convert("kialo", tmp_path / "nowhere", out)
    with pytest.raises(InputError, match="a folder; expected a file"):
        formats.convert("argsme", tmp_path, out)
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(InputError, match=r"folder\.jsonl: a folder; give a file"):
        formats.convert("argsme", tmp_path, tmp_path / "folder.jsonl", overwrite=True)
