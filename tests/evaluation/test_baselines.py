"""Baselines against formulas, scikit-learn and the figures of another program."""

import dataclasses
import math
import re

import numpy as np
import pytest
import torch
from bm25s.stopwords import STOPWORDS_EN
from sklearn.feature_extraction.text import TfidfVectorizer

from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.features import same_outputs, write_features
from counterpoint.errors import InputError
from counterpoint.evaluation.baselines import Search, bm25, evaluate_baseline, search_of, tfidf
from counterpoint.tasks.candidates import TASKS, candidate_sets
from counterpoint.tasks.protocols import WITH_TASKS
from tests.support.candidates import argument, brute_candidates, folded

ROLES = {"train": "training", "dev": "validation", "test": "validation"}

# Words with "the", "and", "is", which are stop words, and with words that training lacks. The third
# text of training is an orphan's, the last one a copy: both count in fitting.
TRAINING = {
    "x/x/pro01a": "the court is slow",
    "x/x/pro01b": "court and jury",
    "x/x/pro02a": "jury jury vote",
    "x/x/pro03a": "ban sport",
    "x/x/pro03b": "sport is sport and vote",
    "y/y/pro01a": "the court is slow",
    "y/y/pro01b": "ban jury",
}
VALIDATION = {
    "law/juries/pro01a": "the jury jury jury is slow",
    "law/juries/pro01b": "slow court and slow jury",
    "law/juries/pro02a": "ban sport zebra",
    "law/juries/pro02b": "vote vote sport",
    "law/juries/con01a": "zebra giraffe",
    "law/juries/con01b": "court vote",
    "law/juries/con02a": "court court court slow ban",
    "law/juries/con02b": "ban the court and vote",
}
STOP = {"the", "is", "and"}


@pytest.fixture
def tiny():
    arguments = [argument("training", *item) for item in TRAINING.items()]
    arguments += [argument("validation", *item) for item in VALIDATION.items()]
    return Corpus(arguments, ROLES, {})


def tfidf_vectors():
    """Each validation text as {word: weight}: (1 + ln tf) · (1 + ln((1 + n) / (1 + df))), length 1.

    n = 7 texts of training, df = how many of them hold the word.
    """
    documents = [set(text.split()) - STOP for text in TRAINING.values()]
    vectors = {}
    for where, text in VALIDATION.items():
        words = [word for word in text.split() if any(word in known for known in documents)]
        weights = {}
        for word in set(words):
            df = sum(word in known for known in documents)
            idf = 1 + math.log((1 + len(documents)) / (1 + df))
            weights[word] = (1 + math.log(words.count(word))) * idf
        length = math.sqrt(sum(weight**2 for weight in weights.values()))
        vectors[where] = {word: weight / length for word, weight in weights.items()}
    return vectors


def by_brute_force(corpus, folder, task, protocol, similarity):
    """{query id: rank of the gold}, whoever is at least as similar before it."""
    arguments, training = corpus.split(folder), corpus.split(corpus.roles["train"])
    ranks = {}
    for query, candidates in brute_candidates(arguments, training, task, protocol).items():
        gold = query[:-1] + "b"
        own = similarity(query, gold)
        others = [one for one in candidates if one != gold]
        ranks[query] = 1 + sum(similarity(query, one) >= own for one in others)
    return ranks


def ranks_of(sets, records):
    names = [sets.ids[sets.pairs + query] for query in records.queries]
    return dict(zip(names, records.rank.tolist(), strict=True))


def search(corpus: Corpus, folder: str) -> Search:
    def no_vectors():
        raise AssertionError("not asked for")

    training = [argument.text for argument in corpus.split("training")]
    sets = candidate_sets(corpus, folder)
    return search_of(corpus.split(folder), sets, folder, training, no_vectors)


def test_tfidf_costs_are_cosines_of_the_formula_fitted_on_all_of_training(tiny) -> None:
    sets = candidate_sets(tiny, "validation")
    costs = tfidf(search(tiny, "validation"))
    cost = costs.block(torch.arange(sets.pairs)).cost
    vectors = tfidf_vectors()
    names = [one.removeprefix("validation/") for one in sets.ids]
    for query in range(sets.pairs):
        for row, name in enumerate(names):
            mine, other = vectors[names[sets.pairs + query]], vectors[name]
            cosine = sum(weight * other.get(word, 0) for word, weight in mine.items())
            assert float(cost[query, row]) == pytest.approx(-cosine, abs=1e-6)


def test_tfidf_ranks_are_those_of_scikit_learn(tiny) -> None:
    model = TfidfVectorizer(sublinear_tf=True, stop_words="english").fit(TRAINING.values())
    rows = {
        f"validation/{where}": model.transform([text]).toarray()[0].astype(np.float64)
        for where, text in VALIDATION.items()
    }

    def similarity(query, candidate):
        return np.float32(rows[query] @ rows[candidate])

    sets, found = evaluate_baseline("tfidf", tiny, None).by_split["dev"]
    assert [(one.protocol, one.task) for one in found] == [
        *((protocol, task) for protocol in WITH_TASKS for task in TASKS),
        ("legacy", "epa"),
        ("legacy-subset", "epa"),
    ]
    for records in found[:-2]:
        expected = by_brute_force(tiny, "validation", records.task, records.protocol, similarity)
        assert ranks_of(sets, records) == expected
        assert records.reranked is None


def test_a_query_without_any_known_word_ties_with_everyone_and_is_wrong(tiny) -> None:
    # "zebra giraffe" stands at 0 to all: its gold is the last of the seven other arguments.
    sets, found = evaluate_baseline("tfidf", tiny, None).by_split["dev"]
    (epa,) = [one for one in found if (one.task, one.protocol) == ("epa", "official")]
    assert ranks_of(sets, epa)["validation/law/juries/con01a"] == 7


def test_to_bm25_a_query_of_stop_words_alone_ties_with_everyone(tiny) -> None:
    asked = search(tiny, "validation")
    queries = ["To be or not to be", *asked.queries[1:]]
    costs = bm25(dataclasses.replace(asked, queries=queries))
    block = costs.block(torch.arange(len(queries)))
    assert block.cost[0].unique().tolist() == [0.0]
    expected = bm25(asked).block(torch.arange(len(queries)))
    assert torch.equal(block.cost[1:], expected.cost[1:])


# Design §7; accuracy@1 in %, in the order of TASKS.
PUBLISHED = {
    ("tfidf", "official"): (69.0, 51.4, 49.0, 37.7, 50.0, 36.1, 47.9, 27.9),
    ("tfidf", "clean"): (69.7, 50.8, 49.7, 38.0, 49.2, 36.5, 47.3, 34.4),
    ("bm25", "official"): (70.2, 52.1, 44.1, 32.4, 50.0, 30.5, 47.1, 24.8),
    ("bm25", "clean"): (71.4, 52.9, 45.2, 32.7, 50.6, 30.3, 47.3, 28.8),
}


@pytest.mark.parametrize("name", ["tfidf", "bm25"])
def test_baselines_on_the_real_validation_split_have_the_figures_of_another_program(
    real, name
) -> None:
    _, found = evaluate_baseline(name, real, None).by_split["dev"]
    assert {(one.protocol, len(one.queries)) for one in found} == {
        ("official", 1287),
        ("clean", 713),
        ("legacy", 1287),
        ("legacy-subset", 81),
    }
    for records in found[:-2]:
        expected = PUBLISHED[name, records.protocol][list(TASKS).index(records.task)]
        accuracy = 100 * (records.rank == 1).mean()
        assert abs(accuracy - expected) <= 0.2, (records.protocol, records.task, accuracy)


def test_bm25_scores_are_those_of_the_formula(tiny) -> None:
    """Lucene's BM25 (k1 1.5, b 0.75): idf ln(1 + (N − df + ½)/(df + ½)), over all of the split."""
    sets = candidate_sets(tiny, "validation")
    split = tiny.split("validation")
    words = {one.id: re.findall(r"\b\w\w+\b", one.text.lower()) for one in split}
    words = {name: [w for w in found if w not in STOPWORDS_EN] for name, found in words.items()}
    mean = sum(map(len, words.values())) / len(words)
    cost = bm25(search(tiny, "validation")).block(torch.arange(sets.pairs)).cost
    for query in range(sets.pairs):
        for row, name in enumerate(sets.ids):
            score = 0.0
            for word in words[sets.ids[sets.pairs + query]]:
                df = sum(word in found for found in words.values())
                tf = words[name].count(word)
                idf = math.log(1 + (len(words) - df + 0.5) / (df + 0.5))
                score += idf * tf / (tf + 1.5 * (1 - 0.75 + 0.75 * len(words[name]) / mean))
            assert float(cost[query, row]) == pytest.approx(-score, abs=1e-5)


def test_random_is_at_chance_and_the_same_each_time(real) -> None:
    found = [evaluate_baseline("random", real, None).by_split["dev"][1] for _ in range(2)]
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one.rank, other.rank)
    for records in found[0][:-1]:
        chance = (1 / records.candidates).mean()
        error = 5 * math.sqrt(chance / len(records.queries))
        assert abs((records.rank == 1).mean() - chance) <= error


def test_untrained_ranks_by_cosine_whatever_the_lengths(sample, tmp_path) -> None:
    rng = np.random.default_rng(7)
    features = rng.standard_normal((len(sample.texts), 16)).astype(np.float32)
    features *= rng.uniform(0.1, 10, (len(features), 1)).astype(np.float32)
    write_features(same_outputs(features), sample, tmp_path / "features.safetensors")
    x = features.astype(np.float64)
    cosines = [[float(q @ c) / math.sqrt(float(q @ q) * float(c @ c)) for c in x] for q in x]
    by_text = {text: number for number, text in enumerate(sample.texts)}
    number = {one.id: by_text[folded(one.text)] for one in sample.arguments}

    def cosine(query, candidate):
        return cosines[number[query]][number[candidate]]

    result = evaluate_baseline("untrained", sample, tmp_path / "features.safetensors").by_split
    assert list(result) == ["dev", "test"]
    for role, (sets, found) in result.items():
        for records in found[:-2]:
            folder = sample.roles[role]
            expected = by_brute_force(sample, folder, records.task, records.protocol, cosine)
            assert ranks_of(sets, records) == expected
            assert len(expected) > 50
            assert records.reranked is None


def test_untrained_without_features_is_an_input_error(sample) -> None:
    with pytest.raises(InputError, match="--features"):
        evaluate_baseline("untrained", sample, None)


def test_features_of_another_corpus_are_an_input_error(sample, tiny, tmp_path) -> None:
    other = tmp_path / "other.safetensors"
    write_features(same_outputs(np.ones((len(tiny.texts), 4), dtype=np.float32)), tiny, other)
    with pytest.raises(InputError, match="another corpus"):
        evaluate_baseline("untrained", sample, other)


def test_an_unknown_baseline_is_refused(sample) -> None:
    with pytest.raises(InputError, match="baseline 'bm26': no such baseline; expected random,"):
        evaluate_baseline("bm26", sample, None)


@pytest.mark.parametrize("baseline", [tfidf, bm25])
def test_a_collection_without_a_word_is_an_input_error(tiny, baseline) -> None:
    empty = dataclasses.replace(
        search(tiny, "validation"), collection=["the", "x"] * 20, training=["the", "x"]
    )
    with pytest.raises(InputError, match="no text has a word"):
        baseline(empty)
