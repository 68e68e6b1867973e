"""args.me's JSON: which premises oppose each other, and all that can be wrong."""

import gzip
import json
from pathlib import Path

import pytest

from counterpoint.corpus.arguments import pairs_of
from counterpoint.corpus.converters import inputs
from counterpoint.corpus.pairs import read_pairs
from tests.support.converters import converted, pairs, premise, refusal

MOTION = "Fitness is all"
ALONE = "premises that none opposes: same page and conclusion, neighbour"
HEADINGS = "premises that are the conclusion of arguments of their page"

TURNS = [
    premise(0, "CON", "last word of the other side", MOTION, links=(None, 1)),
    premise(1, "PRO", "second turn", MOTION, links=(0, 2)),
    premise(2, "CON", "first answer", MOTION, links=(1, 3)),
    premise(3, "PRO", "opening", MOTION, links=(2, None)),
]
"""As debate.org's pages are: one motion, turn by turn, from the last."""


def points(page: str = "page", title: str = MOTION) -> list[dict[str, object]]:
    """As Debatewise's pages are: headings for and against, then a text for each and one against."""
    happy, mind = f"Fit people are happy on {page}", f"The mind matters more on {page}"
    rows = [
        ("CON", mind, title),
        ("PRO", happy, title),
        ("PRO", f"they dance on {page}", happy),
        ("CON", f"they ache on {page}", f"{happy} "),
        ("PRO", f"it thinks on {page}", mind.replace("mind ", "mind  ")),
        ("CON", f"it tires on {page}", mind),
    ]
    return [
        premise(
            number,
            *row,
            page=page,
            links=(number - 1 if number else None, number + 1 if number < 5 else None),
            context={"discussionTitle": title},
        )
        for number, row in enumerate(rows)
    ]


def write(folder: Path, arguments: object, name: str = "args-me.json") -> Path:
    path = folder / name
    path.write_text(json.dumps({"arguments": arguments}, ensure_ascii=False), encoding="utf-8")
    return path


def test_neighbouring_turns_of_a_debate_oppose_each_other(tmp_path: Path) -> None:
    rows, report = converted("argsme", write(tmp_path, TURNS))
    assert rows == [
        {"point": point, "counter": counter, "debate": MOTION, "side": "pro"}
        for point, counter in [
            ("second turn", "last word of the other side"),
            ("second turn", "first answer"),
            ("opening", "first answer"),
        ]
    ]
    assert (report.pairs, report.points, report.debates) == (3, 2, 1)
    assert report.read == {"arguments": 4, "pages": 1}
    assert report.left_out == {}


def test_headings_are_in_no_pair_but_give_their_texts_a_side(tmp_path: Path) -> None:
    rows, report = converted("argsme", write(tmp_path, points()))
    assert [(row["point"], row["counter"], row["side"]) for row in rows] == [
        ("they dance on page", "they ache on page", "pro"),
        ("it thinks on page", "it tires on page", "con"),
    ]
    assert report.left_out == {HEADINGS: 2}


def test_where_a_page_links_nothing_all_premises_of_a_conclusion_oppose(tmp_path: Path) -> None:
    arguments = [
        premise(0, "PRO", "a", MOTION),
        premise(1, "pro", "b", MOTION),
        premise(2, "CON", "c", MOTION),
        premise(3, "CON", "d", MOTION),
        premise(4, "CON", "e", "Another conclusion"),
        premise(5, "CON", "f", MOTION, page="another page"),
    ]
    rows, report = converted("argsme", write(tmp_path, arguments))
    assert pairs(rows) == [("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")]
    assert report.left_out == {ALONE: 2}


def test_premises_of_one_argument_for_and_against_its_conclusion_oppose(tmp_path: Path) -> None:
    both = premise(0, "PRO", "a", MOTION, links=(None, 1))
    both["premises"] = [
        {"text": "a", "stance": "PRO"},
        {"text": "b", "stance": "CON"},
        {"text": "c", "stance": "CON"},
    ]
    far = premise(7, "CON", "d", MOTION, links=(6, None))
    rows, report = converted("argsme", write(tmp_path, [both, far]))
    assert pairs(rows) == [("a", "b"), ("a", "c")]
    assert report.left_out == {ALONE: 1}


def test_one_link_of_two_is_enough_and_links_to_what_is_gone_pair_nothing(tmp_path: Path) -> None:
    arguments = [
        premise(0, "PRO", "a", MOTION),
        premise(1, "CON", "b", MOTION, links=(0, None)),
        premise(2, "CON", "c", MOTION, links=(9, 8)),
    ]
    rows, report = converted("argsme", write(tmp_path, arguments))
    assert pairs(rows) == [("a", "b")]
    assert report.left_out == {ALONE: 1}


def test_arguments_of_a_page_need_not_stand_together(tmp_path: Path) -> None:
    other = [premise(n, s, f"other {s}", "X", page="other") for n, s in enumerate(("PRO", "CON"))]
    rows, _ = converted("argsme", write(tmp_path, [TURNS[3], other[0], TURNS[2], other[1]]))
    assert pairs(rows) == [("opening", "first answer"), ("other PRO", "other CON")]


def test_the_debate_is_named_by_its_title_or_else_its_topic_or_its_source(tmp_path: Path) -> None:
    contexts = {
        "a": {"discussionTitle": "Title", "topic": "Topic"},
        "b": {"discussionTitle": "", "topic": "Topic"},
        "c": {"discussionTitle": "", "sourceTitle": "Source"},
        "d": {"discussionTitle": ""},
    }
    arguments = [
        premise(number, stance, f"{page} {stance}", "X", page=page, context=context)
        for page, context in contexts.items()
        for number, stance in enumerate(("PRO", "CON"))
    ]
    rows, _ = converted("argsme", write(tmp_path, arguments))
    named = [(row["debate"], row.get("theme")) for row in rows]
    assert named == [("Title", "Topic"), ("Topic", None), ("Source", None), ("d", None)]


def test_texts_keep_every_character(tmp_path: Path) -> None:
    text = 'ü "quoted" \\ \u2028 new\nline 😀'
    arguments = [premise(0, "PRO", text, "X"), premise(1, "CON", "b", "X")]
    rows, _ = converted("argsme", write(tmp_path, arguments))
    assert pairs(rows) == [(text, "b")]
    (tmp_path / "ascii.json").write_text(json.dumps({"arguments": arguments}))
    assert converted("argsme", tmp_path / "ascii.json")[0] == rows


def test_a_gzipped_file_gives_the_same(tmp_path: Path) -> None:
    plain = write(tmp_path, points())
    expected = converted("argsme", plain)
    packed = tmp_path / "args-me.json.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert converted("argsme", packed) == expected


def test_what_an_argument_lacks_is_counted_with_its_first_place(tmp_path: Path) -> None:
    def without(number: int, *keys: str) -> dict[str, object]:
        return {k: v for k, v in premise(number, "PRO", "x", "X").items() if k not in keys}

    arguments: list[object] = [
        *TURNS,
        "no object",
        without(5, "context"),
        without(6, "conclusion"),
        without(7, "premises"),
        without(8, "conclusion"),
        premise(9, "NEUTRAL", "x", "X"),
        premise(10, "PRO", " ", "X"),
    ]
    path = write(tmp_path, arguments)
    rows, report = converted("argsme", path)
    assert len(rows) == 3
    assert report.left_out == {
        "arguments that are no object": 1,
        "arguments without context.sourceId": 1,
        "arguments without a conclusion": 2,
        "arguments without premises": 1,
        "premises whose stance is neither PRO nor CON": 1,
        "premises with an empty text": 1,
    }
    assert report.first["arguments without a conclusion"] == f"{path}: argument 7"


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ["not JSON", "args.me"]),
        (b'{"arguments": [{"id": "a"', ["not JSON"]),
        (b'{"arguments": [{]}', ["not JSON"]),
        (b'{"arguments": [{"id": "\xfc"}]}', ["not JSON"]),
        (b"[]", ["no arguments", '{"arguments": [']),
        (b'{"arguments": []}', ["no arguments"]),
        (b'{"argument": [{}]}', ["no arguments"]),
        (b'{"arguments": [{}, {}]}', ["no pairs", "2 arguments without context.sourceId"]),
    ],
)
def test_what_is_no_args_me_corpus_is_refused(
    tmp_path: Path, content: bytes, parts: list[str]
) -> None:
    path = tmp_path / "args-me.json"
    path.write_bytes(content)
    message = refusal("argsme", path)
    assert [part for part in ["args-me.json", *parts] if part not in message] == []


def test_a_gzipped_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "args-me.json.gz"
    whole = gzip.compress(write(tmp_path, TURNS * 50).read_bytes())
    assert whole[:2] == inputs.GZIP
    path.write_bytes(whole[: len(whole) // 2])
    assert "args-me.json.gz: cannot be unpacked" in refusal("argsme", path)


def test_the_reader_of_pairs_reads_what_was_written(tmp_path: Path) -> None:
    arguments = [one for page in "abcdef" for one in points(page, f"Debate {page}")]
    rows, _ = converted("argsme", write(tmp_path, arguments))
    roles = {"train": "training", "dev": "validation", "test": "test"}
    corpus, problems = read_pairs(tmp_path / "converted.jsonl", roles)
    assert problems == []
    read = [(p.text, c.text, p.side, p.debate) for p, c in pairs_of(corpus.arguments)]
    columns = ("point", "counter", "side", "debate")
    assert sorted(read) == sorted(tuple(row[name] for name in columns) for row in rows)
    assert len(rows) == 12
