"""The corpus that the package ships: large enough, varied enough, free to use."""

import re
from collections import Counter, defaultdict
from importlib.resources import files
from pathlib import Path

import pytest

from counterpoint.corpus.arguments import Argument, Corpus, normalise, pairs_of
from counterpoint.corpus.sources import open_source

SPLITS = ("training", "validation", "test")


def debates_of(corpus: Corpus) -> dict[tuple[str, str, str], set[str]]:
    """(split, theme, name) of each debate to its texts."""
    found: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for one in corpus.arguments:
        found[one.split, one.theme, one.debate].add(normalise(one.text))
    return found


def orphans(corpus: Corpus) -> list[Argument]:
    answered = {point.id for point, _ in pairs_of(corpus.arguments)}
    return [one for one in corpus.arguments if one.kind == "point" and one.id not in answered]


def test_there_are_enough_pairs_debates_and_themes(sample: Corpus) -> None:
    pairs = {(normalise(p.text), normalise(c.text)) for p, c in pairs_of(sample.arguments)}
    assert len(pairs) >= 240
    assert len({one.debate for one in sample.arguments}) >= 40
    assert len({one.theme for one in sample.arguments}) >= 8


def test_each_of_the_three_splits_has_pairs_of_both_sides(sample: Corpus) -> None:
    for split in SPLITS:
        sides = Counter(point.side for point, _ in pairs_of(sample.split(split)))
        assert min(sides["pro"], sides["con"]) >= 20


def test_each_text_has_40_to_120_words(sample: Corpus) -> None:
    wrong = {one.id: len(one.text.split()) for one in sample.arguments}
    assert {id: words for id, words in wrong.items() if not 40 <= words <= 120} == {}


def test_two_points_have_no_counter(sample: Corpus) -> None:
    assert len(orphans(sample)) == 2


def test_the_two_orphans_stand_in_different_splits(sample: Corpus) -> None:
    assert len({one.split for one in orphans(sample)}) == 2


def test_a_debate_is_listed_under_a_second_theme_of_its_split(sample: Corpus) -> None:
    debates = debates_of(sample)
    again = [
        (a, b)
        for a in debates
        for b in debates
        if a[0] == b[0] and a[1] < b[1] and a[2] == b[2] and debates[a] == debates[b]
    ]
    assert again


def test_a_debate_is_listed_in_several_splits(sample: Corpus) -> None:
    debates = debates_of(sample)
    where = defaultdict(set)
    for (split, _, name), texts in debates.items():
        where[name, frozenset(texts)].add(split)
    assert max(map(len, where.values())) >= 2


def test_dev_and_test_have_unseen_queries_and_seen_ones(sample: Corpus) -> None:
    training = {normalise(one.text) for one in sample.split("training")}
    for split in ("validation", "test"):
        seen = [
            normalise(p.text) in training or normalise(c.text) in training
            for p, c in pairs_of(sample.split(split))
        ]
        assert 0 < sum(seen) < len(seen) / 2


def test_no_phrase_of_six_words_stands_in_more_than_three_texts(sample: Corpus) -> None:
    where: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for one in sample.arguments:
        text = normalise(one.text)
        words = re.findall(r"[\w'’]+", text.lower())
        for start in range(len(words) - 5):
            where[tuple(words[start : start + 6])].add(text)
    assert {" ".join(run): len(texts) for run, texts in where.items() if len(texts) > 3} == {}


def test_point_and_counter_are_different_texts(sample: Corpus) -> None:
    assert all(
        normalise(p.text).lower() != normalise(c.text).lower()
        for p, c in pairs_of(sample.arguments)
    )


def test_every_file_is_plain_text_in_the_layout(sample: Corpus) -> None:
    texts = [path for path in open_source("sample").files() if path.endswith(".txt")]
    assert len(texts) == len(sample.arguments)


@pytest.fixture
def licence() -> str:
    folder = Path(str(files("counterpoint") / "corpus" / "sample"))
    found = [p for p in folder.iterdir() if p.is_file() and p.name.startswith(("LICEN", "README"))]
    return "\n".join(path.read_text(encoding="utf-8") for path in found)


def test_the_licence_lies_beside_the_texts(licence: str) -> None:
    assert "CC0 1.0" in licence
    assert "creativecommons.org/publicdomain/zero/1.0" in licence


def test_the_counts_beside_the_licence_are_those_of_the_texts(sample: Corpus, licence: str) -> None:
    pairs = {(normalise(p.text), normalise(c.text)) for p, c in pairs_of(sample.arguments)}
    debates = {one.debate for one in sample.arguments}
    themes = {one.theme for one in sample.arguments}
    words = " ".join(licence.split())
    assert f"{len(debates)} debates over {len(themes)} themes with {len(pairs)} pairs" in words
