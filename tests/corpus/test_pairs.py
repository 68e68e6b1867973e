"""Pairs in one file: how rows become debates and splits, and all that can be wrong with a row."""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterpoint.corpus.arguments import Corpus, pairs_of, read_arguments, write_arguments
from counterpoint.corpus.pairs import read_pairs
from counterpoint.corpus.problems import Problem
from counterpoint.corpus.sources import MAX_TEXT_BYTES
from counterpoint.errors import InputError
from counterpoint.tasks.candidates import candidate_sets, totals
from counterpoint.tasks.protocols import WITH_TASKS
from tests.support.debates import ROLES

TRAIN = {"train": "training"}
SHARED = {"train": "training", "dev": "validation", "test": "validation"}

Rows = Sequence[Mapping[str, object]]


def csv_text(rows: Rows, delimiter: str = ",") -> str:
    stream = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(stream, columns, delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def json_text(rows: Rows) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def read(
    folder: Path, content: str | bytes, name: str = "pairs.csv", *, roles: Mapping[str, str] = ROLES
) -> Corpus:
    return read_all(folder, content, name, roles=roles)[0]


def read_all(
    folder: Path,
    content: str | bytes,
    name: str = "pairs.csv",
    *,
    roles: Mapping[str, str] = ROLES,
    skip: bool = False,
) -> tuple[Corpus, list[Problem]]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_pairs(path, roles, skip=skip)


def test_rows_must_not_tell_apart_what_shares_a_folder(tmp_path: Path) -> None:
    rows = [
        {"point": f"point {n}", "counter": f"counter {n}", "split": split}
        for n, split in enumerate(("train", "dev", "test") * 2)
    ]
    with pytest.raises(InputError, match=r"dev and test apart.*both the folder 'validation'"):
        read(tmp_path, csv_text(rows), roles=SHARED)


def test_a_split_in_other_words_is_read_and_told_and_so_is_one_unused(tmp_path: Path) -> None:
    rows = [
        {"point": f"point {n}", "counter": f"counter {n}", "split": split}
        for n, split in enumerate(("train", "valid", "test", "TEST", "spare") * 2)
    ]
    corpus, problems = read_all(tmp_path, csv_text(rows))
    assert problems == []
    counts = [len(pairs_of(corpus.split(folder))) for folder in ROLES.values()]
    assert counts == [2, 2, 4]
    assert corpus.notes[-4:] == (
        "2 rows of the split 'train' read as training",
        "2 rows of the split 'valid' read as validation",
        "2 rows of the split 'TEST' read as test",
        "2 rows of the split 'spare' not read: corpus.splits does not name it",
    )


def refusal(
    folder: Path,
    content: str | bytes,
    name: str = "pairs.csv",
    *,
    roles: Mapping[str, str] = ROLES,
    skip: bool = False,
) -> str:
    with pytest.raises(InputError) as error:
        read_all(folder, content, name, roles=roles, skip=skip)
    return str(error.value)


def numbered(count: int, **columns: object) -> list[dict[str, object]]:
    return [{"point": f"point {n}", "counter": f"counter {n}", **columns} for n in range(count)]


# One row and its arguments

FULL = [
    {"point": "p1", "counter": "c1", "debate": "juries", "theme": "law", "side": "pro"},
    {"point": "p2", "counter": "c2", "debate": "juries", "theme": "law", "side": "con"},
    {"point": "p3", "counter": "c3", "debate": "juries", "theme": "law", "side": "pro"},
    {"point": "p4", "counter": "c4", "debate": "boxing", "theme": "sport", "side": "CON "},
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pairs.csv", csv_text(FULL)),
        ("pairs.CSV", "\ufeff" + csv_text(FULL)),
        ("pairs.csv", csv_text(FULL).replace("\r\n", "\n\n").rstrip("\n")),
        ("pairs.csv", csv_text(FULL).replace("point,counter", " Point ,COUNTER")),
        ("pairs.tsv", csv_text(FULL, "\t")),
        ("pairs.jsonl", json_text(FULL)),
        ("pairs.ndjson", "\ufeff" + json_text(FULL).replace("\n", "\r\n\r\n")),
    ],
)
def test_every_form_gives_the_same_arguments(tmp_path: Path, name: str, content: str) -> None:
    corpus = read(tmp_path, content, name, roles=TRAIN)
    assert [(one.id, one.text, one.side, one.number, one.kind) for one in corpus.arguments] == [
        ("training/law/juries/pro01a", "p1", "pro", 1, "point"),
        ("training/law/juries/pro01b", "c1", "pro", 1, "counter"),
        ("training/law/juries/con01a", "p2", "con", 1, "point"),
        ("training/law/juries/con01b", "c2", "con", 1, "counter"),
        ("training/law/juries/pro02a", "p3", "pro", 2, "point"),
        ("training/law/juries/pro02b", "c3", "pro", 2, "counter"),
        ("training/sport/boxing/con01a", "p4", "con", 1, "point"),
        ("training/sport/boxing/con01b", "c4", "con", 1, "counter"),
    ]
    assert corpus.roles == TRAIN
    assert corpus.bare_debates == {"training": 0}


def test_a_field_may_hold_line_breaks_delimiters_and_quotes(tmp_path: Path) -> None:
    text = 'one, "two"\nthree\r\nfour \u2028 five\x00'
    rows = [{"point": text, "counter": "c"}]
    for name, content in (("a.csv", csv_text(rows)), ("a.jsonl", json_text(rows))):
        assert read(tmp_path, content, name, roles=TRAIN).arguments[0].text == text


def test_other_columns_are_ignored(tmp_path: Path) -> None:
    rows = [{"id": 7, "point": "p", "stance": "against", "counter": "c"}]
    assert len(read(tmp_path, csv_text(rows), roles=TRAIN).arguments) == 2


def test_what_is_missing_or_empty_is_absent(tmp_path: Path) -> None:
    content = "point,counter,theme,side,debate\np,c\nq,c, ,,\np,c,law,con,juries\n"
    rows: Rows = [
        {"point": "p", "counter": "c"},
        {"point": "q", "counter": "c", "theme": None, "side": "", "debate": " "},
        {"point": "p", "counter": "c", "theme": "law", "side": "con", "debate": "juries"},
    ]
    expected = ["all/row-000001/pro01a", "all/row-000002/pro01a", "law/juries/con01a"]
    for name, text in (("a.csv", content), ("a.jsonl", json_text(rows))):
        corpus = read(tmp_path, text, name, roles=TRAIN)
        assert [one.id for one in corpus.arguments[::2]] == [f"training/{one}" for one in expected]


def test_numbers_are_names_in_json(tmp_path: Path) -> None:
    rows = [{"point": "p", "counter": "c", "debate": 12, "theme": 0.5}]
    assert read(tmp_path, json_text(rows), "a.jsonl", roles=TRAIN).arguments[0].id == (
        "training/0.5/12/pro01a"
    )


@pytest.mark.parametrize("debate", ["d", ""])
def test_rows_that_repeat_a_pair_are_told_and_left_out(tmp_path: Path, debate: str) -> None:
    rows = [{"point": "p", "counter": c, "debate": debate} for c in ("c", " c ", "c\n", "x", "c")]
    corpus = read(tmp_path, csv_text(rows), roles=TRAIN)
    assert [one.text for one in corpus.arguments] == ["p", "c", "x"]
    place = tmp_path / "pairs.csv"
    assert corpus.notes[2] == (
        f"3 rows left out, which repeat a pair of their debate ({place}:3, {place}:4, {place}:7)"
    )
    # In another debate the pair is another one.
    rows = [{"point": "p", "counter": "c", "debate": name} for name in "de"]
    assert len(pairs_of(read(tmp_path, csv_text(rows), roles=TRAIN).arguments)) == 2


def test_rows_of_one_point_are_one_point_with_several_counters(tmp_path: Path) -> None:
    rows = [
        {"point": "p", "counter": "c", "debate": "d"},
        {"point": "q", "counter": "c", "debate": "d"},
        {"point": " p", "counter": "x", "debate": "d"},
        {"point": "p", "counter": "y", "debate": "d", "side": "con"},
        {"point": "p", "counter": "z"},
        {"point": "p ", "counter": "w"},
    ]
    corpus = read(tmp_path, csv_text(rows), roles=TRAIN)
    assert [(one.id.split("/", 2)[2], one.pair.split("/", 2)[2]) for one in corpus.arguments] == [
        ("d/pro01a", "d/pro01a"),
        ("d/pro01b", "d/pro01a"),
        ("d/pro01b2", "d/pro01a"),
        ("d/pro02a", "d/pro02a"),
        ("d/pro02b", "d/pro02a"),
        ("d/con01a", "d/con01a"),
        ("d/con01b", "d/con01a"),
        ("row-000005/pro01a", "row-000005/pro01a"),
        ("row-000005/pro01b", "row-000005/pro01a"),
        ("row-000005/pro01b2", "row-000005/pro01a"),
    ]


def test_more_than_99_pairs_of_a_debate_have_ids_of_their_own(tmp_path: Path) -> None:
    corpus = read(tmp_path, csv_text(numbered(101, debate="d")), roles=TRAIN)
    assert [one.id.rsplit("/")[-1] for one in corpus.arguments[-4:]] == [
        "pro100a",
        "pro100b",
        "pro101a",
        "pro101b",
    ]


# Names


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("tax/spend", "tax%2Fspend"),
        ("5 % rule", "5 %25 rule"),
        ("tax%2Fspend", "tax%252Fspend"),
        ("two\nlines\x85", "two%0Alines"),  # U+0085 is a blank at the end
        ("a\u2028b\x7f", "a%E2%80%A8b%7F"),
        ("  über uns ", "über uns"),
    ],
)
def test_a_name_is_one_part_of_an_id(tmp_path: Path, name: str, escaped: str) -> None:
    rows = [{"point": "p", "counter": "c", "debate": name, "theme": name}]
    corpus = read(tmp_path, json_text(rows), "a.jsonl", roles=TRAIN)
    assert [one.id for one in corpus.arguments] == [
        f"training/{escaped}/{escaped}/pro01a",
        f"training/{escaped}/{escaped}/pro01b",
    ]
    write_arguments(corpus, tmp_path / "arguments.parquet")
    assert read_arguments(tmp_path / "arguments.parquet") == corpus


def test_a_debate_named_like_a_row_is_not_that_row(tmp_path: Path) -> None:
    rows = [
        {"point": "p", "counter": "c", "debate": ""},
        {"point": "p", "counter": "c", "debate": "row-000001"},
        {"point": "p", "counter": "c", "debate": "row%2D000001"},
    ]
    debates = [one.debate for one in read(tmp_path, csv_text(rows), roles=TRAIN).arguments[::2]]
    assert debates == ["row-000001", "row%2D000001", "row%252D000001"]


NAMES = st.text(max_size=6) | st.sampled_from(["a/b", "a%2Fb", "row-000001", "row-000002", ""])
# A process shares the folder among a property's examples, which overwrite one file.
PROPERTY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@PROPERTY
@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=6))
def test_debates_are_the_same_when_their_names_are(
    tmp_path: Path, names: list[tuple[str, str]]
) -> None:
    rows = [
        {"point": f"p{n}", "counter": "c", "theme": t, "debate": d}
        for n, (t, d) in enumerate(names)
    ]
    corpus = read(tmp_path, json_text(rows), "a.jsonl", roles=TRAIN)
    points = [one for one in corpus.arguments if one.kind == "point"]
    # Without a debate each row is one; without a theme it is of the theme `all`.
    expected = [(t.strip() or "all", d.strip() or n) for n, (t, d) in enumerate(names)]
    assert all(one.id.count("/") == 3 for one in points)
    assert len({one.id for one in corpus.arguments}) == 2 * len(rows)
    for i, one in enumerate(points):
        for j, other in enumerate(points):
            same = one.id.rsplit("/", 1)[0] == other.id.rsplit("/", 1)[0]
            assert same == (expected[i] == expected[j])


# Splits that the file names


def test_a_split_is_given_by_its_folder_or_its_role(tmp_path: Path) -> None:
    names = ["training", "train", "dev", "validation", "test", "extra", " train "]
    rows = [{"point": f"p{n}", "counter": "c", "split": name} for n, name in enumerate(names)]
    corpus = read(tmp_path, csv_text(rows))
    points = [(one.split, one.text) for one in corpus.arguments if one.kind == "point"]
    assert points == [
        ("training", "p0"),
        ("training", "p1"),
        ("training", "p6"),
        ("validation", "p2"),
        ("validation", "p3"),
        ("test", "p4"),
    ]


def test_a_folders_name_goes_before_a_roles(tmp_path: Path) -> None:
    roles = {"train": "training", "dev": "test", "test": "final"}
    rows = [{"point": s, "counter": "c", "split": s} for s in ("train", "test", "dev", "final")]
    corpus = read(tmp_path, csv_text(rows), roles=roles)
    points = [(one.split, one.text) for one in corpus.arguments if one.kind == "point"]
    assert points == [
        ("training", "train"),
        ("test", "test"),
        ("test", "dev"),
        ("final", "final"),
    ]


def test_rows_of_a_split_without_a_role_are_not_read(tmp_path: Path) -> None:
    content = "split,point,counter,side\ntrain,p,c,\nextra,,c,neither\n"
    corpus, problems = read_all(tmp_path, content, roles=TRAIN)
    assert [one.text for one in corpus.arguments] == ["p", "c"]
    assert problems == []


def test_a_debate_may_stand_in_two_splits(tmp_path: Path) -> None:
    rows = [
        {"point": "p", "counter": "c", "debate": "d", "split": split} for split in ROLES.values()
    ]
    ids = [one.id for one in read(tmp_path, csv_text(rows)).arguments[::2]]
    assert ids == ["training/all/d/pro01a", "validation/all/d/pro01a", "test/all/d/pro01a"]


def test_a_split_without_a_row_is_an_error_that_lists_those_found(tmp_path: Path) -> None:
    rows = [{"point": "p", "counter": "c", "split": split} for split in ("train", "exam", "dev")]
    for skip in (False, True):
        text = refusal(tmp_path, csv_text(rows), skip=skip)
        assert "no row of the split 'test'" in text
        assert "splits found: 'train', 'exam', 'dev'" in text
        assert "set corpus.splits" in text


def test_a_row_without_the_split_that_others_have_is_a_problem(tmp_path: Path) -> None:
    content = "point,counter,split\np,c,train\np,c,\n"
    assert "pairs.csv:3: no split, which other rows have" in refusal(tmp_path, content, roles=TRAIN)


def test_a_split_column_that_is_empty_everywhere_is_none(tmp_path: Path) -> None:
    rows = numbered(10, debate="d", split="")
    for n, row in enumerate(rows):
        row["debate"] = n
    without = [{name: row[name] for name in ("point", "counter", "debate")} for row in rows]
    empty, none = read(tmp_path, csv_text(rows)), read(tmp_path, csv_text(without), "b.csv")
    assert (empty.arguments, empty.roles) == (none.arguments, none.roles)


# Splits that are drawn


@pytest.mark.parametrize(
    ("debates", "roles", "expected"),
    [
        (10, ROLES, [6, 2, 2]),
        (100, ROLES, [60, 20, 20]),
        (3, ROLES, [1, 1, 1]),
        (4, ROLES, [2, 1, 1]),
        (7, ROLES, [4, 2, 1]),  # ends at 4.2, 5.6 and 7
        (10, SHARED, [6, 4]),
        (2, SHARED, [1, 1]),
        (10, {"train": "training", "dev": "validation"}, [8, 2]),  # 60 to 20: ends at 7.5 and 10
        (5, TRAIN, [5]),
    ],
)
def test_without_splits_debates_are_divided(
    tmp_path: Path, debates: int, roles: Mapping[str, str], expected: list[int]
) -> None:
    corpus = read(tmp_path, csv_text(numbered(debates)), roles=roles)
    folders = dict.fromkeys(roles.values())
    assert [len(pairs_of(corpus.split(folder))) for folder in folders] == expected
    assert dict(corpus.bare_debates) == dict.fromkeys(folders, 0)


def test_fewer_debates_than_splits_are_an_error(tmp_path: Path) -> None:
    for skip in (False, True):
        text = refusal(tmp_path, csv_text(numbered(9, debate="one")), skip=skip)
        assert "1 debates to divide among the splits 'training', 'validation', 'test'" in text


def split_of_debates(corpus: Corpus) -> dict[tuple[str, str], set[str]]:
    splits: dict[tuple[str, str], set[str]] = {}
    for one in corpus.arguments:
        splits.setdefault((one.theme, one.debate), set()).add(one.split)
    return splits


@PROPERTY
@given(
    debates=st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 30)), min_size=4),
    roles=st.sampled_from([ROLES, SHARED]),
    data=st.data(),
)
def test_every_debate_falls_whole_into_one_split_by_its_name_alone(
    tmp_path: Path,
    debates: list[tuple[str, int]],
    roles: Mapping[str, str],
    data: st.DataObject,
) -> None:
    if len(set(debates)) < 3:
        debates = [*debates, ("x", 31), ("y", 31), ("z", 31)]
    rows = [
        {"point": f"point {n}", "counter": f"counter {n}", "theme": theme, "debate": debate}
        for n, (theme, debate) in enumerate(debates)
    ]
    corpus = read(tmp_path, csv_text(rows), roles=roles)
    texts = Counter(one.text for one in corpus.arguments)
    assert texts == Counter(str(row[name]) for row in rows for name in ("point", "counter"))

    splits = split_of_debates(corpus)
    assert all(len(found) == 1 for found in splits.values())
    counts = Counter(found.copy().pop() for found in splits.values())
    shares = dict.fromkeys(roles.values(), 0.0)
    for role, share in (("train", 0.6), ("dev", 0.2), ("test", 0.2)):
        shares[roles[role]] += share
    for folder, share in shares.items():
        assert counts[folder] >= 1
        assert abs(counts[folder] - share * len(splits)) <= 1 + 1e-9

    assert read(tmp_path, csv_text(rows), roles=roles) == corpus
    shuffled = data.draw(st.permutations(rows))
    assert split_of_debates(read(tmp_path, csv_text(shuffled), roles=roles)) == splits
    assert split_of_debates(read(tmp_path, csv_text(rows * 2), roles=roles)) == splits


def test_the_draw_is_no_run_of_the_sorted_names(tmp_path: Path) -> None:
    rows = [row | {"debate": f"{n:03}"} for n, row in enumerate(numbered(100))]
    corpus = read(tmp_path, csv_text(rows))
    training = {one.debate for one in corpus.split("training")}
    assert training != {f"{n:03}" for n in range(60)}
    # Hypergeometric: 30 of the first 50 expected, standard deviation 2.5.
    assert 20 < sum(debate < "050" for debate in training) < 40


# Tasks


def test_a_file_without_debates_has_one_candidate_within_them(tmp_path: Path) -> None:
    corpus = read(tmp_path, csv_text(numbered(20)))
    for folder, n in (("training", 12), ("validation", 4), ("test", 4)):
        sets = candidate_sets(corpus, folder)
        assert sets.unseen.all() == (folder != "training")
        # One theme: all counters, or all 2N texts less the query.
        assert totals(sets) == {
            **dict.fromkeys(("sdoc", "sdc", "sdoa", "sda"), n),
            **dict.fromkeys(("stc", "epc"), n * n),
            **dict.fromkeys(("sta", "epa"), n * (2 * n - 1)),
        }


def test_a_file_with_every_column_has_the_candidates_of_a_corpus(tmp_path: Path) -> None:
    # law/juries: 2 pro and 1 con; law/bail: 1 pro; sport/boxing: 1 pro. N = 5.
    places = ["law juries pro", "law juries con", "law bail pro", "sport boxing pro"]
    rows = [
        {"point": f"p{n}", "counter": f"c{n}", "theme": theme, "debate": debate, "side": side}
        for n, (theme, debate, side) in enumerate(place.split() for place in [places[0], *places])
    ]
    sets = candidate_sets(read(tmp_path, csv_text(rows), roles=TRAIN), "training")
    assert totals(sets) == {
        "sdoc": 2 + 2 + 1 + 1 + 1,
        "sdc": 3 * 3 + 1 + 1,
        # Of a pro query: 2 counters that answer pro and 1 con point; of the con one: 1 and 2.
        "sdoa": 3 + 3 + 3 + 1 + 1,
        "sda": 3 * 5 + 1 + 1,
        "stc": 4 * 4 + 1,
        "sta": 4 * 7 + 1,
        "epc": 5 * 5,
        "epa": 5 * 9,
    }


def test_a_corpus_written_as_pairs_has_the_candidates_it_had(
    tmp_path: Path, sample: Corpus
) -> None:
    pairs = pairs_of(sample.arguments)
    rows = [
        {"split": p.split, "theme": p.theme, "debate": p.debate, "side": p.side}
        | {"point": p.text, "counter": c.text}
        for p, c in pairs
    ]
    for name, content in (("a.csv", csv_text(rows)), ("a.jsonl", json_text(rows))):
        corpus = read(tmp_path, content, name)
        assert [one.text for one in corpus.arguments] == [
            one.text for pair in pairs for one in pair
        ]
        for folder in ROLES.values():
            for protocol in WITH_TASKS:
                expected = totals(candidate_sets(sample, folder), protocol)
                assert totals(candidate_sets(corpus, folder), protocol) == expected


# What is wrong with a file


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", "", "an empty file; expected the columns 'point', 'counter'"),
        ("a.jsonl", "\ufeff \n\n", "an empty file"),
        ("a.csv", "point,counter\n", "no row can be used"),
        ("a.csv", "point,counter".encode("utf-16"), "no row can be used"),
        ("a.xlsx", b"PK", "a workbook; save its sheet as CSV"),
        ("a.parquet", b"PAR1", "not a parquet file that can be read"),
        ("a.csv.gz", b"point,counter", "not a gzip file that can be unpacked"),
        ("a.csv", 'point,"counter\np,c\n', "a.csv:1: the header: lines 1 to"),
        ("a.csv", "point,counter,Point\np,c,d\n", "several columns 'point'"),
        ("a.jsonl", '\n[{"point": "p"}]', "no column 'counter' (columns found: 'point')"),
        ("a.json", '\n[{"point": "p"', "a.json:2: not JSON (Expecting ',' delimiter at column 15"),
        ("a.json", "[1, 2]", "a.json row 2: 2 is no object"),
        ("a.txt", "point,counter\np,c\n", "expected a name that ends in .csv, .tsv, .jsonl"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    tmp_path: Path, name: str, content: str | bytes, expected: str
) -> None:
    for skip in (False, True):
        text = refusal(tmp_path, content, name, roles=TRAIN, skip=skip)
        assert str(tmp_path / name) in text
        assert expected in text


@pytest.mark.parametrize(
    ("name", "content", "missing", "found", "hint"),
    [
        (
            "a.csv",
            "point,counters\np,c\n",
            "'counter'",
            "'point', 'counters'",
            "if 'counters' is the counter, set corpus.columns: {counter: counters}",
        ),
        (
            "a.csv",
            "claim,counter\np,c\n",
            "'point'",
            "'claim', 'counter'",
            "if 'claim' is the point, set corpus.columns: {point: claim}",
        ),
        (
            "a.csv",
            "anchor,positive\np,c\n",
            "'point', 'counter'",
            "'anchor', 'positive'",
            "if 'anchor' is the point and 'positive' is the counter, set corpus.columns: "
            "{point: anchor, counter: positive} (counterpoint corpus --columns point=anchor "
            "counter=positive)",
        ),
        (
            "a.csv",
            "counter argument,argument\np,c\n",
            "'point', 'counter'",
            "'counter argument', 'argument'",
            '{point: argument, counter: "counter argument"}',
        ),
        (
            "a.csv",
            "query,x\np,c\n",
            "'point', 'counter'",
            "'query', 'x'",
            "counterpoint corpus --columns point=query), and name the counter likewise",
        ),
        (
            "a.csv",
            "x,y\np,c\n",
            "'point', 'counter'",
            "'x', 'y'",
            "rename them, or name yours in corpus.columns",
        ),
        (
            "a.jsonl",
            '{"point": "p", "conter": "c"}',
            "'counter'",
            "'point', 'conter'",
            "'conter' is the counter",
        ),
    ],
)
def test_a_missing_column_is_named_with_those_found(
    tmp_path: Path, name: str, content: str, missing: str, found: str, hint: str
) -> None:
    text = refusal(tmp_path, content, name)
    assert f"{tmp_path / name}: no column {missing} (columns found: {found})" in text
    assert "expected 'point', 'counter', and optionally 'debate', 'theme', 'side', 'split'" in text
    assert hint in text


def test_a_text_in_the_place_of_a_header_is_cut_short(tmp_path: Path) -> None:
    text = refusal(tmp_path, f"{'word ' * 500},{'other ' * 500}\n")
    assert "no column" in text
    assert len(text) < 500


def test_a_path_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name in ("folder.csv", "missing.jsonl"):
        with pytest.raises(InputError, match=rf"{name}: cannot be read"):
            read_pairs(tmp_path / name, ROLES)


# What is wrong with a row

LONG = "x" * (MAX_TEXT_BYTES + 1)


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        ("a.csv", ",c", "an empty point; expected an argument"),
        ("a.csv", "p,\u00a0", "an empty counter; expected an argument"),
        ("a.csv", "p", "an empty counter; expected an argument"),
        ("a.csv", "p,c,perhaps", "side: 'perhaps'; expected pro or con (or for, against and"),
        ("a.csv", "p,c,pro,more", "4 fields, but 3 columns; quote a field with ','"),
        ("a.csv", '"p" and,c', "lines 4 to 4: ',' expected after '\"'; check the quotes"),
        ("a.csv", f"p,{LONG}", "counter: 1000001 bytes; a text of more than 1000000 bytes"),
        ("a.jsonl", '{"point": "p"', "not JSON (Expecting ',' delimiter at column 14)"),
        ("a.jsonl", '{"point": NaN, "counter": "c"}', "NaN is no JSON value; write null"),
        ("a.jsonl", "7", "7 is no object; expected one object a line"),
        ("a.jsonl", "[1]", "a list is no object; expected one object a line"),
        ("a.jsonl", "[" * 100_000, "not JSON ("),
        ("a.jsonl", '{"debate": ' + "9" * 5000 + "}", "not JSON (Exceeds the limit"),
        ("a.jsonl", '{"counter": "c"}', "an empty point; expected an argument"),
        ("a.jsonl", '{"point": null, "counter": "c"}', "an empty point; expected an argument"),
        ("a.jsonl", '{"point": "p", "counter": 5}', "counter: 5 is no text"),
        ("a.jsonl", '{"point": ["p"], "counter": "c"}', "point: a list is no text"),
        ("a.jsonl", '{"point": "\\ud800", "counter": "c"}', "holds a lone surrogate"),
        ("a.jsonl", '{"point": "p", "counter": "c", "theme": "\\udfff"}', "lone surrogate"),
        ("a.jsonl", '{"point": "p", "counter": "c", "debate": true}', "debate: True is no text"),
        ("a.jsonl", '{"point": "p", "counter": "c", "split": {}}', "split: an object is no text"),
        ("a.jsonl", '{"point": "p", "counter": "c", "side": 1}', "side: '1'; expected pro or con"),
    ],
)
def test_a_bad_row_is_a_problem_with_its_place(
    tmp_path: Path, name: str, row: str, expected: str
) -> None:
    good = ['"p\nq",c', "r,c"]
    if name != "a.csv":
        good = [f'{{"point": "{point}", "counter": "c"}}' for point in "pr"]
    head = "point,counter,side\n" if name == "a.csv" else "\n\n"
    content = f"{head}{good[0]}\n{row}\n{good[1]}\n"
    text = refusal(tmp_path, content, name, roles=TRAIN)
    assert "1 problem\n" in text
    assert f"{tmp_path / name}:4: " in text
    assert expected in text
    assert "leave them out with corpus.bad_files: skip" in text
    assert len(text) < 700

    corpus, problems = read_all(tmp_path, content, name, roles=TRAIN, skip=True)
    assert [problem.path for problem in problems] == [f"{tmp_path / name}:4"]
    # The row keeps its number, so that leaving it out renames no other.
    assert [one.debate for one in corpus.arguments[::2]] == ["row-000001", "row-000003"]


def test_all_problems_stand_in_one_report(tmp_path: Path) -> None:
    content = "point,counter,side\n,,neither\np,c,pro\np,c,pro,con\np,,\n" + "p,c,x\n" * 5
    file = tmp_path / "pairs.csv"
    text = refusal(tmp_path, content, roles=TRAIN)
    lines = text.splitlines()
    assert lines[0] == f"corpus {file}: 10 problems"
    # A line a kind, with the count and the first places.
    assert lines[1:-1] == [
        f"  {file}:2: an empty point; expected an argument",
        f"  2 times ({file}:2, {file}:5): an empty counter; expected an argument",
        f"  {file}:2: side: 'neither'; expected pro or con (or for, against and the like)",
        f"  {file}:4: 4 fields, but 3 columns; quote a field with ','",
        f"  5 times ({file}:6, {file}:7, {file}:8 and 2 more): side: 'x'; expected pro or con (or "
        "for, against and the like)",
    ]


def test_a_file_of_bad_rows_alone_is_an_error_even_when_they_are_skipped(tmp_path: Path) -> None:
    text = refusal(tmp_path, "point,counter\n,c\np,\n", roles=TRAIN, skip=True)
    assert "3 problems" in text
    assert "no row can be used" in text


def test_an_open_quote_says_how_far_it_reaches(tmp_path: Path) -> None:
    content = 'point,counter\np,c\n"p,c\nq,d\n'
    corpus, problems = read_all(tmp_path, content, roles=TRAIN, skip=True)
    assert len(corpus.arguments) == 2
    (problem,) = problems
    assert problem.path.endswith("pairs.csv:3")
    assert problem.what.startswith("lines 3 to 4: unexpected end of data")


def test_a_long_field_changes_nothing_for_other_readers_of_csv(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    text = "x" * (before + 1)
    corpus = read(tmp_path, csv_text([{"point": text, "counter": "c"}]), roles=TRAIN)
    assert corpus.arguments[0].text == text
    assert csv.field_size_limit() == before


MARKS = st.text('",\t\r\n{}[]:pc\x00\ufeff ', max_size=60)


@PROPERTY
@given(
    st.binary(max_size=60) | MARKS.map(str.encode),
    st.sampled_from(["csv", "tsv", "jsonl"]),
    st.booleans(),
)
def test_whatever_a_file_holds_ends_in_a_corpus_or_in_a_refusal(
    tmp_path: Path, tail: bytes, ending: str, skip: bool
) -> None:
    heads = {"csv": b"point,counter\np,c\n", "tsv": b"point\tcounter\np\tc\n"}
    head = heads.get(ending, b'{"point": "p", "counter": "c"}\n')
    count, message = 0, ""
    try:
        corpus, _ = read_all(tmp_path, head + tail, f"a.{ending}", roles=TRAIN, skip=skip)
        count = len(corpus.arguments)
    except InputError as error:
        message = str(error)
    assert count >= 2 or f"a.{ending}" in message
