"""Systems that nothing is trained for, evaluated by the same rules (docs/method.md)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from counterpoint.corpus import Corpus, pairs_of
from counterpoint.encoder import read_features
from counterpoint.errors import InputError
from counterpoint.evaluation import Records, evaluate, evaluate_legacy
from counterpoint.ranking import Costs, Euclidean, Similarities
from counterpoint.seeding import generator
from counterpoint.tasks import Pool, make_pool


@dataclass(frozen=True)
class Split:
    """What a baseline may look at: a corpus, one of its folders, and that folder's pool."""

    corpus: Corpus
    folder: str
    pool: Pool
    features: Path | None
    """The untrained encoder's outputs, where they are given."""


Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

Baseline = Callable[[Split], Costs]
"""A split to the costs of all rows of its pool to its queries."""


def untrained(split: Split) -> Costs:
    """Cosine of the encoder's own outputs.

    As Euclidean distance between vectors of length 1, which ranks alike.

    Raises:
        InputError: no features were given.
    """
    if split.features is None:
        raise InputError("baseline untrained: needs --features, as `counterpoint features` writes")
    x = functional.normalize(torch.from_numpy(read_features(split.features, split.corpus)), dim=-1)
    texts = torch.from_numpy(split.pool.text)
    return Euclidean(x[texts[split.pool.pairs :]], x[texts])


def tfidf(split: Split) -> Costs:
    """Cosine of TF-IDF vectors: sublinear, English stop words, fitted on the training split.

    On all its texts, orphans and copies included.
    """
    import scipy.sparse
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english")
    corpus = split.corpus
    vectorizer.fit([argument.text for argument in corpus.split(corpus.roles["train"])])
    pairs = pairs_of(corpus.split(split.folder))
    points = vectorizer.transform([point.text for point, _ in pairs])
    rows = scipy.sparse.vstack(
        [vectorizer.transform([counter.text for _, counter in pairs]), points]
    ).T.tocsr()
    return Similarities(lambda queries: (points[queries] @ rows).toarray().astype(np.float32))


def bm25(split: Split) -> Costs:
    """BM25 by bm25s's defaults, English stop words, fitted on all texts of the split itself.

    Orphans and copies included. Lù, *BM25S: Orders of magnitude faster lexical search via eager
    sparse scoring* (2024).
    """
    import bm25s

    arguments = split.corpus.split(split.folder)
    place = {argument.id: row for row, argument in enumerate(arguments)}
    columns = [place[name] for name in split.pool.ids]
    texts = [argument.text for argument in arguments]
    tokens = bm25s.tokenize(texts, stopwords="english", return_ids=False, show_progress=False)
    index = bm25s.BM25()
    index.index(tokens, show_progress=False)
    own = columns[split.pool.pairs :]

    def similarity(queries: Ints) -> Floats:
        return np.stack([index.get_scores(tokens[own[query]])[columns] for query in queries])

    return Similarities(similarity)


def random(split: Split) -> Costs:
    """A random order of the candidates of each query; the same in every run."""

    def similarity(queries: Ints) -> Floats:
        rngs = (generator(0, query, f"random baseline {split.folder}") for query in queries)
        return np.stack([rng.random(len(split.pool.ids), dtype=np.float32) for rng in rngs])

    return Similarities(similarity)


BASELINES: dict[str, Baseline] = {
    "random": random,
    "tfidf": tfidf,
    "bm25": bm25,
    "untrained": untrained,
}


def evaluate_baseline(
    name: str, corpus: Corpus, features: Path | None
) -> dict[str, tuple[Pool, list[Records]]]:
    """Per-query records of a baseline on the dev and test splits: all tasks and protocols.

    Raises:
        InputError: there is no such baseline.
    """
    if name not in BASELINES:
        raise InputError(f"baseline {name!r}: no such baseline; expected {', '.join(BASELINES)}")
    result = {}
    for role in ("dev", "test"):
        folder = corpus.roles[role]
        pool = make_pool(corpus, folder)
        costs = BASELINES[name](Split(corpus, folder, pool, features))
        result[role] = (pool, [*evaluate(pool, costs), evaluate_legacy(pool, costs)])
    return result
