"""What cells need of the corpus, as numbers: what all share, and what is a cell's own."""

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from counterpoint.arrays import Ints
from counterpoint.config.options import CellOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.errors import InputError
from counterpoint.evaluation.baselines import lexical, search_of
from counterpoint.evaluation.hybrid import Lexical
from counterpoint.io.rng import generator
from counterpoint.tasks.candidates import CandidateSets, candidate_sets
from counterpoint.tasks.training_pairs import TrainingPairs, trainable, training_pairs
from counterpoint.training.allowed import AllowedNegatives, allowed_negatives, draw_random


class CorpusData:
    """What all cells of a corpus share: candidate sets by role, training pairs and their negatives.

    Args:
        corpus: with the roles train, dev and test.

    Raises:
        InputError: the splits leave nothing to train on, or nothing to call an epoch best by.
    """

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self.folders = dict(corpus.roles)
        self.size = len(corpus.texts)
        """How many unique texts there are."""
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
        self._lexical: dict[str, Lexical] = {}

    def lexical(self, sets: CandidateSets) -> Lexical:
        """BM25 over the folder that some of these candidate sets are of; computed once."""
        (folder,) = (name for name, of_folder in self.all_sets.items() if of_folder is sets)
        if folder not in self._lexical:
            arguments, language = self._corpus.split(folder), self._corpus.language
            self._lexical[folder] = lexical(search_of(arguments, sets, folder, language=language))
        return self._lexical[folder]

    def sets(self, role: str) -> CandidateSets:
        """The candidate sets of a role's folder."""
        return self.all_sets[self.folders[role]]

    @cached_property
    def held_out(self) -> Mapping[str, tuple[TrainingPairs, AllowedNegatives]]:
        """The pairs of dev and of test, and what may be their negatives."""
        pairs = {role: training_pairs(self.sets(role)) for role in ("dev", "test")}
        return {
            role: (of_role, allowed_negatives(of_role, role)) for role, of_role in pairs.items()
        }

    def texts(self, roles: tuple[str, ...]) -> Ints:
        """(n,) int64: the unique texts of some roles' splits."""
        return np.unique(np.concatenate([self.sets(role).text for role in roles]))


class CellData:
    """The corpus as a cell sees it: held-out triples and a sample of training queries.

    Args:
        corpus: what all its cells share.
        options: of the cell.

    Raises:
        InputError: the training pairs make no batch, or have fewer negatives than are wanted, or
            the first stage needs words that the texts do not have.
    """

    def __init__(self, corpus: CorpusData, options: CellOptions) -> None:
        self.trained, self.pairs, self.allowed = corpus.trained, corpus.pairs, corpus.allowed
        self.sets, self.texts, self.lexical = corpus.sets, corpus.texts, corpus.lexical
        self.folders = corpus.folders
        stage, of_stage = options.stage, "reranker." if options.reads_pairs else ""
        if len(self.pairs) < stage.training.batch_size:
            raise InputError(
                f"{of_stage}training.batch_size: {stage.training.batch_size} is more than the "
                f"{len(self.pairs)} different training pairs; give a smaller batch"
            )
        wanted, fewest = stage.mining.negatives, self.allowed.fewest()
        if wanted > fewest:
            raise InputError(
                f"{of_stage}mining.negatives: {wanted} different ones are wanted, but a point of "
                f"the training split has only {fewest} texts that may be one; give at most {fewest}"
            )
        if options.evaluation.first_stage != "dense":
            for role in corpus.folders:  # texts without words: told before anything is trained
                corpus.lexical(corpus.sets(role))
        self.held_out = {role: _triples(corpus, role, options) for role in ("dev", "test")}
        self.train_queries = _train_sample(corpus, options)


def _triples(corpus: CorpusData, role: str, options: CellOptions) -> Ints:
    """(3 + g, n) texts of a split's pairs, each with a random negative; see `TrainingPairs`.

    Drawn once a seed: mined ones get harder as the random rate falls, and the loss on them would
    rise for that alone.
    """
    pairs, allowed = corpus.held_out[role]
    drawn = draw_random(allowed, generator(options.seed, -1, f"{role} negatives"))
    return pairs.triples(allowed.texts[drawn])


def _train_sample(corpus: CorpusData, options: CellOptions) -> Ints:
    rng = generator(options.seed, -1, "train sample")
    queries = np.unique(corpus.sets("train").query_of[corpus.trained])
    size = min(options.evaluation.train_sample, len(queries))
    return np.sort(rng.choice(queries, size=size, replace=False))
