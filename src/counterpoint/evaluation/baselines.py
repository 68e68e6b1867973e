"""Systems that nothing is trained for, evaluated by the same rules (docs/method.md)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from counterpoint.arrays import Floats, Ints, Mask
from counterpoint.config.languages import ENGLISH
from counterpoint.corpus.arguments import Argument, Corpus
from counterpoint.encoders.features import Outputs, read_features
from counterpoint.errors import InputError
from counterpoint.evaluation.evaluate import query_results
from counterpoint.evaluation.hybrid import (
    UNCHOSEN,
    Lexical,
    by_ranks,
    by_scores,
    choose_weight,
    standardised,
)
from counterpoint.evaluation.records import QueryResults
from counterpoint.evaluation.terms import analyser
from counterpoint.evaluation.ties import ties_of
from counterpoint.io.rng import generator
from counterpoint.results.files import HybridWeight, Ties
from counterpoint.search.distances import Costs, Euclidean, Similarities
from counterpoint.search.fused import Measured
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
    training: Sequence[str] = ()
    """All texts of the training split."""
    outputs: Callable[[], Outputs] | None = None
    """Gives the untrained encoder's outputs for every text of the corpus."""
    language: str = ENGLISH
    """Of all texts, as ISO 639-1 has it."""
    copies: Callable[[Ints], Mask] | None = None
    """From queries (n,) to the candidates (n, m) that are the query in other words than its very
    text, such as its own document with a title; None where there are none."""
    bm25_weight: float = UNCHOSEN.bm25_weight
    """In `hybrid`."""

    def others(self, queries: Ints) -> Mask:
        """(n, m) bool: the candidates that are not some queries' own text."""
        mask: Mask = self.candidate_texts[None, :] != self.query_texts[queries, None]
        return mask if self.copies is None else mask & ~self.copies(queries)


Baseline = Callable[[Search], Costs]
"""What is searched to the costs of all its candidates to its queries."""


def untrained(search: Search) -> Costs:
    """Cosine of the encoder's own outputs.

    As Euclidean distance between vectors of length 1, which ranks alike.
    """
    assert search.outputs is not None
    x = search.outputs()
    queries, candidates = (
        functional.normalize(torch.from_numpy(of_role[texts]), dim=-1)
        for of_role, texts in (
            (x.query, search.query_texts),
            (x.candidate, search.candidate_texts),
        )
    )
    return Euclidean(queries, candidates)


def tfidf(search: Search) -> Costs:
    """Cosine of TF-IDF vectors: sublinear, fitted on the training split.

    On all its texts, orphans and copies included. Terms are words less the language's stop words
    (English: scikit-learn's), or pairs of characters; see `terms.analyser`.

    Raises:
        InputError: they hold no word that counts.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    english = search.language == ENGLISH
    vectorizer = (
        TfidfVectorizer(sublinear_tf=True, stop_words="english")
        if english
        else TfidfVectorizer(sublinear_tf=True, analyzer=analyser(search.language))
    )
    try:
        vectorizer.fit(search.training)
    except ValueError as error:  # scikit-learn's way to say that the vocabulary is empty
        raise _no_terms("tfidf", "the training texts", search.language) from error
    queries = vectorizer.transform(search.queries)
    rows = vectorizer.transform([search.collection[row] for row in search.candidates]).T.tocsr()
    return Similarities(lambda asked: (queries[asked] @ rows).toarray().astype(np.float32))


def bm25(search: Search) -> Costs:
    """BM25 by bm25s's defaults, fitted on the whole collection, orphans and copies included.

    Terms are words less the language's stop words (English: bm25s's), or pairs of characters; see
    `terms.analyser`. Lù, *BM25S: Orders of magnitude faster lexical search via eager
    sparse scoring* (2024).

    Raises:
        InputError: the collection holds no word that counts.
    """
    import bm25s

    def tokens(texts: Sequence[str]) -> list[list[str]]:
        if search.language != ENGLISH:
            return [analyser(search.language)(text) for text in texts]
        words: list[list[str]] = bm25s.tokenize(
            list(texts), stopwords="english", return_ids=False, show_progress=False
        )
        return words

    collection = tokens(search.collection)
    if not any(collection):
        raise _no_terms("bm25", search.name, search.language)
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


def _no_terms(name: str, where: str, language: str) -> InputError:
    return InputError(
        f"{name}: {where}: no text has a word of two letters or more that is no stop word of "
        f"{language!r}; check the corpus and corpus.language, or do without {name}"
    )


def random(search: Search) -> Costs:
    """A random order of the candidates of each query; the same in every run."""
    size = len(search.candidates)

    def similarity(asked: Ints) -> Floats:
        rngs = (generator(0, query, f"random baseline {search.name}") for query in asked)
        return np.stack([rng.random(size, dtype=np.float32) for rng in rngs])

    return Similarities(similarity)


def lexical(search: Search) -> Lexical:
    """BM25 as the other half of a hybrid."""
    return Lexical(bm25(search), search.others)


def hybrid_rrf(search: Search) -> Costs:
    """The untrained encoder and BM25 by reciprocal ranks; see `hybrid.by_ranks`."""
    return by_ranks(untrained(search), lexical(search))


def hybrid(search: Search) -> Costs:
    """The untrained encoder and BM25 by z-scores; see `hybrid.by_scores`."""
    return by_scores(_standardised(search), search.bm25_weight)


def _standardised(search: Search) -> Measured:
    return standardised(untrained(search), lexical(search))


def hybrid_weight(sets: CandidateSets, search: Search) -> HybridWeight:
    """What BM25 weighs in `hybrid`; see `hybrid.choose_weight`.

    Args:
        sets: of the dev split.
        search: the same split as something to search.
    """
    return choose_weight(sets, _standardised(search))


BASELINES: dict[str, Baseline] = {
    "random": random,
    "tfidf": tfidf,
    "bm25": bm25,
    "untrained": untrained,
    "hybrid-rrf": hybrid_rrf,
    "hybrid": hybrid,
}

WEIGHTED = "hybrid"
"""The baseline that has a weight to choose."""


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
    training: Sequence[str] = (),
    outputs: Callable[[], Outputs] | None = None,
    language: str = ENGLISH,
) -> Search:
    """A split as something to search.

    Args:
        arguments: all of the split.
        sets: of the split.
        folder: its name.
        training: the texts of the training split, for TF-IDF.
        outputs: gives the encoder's outputs for every text of the corpus, for what needs them.
        language: of the texts.
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
        language=language,
    )


def weighing(search: Search, weight: HybridWeight) -> Search:
    """The same search, with a weight of BM25 in `hybrid`."""
    return replace(search, bm25_weight=weight.bm25_weight)


@dataclass(frozen=True)
class EvaluatedBaseline:
    """What a baseline comes to."""

    by_split: dict[str, tuple[CandidateSets, list[QueryResults]]]
    """Its results by role, dev and test."""
    ties: Ties
    """How many of all those queries have nothing but ties."""
    weight: HybridWeight | None = None
    """Of BM25 in `hybrid`."""


def evaluate_baseline(name: str, corpus: Corpus, features: Path | None) -> EvaluatedBaseline:
    """Per-query records of a baseline on the dev and test splits: all tasks and protocols.

    Raises:
        InputError: there is no such baseline, or it needs features and none were given.
    """

    @cache
    def outputs() -> Outputs:
        if features is None:
            raise InputError(
                f"baseline {name}: needs --features, as `counterpoint features` writes"
            )
        return read_features(features, corpus)

    training = [argument.text for argument in corpus.split(corpus.roles["train"])]
    searches = {}
    for role in ("dev", "test"):
        folder = corpus.roles[role]
        sets = candidate_sets(corpus, folder)
        arguments = corpus.split(folder)
        search = search_of(arguments, sets, folder, training, outputs, corpus.language)
        searches[role] = (sets, search)
    weight = hybrid_weight(*searches["dev"]) if name == WEIGHTED else None
    by_split = {}
    ties = Ties(0, 0)
    for role, (sets, search) in searches.items():
        costs = baseline_costs(name, search if weight is None else weighing(search, weight))
        by_split[role] = (sets, query_results(sets, costs))
        ties += ties_of(sets, costs)
    return EvaluatedBaseline(by_split, ties, weight)
