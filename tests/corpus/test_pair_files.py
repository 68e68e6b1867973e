"""Files of pairs as people have them: forms, encodings, names of columns, sides and splits."""

import csv
import gzip
import io
import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from counterpoint.config.corpus_options import CorpusOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.corpus.opening import open_corpus
from counterpoint.corpus.pair_names import named_split, proposed, role_of, side_of
from counterpoint.corpus.pairs import read_pairs
from counterpoint.errors import InputError
from tests.support.debates import ROLES

TRAIN = {"train": "training"}
ROWS = [
    {"point": "Äpfel sind gesünder als Süßigkeiten", "counter": "Nicht für\njeden; nie"},
    {"point": "Die Schule muss nichts kosten", "counter": 'Wer "gratis" sagt, zahlt später'},
]


def as_csv(delimiter: str = ",") -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, ["point", "counter"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return stream.getvalue()


def texts(corpus: Corpus) -> list[str]:
    return [one.text for one in corpus.arguments]


def read(path: Path, columns: Mapping[str, str] | None = None) -> Corpus:
    return read_pairs(path, TRAIN, columns=columns)[0]


@pytest.mark.parametrize(
    ("name", "data", "understood"),
    [
        ("a.csv", as_csv().encode(), "CSV with commas between columns, UTF-8"),
        ("a.csv", as_csv(";").encode("utf-8-sig"), "CSV with semicolons between columns, UTF-8"),
        ("a.csv", as_csv("\t").encode(), "CSV with tabs between columns, UTF-8"),
        ("a.tsv", as_csv("\t").encode(), "CSV with tabs between columns, UTF-8"),
        ("a.tsv", as_csv().encode(), "CSV with commas between columns, UTF-8"),
        ("a.csv", as_csv("|").encode(), "CSV with bars between columns, UTF-8"),
        ("a.csv", as_csv(";").encode("cp1252"), "CSV with semicolons between columns, cp1252 (a"),
        ("a.csv", as_csv().encode("utf-16"), "CSV with commas between columns, utf_16 (a guess"),
        (
            "a.csv.gz",
            gzip.compress(as_csv().encode(), mtime=0),
            "CSV with commas between columns, UTF-8",
        ),
        ("a.json", json.dumps(ROWS).encode(), "JSON, UTF-8"),
        ("a.json.gz", gzip.compress(json.dumps(ROWS).encode(), mtime=0), "JSON, UTF-8"),
        ("a.json", "\n".join(map(json.dumps, ROWS)).encode(), "JSON, UTF-8"),
        ("a.jsonl", json.dumps(ROWS, indent=1).encode(), "JSON, UTF-8"),
    ],
)
def test_every_form_is_read_and_said(
    name: str, data: bytes, understood: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    corpus = read(tmp_path / name)
    assert texts(corpus) == [row[kind] for row in ROWS for kind in ("point", "counter")]
    assert corpus.notes[0].startswith(f"read as {understood}")


def test_a_parquet_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame([{**ROWS[0], "side": "con"}, {**ROWS[1], "side": None}]).to_parquet(path)
    corpus = read(path)
    assert texts(corpus) == [row[kind] for row in ROWS for kind in ("point", "counter")]
    assert [one.side for one in corpus.arguments] == ["con", "con", "pro", "pro"]
    pd.DataFrame([{**ROWS[0], "counter": None}]).to_parquet(path)
    with pytest.raises(InputError, match=r"a\.parquet row 1: an empty counter"):
        read(path)


def test_chinese_that_is_not_utf_8_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        "point,counter\n死刑应当废除，因为司法会出错,死刑能够威慑犯罪\n".encode("gb18030")
    )
    corpus = read(path)
    assert texts(corpus) == ["死刑应当废除，因为司法会出错", "死刑能够威慑犯罪"]
    assert "gb18030 (a guess" in corpus.notes[0]


@pytest.mark.parametrize(
    ("point", "counter"),
    [
        ("argument", "counter-argument"),
        ("argument", "counter_argument"),
        ("Anchor", "Positive"),
        ("query", "answer"),
    ],
)
def test_columns_of_other_names_are_read_where_they_are_named(
    point: str, counter: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{counter},{point},topic\nc,p,x\n")
    with pytest.raises(InputError, match=r"set corpus\.columns: ") as error:
        read(path)
    found = proposed(("point", "counter"), [counter.lower(), point.lower(), "topic"])
    assert found == {"point": point.lower(), "counter": counter.lower()}
    assert f"{{point: {found['point']}, counter: {found['counter']}}}" in str(error.value)
    corpus = read(path, columns={"point": point, "counter": counter})
    assert texts(corpus) == ["p", "c"]
    assert corpus.notes[1:] == (
        f"columns: point from {found['point']!r}, counter from {found['counter']!r}",
        "columns not used: 'topic' ('topic' may be the debate: name it in corpus.columns)",
    )


def test_a_column_that_is_read_as_another_is_not_its_own_too(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("side,point,counter\nhouse,p,c\n")
    corpus = read(path, columns={"debate": "side"})
    assert [(one.debate, one.side) for one in corpus.arguments] == [("house", "pro")] * 2
    with pytest.raises(InputError, match=r"corpus\.columns: no column 'topic' \(columns found: "):
        read(path, columns={"debate": "topic"})


def test_a_column_spelt_nearly_right_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("point,counter,debat,id\np,c,d,1\n")
    corpus = read(path)
    assert corpus.arguments[0].debate == "row-000001"
    assert corpus.notes[2] == (
        "columns not used: 'debat', 'id' ('debat' may be the debate: name it in corpus.columns)"
    )


def test_common_names_of_sides_are_read_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    sides = ["for", "for", "Against", "pro", "CON", "supports", ""]
    path.write_text(
        "point,counter,side\n" + "".join(f"p{n},c{n},{s}\n" for n, s in enumerate(sides))
    )
    corpus = read(path)
    points = [one.side for one in corpus.arguments if one.kind == "point"]
    assert points == ["pro", "pro", "con", "pro", "con", "pro", "pro"]
    assert corpus.notes[2:] == (
        "2 rows with the side 'for' read as pro",
        "1 row with the side 'Against' read as con",
        "1 row with the side 'supports' read as pro",
    )


def test_names_have_one_meaning() -> None:
    assert [role_of(name) for name in ("Train", "valid", "DEV", "testing", "spare")] == [
        "train", "dev", "dev", "test", None,
    ]  # fmt: skip
    assert [side_of(name) for name in ("In favour", "contra", "反对", "")] == [
        "pro", "con", "con", None,
    ]  # fmt: skip
    assert named_split("dev", ["val", "validation"]) is None
    assert named_split("validation", ["val", "validation"]) == "validation"


# Splits made by us


def write_rows(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("".join(json.dumps({"point": p, "counter": c}) + "\n" for p, c in rows))
    return path


def test_points_repeated_in_several_rows_leak_into_no_other_split(tmp_path: Path) -> None:
    # 50 points in 4 rows each; every fifth counter answers two points.
    rows = [(f"point {n}", f"counter {n} {k}") for k in range(4) for n in range(50)]
    rows += [(f"point {n}", f"counter {n + 5} 0") for n in range(0, 45, 5)]
    corpus, _ = read_pairs(write_rows(tmp_path / "a.jsonl", rows), ROLES)
    splits: dict[str, set[str]] = {}
    for one in corpus.arguments:
        splits.setdefault(one.text, set()).add(one.split)
    assert all(len(found) == 1 for found in splits.values())
    # Points 0, 5, … 45 hang together.
    assert len({split for n in range(0, 50, 5) for split in splits[f"point {n}"]}) == 1
    points = [sum(a.kind == "point" for a in corpus.split(f)) for f in ROLES.values()]
    assert points == [30, 10, 10]
    assert corpus.notes[-1] == (
        "no row names a split: 50 debates are divided by us (training 30, validation 10, test 10); "
        "those that share a text stay together, up to 10"
    )


def test_debates_that_all_share_a_text_cannot_be_divided(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", [(f"point {n}", ".") for n in range(50)])
    with pytest.raises(InputError, match=r"1 debates to divide .*, because 50 debates share texts"):
        read_pairs(path, ROLES)


# What is suspicious


def test_suspicious_texts_are_told_with_their_count(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    splits = ["train", "dev", "test"]
    rows = [f"same {n},same {n},{splits[n % 3]}\n" for n in range(6)]
    rows += [f"point {n},.,{splits[n % 3]}\n" for n in range(6)]
    path.write_text("point,counter,split\n" + "".join(rows * 2))
    notes = open_corpus(CorpusOptions(path=str(path)))[0].notes
    assert any(
        note.startswith("12 rows left out, which repeat a pair of their debate") for note in notes
    )
    assert any(note.startswith("6 points are the same text as their counter (") for note in notes)
    assert any(note.startswith("6 texts hold no word (") for note in notes)
    assert any(note.startswith("one text is the counter to 6 different points") for note in notes)


def test_nothing_of_the_sample_is_suspicious() -> None:
    notes = open_corpus(CorpusOptions())[0].notes
    assert [note.split(":")[0] for note in notes] == list(ROLES.values())
