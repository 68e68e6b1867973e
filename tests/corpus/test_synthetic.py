"""Made-up corpora: reproducible, of the size asked for, with answers that can be found."""

import errno
import resource
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.corpus.arguana import read_corpus
from counterpoint.corpus.arguments import Corpus, normalise, pairs_of
from counterpoint.corpus.sources import open_source
from counterpoint.corpus.synthetic import split_sizes, word, write_corpus
from counterpoint.errors import InputError
from counterpoint.evaluation.baselines import evaluate_baseline
from tests.support.debates import ROLES


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("made") / "corpus"
    write_corpus(folder, pairs=200, seed=1)
    corpus, problems = read_corpus(open_source(str(folder)), ROLES)
    assert problems == []
    return corpus


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    write_corpus(tmp_path / "a", pairs=30, seed=7)
    write_corpus(tmp_path / "b", pairs=30, seed=7)
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != {}


def test_another_seed_gives_other_texts(tmp_path: Path) -> None:
    write_corpus(tmp_path / "a", pairs=30, seed=7)
    write_corpus(tmp_path / "b", pairs=30, seed=8)
    a, b = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert a.keys() == b.keys()
    assert all(a[path] != b[path] for path in a)


def test_the_splits_have_the_promised_sizes(made: Corpus) -> None:
    # 200 pairs: 60, 20 and 20 %.
    counts = {split: len(pairs_of(made.split(split))) for split in ROLES.values()}
    assert counts == {"training": 120, "validation": 40, "test": 40}


def test_what_the_shares_leave_over_goes_to_training() -> None:
    # 20 % of 23 is 4.6, cut to 4; 23 - 4 - 4 = 15.
    assert split_sizes(23) == {"training": 15, "validation": 4, "test": 4}


@settings(max_examples=50, deadline=None)
@given(st.integers(10, 10**7))
def test_no_pair_is_lost_between_the_splits(pairs: int) -> None:
    sizes = split_sizes(pairs)
    assert sum(sizes.values()) == pairs
    assert min(sizes.values()) >= 2
    assert sizes["training"] >= sizes["validation"] == sizes["test"]


@pytest.mark.parametrize("pairs", [10, 61])
def test_a_corpus_holds_at_least_the_pairs_asked_for(pairs: int, tmp_path: Path) -> None:
    write_corpus(tmp_path / "corpus", pairs=pairs, seed=1)
    corpus, problems = read_corpus(open_source(str(tmp_path / "corpus")), ROLES)
    assert problems == []
    assert len(pairs_of(corpus.arguments)) >= pairs


def test_debates_have_both_sides_and_no_orphans(made: Corpus) -> None:
    kinds = Counter(one.kind for one in made.arguments)
    assert kinds["point"] == kinds["counter"]
    sides = defaultdict(set)
    for one in made.arguments:
        sides[one.split, one.theme, one.debate].add(one.side)
    # The last debate of a split may be cut to one pair; 120, 40 and 40 leave 0, 4 and 4.
    assert all(found == {"pro", "con"} for found in sides.values())


def test_numbers_and_words_go_one_to_one() -> None:
    words = [word(number) for number in range(20_000)]
    assert len(set(words)) == len(words)
    # 70 syllables: 70³ numbers have three, the next has four.
    assert len({word(number) for number in (0, 70**3 - 1, 70**3, 70**3 + 1)}) == 4


@pytest.mark.parametrize("split", ROLES.values())
def test_each_pair_shares_words_that_stand_nowhere_else_in_its_split(
    split: str, made: Corpus
) -> None:
    where: dict[str, set[str]] = defaultdict(set)
    for one in made.split(split):
        for token in set(normalise(one.text).lower().rstrip(".").split()):
            where[token].add(one.id)
    shared = Counter(frozenset(ids) for ids in where.values())
    for point, counter in pairs_of(made.split(split)):
        assert shared[frozenset((point.id, counter.id))] >= 1


@pytest.mark.parametrize("role", ["dev", "test"])
def test_tfidf_finds_nearly_every_planted_counter(role: str, made: Corpus) -> None:
    sets, records = evaluate_baseline("tfidf", made, None).by_split[role]
    found = next(r for r in records if (r.protocol, r.task) == ("official", "epa"))
    assert len(found.rank) == sets.pairs
    assert (found.rank == 1).mean() >= 0.95


@pytest.mark.parametrize("pairs", [1, 9])
def test_too_few_pairs_are_refused(pairs: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"--pairs: {pairs} .*at least 10"):
        write_corpus(tmp_path / "deep" / "corpus", pairs=pairs, seed=1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_refused_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match=r"corpus: exists and is not empty"):
        write_corpus(folder, pairs=20, seed=1)
    assert contents(tmp_path) == {"corpus/mine.txt": b"keep"}


def test_a_file_in_the_folders_place_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "corpus").write_text("keep")
    with pytest.raises(InputError, match="corpus: exists"):
        write_corpus(tmp_path / "corpus", pairs=20, seed=1)
    assert contents(tmp_path) == {"corpus": b"keep"}


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    write_corpus(tmp_path / "corpus", pairs=20, seed=1)
    assert len(contents(tmp_path / "corpus")) == 40


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A stand-in for a full disk: no file of this process may grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_failure_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too large") as error, largest_file(350):
        # Texts are of some 370 bytes; the first that is longer than the limit ends it.
        write_corpus(tmp_path / "corpus", pairs=20, seed=1)
    assert error.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []


def test_a_corpus_can_be_read_by_everyone_the_folder_is_for(tmp_path: Path) -> None:
    write_corpus(tmp_path / "corpus", pairs=10, seed=1)
    assert (tmp_path / "corpus").stat().st_mode & 0o777 == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]
