"""Systems that nothing is trained for, evaluated by the same rules (docs/method.md)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from counterpoint.arrays import Floats, Ints
from counterpoint.corpus.arguments import Argument, Corpus
from counterpoint.encoders.features import read_features
from counterpoint.errors import InputError
from counterpoint.evaluation.evaluate import query_results
from counterpoint.evaluation.records import QueryResults
from counterpoint.io.rng import generator
from counterpoint.search.distances import Costs, Euclidean, Similarities
from counterpoint.tasks.candidates import CandidateSets, candidate_sets


@dataclass(frozen=True)
class Search:
    """What a baseline may look at: texts to search, and the queries."""

    name: str
    """Of what is searched; seeds the random order."""
    collection: Sequence[str]
    """All texts that statistics are taken from."""
    candidates: Ints
    """(m,) which of the collection are searched."""
    candidate_texts: Ints
    """(m,) their numbers among the unique texts of the corpus."""
    queries: Sequence[str]
    query_texts: Ints
    """(queries,) likewise."""
    training: Sequence[str]
    """All texts of the training split."""
    outputs: Callable[[], Floats]
    """Gives the untrained encoder's outputs for every text of the corpus, (texts, H)."""


Baseline = Callable[[Search], Costs]
"""What is searched to the costs of all its candidates to its queries."""


def untrained(search: Search) -> Costs:
    """Cosine of the encoder's own outputs.

    As Euclidean distance between vectors of length 1, which ranks alike.
    """
    x = search.outputs()
    queries, candidates = (
        functional.normalize(torch.from_numpy(x[texts]), dim=-1)
        for texts in (search.query_texts, search.candidate_texts)
    )
    return Euclidean(queries, candidates)


def tfidf(search: Search) -> Costs:
    """Cosine of TF-IDF vectors: sublinear, English stop words, fitted on the training split.

    On all its texts, orphans and copies included.

    Raises:
        InputError: they hold no word that counts.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english")
    try:
        vectorizer.fit(search.training)
    except ValueError as error:  # scikit-learn's way to say that the vocabulary is empty
        raise _no_words("tfidf", "the training texts") from error
    queries = vectorizer.transform(search.queries)
    rows = vectorizer.transform([search.collection[row] for row in search.candidates]).T.tocsr()
    return Similarities(lambda asked: (queries[asked] @ rows).toarray().astype(np.float32))


def bm25(search: Search) -> Costs:
    """BM25 by bm25s's defaults, English stop words, fitted on the whole collection.

    Orphans and copies included. Lù, *BM25S: Orders of magnitude faster lexical search via eager
    sparse scoring* (2024).

    Raises:
        InputError: the collection holds no word that counts.
    """
    import bm25s

    def tokens(texts: Sequence[str]) -> list[list[str]]:
        words: list[list[str]] = bm25s.tokenize(
            list(texts), stopwords="english", return_ids=False, show_progress=False
        )
        return words

    collection = tokens(search.collection)
    if not any(collection):
        raise _no_words("bm25", search.name)
    index = bm25s.BM25()
    index.index(collection, show_progress=False)
    queries = tokens(search.queries)

    # bm25s cannot score a query without a word; to it all candidates are alike.
    alike = np.zeros(len(collection), dtype=np.float32)

    def scores(words: list[str]) -> Floats:
        result: Floats = index.get_scores(words) if words else alike
        return result

    def similarity(asked: Ints) -> Floats:
        return np.stack([scores(queries[query])[search.candidates] for query in asked])

    return Similarities(similarity)


def _no_words(baseline: str, where: str) -> InputError:
    return InputError(
        f"baseline {baseline}: {where}: no text has a word of two letters or more that is no "
        "English stop word; check the corpus, or leave this baseline out"
    )


def random(search: Search) -> Costs:
    """A random order of the candidates of each query; the same in every run."""
    size = len(search.candidates)

    def similarity(asked: Ints) -> Floats:
        rngs = (generator(0, query, f"random baseline {search.name}") for query in asked)
        return np.stack([rng.random(size, dtype=np.float32) for rng in rngs])

    return Similarities(similarity)


BASELINES: dict[str, Baseline] = {
    "random": random,
    "tfidf": tfidf,
    "bm25": bm25,
    "untrained": untrained,
}


def baseline_costs(name: str, search: Search) -> Costs:
    """The costs of a baseline by its name.

    Raises:
        InputError: there is no such baseline.
    """
    if name not in BASELINES:
        raise InputError(f"baseline {name!r}: no such baseline; expected {', '.join(BASELINES)}")
    return BASELINES[name](search)


def search_of(
    arguments: Sequence[Argument],
    sets: CandidateSets,
    folder: str,
    training: Sequence[str],
    outputs: Callable[[], Floats],
) -> Search:
    """A split as something to search.

    Args:
        arguments: all of the split.
        sets: of the split.
        folder: its name.
        training: the texts of the training split.
        outputs: gives the encoder's outputs for every text of the corpus, (texts, H).
    """
    return Search(
        name=folder,
        collection=[argument.text for argument in arguments],
        candidates=sets.argument,
        candidate_texts=sets.text,
        query_texts=sets.text[sets.pairs :],
        queries=[arguments[row].text for row in sets.argument[sets.pairs :]],
        training=training,
        outputs=outputs,
    )


def evaluate_baseline(
    name: str, corpus: Corpus, features: Path | None
) -> dict[str, tuple[CandidateSets, list[QueryResults]]]:
    """Per-query records of a baseline on the dev and test splits: all tasks and protocols.

    Raises:
        InputError: there is no such baseline, or it needs features and none were given.
    """

    def outputs() -> Floats:
        if features is None:
            raise InputError(
                f"baseline {name}: needs --features, as `counterpoint features` writes"
            )
        return read_features(features, corpus)

    training = [argument.text for argument in corpus.split(corpus.roles["train"])]
    result = {}
    for role in ("dev", "test"):
        folder = corpus.roles[role]
        sets = candidate_sets(corpus, folder)
        search = search_of(corpus.split(folder), sets, folder, training, outputs)
        result[role] = (sets, query_results(sets, baseline_costs(name, search)))
    return result
