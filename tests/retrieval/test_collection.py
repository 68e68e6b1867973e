"""Texts with what is known of them, from each kind of collection."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from counterpoint.errors import InputError
from counterpoint.retrieval.collection import Document, identity, read_collection
from tests.support.commands import BEIR

ROWS: list[dict[str, Any]] = [
    {"id": "a", "argument": "Cars pollute.", "theme": "cars", "votes": 3},
    {"id": "b", "argument": " Zoos\nsave species. ", "theme": None, "votes": 1.5},
]

EXPECTED = [
    Document("Cars pollute.", "a", {"id": "a", "theme": "cars", "votes": "3"}),
    Document("Zoos\nsave species.", "b", {"id": "b", "votes": "1.5"}),
]


def write_rows(path: Path) -> Path:
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(
            pa.Table.from_pylist([{**row, "votes": str(row["votes"])} for row in ROWS]), path
        )
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, ROWS)))
    else:
        between = "\t" if path.suffix == ".tsv" else ","
        rows = [
            list(ROWS[0]),
            *(["" if v is None else str(v) for v in row.values()] for row in ROWS),
        ]
        path.write_text("\n".join(between.join(f'"{value}"' for value in row) for row in rows))
    return path


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_a_file_of_texts_keeps_its_other_columns(ending: str, tmp_path: Path) -> None:
    path = write_rows(tmp_path / f"texts.{ending}")
    assert list(read_collection(str(path), text="Argument").documents) == EXPECTED


def test_a_row_without_an_id_is_known_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("text\none\ntwo\n")
    assert [one.source for one in read_collection(str(path), text="text").documents] == [
        "texts.csv:2",
        "texts.csv:3",
    ]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("text,theme\none,x\n,x\none ,x\none,y\n  ,y\n")
    found = read_collection(str(path), text="text")
    assert [(one.text, dict(one.metadata)) for one in found.documents] == [
        ("one", {"theme": "x"}),
        ("one", {"theme": "y"}),
    ]
    assert "left out 2 without a text" in found.notes
    assert "left out 1 that repeat the text and metadata of another" in found.notes


def test_a_corpus_gives_its_counters_with_their_own_side(
    small_tree: dict, write_tree: Callable
) -> None:
    folder = str(write_tree(small_tree))
    counters = read_collection(folder).documents
    points = read_collection(folder, kind="points").documents
    assert len(read_collection(folder, kind="all").documents) == len(counters) + len(points)
    assert {one.metadata["kind"] for one in counters} == {"counter"}
    first = next(one for one in counters if one.source.endswith("/pro01b"))
    # It answers a text of the side pro.
    assert first.metadata["side"] == "con"
    assert first.source == first.metadata["id"]
    assert {"theme", "debate", "split"} < set(first.metadata)
    point = next(one for one in points if one.source == first.source.removesuffix("b") + "a")
    assert point.metadata["side"] == "pro"


def test_pairs_of_which_nobody_says_the_side_have_none(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("point,counter\nCars pollute.,They do not.\n")
    [found] = read_collection(str(path)).documents
    assert found.text == "They do not."
    assert "side" not in found.metadata


def test_beir_is_read_from_its_folder_and_from_its_file(write_tree: Callable) -> None:
    rows = '{"_id": "d", "title": "On juries", "text": "They err."}\n{"_id": "e", "text": ""}\n'
    folder = write_tree({**BEIR, "corpus.jsonl": rows})
    for path in (folder, folder / "corpus.jsonl"):
        found = read_collection(str(path))
        assert list(found.documents) == [
            Document("On juries They err.", "d", {"id": "d", "title": "On juries"})
        ]
        assert "left out 1 without a text" in found.notes


def test_a_folder_of_texts_is_known_by_its_paths(write_tree: Callable) -> None:
    folder = write_tree({"a.txt": "\ufeffone\n\ntwo", "law/b.txt": "three", "law/c.md": "no"})
    assert list(read_collection(str(folder)).documents) == [
        Document("one\n\ntwo", "a.txt"),
        Document("three", "law/b.txt", {"folder": "law"}),
    ]
    [alone] = read_collection(str(folder / "a.txt")).documents
    assert alone == Document("one\n\ntwo", "a.txt")


@pytest.mark.parametrize(
    ("files", "path", "text", "message"),
    [
        ({"t.csv": "a,b\nx,y"}, "t.csv", None, r"which column .* --text .*'a', 'b'"),
        ({"t.csv": "a,b\nx,y"}, "t.csv", "c", r"--text c: no such column .*'a', 'b'"),
        ({"t.csv": "text\n\n"}, "t.csv", "text", "no text in it"),
        ({"t.csv": ""}, "t.csv", "text", "an empty file; expected the columns 'text'"),
        ({"t.jsonl": '{"text": ["x"]}'}, "t.jsonl", "text", r"t\.jsonl:1: text: a list is no text"),
        ({"t.jsonl": '{"text": "\\ud800"}'}, "t.jsonl", "text", "lone surrogate"),
        ({"t.jsonl": "no"}, "t.jsonl", "text", r"t\.jsonl:1: not JSON"),
        ({"t.txt": "x"}, "t.txt", "text", "--text text: .* no file with columns"),
        ({"a/t.txt": b"\xff"}, "a", None, r"t\.txt: not UTF-8"),
        ({"a/t.md": "x"}, "a", None, "or a folder of .txt files"),
        ({"a/t.txt": " "}, "a", None, "no text in it"),
        ({}, "nowhere", None, "no such folder or file"),
    ],
)
def test_what_is_no_collection_is_refused_by_name(
    files: dict, path: str, text: str | None, message: str, write_tree: Callable, tmp_path: Path
) -> None:
    folder = write_tree({**files, "other": "x"})
    with pytest.raises(InputError, match=message):
        read_collection(str(folder / path), text=text)


def test_what_cannot_be_used_is_left_out_where_that_is_asked_for(write_tree: Callable) -> None:
    folder = write_tree({"a.txt": b"\xff", "b.txt": "two"})
    found = read_collection(str(folder), skip=True)
    assert [one.text for one in found.documents] == ["two"]
    assert "left out 1 that cannot be used, the first: a.txt: not UTF-8" in found.notes[-1]
    (folder / "t.jsonl").write_text('{"text": "x"}\nno\n')
    found = read_collection(str(folder / "t.jsonl"), text="text", skip=True)
    assert [one.source for one in found.documents] == ["t.jsonl:1"]
    assert found.notes[-1].startswith("left out 1 that cannot be used")


def test_documents_are_the_same_by_text_and_metadata() -> None:
    one = Document("a  b", "x", {"m": "1", "n": "2"})
    assert identity(one) == identity(Document("a\nb", "y", {"n": "2", "m": "1"}))
    for other in (Document("a c", "x", one.metadata), Document("a b", "x", {"m": "1", "n": "3"})):
        assert identity(one) != identity(other)
