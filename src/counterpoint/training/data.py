"""What a cell needs of the corpus, as numbers."""

import numpy as np

from counterpoint.arrays import Ints
from counterpoint.config.options import CellOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.errors import InputError
from counterpoint.io.rng import generator
from counterpoint.tasks.candidates import CandidateSets, candidate_sets
from counterpoint.tasks.training_pairs import trainable, training_pairs
from counterpoint.training.mining import allowed_negatives, draw_random


class CellData:
    """Candidate sets by role, training pairs and their negatives, held-out triples.

    Args:
        corpus: with the roles train, dev and test.
        options: of the cell.

    Raises:
        InputError: the splits leave nothing to train on, or nothing to call an epoch best by.
    """

    def __init__(self, corpus: Corpus, options: CellOptions) -> None:
        self.folders = dict(corpus.roles)
        self.all_sets = {
            folder: candidate_sets(corpus, folder) for folder in set(corpus.roles.values())
        }
        if not self.sets("dev").unseen.any():
            raise InputError(
                f"corpus.splits: the dev split {self.folders['dev']!r} has no query unseen in "
                "training, so no epoch can be called best; choose another folder"
            )
        self.trained = trainable(corpus, self.sets("train"))
        self.pairs = training_pairs(self.sets("train"), self.trained)
        if not len(self.pairs):
            raise InputError(
                "corpus.decontaminate: every training pair shares a text with dev or test; set it "
                "to none, or choose another training folder"
            )
        self.allowed = allowed_negatives(self.pairs, "training")
        if len(self.pairs) < options.training.batch_size:
            raise InputError(
                f"training.batch_size: {options.training.batch_size} is more than the "
                f"{len(self.pairs)} different training pairs; give a smaller batch"
            )
        self.held_out = {role: self._triples(role, options) for role in ("dev", "test")}
        self.train_queries = self._train_sample(options)

    def _triples(self, role: str, options: CellOptions) -> Ints:
        """(3, n) texts: the points and counters of a split, and a random negative of each.

        Drawn once a seed: mined ones get harder as the random rate falls, and the loss on them
        would rise for that alone.
        """
        pairs = training_pairs(self.sets(role))
        allowed = allowed_negatives(pairs, role)
        drawn = draw_random(allowed, generator(options.seed, -1, f"{role} negatives"))
        return np.stack([pairs.point, pairs.counter, allowed.texts[drawn]])

    def sets(self, role: str) -> CandidateSets:
        """The candidate sets of a role's folder."""
        return self.all_sets[self.folders[role]]

    def _train_sample(self, options: CellOptions) -> Ints:
        rng = generator(options.seed, -1, "train sample")
        size = min(options.evaluation.train_sample, len(self.trained))
        return np.sort(rng.choice(self.trained, size=size, replace=False))

    def texts(self, roles: tuple[str, ...]) -> Ints:
        """(n,) int64: the unique texts of some roles' splits."""
        return np.unique(np.concatenate([self.sets(role).text for role in roles]))
