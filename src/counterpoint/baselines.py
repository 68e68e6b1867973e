"""Systems that nothing is trained for, evaluated by the same rules (docs/method.md)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional

from counterpoint.corpus import Corpus, pairs_of
from counterpoint.encoder import read_features
from counterpoint.errors import InputError
from counterpoint.evaluation import Records, evaluate
from counterpoint.ranking import Costs, Euclidean, Similarities
from counterpoint.tasks import Pool, make_pool


@dataclass(frozen=True)
class Split:
    """What a baseline may look at: a corpus, one of its folders, and that folder's pool."""

    corpus: Corpus
    folder: str
    pool: Pool
    features: Path | None
    """The untrained encoder's outputs, where they are given."""


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
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english")
    corpus = split.corpus
    vectorizer.fit([argument.text for argument in corpus.split(corpus.roles["train"])])
    pairs = pairs_of(corpus.split(split.folder))
    points = vectorizer.transform([point.text for point, _ in pairs])
    counters = vectorizer.transform([counter.text for _, counter in pairs])
    similarity = torch.cat(
        [torch.from_numpy((points @ side.T).toarray()).float() for side in (counters, points)],
        dim=1,
    )
    return Similarities(similarity)


BASELINES: dict[str, Baseline] = {"untrained": untrained, "tfidf": tfidf}


def evaluate_baseline(
    name: str, corpus: Corpus, features: Path | None, roles: Sequence[str] = ("dev", "test")
) -> dict[str, tuple[Pool, list[Records]]]:
    """Per-query records of a baseline by role: all tasks and protocols.

    Raises:
        KeyError: no such baseline.
    """
    result = {}
    for role in roles:
        folder = corpus.roles[role]
        pool = make_pool(corpus, folder)
        costs = BASELINES[name](Split(corpus, folder, pool, features))
        result[role] = (pool, evaluate(pool, costs))
    return result
