"""Reading a corpus in BEIR's layout, and what is refused of it."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from counterpoint.corpus.beir import BeirCorpus, read_beir
from counterpoint.corpus.sources import open_source
from counterpoint.errors import InputError
from tests.support.beir import HAND, jsonl, pack, qrels

WriteTree = Callable[..., Path]


@pytest.fixture
def hand(write_tree: WriteTree) -> BeirCorpus:
    return read_beir(open_source(str(write_tree(HAND))))


def test_a_folder_by_hand(hand: BeirCorpus) -> None:
    assert hand.documents == ("a", "b", "c", "d", "q1")
    assert hand.document_texts == ("one", "two", "three", "four", "zero")
    assert hand.queries == ("q1", "q2", "q3")
    assert hand.query_texts == ("zero", "ten", "two and a bit")
    # The own document of query 1 and a judgement of 0 are none.
    assert hand.relevant == ({1: 2, 3: 1}, {3: 1}, {0: 1, 4: 2})
    assert hand.own.tolist() == [4, -1, -1]
    assert hand.texts == ["one", "two", "three", "four", "zero", "ten", "two and a bit"]
    assert hand.numbers(hand.query_texts).tolist() == [4, 5, 6]


def test_titles_marks_line_ends_and_folders_are_read(write_tree: WriteTree) -> None:
    documents = {
        "1": {"title": "A title", "text": "and  its\ntext"},
        "2": {"title": "", "text": "no title\u2028at all"},
    }
    tree = {
        "scifact/corpus.jsonl": f"\ufeff{jsonl(documents)}\n\n".replace("\n", "\r\n"),
        "scifact/queries.jsonl": '{"_id": "q", "text": "caf\u00e9", "title": "not read"}',
        # No header; several splits.
        "scifact/qrels/dev.tsv": "q\t2\t1",
        "scifact/qrels/test.tsv": "query-id\tcorpus-id\tscore\r\nq\t1\t1\r\nq\t2\t-1\r\n",
    }
    source = open_source(str(write_tree(tree)))
    corpus = read_beir(source)
    assert corpus.document_texts == ("A title and its text", "no title at all")
    assert corpus.query_texts == ("caf\u00e9",)
    assert corpus.relevant == ({0: 1},)
    assert read_beir(source, "dev").relevant == ({1: 1},)


def test_a_zip_is_the_same_corpus(hand: BeirCorpus, tmp_path: Path) -> None:
    packed = read_beir(open_source(str(pack(tmp_path / "corpus", tmp_path / "hand.zip"))))
    assert (packed.documents, packed.document_texts) == (hand.documents, hand.document_texts)
    assert (packed.queries, packed.relevant) == (hand.queries, hand.relevant)


# What is read all the same


@pytest.mark.parametrize(
    "judgements",
    [
        "q1 0 b 2\nq1 0 d 1\nq1 0 q1 1\nq2 0 d 1\nq2 0 a 0\nq3 0 a 1\nq3 0 q1 2\n",
        "q1\t0\tb\t2\nq1\t0\td\t1\nq2\t0\td\t1\nq3\t0\ta\t1\nq3\t0\tq1\t2",
        "q1  Q0 b   2.0\r\nq1 Q0 d 1.\r\nq2 Q0 d 1.000\r\nq3 Q0 a 1\r\nq3 Q0 q1 2\r\n",
        "query-id corpus-id score\nq1 b 2\nq1 d 1\nq2 d 1\nq3 a 1\nq3 q1 2\n",
        "query-id\tcorpus-id\tscore\nq1\tb\t2.0\nq1\td\t1.0\nq2\td\t1\nq3\ta\t1\nq3\tq1\t2",
    ],
    ids=["TREC, spaces", "TREC, tabs", "TREC, 1.0", "three columns, spaces", "1.0"],
)
def test_judgements_are_read_as_trec_and_as_beir_write_them(
    judgements: str, hand: BeirCorpus, write_tree: WriteTree
) -> None:
    root = write_tree({**HAND, "qrels/test.tsv": judgements}, name="other")
    read = read_beir(open_source(str(root)), bad_files="stop")
    assert (read.queries, read.relevant) == (hand.queries, hand.relevant)


def test_ids_with_spaces_are_kept_between_tabs(write_tree: WriteTree) -> None:
    tree = {
        "corpus.jsonl": jsonl({"a document": "x"}),
        "queries.jsonl": jsonl({"a query": "y"}),
        "qrels/test.tsv": "a query\ta document\t1",
    }
    read = read_beir(open_source(str(write_tree(tree))))
    assert (read.documents, read.queries) == (("a document",), ("a query",))
    assert read.relevant == ({0: 1},)


def test_numbers_are_ids_and_titles_and_null_is_an_empty_title(write_tree: WriteTree) -> None:
    tree = {
        "corpus.jsonl": '{"_id": 1, "title": null, "text": "one"}\n'
        '{"_id": "2", "title": 1984, "text": "two"}',
        "queries.jsonl": '{"_id": 7, "text": "x"}',
        "qrels/test.tsv": qrels([("7", "1", 1)]),
    }
    read = read_beir(open_source(str(write_tree(tree))), bad_files="stop")
    assert (read.documents, read.document_texts) == (("1", "2"), ("one", "1984 two"))
    assert (read.queries, read.relevant) == (("7",), ({0: 1},))
    assert read.notes == ()


@pytest.mark.parametrize("text", ['"text": null', '"title": "", "text": " "', '"other": 1'])
def test_a_document_without_text_is_an_empty_one(text: str, write_tree: WriteTree) -> None:
    tree = {**HAND, "corpus.jsonl": HAND["corpus.jsonl"] + f'{{"_id": "e", {text}}}'}
    source = open_source(str(write_tree(tree)))
    read = read_beir(source)
    assert (read.documents[5], read.document_texts[5]) == ("e", "")
    said = "documents without a text, which are searched as empty ones (1): corpus.jsonl:6 (e)"
    assert read.notes == (said,)
    with pytest.raises(InputError, match="documents without a text"):
        read_beir(source, bad_files="stop")


def test_packed_files_are_the_same_corpus(hand: BeirCorpus, tmp_path: Path) -> None:
    root = tmp_path / "packed"
    for path, text in HAND.items():
        (root / f"{path}.gz").parent.mkdir(parents=True, exist_ok=True)
        (root / f"{path}.gz").write_bytes(gzip.compress(text.encode()))
    read = read_beir(open_source(str(root)))
    assert (read.documents, read.document_texts) == (hand.documents, hand.document_texts)
    assert (read.queries, read.relevant) == (hand.queries, hand.relevant)
    whole = (root / "queries.jsonl.gz").read_bytes()
    for broken in (whole[:-9], b"no gzip"):
        (root / "queries.jsonl.gz").write_bytes(broken)
        with pytest.raises(InputError, match=r"queries\.jsonl\.gz: not a gzip file"):
            read_beir(open_source(str(root)))


# What is missing


def test_a_judged_document_that_is_lacking_stays_in_the_ideal_gain(write_tree: WriteTree) -> None:
    judged = [("q1", "b", 1), ("q1", "x", 2), ("q2", "y", 1), ("q3", "z", 0), ("q3", "a", 1)]
    source = open_source(str(write_tree({**HAND, "qrels/test.tsv": qrels(judged)})))
    read = read_beir(source)
    assert read.queries == ("q1", "q2", "q3")
    assert read.relevant == ({1: 1}, {}, {0: 1})
    assert read.absent == {0: {"x": 2}, 1: {"y": 1}}
    assert read.unanswerable == ()
    [note] = read.notes
    assert note.startswith(
        "judgements of a document that the corpus lacks, which counts as not found (3): "
    )
    assert "qrels/test.tsv:3 ('x' of 'q1')" in note


def test_a_judged_query_that_is_lacking_is_left_out_and_counted_once(write_tree: WriteTree) -> None:
    judged = [("q9", "a", 1), ("q9", "b", 1), ("q1", "b", 1)]
    read = read_beir(open_source(str(write_tree({**HAND, "qrels/test.tsv": qrels(judged)}))))
    assert read.queries == ("q1",)
    assert read.notes == (
        "judged queries that queries.jsonl lacks and that are left out (1): "
        "qrels/test.tsv:2 ('q9')",
    )


def test_many_of_a_kind_are_one_line_with_the_first_five(write_tree: WriteTree) -> None:
    judged = qrels([("q1", "b", 1), *(("q1", f"x{number}", 1) for number in range(9))])
    read = read_beir(open_source(str(write_tree({**HAND, "qrels/test.tsv": judged}))))
    [note] = read.notes
    assert "not found (9): " in note
    assert note.endswith("qrels/test.tsv:7 ('x4' of 'q1'); …")


# What is refused

BROKEN: dict[str, tuple[dict[str, str | bytes], list[str]]] = {
    "no JSON": (
        {"corpus.jsonl": HAND["corpus.jsonl"] + '{"_id": "e", "text": \n'},
        ["corpus.jsonl:6", "not JSON"],
    ),
    "too long a number": (
        {"corpus.jsonl": HAND["corpus.jsonl"] + f'{{"_id": "e", "text": "", "n": {"9" * 5000}}}'},
        ["corpus.jsonl:6", "not JSON"],
    ),
    "too many brackets": (
        {"corpus.jsonl": HAND["corpus.jsonl"] + "[" * 200_000},
        ["corpus.jsonl:6", "not JSON"],
    ),
    "no object": (
        {"queries.jsonl": HAND["queries.jsonl"] + '["q1", "zero"]'},
        ["queries.jsonl:5", '"_id"'],
    ),
    "no query": (
        {"queries.jsonl": HAND["queries.jsonl"] + '{"_id": "q9"}'},
        ["queries.jsonl:5", '"text"'],
    ),
    "a truth as id": (
        {"queries.jsonl": HAND["queries.jsonl"] + '{"_id": true, "text": "x"}'},
        ["queries.jsonl:5", '"_id"'],
    ),
    "an empty id": (
        {"corpus.jsonl": HAND["corpus.jsonl"] + '{"_id": "", "text": "x"}'},
        ["corpus.jsonl:6", '"_id"'],
    ),
    "a list as text": (
        {"corpus.jsonl": HAND["corpus.jsonl"] + '{"_id": "e", "text": ["x"]}'},
        ["corpus.jsonl:6", '"text"'],
    ),
    "half a surrogate pair": (
        {"corpus.jsonl": HAND["corpus.jsonl"] + '{"_id": "e", "text": "\\ud800 x"}'},
        ["corpus.jsonl:6", "surrogate"],
    ),
    "half a surrogate pair in an id": (
        {"queries.jsonl": HAND["queries.jsonl"] + '{"_id": "\\udfff", "text": "x"}'},
        ["queries.jsonl:5", "surrogate"],
    ),
    "the same id twice": (
        {"corpus.jsonl": HAND["corpus.jsonl"] + jsonl({"b": "another"})},
        ["first counts (1)", "corpus.jsonl:6 ('b')"],
    ),
    "too few fields": (
        {"qrels/test.tsv": HAND["qrels/test.tsv"] + "q1\t1\n"},
        ["qrels/test.tsv:9", "parted by tabs", "'q1\\t1"],
    ),
    "a broken score": (
        {"qrels/test.tsv": HAND["qrels/test.tsv"] + "q1\tb\t1.5\n"},
        ["qrels/test.tsv:9", "whole score"],
    ),
    "a score with two signs": (
        {"qrels/test.tsv": HAND["qrels/test.tsv"] + "q1\tb\t--1\n"},
        ["qrels/test.tsv:9", "--1"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_lines_that_cannot_be_read_are_refused_or_left_out_where_wanted(
    case: str, hand: BeirCorpus, write_tree: WriteTree
) -> None:
    changed, expected = BROKEN[case]
    root = write_tree({**HAND, **changed}, name="broken")
    for bad_files in (None, "stop"):
        with pytest.raises(InputError) as refused:
            read_beir(open_source(str(root)), bad_files=bad_files)
        message = str(refused.value)
        assert message.startswith(f"corpus {root}: ")
        assert [part for part in expected if part not in message] == []
    read = read_beir(open_source(str(root)), bad_files="skip")
    assert (read.documents, read.document_texts) == (hand.documents, hand.document_texts)
    assert (read.queries, read.relevant) == (hand.queries, hand.relevant)
    assert len(read.notes) == 1


def test_stop_refuses_whatever_is_missing(write_tree: WriteTree) -> None:
    judged = qrels([("q1", "x", 1), ("q9", "b", 1), ("q1", "b", 1)])
    documents = HAND["corpus.jsonl"] + '{"_id": "e"}'
    tree = {**HAND, "qrels/test.tsv": judged, "corpus.jsonl": documents}
    with pytest.raises(InputError) as refused:
        read_beir(open_source(str(write_tree(tree))), bad_files="stop")
    lines = str(refused.value).splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == ["documents", "judgements", "judged"]


def test_without_a_relevant_document_there_is_no_query(write_tree: WriteTree) -> None:
    judged = qrels([("q2", "a", 0), ("q2", "b", -1), ("q1", "q1", 1)])
    root = write_tree({**HAND, "qrels/test.tsv": judged})
    with pytest.raises(InputError, match=r"qrels/test\.tsv: no judgement above 0"):
        read_beir(open_source(str(root)))


def test_what_is_no_utf_8_is_refused(write_tree: WriteTree) -> None:
    root = write_tree({**HAND, "queries.jsonl": b'{"_id": "q1", "text": "caf\xe9"}'})
    with pytest.raises(InputError, match=r"queries\.jsonl: not UTF-8"):
        read_beir(open_source(str(root)), bad_files="skip")


@pytest.mark.parametrize("missing", ["queries.jsonl", "qrels/test.tsv"])
def test_a_file_that_is_missing_is_named(missing: str, write_tree: WriteTree) -> None:
    root = write_tree({path: text for path, text in HAND.items() if path != missing})
    with pytest.raises(InputError, match=f"{root}: {missing}: no such file"):
        read_beir(open_source(str(root)))


def test_without_documents_it_is_no_corpus_of_this_layout(write_tree: WriteTree) -> None:
    root = write_tree({"queries.jsonl": HAND["queries.jsonl"]})
    with pytest.raises(InputError, match=r"no corpus\.jsonl"):
        read_beir(open_source(str(root)))


def test_several_corpora_in_one_folder_are_refused(write_tree: WriteTree) -> None:
    root = write_tree({"one/corpus.jsonl": "", "two/corpus.jsonl": ""})
    with pytest.raises(InputError, match=r"one/corpus\.jsonl, two/corpus\.jsonl"):
        read_beir(open_source(str(root)))
