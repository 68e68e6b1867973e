"""What TF-IDF and BM25 count of texts in other languages than English."""

import dataclasses

import pytest
import torch

from counterpoint.corpus.arguments import Corpus
from counterpoint.errors import InputError
from counterpoint.evaluation.baselines import Search, bm25, tfidf
from counterpoint.evaluation.terms import analyser, stop_words
from tests.support.candidates import argument


@pytest.mark.parametrize(
    ("language", "text", "terms"),
    [
        # "die", "ist", "nicht" and "sie" are stop words.
        (
            "de",
            "Die Todesstrafe ist nicht gerecht, sie IST niemals.",
            "todesstrafe gerecht niemals",
        ),
        ("ru", "Это не школа!", "школа"),
        # The vowel signs belong to their words.
        ("hi", "हिन्दी भाषा", "हिन्दी भाषा"),
        # Georgian has no stop words here.
        ("ka", "ეს არის სკოლა", "ეს არის სკოლა"),
        # Decomposed and composed are one.
        ("fr", "e\u0301cole", "\u00e9cole"),
        ("ko", "사형 제도", "사형 제도"),
        ("zh", "死刑应废除，WTO 在 2024 年说。", "死刑 刑应 应废 废除 wto 在 2024 年说"),
        ("ja", "コーヒーは良い", "コー ーヒ ヒー ーは は良 良い"),
        ("th", "โทษ ดี", "โท ทษ ดี"),
    ],
)
def test_terms(language: str, text: str, terms: str) -> None:
    assert analyser(language)(text) == terms.split()


def test_one_language_by_two_codes_has_the_same_stop_words() -> None:
    assert "ikke" in stop_words("nb") == stop_words("no")
    assert stop_words("ka") == frozenset()


DEBATE = {
    "law/juries/pro01a": "学校必须考试",
    "law/juries/pro01b": "考试伤害学校",
    "law/juries/con01a": "租金需要上限",
    "law/juries/con01b": "上限抬高租金",
}


def search(language: str) -> Search:
    corpus = Corpus([argument("test", *item) for item in DEBATE.items()], {"test": "test"}, {})
    texts = [each.text for each in corpus.arguments]

    def no_vectors():
        raise AssertionError("not asked for")

    numbers = torch.arange(len(texts)).numpy()
    return Search(
        name="test",
        collection=texts,
        candidates=numbers,
        candidate_texts=numbers,
        queries=texts,
        query_texts=numbers,
        training=texts,
        outputs=no_vectors,
        language=language,
    )


@pytest.mark.parametrize("baseline", [tfidf, bm25])
def test_chinese_is_told_apart_by_pairs_of_characters_alone(baseline) -> None:
    def others(language: str) -> torch.Tensor:
        cost = baseline(search(language)).block(torch.arange(4)).cost
        return cost[~torch.eye(4, dtype=torch.bool)].reshape(4, 3)

    # To words each text is one that no other has.
    assert (others("en") == 0).all()
    # Each shares two pairs of characters with its partner, and none with the others.
    assert others("zh").argmin(dim=1).tolist() == [0, 0, 2, 2]


@pytest.mark.parametrize("baseline", [tfidf, bm25])
def test_texts_of_stop_words_alone_are_refused_by_the_language(baseline) -> None:
    asked = dataclasses.replace(search("de"), collection=["das ist"] * 4, training=["das ist"] * 4)
    with pytest.raises(InputError, match=r"no stop word of 'de'; check the .* corpus\.lang"):
        baseline(asked)


@pytest.mark.parametrize("baseline", [tfidf, bm25])
def test_stop_words_are_the_languages_own(baseline) -> None:
    """`die` is a word in English."""
    texts = ["die schule", "die strafe", "schule nicht", "zebra"]
    asked = dataclasses.replace(search("de"), collection=texts, training=texts, queries=["die"])
    assert baseline(asked).block(torch.arange(1)).cost.unique().tolist() == [0]
    asked = dataclasses.replace(asked, language="en")
    assert len(baseline(asked).block(torch.arange(1)).cost.unique()) > 1
