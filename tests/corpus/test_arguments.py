"""The table of arguments, and when two texts are the same."""

import json
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.corpus.arguana import read_corpus
from counterpoint.corpus.arguments import (
    Corpus,
    normalise,
    pairs_of,
    read_arguments,
    read_debates,
    text_hash,
    write_arguments,
)
from counterpoint.errors import InputError
from tests.support.debates import ROLES
from tests.support.sources import Memory

# Texts


def test_sameness_is_nfc_and_folded_white_space() -> None:
    # é as one code point, and as e with a combining accent.
    same = [
        "caf\u00e9 au lait",
        "cafe\u0301 au lait",
        "  caf\u00e9\tau\n\nlait\r\n",
        "café\u00a0au lait",
    ]
    assert {normalise(text) for text in same} == {"caf\u00e9 au lait"}
    assert len({text_hash(text) for text in same}) == 1


@pytest.mark.parametrize("other", ["Café au lait", "cafe au lait", "café au lait.", "caféau lait"])
def test_case_accents_marks_and_word_limits_make_another_text(other: str) -> None:
    assert text_hash(other) != text_hash("café au lait")


def test_compatibility_forms_are_other_texts() -> None:
    # NFC, unlike NFKC, keeps the ligature ﬁ.
    assert text_hash("\ufb01sh") != text_hash("fish")


def test_a_text_hash_is_32_hexadecimal_digits_of_sha256() -> None:
    # The first half of the SHA-256 of "abc", from FIPS 180-2, appendix B.1.
    assert text_hash(" abc\n") == "ba7816bf8f01cfea414140de5dae2223"


@settings(max_examples=50, deadline=None)
@given(st.text(), st.text())
def test_normalisation_is_stable_and_decides_the_hash(a: str, b: str) -> None:
    a, b = (text.encode("utf-8", "ignore").decode() for text in (a, b))
    assert normalise(normalise(a)) == normalise(a)
    assert normalise(unicodedata.normalize("NFD", a)) == normalise(a)
    assert (text_hash(a) == text_hash(b)) == (normalise(a) == normalise(b))


def test_unique_texts_are_numbered_by_first_appearance(small_tree: dict[str, str]) -> None:
    # In the order of paths: con01a, con01b, con02a, con02b, pro01a, …
    side = "training/law/juries/con/con"
    changed = {
        f"{side}01a-point.txt": "one",
        f"{side}01b-counter.txt": "two",
        f"{side}02a-point.txt": " one ",
        f"{side}02b-counter.txt": "three",
    }
    corpus, _ = read_corpus(Memory(small_tree | changed), {"train": "training"})
    assert corpus.text_index[:4].tolist() == [0, 1, 0, 2]
    assert corpus.texts[:3] == ["one", "two", "three"]
    assert len(corpus.texts) == 16 - 1
    for one, number in zip(corpus.arguments, corpus.text_index, strict=True):
        assert corpus.texts[number] == normalise(one.text)
        assert corpus.text_number[one.text_hash] == number


# The table of arguments


def test_a_written_table_reads_back_the_same(small_tree: dict[str, str], tmp_path: Path) -> None:
    extra = {
        "training/law/listed/metadata.txt": "x",
        "test/art/naïve-art/pro/pro01a-point.txt": "línea\r\nنص 💬",
        "test/art/naïve-art/pro/pro01b-counter.txt": "  white space kept \n",
    }
    corpus, _ = read_corpus(Memory(small_tree | extra), ROLES)
    write_arguments(corpus, tmp_path / "out" / "arguments.parquet")
    found = read_arguments(tmp_path / "out" / "arguments.parquet")
    assert found == corpus
    assert found.bare_debates["training"] == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["arguments.parquet"]


def test_the_same_corpus_gives_the_same_bytes(small: Corpus, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_arguments(small, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def _text(path: Path, whole: bytes) -> None:
    path.write_text("not a table")


def _empty(path: Path, whole: bytes) -> None:
    path.write_bytes(b"")


def _cut(path: Path, whole: bytes) -> None:
    path.write_bytes(whole[: len(whole) // 2])


def _hurt_footer(path: Path, whole: bytes) -> None:
    path.write_bytes(whole[:-300] + b"\xff" * 280 + whole[-20:])


def _hurt_data(path: Path, whole: bytes) -> None:
    path.write_bytes(whole[:100] + b"\xff" * 800 + whole[900:])


def _other_table(path: Path, whole: bytes) -> None:
    pq.write_table(pa.table({"id": ["a"]}), path)


def _other_columns(path: Path, whole: bytes) -> None:
    metadata = {"counterpoint": '{"roles": {}, "bare_debates": {}}'}
    pq.write_table(pa.table({"id": ["a"]}).replace_schema_metadata(metadata), path)


def _bad_facts(path: Path, whole: bytes) -> None:
    table = pq.read_table(pa.BufferReader(whole))
    pq.write_table(table.replace_schema_metadata({"counterpoint": "{bad"}), path)


def _other_facts(path: Path, whole: bytes) -> None:
    table = pq.read_table(pa.BufferReader(whole))
    pq.write_table(table.replace_schema_metadata({"counterpoint": '{"version": 2}'}), path)


@pytest.mark.parametrize(
    "damage",
    [
        _text,
        _empty,
        _cut,
        _hurt_footer,
        _hurt_data,
        _other_table,
        _other_columns,
        _bad_facts,
        _other_facts,
    ],
)
def test_a_file_that_is_no_table_of_arguments_is_refused(
    damage: Callable[[Path, bytes], None], small: Corpus, tmp_path: Path
) -> None:
    path = tmp_path / "arguments.parquet"
    write_arguments(small, path)
    damage(path, path.read_bytes())
    with pytest.raises(InputError, match=r"arguments\.parquet: .*`counterpoint corpus`"):
        read_arguments(path)


def test_a_table_without_the_column_of_pairs_says_how_to_write_it_again(
    small: Corpus, tmp_path: Path
) -> None:
    path = tmp_path / "arguments.parquet"
    write_arguments(small, path)
    pq.write_table(pq.read_table(path).drop_columns(["pair"]), path)
    for read in (read_arguments, read_debates):
        with pytest.raises(InputError, match=r"arguments\.parquet: .*older.*forcerun corpus"):
            read(path)


def test_the_language_stands_in_the_table_and_is_english_in_older_ones(
    small: Corpus, tmp_path: Path
) -> None:
    path = tmp_path / "arguments.parquet"
    write_arguments(replace(small, language="de"), path)
    assert read_arguments(path).language == "de"
    table = pq.read_table(path)
    facts = json.loads(table.schema.metadata[b"counterpoint"])
    del facts["language"]
    pq.write_table(table.replace_schema_metadata({"counterpoint": json.dumps(facts)}), path)
    assert read_arguments(path) == small


def test_the_debates_are_read_alone(small: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "arguments.parquet"
    write_arguments(small, path)
    assert read_debates(path) == {
        argument.id: f"{argument.split}/{argument.theme}/{argument.debate}"
        for argument in small.arguments
    }
    assert len(set(read_debates(path).values())) == 6


def test_a_point_and_its_counter_name_the_point_as_their_pair(small: Corpus) -> None:
    points = {argument.id for argument in small.arguments if argument.kind == "point"}
    assert {argument.pair for argument in small.arguments} == points
    for point, counter in pairs_of(small.arguments):
        assert point.pair == counter.pair == point.id
        assert (point.debate, point.side, point.number) == (
            counter.debate,
            counter.side,
            counter.number,
        )
