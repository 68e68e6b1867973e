"""Kialo's text export: which claims counter which, on which side, and all that can be wrong."""

import gzip
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterpoint.corpus.arguments import pairs_of
from counterpoint.corpus.pairs import read_pairs
from tests.support.converters import Rows, converted, pairs, refusal

FIRST = r"""Discussion Title: Should zoos be closed?

1. Zoos should be closed.
1.1. Con: They save \(some\) species, [as in Arabia](https://a.org/Oryx_\(animal\)).
1.1.1. Con: Few were ever\nreleased.
1.1.1.1. Con: Few are enough.
1.1.1.2. Pro: Most die [in the first year](https://b.org/(x)).
1.2. Pro: Animals suffer in them.
1.2.1. Pro: They pace.
1.2.1.1. Con: So do people.
"""

LATER = """Discussion Name:
Should zoos be closed?

1. Thesis:
Zoos should be closed.

  1.1. Con:
  They save (some) species [1], as in Arabia (p. 5 [2]) [sic] [7].

    1.1.1. Con:
    Few were ever
    released.

  1.2. Pro:
  Animals suffer in them.

Sources:
[1] https://a.org
"They have saved

some species."
[2] https://b.org
"""


def write(folder: Path, text: str, name: str = "zoos.txt") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def sides(rows: Rows) -> dict[str, str]:
    return {row["counter"]: row["side"] for row in rows}


def test_a_con_counters_the_claim_above_it_which_has_a_side(tmp_path: Path) -> None:
    rows, report = converted("kialo", write(tmp_path, FIRST))
    title = "Should zoos be closed?"
    assert [tuple(row.values()) for row in rows] == [
        ("Zoos should be closed.", "They save (some) species, as in Arabia.", title, title, "pro"),
        (
            "They save (some) species, as in Arabia.",
            "Few were ever\nreleased.",
            title,
            title,
            "con",
        ),
        ("Few were ever\nreleased.", "Few are enough.", title, title, "pro"),
        ("They pace.", "So do people.", title, title, "pro"),
    ]
    assert list(rows[0]) == ["point", "counter", "debate", "theme", "side"]
    assert report.read == {"discussions": 1, "claims": 8}
    assert report.left_out == {
        "pros, which counter nothing": 3,
        "theses and other claims that are neither pro nor con": 1,
    }


def test_the_later_form_gives_the_same_without_the_marks_of_its_sources(tmp_path: Path) -> None:
    rows, report = converted("kialo", write(tmp_path, LATER))
    assert pairs(rows) == [
        (
            "Zoos should be closed.",
            "They save (some) species, as in Arabia (p. 5) [sic] [7].",
        ),
        (
            "They save (some) species, as in Arabia (p. 5) [sic] [7].",
            "Few were ever\nreleased.",
        ),
    ]
    assert {row["debate"] for row in rows} == {"Should zoos be closed?"}
    assert report.left_out["sources at the end of a discussion"] == 2


def test_line_ends_a_mark_of_the_encoding_and_gzip_change_nothing(tmp_path: Path) -> None:
    expected = converted("kialo", write(tmp_path, FIRST))
    windows = "\ufeff" + FIRST.replace("\n", "\r\n")
    assert converted("kialo", write(tmp_path, windows)) == expected
    packed = tmp_path / "zoos.txt.gz"
    packed.write_bytes(gzip.compress(FIRST.encode()))
    assert converted("kialo", packed) == expected


def test_a_link_is_read_as_the_claim_that_it_leads_to(tmp_path: Path) -> None:
    links = (
        "1.2.2. Con: -> See 1.1.\n1.2.3. Con: -> See 1.2.2.\n1.2.4. Con: -> See 1.3.\n1.3. Con: No."
    )
    rows, _ = converted("kialo", write(tmp_path, FIRST + links))
    assert ("Animals suffer in them.", "No.") in pairs(rows)
    saved = ("Animals suffer in them.", "They save (some) species, as in Arabia.")
    assert pairs(rows).count(saved) == 1


def test_links_that_lead_nowhere_and_claims_without_text_are_counted(tmp_path: Path) -> None:
    bad = """1.3. Con: -> See 9.9.
1.4. Con: -> See 1.5.
1.5. Con: -> See 1.4.
1.6. Con:
1.6.1. Con: But.
1.7. Con: -> See above.
"""
    path = write(tmp_path, FIRST + bad)
    rows, report = converted("kialo", path)
    assert len(rows) == 4
    broken = "cons that are, or are below, a link to no claim of the export"
    empty = "cons that have, or are below, no text"
    assert (report.left_out[broken], report.left_out[empty]) == (4, 2)
    assert (report.first[broken], report.first[empty]) == (f"{path}:11", f"{path}:14")


def test_theses_below_a_question_are_all_pro_and_counter_nothing(tmp_path: Path) -> None:
    later = """Discussion Name: Which pet?

1. Question:
Which pet?
  1.1. Thesis:
  A cat.
    1.1.1. Con:
    Cats scratch.
      1.1.1.1. Con:
      Rarely.
  1.2. Thesis:
  A dog.
    1.2.1. Con:
    Dogs bark.
"""
    first = """Discussion Title: Which pet?

1. A cat.
1.1. Con: Cats scratch.
1.1.1. Con: Rarely.
2. A dog.
2.1. Con: Dogs bark.
"""
    for text in (later, first):
        rows, _ = converted("kialo", write(tmp_path, text))
        assert pairs(rows) == [
            ("A cat.", "Cats scratch."),
            ("Cats scratch.", "Rarely."),
            ("A dog.", "Dogs bark."),
        ]
        assert [row["side"] for row in rows] == ["pro", "con", "pro"]


def test_numbered_lines_within_a_claims_text_are_no_claims(tmp_path: Path) -> None:
    text = (
        "Discussion Title: T\n1. Two things:\n1. cats\n3. dogs\n1.5 million pets\n1.1. Con: No.\n"
    )
    rows, report = converted("kialo", write(tmp_path, text))
    assert pairs(rows) == [("Two things:\n1. cats\n3. dogs\n1.5 million pets", "No.")]
    assert report.read["claims"] == 2


def test_every_export_of_a_folder_is_a_debate(tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    write(folder, FIRST)
    write(folder, "Discussion Title: Pets?\n1. Have one.\n1.1. Con: No.\n", "more/pets.txt")
    write(folder, "no export", "notes.md")
    rows, report = converted("kialo", folder)
    assert report.read["discussions"] == report.debates == 2
    assert ("Have one.", "No.") in pairs(rows)


def test_the_same_discussion_exported_twice_gives_its_pairs_once(tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    write(folder, FIRST, "a.txt")
    write(folder, FIRST, "b.txt")
    _, report = converted("kialo", folder)
    assert (report.pairs, report.left_out["pairs that stand there twice"]) == (4, 4)


TREES = st.recursive(
    st.just([]),
    lambda child: st.lists(st.tuples(st.sampled_from(["Pro", "Con"]), child), max_size=4),
    max_leaves=20,
)


@given(TREES)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_claim_is_pro_when_an_even_number_of_cons_leads_to_it(tmp_path: Path, tree: list) -> None:
    lines, expected = [], {}

    def walk(children: list, number: str, cons: int) -> None:
        for place, (mark, below) in enumerate(children, start=1):
            own = f"{number}{place}."
            lines.append(f"{own} {mark}: claim {own}")
            if mark == "Con":
                expected[f"claim {own}"] = (f"claim {number}", "con" if cons % 2 else "pro")
            walk(below, own, cons + (mark == "Con"))

    walk([("Con", []), *tree], "1.", 0)
    path = write(tmp_path, "\n".join(["Discussion Title: T", "1. claim 1.", *lines]))
    rows, report = converted("kialo", path)
    assert {row["counter"]: (row["point"], row["side"]) for row in rows} == expected
    assert report.pairs + sum(report.left_out.values()) == report.read["claims"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", [":1", "begins with ''", "Discussion Title: …"]),
        ("1. Zoos should be closed.\n", [":1", "'1. Zoos should be closed.'"]),
        ("Discussion Name:\n\n1. Thesis:\nA\n", [":1", "no title"]),
        ("Discussion Title: T\n\nSources:\n[1] x\n", ["no claims", "'1.1. Con: …'"]),
        ("Discussion Title: T\n1. A\n1.1.1. Con: B\n", [":3", "1.1.1.", "no claim 1.1. above"]),
        ("Discussion Title: T\n1. A\n1.1. Con: B\n1.1. Con: C\n", [":4", "1.1.", "line 3"]),
        ("Discussion Title: T\n1. A\n1.1. Pro: B\n", ["no pairs", "1 pros, which counter"]),
    ],
)
def test_what_is_no_export_is_refused_by_line(tmp_path: Path, text: str, parts: list[str]) -> None:
    message = refusal("kialo", write(tmp_path, text))
    assert [part for part in ["zoos.txt", *parts] if part not in message] == []


def test_other_encodings_and_folders_without_exports_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "zoos.txt"
    path.write_bytes("Discussion Title: Zoos für alle?\n".encode("cp1252"))
    assert "not UTF-8 (byte 0xfc)" in refusal("kialo", path)
    folder = tmp_path / "none"
    folder.mkdir()
    assert "no .txt or .txt.gz in it" in refusal("kialo", folder)


def test_the_reader_of_pairs_reads_what_was_written(tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    for number in range(6):
        text = re.sub(
            r"(?<=[^.\n])\.?$", f" in town {number}/2.", FIRST.strip(), flags=re.MULTILINE
        )
        write(folder, text, f"{number}.txt")
    rows, report = converted("kialo", folder)
    roles = {"train": "training", "dev": "validation", "test": "test"}
    corpus, problems = read_pairs(tmp_path / "converted.jsonl", roles)
    assert problems == []
    read = [(p.text, c.text, p.side) for p, c in pairs_of(corpus.arguments)]
    assert sorted(read) == sorted((row["point"], row["counter"], row["side"]) for row in rows)
    assert len({(one.theme, one.debate) for one in corpus.arguments}) == report.debates == 6
