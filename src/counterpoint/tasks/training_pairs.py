"""The de-duplicated pairs that a cell trains on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from counterpoint.arrays import Ints
from counterpoint.corpus.arguments import Corpus
from counterpoint.tasks.candidates import CandidateSets


@dataclass(frozen=True)
class TrainingPairs:
    """The de-duplicated pairs of a split, as numbers of unique texts of the corpus.

    `point` and `counter` are (n,) int64. `others` is (n, g) int64, the further counters of each
    pair's point, which are as right as its own, then -1; where each point has one, g is 0.
    `debates` gives, for each pair, the numbers of the debates it stands in; `debates_of_point` and
    `debates_of_counter` the same for each text number.
    """

    point: Ints
    counter: Ints
    others: Ints
    debates: tuple[frozenset[int], ...]
    debates_of_point: dict[int, frozenset[int]]
    debates_of_counter: dict[int, frozenset[int]]

    def __len__(self) -> int:
        return len(self.point)

    def triples(self, negatives: Ints) -> Ints:
        """(2 + k + g, n) int64 texts: points, counters, negatives (k, n), the points' `others`."""
        return np.vstack([self.point, self.counter, negatives, self.others.T])


def trainable(corpus: Corpus, sets: CandidateSets) -> Ints:
    """(n,) int64: the pairs of a split that may be trained on (`corpus.decontaminate`)."""
    withheld = np.array([corpus.text_number[text] for text in corpus.withheld], dtype=np.int64)
    out = np.isin(sets.text, withheld)
    return np.flatnonzero(~(out[sets.counter_rows] | out[sets.pairs + sets.query_of]))


def training_pairs(sets: CandidateSets, pairs: Ints | None = None) -> TrainingPairs:
    """Each pair of texts once, at its first appearance in the split.

    Args:
        sets: of the split.
        pairs: (n,) only these; all by default.
    """
    where: dict[tuple[int, int], set[int]] = {}
    of_point: dict[int, set[int]] = {}
    of_counter: dict[int, set[int]] = {}
    golds: dict[tuple[int, int], set[int]] = {}
    for row in range(sets.pairs) if pairs is None else pairs:
        query = sets.query_of[row]
        point, counter = int(sets.text[sets.pairs + query]), int(sets.text[row])
        debate = int(sets.debate[row])
        of_query = sets.golds[query]
        golds.setdefault((point, counter), set()).update(
            sets.text[of_query[of_query >= 0]].tolist()
        )
        where.setdefault((point, counter), set()).add(debate)
        of_point.setdefault(point, set()).add(debate)
        of_counter.setdefault(counter, set()).add(debate)
    return TrainingPairs(
        point=np.array([point for point, _ in where], dtype=np.int64),
        counter=np.array([counter for _, counter in where], dtype=np.int64),
        others=_padded([sorted(texts - {counter}) for (_, counter), texts in golds.items()]),
        debates=tuple(frozenset(debates) for debates in where.values()),
        debates_of_point={text: frozenset(debates) for text, debates in of_point.items()},
        debates_of_counter={text: frozenset(debates) for text, debates in of_counter.items()},
    )


def _padded(rows: Sequence[Sequence[int]]) -> Ints:
    """(n, longest) int64: the rows, each filled up with -1."""
    result = np.full((len(rows), max(map(len, rows), default=0)), -1, dtype=np.int64)
    for place, row in enumerate(rows):
        result[place, : len(row)] = row
    return result
