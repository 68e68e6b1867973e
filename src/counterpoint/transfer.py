"""A trained cell or a baseline on a corpus of the user's choice, and its rankings for others.

What a cell may have seen is the training folder of its own run: a query of another corpus is
*unseen* when neither of its texts stands there (docs/method.md, "Evaluation").
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import numpy as np
import pandas as pd
import torch

from counterpoint.arrays import Floats, Ints
from counterpoint.config.cache_keys import features_key, shared_options
from counterpoint.config.loading import load_options
from counterpoint.config.options import CellOptions, EncoderOptions
from counterpoint.corpus import beir, opening
from counterpoint.corpus.arguments import Argument, Corpus, Texts, read_arguments
from counterpoint.corpus.beir import BeirCorpus
from counterpoint.corpus.sources import open_source
from counterpoint.encoders.encoder import Encoder
from counterpoint.encoders.features import FrozenFeatures, read_features
from counterpoint.encoders.live import LiveEncoder, frozen_features
from counterpoint.encoders.tokens import tokenise
from counterpoint.errors import InputError
from counterpoint.evaluation import beir_ranking
from counterpoint.evaluation import trec as trec_module
from counterpoint.evaluation.baselines import Search, baseline_costs, search_of
from counterpoint.evaluation.records import QueryResults, read_records, write_records
from counterpoint.evaluation.scoring import Scoring
from counterpoint.evaluation.statistics import Bootstrap, doubts
from counterpoint.evaluation.system import NoSecondStage, SecondStage, System, embed, records
from counterpoint.io.atomic import replacing
from counterpoint.models.retriever import Retriever
from counterpoint.models.weights import load_weights
from counterpoint.reporting.scores import records_of
from counterpoint.runs.folder import CellFolder, Run, read_run, runs_with_corpus
from counterpoint.runs.folder import find_run as only_run
from counterpoint.search.distances import Costs
from counterpoint.tasks.candidates import CandidateSets, candidate_sets_of
from counterpoint.tasks.protocols import LEGACY, WITH_TASKS

BASELINE = "baseline/"

RESULTS = Path("results")
"""Where the only run is looked for."""


def find_run(system: str, folder: Path | None, corpus: str | None) -> Run | None:
    """The run that is named, or else the only one.

    A baseline needs none to be evaluated on a corpus that is named: where there is not exactly one
    that has read its corpus, None.
    """
    if folder is not None:
        return read_run(folder)
    if system.startswith(BASELINE):
        usable = runs_with_corpus(RESULTS)
        if corpus is not None or not usable:
            return read_run(usable[0]) if len(usable) == 1 else None
    return read_run(only_run(RESULTS))


def default_folder(system: str, run: Run | None, corpus: str | None) -> Path:
    """Where an evaluation goes: below its run, or where there is none below `evaluations/`."""
    name = "own" if corpus is None else Path(corpus).absolute().name
    return (run.folder.evaluations if run else Path("evaluations")) / system / name


class Ranker(Protocol):
    """What is evaluated, over one corpus."""

    @property
    def second(self) -> SecondStage:
        """Its second stage, if it has one."""

    def costs(self, search: Search, queries: Ints, candidates: Ints) -> Costs:
        """Costs of the candidates to the queries of a search, both as text numbers too."""


@dataclass(frozen=True)
class CellRanker:
    """A trained cell, with the vectors of the corpus's texts."""

    second: System

    # It looks at text numbers alone.
    def costs(self, search: Search, queries: Ints, candidates: Ints) -> Costs:  # noqa: ARG002
        """See `Ranker`."""
        return self.second.costs(queries, candidates)


@dataclass(frozen=True)
class BaselineRanker:
    """A baseline by its name."""

    name: str

    @property
    def second(self) -> NoSecondStage:
        """None."""
        return NoSecondStage()

    # It looks at texts alone.
    def costs(self, search: Search, queries: Ints, candidates: Ints) -> Costs:  # noqa: ARG002
        """See `Ranker`."""
        return baseline_costs(self.name, search)


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """One evaluation; see `counterpoint evaluate --help`."""

    system: str
    """A cell's name, `best`, or `baseline/NAME`."""
    run: Run | None
    """Where the cell was trained; a baseline needs none."""
    corpus: str | None
    """Path of the corpus; None for the run's own."""
    splits: Sequence[str]
    """Which of the corpus's splits; all, or the run's dev and test, where none is named."""
    trec: bool
    """Whether to write rankings and judgements in TREC's format."""
    device: torch.device
    out: Path

    def write(self) -> tuple[pd.DataFrame, list[str]]:
        """Evaluate; write `figures.csv`, and `records.parquet` or TREC files.

        Returns:
            The figures, and what their reader must know.

        Raises:
            InputError: there is no such system, or the corpus cannot be used.
        """
        name, folder = self._resolve()
        notes = [f"best: {name}"] if self.system == "best" else []
        if self.corpus is not None and not opening.is_pair_file(self.corpus):
            source = open_source(self.corpus)
            if beir.beir_root(source) is not None:
                collection = beir.read_beir(source, self._beir_split())
                if lost := collection.unanswerable:
                    notes.append(
                        f"{len(lost)} of {len(lost) + len(collection.queries)} judged queries have "
                        f"no relevant document but their own and are left out: "
                        f"{', '.join(lost[:5])}{' …' if len(lost) > 5 else ''}"
                    )
                return self._figures(name, self._on_beir(name, folder, collection)), notes
        corpus = self._read()
        ranker = self._ranker(name, folder, corpus)
        all_sets = {split: self._pool(corpus, split) for split in corpus.roles}
        searched = {
            split: ranker.costs(
                self._search(corpus, split, sets), sets.text[sets.pairs :], sets.text
            )
            for split, sets in all_sets.items()
        }
        by_split = {
            split: (sets, records(sets, searched[split], ranker.second))
            for split, sets in all_sets.items()
        }
        write_records(by_split, self.out / "records.parquet")
        if self.trec:
            for split, (sets, several) in by_split.items():
                for each in several:
                    self._export(name, split, sets, searched[split], ranker.second, each)
        for split, sets in all_sets.items():
            notes += _gaps(split, sets)
        debates = {
            argument.id: f"{argument.split}/{argument.theme}/{argument.debate}"
            for argument in corpus.arguments
        }
        scores = Scoring(debates).scores(read_records(self.out / "records.parquet"))
        return self._figures(name, map(vars, scores)), notes

    def _resolve(self) -> tuple[str, CellFolder | None]:
        """The system's full name, and the folder of a cell."""
        if self.run is None:
            if not self.system.startswith(BASELINE) or self.corpus is None:
                raise InputError(
                    f"{self.system!r}: only baseline/NAME can be evaluated without a run, and only "
                    "with --corpus; give --run"
                )
            return self.system, None
        if self.system.startswith(BASELINE):
            return self.system, None
        name, path = records_of(self.run, self.system)
        return name, CellFolder(path.parent)

    def _read(self) -> Corpus:
        """The corpus, its splits as its roles."""
        if self.corpus is not None:
            return opening.read_all(self.corpus, list(self.splits) or None)
        own = self._own_corpus
        splits = list(self.splits) or list(
            dict.fromkeys(own.roles[role] for role in ("dev", "test"))
        )
        known = set(own.roles.values())
        for split in splits:
            if split not in known:
                raise InputError(
                    f"--splits: {split!r} is no split of the run; expected one of "
                    f"{', '.join(sorted(known))}"
                )
        return Corpus(own.arguments, {split: split for split in splits}, own.bare_debates)

    def _beir_split(self) -> str:
        if len(self.splits) > 1:
            raise InputError(
                f"--splits: BEIR's layout is evaluated by one split at a time, found "
                f"{', '.join(self.splits)}; give one"
            )
        return self.splits[0] if self.splits else "test"

    @cached_property
    def _own_corpus(self) -> Corpus:
        """The corpus of the run, read once."""
        assert self.run is not None
        return read_arguments(self.run.folder.arguments)

    @cached_property
    def _training(self) -> list[Argument] | None:
        """What counts as seen: the run's training folder, or without a run the corpus's own."""
        if self.run is not None:
            return self._own_corpus.split(self._own_corpus.roles["train"])
        assert self.corpus is not None
        there = set(opening.split_names(self.corpus))
        for name in ("training", "train"):
            if name in there:
                return opening.read_all(self.corpus, [name]).split(name)
        return None

    def _pool(self, corpus: Corpus, split: str) -> CandidateSets:
        training = {each.text_hash for each in self._training or []}
        return candidate_sets_of(corpus.split(split), corpus.text_number, training)

    def _search(self, corpus: Corpus, split: str, sets: CandidateSets) -> Search:
        arguments = corpus.split(split)
        # Without any training folder TF-IDF is fitted on what is searched.
        training = [each.text for each in self._training or arguments]
        return search_of(arguments, sets, split, training, lambda: self._outputs(corpus))

    def _outputs(self, texts: Texts) -> Floats:
        """The untrained encoder's outputs for every text."""
        options = EncoderOptions()
        if self.run is not None:
            options = self.run.config.encoder
        return self._features(texts, options)

    def _features(self, texts: Texts, options: EncoderOptions) -> Floats:
        if self.corpus is None and self.run is not None:
            stored = self.run.folder.features(features_key(options))
            if stored.is_file():
                return read_features(stored, texts)
        options = shared_options(options)
        return frozen_features(texts, tokenise(texts, options), options, self.device)

    def _ranker(self, name: str, folder: CellFolder | None, texts: Texts) -> Ranker:
        if folder is None:
            return BaselineRanker(name.removeprefix(BASELINE))
        options = load_options(CellOptions, str(folder.options))
        encoder: Encoder
        if options.encoder.trainable == "none":
            encoder = FrozenFeatures(self._features(texts, options.encoder))
        else:
            encoder = LiveEncoder(options.encoder, tokenise(texts, options.encoder))
        model = Retriever(options, encoder).to(self.device)
        load_weights(model, folder.model)
        numbers = torch.arange(len(texts.texts), device=self.device)
        vectors = embed(model, numbers, len(numbers))
        return CellRanker(System(model, vectors, options.rerank))

    def _on_beir(
        self, name: str, folder: CellFolder | None, corpus: BeirCorpus
    ) -> Iterable[dict[str, Any]]:
        ranker = self._ranker(name, folder, corpus)
        queries, documents = map(corpus.numbers, (corpus.query_texts, corpus.document_texts))

        def vectors() -> tuple[Floats, Floats]:
            x = self._outputs(corpus)
            return x[queries], x[documents]

        search = Search(
            name=self._beir_split(),
            collection=corpus.document_texts,
            candidates=np.arange(len(documents)),
            queries=corpus.query_texts,
            training=[each.text for each in self._training or []]
            if self.run
            else corpus.document_texts,
            vectors=vectors,
        )
        ranking = beir_ranking.rank(
            corpus,
            ranker.costs(search, queries, documents),
            k=ranker.second.rerank,
            scorer=ranker.second.scorer("query"),
            device=ranker.second.device,
        )
        judged = {
            query: {corpus.documents[row]: gain for row, gain in relevant.items()}
            for query, relevant in zip(corpus.queries, corpus.relevant, strict=True)
        }
        if self.trec:
            trec_module.write_qrels(self.out / "trec" / "beir.qrels", judged)
        for stage, rows in ranking.stages():
            if self.trec:
                lists = _named(corpus.queries, rows, corpus.documents)
                trec_module.write_run(self.out / "trec" / f"beir.{stage}.run", lists, name)
            values = beir_ranking.measure(corpus, rows)
            low, high = Bootstrap(corpus.queries).interval(np.stack(list(values.values()), axis=1))
            for place, (metric, each) in enumerate(values.items()):
                yield {
                    "split": self._beir_split(),
                    "protocol": "beir",
                    "task": "beir",
                    "stage": stage,
                    "metric": metric,
                    "value": each.mean(),
                    "low": low[place],
                    "high": high[place],
                    "n": len(each),
                }

    def _export(
        self,
        name: str,
        split: str,
        sets: CandidateSets,
        costs: Costs,
        second: SecondStage,
        found: QueryResults,
    ) -> None:
        """Judgements and rankings of one task, down to each query's gold, at least ten."""
        if not len(found.queries):
            return
        [whole] = records(
            sets,
            costs,
            second,
            tasks=(found.task,) if found.protocol in WITH_TASKS else (),
            protocols=(found.protocol,),
            depth=int(found.rank.max()),
        )
        # A split of a file of pairs may be called anything.
        stem = self.out / "trec" / f"{quote(split, '')}.{found.protocol}.{found.task}"
        queries = [sets.ids[sets.pairs + query] for query in whole.queries]
        golds = [sets.ids[query] for query in whole.queries]
        trec_module.write_qrels(
            stem.with_name(f"{stem.name}.qrels"),
            {query: {gold: 1} for query, gold in zip(queries, golds, strict=True)},
        )
        stages = {"retrieval": (whole.rank, whole.nearest)}
        if whole.reranked is not None and whole.reordered is not None:
            stages["reranked"] = (whole.reranked, whole.reordered)
        for stage, (ranks, rows) in stages.items():
            # What follows the gold changes no figure, and there is a lot of it.
            kept = np.where(np.arange(rows.shape[1]) < np.maximum(ranks, 10)[:, None], rows, -1)
            trec_module.write_run(
                stem.with_name(f"{stem.name}.{stage}.run"), _named(queries, kept, sets.ids), name
            )

    def _figures(self, name: str, found: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
        table = pd.DataFrame([{"system": name, **each} for each in found])
        with replacing(self.out / "figures.csv") as temporary:
            table.to_csv(temporary, index=False)
        return table


def _gaps(split: str, sets: CandidateSets) -> Iterator[str]:
    """What a split has no figure of, and what is to be doubted."""
    if sets.left_out:
        yield f"{split}: every query has one candidate in {', '.join(sets.left_out)}; left out"
    if not sets.unseen.any():
        yield f"no unseen query in {split}: no clean figure"
    yield from doubts(split, len(np.unique(sets.debate)))


def _named(
    queries: Sequence[str], rows: Ints, names: Sequence[str]
) -> Iterable[tuple[str, list[str]]]:
    for query, own in zip(queries, rows.tolist(), strict=True):
        yield query, [names[row] for row in own if row >= 0]


def readable(figures: pd.DataFrame) -> list[dict[str, object]]:
    """The figures on all arguments (`epa`, or BEIR's) for a person: in %, with intervals."""
    shown = figures[figures["task"].isin(["epa", "beir"])]
    rows: dict[tuple[Any, ...], dict[str, object]] = {}
    for _, row in shown.iterrows():
        protocol = row["protocol"] + (" (leaks)" if row["protocol"] == LEGACY.name else "")
        key = (row["split"], protocol, row["stage"], row["n"])
        ends = f"{100 * row['low']:.1f}–{100 * row['high']:.1f}"
        columns = rows.setdefault(
            key, dict(zip(("split", "protocol", "stage", "n"), key, strict=True))
        )
        columns[row["metric"]] = f"{100 * row['value']:.1f} ({ends})"
    return list(rows.values())
