"""Which layout a corpus has, and all splits of it, whichever it is."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from counterpoint.config.corpus_options import Splits
from counterpoint.corpus.arguana import read_corpus
from counterpoint.corpus.beir import beir_root
from counterpoint.corpus.opening import is_pair_file, read, read_all, split_folders
from counterpoint.corpus.pairs import read_pairs
from counterpoint.corpus.sources import open_source
from counterpoint.errors import InputError
from tests.support.debates import ROLES, debate

WriteTree = Callable[..., Path]

BEIR = {
    "corpus.jsonl": '{"_id": "d", "text": "x"}',
    "queries.jsonl": '{"_id": "q", "text": "y"}',
    "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq\td\t1\n",
}


def pair_file(path: Path, splits: Sequence[str]) -> Path:
    """A row for each of the splits, of an own debate; an empty one is none."""
    rows = [
        {"point": f"point {n}", "counter": f"counter {n}", "debate": f"d{n}", "split": split}
        for n, split in enumerate(splits)
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


# By roles


def test_debates_are_read_as_debates(small_tree: dict[str, str], write_tree: WriteTree) -> None:
    root = write_tree(small_tree)
    assert read(str(root), ROLES) == read_corpus(open_source(str(root)), ROLES)


def test_pairs_are_read_as_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pair_file(tmp_path / "x.jsonl", ["train", "train", "dev", "test"])
    assert read(str(path), ROLES) == read_pairs(path, ROLES)
    monkeypatch.setenv("MY_PAIRS", str(path))
    assert read("$MY_PAIRS", ROLES) == read_pairs(path, ROLES)


def test_skipping_goes_on_to_either(
    small_tree: dict[str, str], write_tree: WriteTree, tmp_path: Path
) -> None:
    root = write_tree(small_tree | {"test/law/juries/pro/notes.txt": "x"})
    path = pair_file(tmp_path / "x.jsonl", ["train", "dev", "test"])
    path.write_text(path.read_text() + '{"point": "p", "counter": "", "split": "test"}\n')
    for place in (root, path):
        with pytest.raises(InputError, match="1 problem"):
            read(str(place), ROLES)
        assert len(read(str(place), ROLES, skip=True)[1]) == 1


def test_nothing_is_trained_on_beirs_layout(write_tree: WriteTree) -> None:
    root = write_tree({f"arguana/{path}": text for path, text in BEIR.items()})
    expected = f"corpus {root}: BEIR's layout has no pairs to train on; evaluate on it with "
    with pytest.raises(InputError, match=re.escape(f"{expected}`counterpoint evaluate SYSTEM")):
        read(str(root), ROLES)


# All splits


def test_all_splits_of_debates_are_its_folders(write_tree: WriteTree) -> None:
    tree = debate("exam", "law", "juries", {"pro": 2}) | debate("final", "law", "x", {"con": 1})
    root = write_tree({f"02-extracted-arguments/{path}": text for path, text in tree.items()})
    found = read_all(str(root))
    assert found.roles == {"exam": "exam", "final": "final"}
    assert [len(found.split(split)) for split in ("exam", "final")] == [4, 2]
    assert found.bare_debates == {"exam": 0, "final": 0}
    assert found.decontaminate == "none"
    only = read_all(str(root), ["final"])
    assert only.roles == {"final": "final"}
    assert only.arguments == found.split("final")


def test_split_folders_are_those_that_hold_debates(write_tree: WriteTree) -> None:
    tree = debate("b", "law", "juries", {"pro": 1}) | debate("a", "law", "juries", {"con": 1})
    tree |= {"notes/readme.txt": "x", "c/law/juries/metadata.txt": "x", "d/x/y.txt": "x"}
    assert split_folders(open_source(str(write_tree(tree)))) == ["a", "b"]
    deeper = {f"x/02-extracted-arguments/{path}": text for path, text in tree.items()}
    assert split_folders(open_source(str(write_tree(deeper, name="deeper")))) == ["a", "b"]


def test_a_folder_without_debates_is_refused(write_tree: WriteTree) -> None:
    root = write_tree({"notes.txt": "x"})
    with pytest.raises(InputError, match=rf"corpus {root}: no SPLIT/THEME/DEBATE.*BEIR's layout"):
        read_all(str(root))


def test_the_sample_has_its_three_splits() -> None:
    assert sorted(read_all("sample").roles) == ["test", "training", "validation"]


def test_the_real_corpus_has_its_splits(arguana: str) -> None:
    found = read_all(arguana)
    assert {split: len(found.split(split)) for split in found.roles} == {
        "training": 8148,
        "validation": 2577,
    }


@pytest.mark.parametrize(
    "splits",
    [
        ["train", "dev", "test"],
        ["test", "validation", "train"],
        ["a", "b"],
        # No role is left whose name is no split's.
        ["train", "dev", "test", "extra", "more"],
    ],
    ids=" ".join,
)
def test_all_splits_of_a_file_have_their_own_rows(splits: list[str], tmp_path: Path) -> None:
    """A row may name its split by its role, so a split must not get another's rows by its role."""
    path = pair_file(tmp_path / "x.jsonl", [*splits, *splits, splits[0]])
    found = read_all(str(path))
    assert list(found.roles) == splits
    for number, split in enumerate(splits):
        debates = [number, number + len(splits), *([2 * len(splits)] if number == 0 else [])]
        assert {each.debate for each in found.split(split)} == {f"d{n}" for n in debates}
        assert read_all(str(path), [split]).arguments == found.split(split)
    assert len(found.arguments) == 2 * (2 * len(splits) + 1)
    assert len({each.id for each in found.arguments}) == len(found.arguments)


def test_a_file_without_splits_is_one(tmp_path: Path) -> None:
    found = read_all(str(pair_file(tmp_path / "x.jsonl", ["", "", ""])))
    assert found.roles == {"all": "all"}
    assert [each.text for each in found.arguments] == [
        f"{kind} {n}" for n in range(3) for kind in ("point", "counter")
    ]


@pytest.mark.parametrize("splits", [["train", "test"], ["", ""]], ids=["named", "not named"])
def test_a_split_that_a_file_lacks_is_refused(splits: list[str], tmp_path: Path) -> None:
    path = pair_file(tmp_path / "x.jsonl", splits)
    expected = "train, test" if splits[0] else "training, validation, test"
    with pytest.raises(InputError, match=rf"x\.jsonl: no split 'exam'; expected one of {expected}"):
        read_all(str(path), ["exam"])


@pytest.mark.parametrize(
    ("there", "wanted", "meant"),
    [
        (["train", "valid", "test"], "validation", "valid"),
        (["train", "valid", "test"], "dev", "valid"),
        (["training", "validation"], "train", "training"),
        (["Train", "Test"], "training", "Train"),
        (["dev", "validation"], "dev", "dev"),
        (["", "", "", ""], "dev", "validation"),
        (["", "", "", ""], "training", "training"),
    ],
)
def test_a_split_is_wanted_by_its_name_or_its_role(
    there: list[str], wanted: str, meant: str, tmp_path: Path
) -> None:
    path = str(pair_file(tmp_path / "x.jsonl", there))
    found = read_all(path, [wanted])
    assert found.roles == {meant: meant}
    assert {each.split for each in found.arguments} == {meant}
    if there[0]:
        assert len(found.arguments) == 2
    else:
        # As `counterpoint corpus` divides them.
        divided, _ = read(path, Splits().model_dump())
        assert found.arguments == divided.split(meant)


@pytest.mark.parametrize("splits", [["exam", "final"], ["final"]], ids=" ".join)
def test_a_split_that_debates_lack_is_refused(splits: list[str], write_tree: WriteTree) -> None:
    root = write_tree(debate("exam", "law", "juries", {"pro": 1}))
    with pytest.raises(InputError, match=r"(?s)corpus .*no split 'final'; .*exam"):
        read_all(str(root), splits)


def test_bad_files_of_any_split_stop_it(write_tree: WriteTree) -> None:
    tree = debate("exam", "law", "juries", {"pro": 1}) | debate("final", "law", "x", {"pro": 1})
    root = write_tree(tree | {"final/law/x/pro/notes.txt": "x"})
    with pytest.raises(InputError, match=r"final/law/x/pro/notes\.txt: the name does not parse"):
        read_all(str(root))
    assert len(read_all(str(root), ["exam"]).arguments) == 2


# Telling them apart


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["corpus.jsonl"], ""),
        (["beir/arguana/corpus.jsonl", "beir/readme.md"], "beir/arguana/"),
        (["beir/corpus.jsonl.gz", "beir/corpus.jsonl"], "beir/"),
        (["my-corpus.jsonl", "corpus.jsonl.bak"], None),
    ],
)
def test_beirs_layout_is_known_by_its_documents(
    paths: list[str], expected: str | None, write_tree: WriteTree
) -> None:
    assert beir_root(open_source(str(write_tree(dict.fromkeys(paths, ""))))) == expected


def test_several_of_beirs_corpora_are_refused(write_tree: WriteTree) -> None:
    root = write_tree(dict.fromkeys(["a/corpus.jsonl", "b/corpus.jsonl"], ""))
    with pytest.raises(InputError, match=r"several .*: a/corpus\.jsonl, b/corpus\.jsonl; give"):
        read(str(root), ROLES)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("sample", False),
        ("debates.zip", False),
        ("debates", False),
        ("pairs.csv", True),
        ("Pairs.TSV", True),
        ("a/b.ndjson", True),
        ("$A_FILE", True),
    ],
)
def test_a_file_of_pairs_is_known_by_its_ending(
    path: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_FILE", "/somewhere/pairs.jsonl")
    assert is_pair_file(path) is expected


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(InputError, match=r"\$NO_SUCH_X"):
        read_all("$NO_SUCH_X")
