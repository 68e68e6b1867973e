"""Reading a corpus in BEIR's layout, and what is refused of it."""

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


REFUSALS: dict[str, tuple[dict[str, str | bytes], list[str]]] = {
    "unknown document": (
        {"qrels/test.tsv": qrels([("q1", "b", 1), ("q1", "x", 1)])},
        ["qrels/test.tsv:3", "document 'x' is not in corpus.jsonl"],
    ),
    "unknown query": (
        {"qrels/test.tsv": qrels([("q9", "b", 1)])},
        ["qrels/test.tsv:2", "query 'q9' is not in queries.jsonl"],
    ),
    "no JSON": (
        {"corpus.jsonl": HAND["corpus.jsonl"] + '{"_id": "e", "text": \n'},
        ["corpus.jsonl:6", "not JSON"],
    ),
    "too long a number": (
        {"corpus.jsonl": f'{{"_id": "e", "text": "", "n": {"9" * 5000}}}'},
        ["corpus.jsonl:1", "not JSON"],
    ),
    "too many brackets": ({"corpus.jsonl": "[" * 200_000}, ["corpus.jsonl:1", "not JSON"]),
    "no object": ({"queries.jsonl": '\n["q1", "zero"]'}, ["queries.jsonl:2", '"_id"', '"text"']),
    "no text": ({"queries.jsonl": '{"_id": "q1"}'}, ["queries.jsonl:1", '"text"']),
    "a number as id": ({"queries.jsonl": '{"_id": 1, "text": "x"}'}, ["queries.jsonl:1", '"_id"']),
    "an empty id": ({"corpus.jsonl": '{"_id": "", "text": "x"}'}, ["corpus.jsonl:1", '"_id"']),
    "half a surrogate pair": (
        {"corpus.jsonl": '{"_id": "e", "text": "\\ud800 x"}'},
        ["corpus.jsonl:1", "surrogate"],
    ),
    "half a surrogate pair in an id": (
        {"queries.jsonl": '{"_id": "\\udfff", "text": "x"}'},
        ["queries.jsonl:1", "surrogate"],
    ),
    "the same id twice": (
        {"corpus.jsonl": HAND["corpus.jsonl"] + jsonl({"b": "another"})},
        ["corpus.jsonl:6", "'b' stands there twice"],
    ),
    "nothing relevant": (
        {"qrels/test.tsv": qrels([("q2", "a", 0), ("q2", "b", -1), ("q1", "q1", 1)])},
        ["qrels/test.tsv", "no judgement above 0"],
    ),
    "too few fields": (
        {"qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1 b 1\n"},
        ["qrels/test.tsv:2", "parted by tabs", "'q1 b 1'"],
    ),
    "a broken score": (
        {"qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\tb\t1.5\n"},
        ["qrels/test.tsv:2", "whole score"],
    ),
    "a score with two signs": ({"qrels/test.tsv": "q1\tb\t--1\n"}, ["qrels/test.tsv:1", "--1"]),
    "not UTF-8": (
        {"queries.jsonl": b'{"_id": "q1", "text": "caf\xe9"}'},
        ["queries.jsonl", "not UTF-8"],
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_corpus_that_cannot_be_used_is_refused_with_its_place(
    case: str, write_tree: WriteTree
) -> None:
    changed, expected = REFUSALS[case]
    root = write_tree({**HAND, **changed})
    with pytest.raises(InputError) as refused:
        read_beir(open_source(str(root)))
    message = str(refused.value)
    assert message.startswith(str(root))
    assert [part for part in expected if part not in message] == []


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
