"""A run's cell, or a baseline, evaluated on any corpus.

What a cell may have seen is the training folder of its own run: a query of another corpus is
*unseen* when neither of its texts stands there (docs/method.md, "Evaluation").
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path

import torch

from counterpoint.config import languages
from counterpoint.config.options import EncoderOptions
from counterpoint.corpus import opening
from counterpoint.corpus.arguments import Argument, Corpus, Texts, read_arguments
from counterpoint.corpus.beir import read_beir
from counterpoint.corpus.beir_files import BadFiles
from counterpoint.corpus.pair_names import named_split
from counterpoint.corpus.problems import Problem
from counterpoint.corpus.sources import Source
from counterpoint.encoders.features import Outputs
from counterpoint.errors import InputError
from counterpoint.evaluation import external
from counterpoint.evaluation.baselines import WEIGHTED
from counterpoint.evaluation.external import Evaluated, Ranker
from counterpoint.evaluation.external_beir import evaluate_beir
from counterpoint.evaluation.hybrid import UNCHOSEN
from counterpoint.results.files import HybridWeight
from counterpoint.runs.folder import (
    CellFolder,
    Run,
    find_run,
    read_run,
    runs_with_corpus,
)
from counterpoint.runs.trained import StoredTexts, encoder_outputs, load_cell, ranking_of

BASELINE = "baseline/"
"""Begins the name of a system that nothing is trained for."""

RESULTS = Path("results")
"""Where the only run is looked for."""


def run_for(system: str, folder: Path | None, corpus: str | None) -> Run | None:
    """The run that is named, or else the only one.

    A baseline needs none to be evaluated on a corpus that is named: where there is not exactly one
    that has read its corpus, None.

    Args:
        system: a cell's name, `best`, or `baseline/NAME`.
        folder: of the run.
        corpus: path of a corpus to evaluate on.

    Raises:
        InputError: there is no such run, or none or several where one is needed.
    """
    if folder is not None:
        return read_run(folder)
    if system.startswith(BASELINE):
        usable = runs_with_corpus(RESULTS)
        if corpus is not None or not usable:
            return read_run(usable[0]) if len(usable) == 1 else None
    return read_run(find_run(RESULTS))


def default_folder(system: str, run: Run | None, corpus: str | None) -> Path:
    """Where an evaluation goes: below its run, or where there is none below `evaluations/`."""
    name = "own" if corpus is None else Path(corpus).absolute().name
    return (run.folder.evaluations if run else Path("evaluations")) / system / name


@dataclass(frozen=True, kw_only=True)
class ExternalEvaluation:
    """One evaluation; see `counterpoint evaluate --help`."""

    system: str
    """A cell's name, or `baseline/NAME`."""
    cell: CellFolder | None
    """Of the cell; None for a baseline."""
    run: Run | None
    """Where the cell was trained; a baseline needs none for a corpus that is named."""
    corpus: str | None
    """Path of the corpus; None for the run's own."""
    splits: Sequence[str]
    """Which of the corpus's splits; all, or the run's dev and test, where none is named."""
    device: torch.device
    out: Path
    export: bool
    """Whether to write rankings and judgements in TREC's format."""
    bad_files: BadFiles | None = None
    """What to do with what cannot be used of a corpus that is named; see `read_beir` for None,
    which for other layouts is `stop`."""
    language: str | None = None
    """Of a corpus that is named; that of the run's, or without a run English, by default."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Of a file of pairs that is named: some of our columns to its names."""
    top_k: Sequence[int] = (1,)
    """See `metrics.metrics`."""

    def __post_init__(self) -> None:
        for option, value in (
            ("--bad-files", self.bad_files),
            ("--language", self.language),
            ("--columns", self.columns or None),
        ):
            if value is not None and self.corpus is None:
                raise InputError(
                    f"{option}: goes with --corpus alone; the run's own is read already"
                )
        if self.language is not None and (fault := languages.fault(self.language)) is not None:
            raise InputError(f"--language: {fault}")

    def write(self) -> Evaluated:
        """Evaluate, and write what `evaluation.external` does for the corpus's layout.

        Raises:
            InputError: there is no such system, or the corpus cannot be used.
        """
        source = opening.beir_source(self.corpus) if self.corpus is not None else None
        if source is not None:
            return self._on_beir(source)
        corpus, problems = self._read()
        outputs = self._outputs(corpus)
        evaluated = external.evaluate_debates(
            self._ranker(corpus, lambda: self._weight(corpus, outputs)),
            corpus,
            self._training,
            outputs,
            self.out,
            export=self.export,
            top_k=self.top_k,
        )
        problems += [problem for problem in self._training_read[1] if problem not in problems]
        left_out = [f"left out: {problem}" for problem in problems]
        return replace(evaluated, notes=[*left_out, *evaluated.notes])

    def _on_beir(self, source: Source) -> Evaluated:
        if len(self.splits) > 1:
            raise InputError(
                f"--splits: BEIR's layout is evaluated by one split at a time, found "
                f"{', '.join(self.splits)}; give one"
            )
        split = self.splits[0] if self.splits else "test"
        collection = read_beir(source, split, bad_files=self.bad_files)
        # Without a run there is no training folder, and baselines are fitted on the documents.
        training = [argument.text for argument in self._training or ()] if self.run else None
        return evaluate_beir(
            self._ranker(collection, self._weight_of_run),
            collection,
            split,
            training,
            self._outputs(collection),
            self.out,
            export=self.export,
            language=self._language,
        )

    @property
    def _language(self) -> str:
        if self.language is not None:
            return self.language
        return self._corpus_of_run.language if self._corpus_of_run else languages.ENGLISH

    def _read(self) -> tuple[Corpus, list[Problem]]:
        """The corpus, its splits as its roles, and what of it is left out."""
        if self.corpus is not None:
            corpus, problems = opening.read_usable(
                self.corpus,
                list(self.splits) or None,
                self.columns,
                skip=self.bad_files == "skip",
            )
            return replace(corpus, language=self._language), problems
        of_run = self._corpus_of_run
        assert of_run is not None
        splits = []
        for name in self.splits or ("dev", "test"):
            split = of_run.folder(name)
            if split is None:
                raise InputError(
                    f"--splits: {name!r} is no split of the run; expected one of "
                    f"{', '.join(sorted(set(of_run.roles.values())))}"
                )
            splits.append(split)
        # How the run's own files were understood stands in its audit.
        return replace(of_run, roles={split: split for split in splits}, notes=()), []

    @cached_property
    def _corpus_of_run(self) -> Corpus | None:
        return read_arguments(self.run.folder.arguments) if self.run is not None else None

    @property
    def _training(self) -> list[Argument] | None:
        """What counts as seen: the run's training folder, or without a run the corpus's own."""
        return self._training_read[0]

    @cached_property
    def _training_read(self) -> tuple[list[Argument] | None, list[Problem]]:
        """That, and what of it is left out."""
        if self._corpus_of_run is not None:
            return self._corpus_of_run.split(self._corpus_of_run.roles["train"]), []
        assert self.corpus is not None
        return opening.read_training(self.corpus, self.columns, skip=self.bad_files == "skip")

    def _ranker(self, texts: Texts, weight: Callable[[], HybridWeight]) -> Ranker:
        """The system, over some texts; `weight` gives that of BM25, for a baseline that has one."""
        if self.cell is None:
            name = self.system.removeprefix(BASELINE)
            return external.baseline_ranker(name, weight() if name == WEIGHTED else None)
        system = load_cell(self.cell, texts, self.device, self._stored)
        return external.trained_ranker(self.system, system, ranking_of(self.cell))

    def _weight(self, debates: Corpus, outputs: Callable[[], Outputs]) -> HybridWeight:
        """Of BM25 in `hybrid`: chosen on the run's dev split, or without a run on the corpus's own.

        Args:
            debates: the corpus that is evaluated.
            outputs: gives the untrained encoder's outputs for its texts.
        """
        if self.run is not None:
            return self._weight_of_run()
        split = named_split("dev", debates.roles)
        if split is not None:
            return external.weight_on(debates, split, self._training, outputs)
        assert self.corpus is not None
        skip = self.bad_files == "skip"
        dev, _ = opening.read_role("dev", self.corpus, self.columns, skip=skip)
        if dev is None:
            return UNCHOSEN
        dev = replace(dev, language=self._language)
        return external.weight_on(dev, next(iter(dev.roles)), self._training, self._outputs(dev))

    def _weight_of_run(self) -> HybridWeight:
        of_run = self._corpus_of_run
        if of_run is None:
            return UNCHOSEN
        return external.weight_on(
            of_run, of_run.roles["dev"], self._training, self._outputs(of_run)
        )

    def _outputs(self, texts: Texts) -> Callable[[], Outputs]:
        options = self.run.config.encoder if self.run is not None else EncoderOptions()
        # Every split of a corpus asks for the same, and encoding takes minutes.
        return cache(lambda: encoder_outputs(texts, options, self.device, self._stored))

    @cached_property
    def _stored(self) -> StoredTexts | None:
        """The run's own texts, whose stored outputs serve wherever they stand again."""
        if self.run is None or self._corpus_of_run is None:
            return None
        return StoredTexts(self.run.folder, self._corpus_of_run)
