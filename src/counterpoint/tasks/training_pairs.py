"""The de-duplicated pairs that a cell trains on."""

from dataclasses import dataclass

import numpy as np

from counterpoint.arrays import Ints
from counterpoint.corpus.arguments import Corpus
from counterpoint.tasks.candidates import CandidateSets


@dataclass(frozen=True)
class TrainingPairs:
    """The de-duplicated pairs of a split, as numbers of unique texts of the corpus.

    `point` and `counter` are (n,) int64. `debates` gives, for each pair, the numbers of the debates
    it stands in; `debates_of_point` and `debates_of_counter` the same for each text number.
    """

    point: Ints
    counter: Ints
    debates: tuple[frozenset[int], ...]
    debates_of_point: dict[int, frozenset[int]]
    debates_of_counter: dict[int, frozenset[int]]

    def __len__(self) -> int:
        return len(self.point)


def trainable(corpus: Corpus, sets: CandidateSets) -> Ints:
    """(n,) int64: the pairs of a split that may be trained on (`corpus.decontaminate`)."""
    withheld = np.array([corpus.text_number[text] for text in corpus.withheld], dtype=np.int64)
    out = np.isin(sets.text, withheld)
    return np.flatnonzero(~(out[: sets.pairs] | out[sets.pairs :]))


def training_pairs(sets: CandidateSets, pairs: Ints | None = None) -> TrainingPairs:
    """Each pair of texts once, at its first appearance in the split.

    Args:
        sets: of the split.
        pairs: (n,) only these; all by default.
    """
    n = sets.pairs
    where: dict[tuple[int, int], set[int]] = {}
    of_point: dict[int, set[int]] = {}
    of_counter: dict[int, set[int]] = {}
    for row in range(n) if pairs is None else pairs:
        point, counter, debate = int(sets.text[n + row]), int(sets.text[row]), int(sets.debate[row])
        where.setdefault((point, counter), set()).add(debate)
        of_point.setdefault(point, set()).add(debate)
        of_counter.setdefault(counter, set()).add(debate)
    return TrainingPairs(
        point=np.array([point for point, _ in where], dtype=np.int64),
        counter=np.array([counter for _, counter in where], dtype=np.int64),
        debates=tuple(frozenset(debates) for debates in where.values()),
        debates_of_point={text: frozenset(debates) for text, debates in of_point.items()},
        debates_of_counter={text: frozenset(debates) for text, debates in of_counter.items()},
    )
