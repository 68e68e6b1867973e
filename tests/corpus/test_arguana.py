"""Reading the layout of ArguAna Counterargs, and all that can be wrong with it."""

import re
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from counterpoint.corpus.arguana import read_corpus
from counterpoint.corpus.arguments import (
    Corpus,
    pairs_of,
)
from counterpoint.corpus.sources import MAX_TEXT_BYTES, open_source
from counterpoint.errors import InputError
from counterpoint.tasks.audit import audit
from tests.support.debates import ROLES, debate
from tests.support.sources import Memory

Write = Callable[..., Path]
TRAIN = {"train": "training"}


def read(path: Path, roles: Mapping[str, str] = ROLES) -> Corpus:
    return read_corpus(open_source(str(path)), roles)[0]


def zipped(root: Path) -> Path:
    return Path(shutil.make_archive(str(root.with_name(root.name + "-zip")), "zip", root))


# The layout


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "02-extracted-arguments/",
        "arguana-counterargs-corpus/02-extracted-arguments/",
        "any/other/name/",
    ],
)
@pytest.mark.parametrize("pack", [lambda root: root, zipped], ids=["folder", "zip"])
def test_the_splits_are_found_at_and_below_the_path(
    pack: Callable, prefix: str, small_tree: dict[str, str], small: Corpus, write_tree: Write
) -> None:
    root = write_tree({f"{prefix}{path}": text for path, text in small_tree.items()}, "deep")
    assert read(pack(root)) == small


def test_every_file_becomes_one_argument(small: Corpus, small_tree: dict[str, str]) -> None:
    # 3 splits × 2 debates × 4 pairs × 2 texts
    assert len(small.arguments) == len(small_tree) == 48
    for one in small.arguments:
        ending = "a-point" if one.kind == "point" else "b-counter"
        path = f"{one.split}/{one.theme}/{one.debate}/{one.side}/{one.side}{one.number:02d}"
        assert small_tree[f"{path}{ending}.txt"] == one.text


def test_an_id_is_made_of_the_place_alone(small: Corpus) -> None:
    ids = [one.id for one in small.arguments]
    assert ids[:4] == [
        "training/law/juries/con01a",
        "training/law/juries/con01b",
        "training/law/juries/con02a",
        "training/law/juries/con02b",
    ]
    assert len(set(ids)) == 48


def test_ids_stay_when_debates_are_added(
    small: Corpus, small_tree: dict[str, str], write_tree: Write
) -> None:
    more = small_tree | debate("training", "art", "museums", {"pro": 3})
    grown = {one.id: one for one in read(write_tree(more, "more")).arguments}
    assert len(grown) == 48 + 6
    assert all(grown[one.id] == one for one in small.arguments)


def test_the_table_does_not_depend_on_the_order_of_the_files(
    small: Corpus, small_tree: dict[str, str], rng: np.random.Generator
) -> None:
    for _ in range(5):
        shuffled = {path: small_tree[path] for path in rng.permutation(list(small_tree))}
        assert read_corpus(Memory(shuffled), ROLES)[0].arguments == small.arguments


def test_only_the_splits_in_use_are_read(small: Corpus, small_tree: dict[str, str]) -> None:
    broken = {path: b"\xff" for path in small_tree if not path.startswith("training")}
    corpus, problems = read_corpus(Memory(small_tree | broken), TRAIN)
    assert problems == []
    assert corpus.arguments == small.split("training")


def test_two_roles_may_share_a_folder(small: Corpus, small_tree: dict[str, str]) -> None:
    roles = {"train": "training", "dev": "validation", "test": "validation"}
    corpus, _ = read_corpus(Memory(small_tree), roles)
    assert corpus.roles == roles
    assert corpus.arguments == small.split("training") + small.split("validation")


def test_two_folders_with_the_splits_are_an_error(small_tree: dict[str, str]) -> None:
    tree = {f"{top}/{path}": text for top in ("a", "b") for path, text in small_tree.items()}
    with pytest.raises(InputError, match=r"several folders.*'a/', 'b/'.*give the path of one"):
        read_corpus(Memory(tree), ROLES)


def test_the_published_folder_goes_before_others(small: Corpus, small_tree: dict[str, str]) -> None:
    other = {f"x/01-other/{path}": f"other {text}" for path, text in small_tree.items()}
    own = {f"x/02-extracted-arguments/{path}": text for path, text in small_tree.items()}
    assert read_corpus(Memory(other | own), ROLES)[0] == small


def test_two_published_folders_are_an_error(small_tree: dict[str, str]) -> None:
    tree = {
        f"{top}/02-extracted-arguments/{path}": text
        for top in ("a", "b")
        for path, text in small_tree.items()
    }
    with pytest.raises(InputError, match="several folders"):
        read_corpus(Memory(tree), ROLES)


def test_a_folder_in_another_layout_says_what_was_found() -> None:
    with pytest.raises(InputError, match=r"training.*found at the top: essays"):
        read_corpus(Memory({"essays/one.txt": "text"}), TRAIN)


# What is wrong, and what may be left out

KNOWN = [
    "metadata.txt",
    "thesis.txt",
    "intro.txt",
    "full.txt",
    "literature.txt",
    "sentiment.tsv",
    ".DS_Store",
]

BAD: dict[str, str | bytes] = {
    "training/law/empty/thesis.txt": "a debate without sides",
    "training/law/juries/pro/notes.txt": "a name that does not parse",
    "training/law/juries/pro/con03a-point.txt": "con in a pro folder",
    "training/law/juries/pro/pro7a-point.txt": "one digit",
    "training/law/juries/con/old/con01a-point.txt": "too deep",
    "training/law/juries/pro/pro01a-point.txt": " \n\t ",
    "training/sport/boxing/con/con02b-counter.txt": "",
    "training/sport/boxing/con/con01b-counter.txt": b"caf\xe9",
    "training/sport/boxing/pro/pro09b-counter.txt": "a counter without a point",
    "training/sport/boxing/pro/pro02b-counter.txt": b"x" * (MAX_TEXT_BYTES + 1),
}
"""Each of them one problem; the white point's counter is one more."""

NAMED = [path for path in BAD if not path.endswith("thesis.txt")] + [
    "training/law/empty",
    "training/law/juries/pro/pro01b-counter.txt",
]


def test_everything_wrong_stands_in_one_report(
    small_tree: dict[str, str], write_tree: Write
) -> None:
    blank = {"blank/law/listed/metadata.txt": "a split without pairs"}
    root = write_tree({**small_tree, **BAD, **blank}, "bad")
    roles = {"train": "training", "dev": "nowhere", "test": "blank"}
    with pytest.raises(InputError) as error:
        read_corpus(open_source(str(root)), roles)
    message = str(error.value)
    # 10 files and debates, the counter of the white point, the missing and the empty split.
    assert f"corpus {root}: 13 problems" in message
    lines = [line.strip() for line in message.splitlines() if line.startswith("  ")]
    # A line a kind, with the count.
    counts = [re.match(r"(\d+) times", line) for line in lines]
    assert sum(int(count[1]) if count else 1 for count in counts) == 13
    found = {path for path in [*NAMED, "nowhere", "blank"] if any(path in line for line in lines)}
    assert found == {*NAMED, "nowhere", "blank"}
    assert any("nowhere: there is no such split" in line for line in lines)
    assert any("blank: the split holds no pair" in line for line in lines)


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("training/law/empty", "without sides"),
        ("training/law/juries/pro/notes.txt", "name does not parse"),
        ("training/law/juries/pro/con03a-point.txt", "proNNa-point.txt"),
        ("training/law/juries/pro/pro01a-point.txt", "empty text"),
        ("training/sport/boxing/con/con02b-counter.txt", "empty text"),
        ("training/sport/boxing/con/con01b-counter.txt", "not UTF-8 (byte 0xe9 at offset 3)"),
        ("training/sport/boxing/pro/pro09b-counter.txt", "a counter without a point"),
        ("training/sport/boxing/pro/pro02b-counter.txt", str(MAX_TEXT_BYTES + 1)),
    ],
)
@pytest.mark.parametrize("pack", [lambda root: root, zipped], ids=["folder", "zip"])
def test_a_problem_names_the_file_and_says_what_is_wrong(
    pack: Callable, path: str, what: str, small_tree: dict[str, str], write_tree: Write
) -> None:
    root = write_tree({**small_tree, **BAD}, "bad")
    problems = read_corpus(open_source(str(pack(root))), TRAIN, skip=True)[1]
    assert what in {problem.path: problem.what for problem in problems}[path]


def test_skipping_leaves_out_exactly_the_bad_ones(
    small: Corpus, small_tree: dict[str, str], write_tree: Write
) -> None:
    corpus, problems = read_corpus(
        open_source(str(write_tree({**small_tree, **BAD}, "bad"))), ROLES, skip=True
    )
    gone = {
        "training/law/juries/pro01a",
        "training/law/juries/pro01b",
        "training/sport/boxing/con02b",
        "training/sport/boxing/con01b",
        "training/sport/boxing/pro02b",
    }
    assert corpus.arguments == [one for one in small.arguments if one.id not in gone]
    assert len(problems) == 11
    # Their points stay, as orphans: training has 8 pairs, less the 4 above.
    assert [row["orphans"] for row in audit(corpus)] == [3, 0, 0]
    assert [row["pairs"] for row in audit(corpus)] == [4, 8, 8]


def test_a_whole_corpus_has_no_problems(small_tree: dict[str, str]) -> None:
    for skip in (False, True):
        assert read_corpus(Memory(small_tree), ROLES, skip=skip)[1] == []


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize(
    ("extra", "what"),
    [
        ({}, "there is no such split"),
        ({"dev/law/listed/metadata.txt": "x"}, "the split holds no pair"),
        ({"dev/law/juries/pro/pro01a-point.txt": "alone"}, "the split holds no pair"),
        ({"dev/law/juries/pro/pro01a-point.txt": ""}, "the split holds no pair"),
    ],
)
def test_a_split_without_pairs_cannot_be_left_out(
    skip: bool, extra: dict[str, str], what: str, small_tree: dict[str, str]
) -> None:
    with pytest.raises(InputError, match=f"dev: {what}"):
        read_corpus(Memory(small_tree | extra), {"train": "training", "dev": "dev"}, skip=skip)


def test_the_other_files_of_the_layout_are_ignored(
    small: Corpus, small_tree: dict[str, str]
) -> None:
    places = ("training/law/juries/", "training/law/juries/pro/", "training/law/", "training/")
    names = (*KNOWN, "notes.pdf")
    extra: dict[str, str | bytes] = {
        f"{place}{name}": b"\xff" for place in places for name in names
    }
    corpus, problems = read_corpus(Memory(small_tree | extra), ROLES)
    assert problems == []
    assert corpus.arguments == small.arguments
    texts, others = len(small.split("training")), len(places) * len(names)
    assert corpus.notes[0].startswith(
        f"training: {texts + others} files: {texts} texts read, 0 bad, {others} ignored ("
    )


@pytest.mark.parametrize(
    ("place", "what"),
    [
        ("law/juries/Pro/pro07a-point.txt", "lies in a folder 'Pro'; rename it to pro"),
        ("law/juries/CON/con07a-point.txt", "lies in a folder 'CON'; rename it to con"),
        ("law/juries/contra/con07a-point.txt", "lies in a folder 'contra'; rename it to con"),
        ("law/juries/other/con07a-point.txt", "lies in a folder 'other', which is no side"),
        ("law/juries/pro07a-point.txt", "lies 1 level too high; expected training/THEME/DEBATE/"),
        ("law/pro07a-point.txt", "lies 2 levels too high"),
        ("law/x/juries/in/pro07a-point.txt", "lies 1 level too deep"),
        ("law/juries/pro/old/pro07a-point.txt", "the name does not parse"),
    ],
)
def test_every_text_below_a_split_is_read_or_bad(
    place: str, what: str, small: Corpus, small_tree: dict[str, str]
) -> None:
    tree = small_tree | {f"training/{place}": "A point.", "training/sport/boxing/metadata.txt": "x"}
    corpus, problems = read_corpus(Memory(tree), ROLES, skip=True)
    assert [problem.path for problem in problems if problem.path.endswith(".txt")] == [
        f"training/{place}"
    ]
    assert problems[0].what.startswith(what)
    texts = len(small.split("training"))
    assert f"{texts + 2} files: {texts} texts read, 1 bad, 1 ignored" in corpus.notes[0]


def test_a_debate_listed_without_texts_is_counted_and_no_problem(
    small_tree: dict[str, str],
) -> None:
    listed = {f"training/law/listed{n}/metadata.txt": "x" for n in range(3)}
    corpus, problems = read_corpus(Memory(small_tree | listed), ROLES)
    assert problems == []
    assert corpus.bare_debates == {"training": 3, "validation": 0, "test": 0}
    assert audit(corpus)[0]["debates"] == 2 + 3


def test_a_point_without_a_counter_is_an_orphan(small_tree: dict[str, str]) -> None:
    del small_tree["training/law/juries/pro/pro02b-counter.txt"]
    corpus, problems = read_corpus(Memory(small_tree), TRAIN)
    assert problems == []
    paired = {point.id for point, _ in pairs_of(corpus.arguments)}
    points = {one.id for one in corpus.arguments if one.kind == "point"}
    assert points - paired == {"training/law/juries/pro02a"}


def test_a_counter_goes_with_the_point_of_its_own_debate_side_and_number(small: Corpus) -> None:
    pairs = pairs_of(small.arguments)
    assert len(pairs) == 24
    for point, counter in pairs:
        assert (point.kind, counter.kind) == ("point", "counter")
        assert point.text.removesuffix("a-point") == counter.text.removesuffix("b-counter")


# Texts


def test_a_text_of_two_marks_alone_is_a_text(small_tree: dict[str, str]) -> None:
    path = "training/law/juries/pro/pro01a-point.txt"
    corpus, problems = read_corpus(Memory(small_tree | {path: '."'}), TRAIN)
    assert problems == []
    assert {one.id: one.text for one in corpus.arguments}["training/law/juries/pro01a"] == '."'


def test_the_real_corpus_has_such_a_text_in_both_splits(real: Corpus) -> None:
    for split in ("training", "validation"):
        found = [one.kind for one in real.split(split) if one.text.strip() == '."']
        assert found == ["point"]


def test_a_byte_order_mark_is_no_part_of_the_text(small_tree: dict[str, str]) -> None:
    path = "training/law/juries/pro/pro01a-point.txt"
    plain = read_corpus(Memory(small_tree), TRAIN)[0]
    marked = read_corpus(
        Memory(small_tree | {path: b"\xef\xbb\xbf" + small_tree[path].encode()}), TRAIN
    )[0]
    assert marked == plain


def test_a_byte_order_mark_alone_is_an_empty_text(small_tree: dict[str, str]) -> None:
    path = "training/law/juries/pro/pro01a-point.txt"
    with pytest.raises(InputError, match=rf"{path}: an empty text"):
        read_corpus(Memory(small_tree | {path: b"\xef\xbb\xbf"}), TRAIN)


def test_the_real_corpus_reads_the_same_from_a_folder(
    real: Corpus, arguana: str, tmp_path: Path
) -> None:
    with zipfile.ZipFile(arguana) as archive:
        archive.extractall(tmp_path)
    found = read(tmp_path, {"train": "training", "dev": "validation", "test": "validation"})
    assert found.arguments == real.arguments
    assert found.bare_debates == real.bare_debates
