"""ConvoKit's Winning Arguments: which replies counter a post, and all that can be wrong."""

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from counterpoint.corpus.arguments import pairs_of
from counterpoint.corpus.pairs import read_pairs
from tests.support.converters import converted, pairs, refusal, utterance, write_threads

FOOTNOTE = (
    "\n\n_____\n\n&gt; *Hello, users of CMV! This is a footnote from your moderators. We'd just "
    "like to remind you of a couple of things.*\n\nMore of it."
)

A = [
    utterance("t3_a", f"Cats are &lt; dogs.{FOOTNOTE}"),
    utterance("t1_a1", "They purr.", "t3_a", 1),
    utterance("t1_a2", "&gt; Cats are\n\nThey wash.", "t3_a", 1),
    utterance("t1_a3", "They hunt.", "t3_a", 0),
    utterance("t1_a4", "They sleep.", "t3_a"),
    utterance("t1_a5", "And so on.", "t1_a1", 1),
]
B = [
    utterance("t3_b", "[deleted]", root="t3_b"),
    utterance("t1_b1", "Tea wakes.", "t3_b", 1, root="t3_b"),
]
C = [
    utterance("t3_c", "Rain is good.", root="t3_c"),
    utterance("t1_c1", "It is wet.", "t3_c", 0, root="t3_c"),
]
FACTS = {
    "t3_a": {"op-title": "CMV: cats", "op-text-body": "…", "pair_ids": ["p_1"], "train": 1},
    "t3_b": {"op-title": "CMV: tea", "op-text-body": "Tea is dull.", "train": 0},
    "t3_c": {"op-title": "CMV: rain", "op-text-body": "Rain is good.", "train": 1},
}


def test_each_direct_reply_that_succeeded_counters_the_post(tmp_path: Path) -> None:
    rows, report = converted("winning-args", write_threads(tmp_path / "c", A + B + C, FACTS))
    cats = "CMV: cats\n\nCats are < dogs."
    assert rows == [
        {"point": cats, "counter": "They purr.", "debate": "t3_a", "split": "train"},
        {
            "point": cats,
            "counter": "> Cats are\n\nThey wash.",
            "debate": "t3_a",
            "split": "train",
        },
        {
            "point": "CMV: tea\n\nTea is dull.",
            "counter": "Tea wakes.",
            "debate": "t3_b",
            "split": "test",
        },
    ]
    assert (report.pairs, report.points, report.debates) == (3, 2, 2)
    assert report.read == {"utterances": 10, "conversations": 3}
    assert report.splits == {"train": 2, "test": 1}
    assert report.left_out == {
        "replies that did not succeed (success 0)": 2,
        "replies that nobody judged (success null)": 1,
        "replies in a thread that succeeded, but not to the post itself": 1,
        "posts without a direct reply that succeeded": 1,
    }


def renamed(one: dict[str, object]) -> dict[str, object]:
    names = {"user": "speaker", "root": "conversation_id", "reply-to": "reply_to"}
    return {names.get(key, key): value for key, value in one.items()}


def packed(folder: Path) -> Path:
    """The folder as a zip, with the copies of attributes that macOS adds."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.iterdir():
            archive.write(file, f"winning-args-corpus/{file.name}")
            archive.writestr(f"__MACOSX/winning-args-corpus/{file.name}", b"\x00")
    return path


def gzipped(folder: Path) -> Path:
    file = folder / "utterances.jsonl"
    (folder / "utterances.jsonl.gz").write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()
    return folder


@pytest.mark.parametrize("form", [packed, gzipped, lambda folder: packed(gzipped(folder))])
def test_a_zip_and_gzipped_lines_give_the_same(
    tmp_path: Path, form: Callable[[Path], Path]
) -> None:
    folder = write_threads(tmp_path / "c", A + B + C, FACTS)
    expected = converted("winning-args", folder)
    assert converted("winning-args", form(folder)) == expected


def test_convokits_names_of_today_give_the_same(tmp_path: Path) -> None:
    expected = converted("winning-args", write_threads(tmp_path / "old", A + B + C, FACTS))
    facts = {name: {"meta": value, "vectors": []} for name, value in FACTS.items()}
    lines = [renamed(one) for one in A + B + C]
    assert converted("winning-args", write_threads(tmp_path / "new", lines, facts)) == expected


def test_replies_without_text_or_post_are_counted(tmp_path: Path) -> None:
    lines = [
        *A,
        utterance("t1_a6", "[deleted]", "t3_a", 1),
        utterance("t1_a7", None, "t3_a", 1),
        utterance("t3_d", "Lost.", root="t3_d"),
        utterance("t1_d1", "Found.", "t3_d", 1, root="t3_d"),
        utterance("t3_e", "[removed]", root="t3_e"),
        utterance("t1_e1", "Why?", "t3_e", 1, root="t3_e"),
    ]
    facts = FACTS | {"t3_e": {"op-title": "CMV: e", "op-text-body": "", "train": 0}}
    rows, report = converted("winning-args", write_threads(tmp_path / "c", lines, facts))
    assert len(rows) == 2
    assert {reason: report.left_out[reason] for reason in list(report.left_out)[3:]} == {
        "replies that are deleted or have no text": 2,
        "replies whose conversation is not in conversations.json": 1,
        "replies whose post is deleted or has no text": 1,
    }
    counted = (
        sum(report.left_out.values())
        - report.left_out["posts without a direct reply that succeeded"]
    )
    posts = report.read["conversations"]
    assert report.read["utterances"] == report.pairs + counted + posts


def test_a_text_that_has_its_title_gets_no_second_one(tmp_path: Path) -> None:
    lines = [utterance("t3_a", "CMV: cats are dull."), *A[1:2]]
    rows, _ = converted("winning-args", write_threads(tmp_path / "c", lines, FACTS))
    assert pairs(rows) == [("CMV: cats are dull.", "They purr.")]


def test_a_corpus_without_train_has_no_splits_and_one_without_some_tells(tmp_path: Path) -> None:
    bare = {name: {**facts, "train": None} for name, facts in FACTS.items()}
    rows, report = converted("winning-args", write_threads(tmp_path / "c", A + B, bare))
    assert [row for row in rows if "split" in row] == []
    assert (report.pairs, report.splits) == (3, {})
    some = FACTS | {"t3_b": bare["t3_b"]}
    rows, report = converted("winning-args", write_threads(tmp_path / "d", A + B, some))
    assert len(rows) == 2
    assert report.left_out["replies whose conversation names no split"] == 1


def bad_line(folder: Path, line: str) -> Path:
    write_threads(folder, A, FACTS)
    with (folder / "utterances.jsonl").open("a") as stream:
        stream.write(f"\n{line}\n")
    return folder


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ('{"id": ', ["utterances.jsonl:8", "not JSON"]),
        ('["t1_x"]', ["utterances.jsonl:8", "a JSON list"]),
        ('{"id": "x"}', ["utterances.jsonl:8", 'no "meta"']),
        (json.dumps(utterance("x", "x", "t3_a", 2)), [":8", "meta.success is 2", "1, 0 or null"]),
        (json.dumps({**A[1], "root": 7}), [":8", '"conversation_id"']),
        ('{"id": "x", "user": "u", "reply-to": null, "meta": {}}', [":8", '"conversation_id"']),
        ('{"id": "x", "user": "u", "root": "t3_a", "meta": {}}', [":8", '"reply_to"']),
    ],
)
def test_a_bad_utterance_is_refused_by_line(tmp_path: Path, line: str, parts: list[str]) -> None:
    message = refusal("winning-args", bad_line(tmp_path / "c", line))
    assert [part for part in parts if part not in message] == []


def test_bad_conversations_are_refused_by_name(tmp_path: Path) -> None:
    for number, (content, part) in enumerate(
        [
            ("{", "conversations.json: not JSON"),
            ('{"t3_a": 3}', "conversation 't3_a' is no object"),
            ('{"t3_a": {"train": 1}}', "conversation 't3_a' has no op-title"),
        ]
    ):
        folder = write_threads(tmp_path / str(number) / "c", A, FACTS)
        (folder / "conversations.json").write_text(content)
        assert part in refusal("winning-args", folder)


def test_a_folder_or_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    folder = write_threads(tmp_path / "a" / "c", A, FACTS)
    assert "several files utterances.jsonl" in refusal("winning-args", _twice(folder))
    (tmp_path / "b").mkdir()
    assert "no file conversations.json" in refusal("winning-args", tmp_path / "b")
    text = tmp_path / "notes.txt"
    text.write_text("no zip")
    assert "notes.txt: not a folder and not a zip" in refusal("winning-args", text)
    zipped = packed(write_threads(tmp_path / "d" / "c", A * 40, FACTS))
    data = bytearray(zipped.read_bytes())
    at = data.index(b"utterances.jsonl") + 40
    data[at : at + 40] = b"\xff" * 40
    zipped.write_bytes(data)
    assert "c.zip" in refusal("winning-args", zipped)


def _twice(folder: Path) -> Path:
    (folder / "more").mkdir()
    (folder / "more" / "utterances.jsonl").write_text("")
    return folder


def test_the_reader_of_pairs_reads_the_published_split(tmp_path: Path) -> None:
    rows, _ = converted("winning-args", write_threads(tmp_path / "c", A + B + C, FACTS))
    roles = {"train": "train", "dev": "test", "test": "test"}
    corpus, problems = read_pairs(tmp_path / "converted.jsonl", roles)
    assert problems == []
    read = [(p.text, c.text, p.debate, p.split) for p, c in pairs_of(corpus.arguments)]
    columns = ("point", "counter", "debate", "split")
    assert sorted(read) == sorted(tuple(row[name] for name in columns) for row in rows)
