"""A system on a corpus of the user's choice: records, scores, and rankings for other programs.

Knows no run: whoever calls says what is ranked, what counts as seen, and where files go.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from counterpoint.corpus.arguments import Argument, Corpus, debates_of
from counterpoint.corpus.script import script_doubts
from counterpoint.encoders.features import Outputs
from counterpoint.evaluation import trec
from counterpoint.evaluation.baselines import (
    Search,
    baseline_costs,
    hybrid_weight,
    lexical,
    search_of,
    weighing,
)
from counterpoint.evaluation.beir_ranking import BEIR, LABELS
from counterpoint.evaluation.cross_system import CrossEncoderSystem
from counterpoint.evaluation.evaluate import Evaluation, query_results
from counterpoint.evaluation.hybrid import CandidateRanking
from counterpoint.evaluation.rankings import named
from counterpoint.evaluation.records import DEPTH, QueryResults, read_records, write_records
from counterpoint.evaluation.scoring import Score, Scoring
from counterpoint.evaluation.second_stage import Reranker
from counterpoint.evaluation.statistics import doubts
from counterpoint.evaluation.system import TrainedSystem
from counterpoint.evaluation.ties import ties_of
from counterpoint.io.atomic import write_text
from counterpoint.io.text import csv_text
from counterpoint.results.files import HybridWeight
from counterpoint.search.distances import Costs
from counterpoint.tasks.candidates import CandidateSets, candidate_sets_of
from counterpoint.tasks.protocols import PROTOCOLS, few_unseen

TREC = "trec"
"""The folder of rankings and judgements."""

RECORDS = "records.parquet"

EPA = "epa"
"""The task of all arguments, which a person is shown."""


@dataclass(frozen=True)
class Ranker:
    """What is evaluated, over the texts of one corpus."""

    name: str
    """Of the system."""
    costs: Callable[[Search], Costs]
    """Costs of what is searched to the queries."""
    reranker: Reranker | None = None
    weight: HybridWeight | None = None
    """Of BM25, where it has one."""

    @property
    def notes(self) -> list[str]:
        """What a reader of its scores must know."""
        return [] if self.weight is None else [self.weight.told(self.name)]


def baseline_ranker(name: str, weight: HybridWeight | None = None) -> Ranker:
    """A baseline by its name, without `baseline/`.

    Args:
        name: of the baseline.
        weight: of BM25, for `hybrid`.

    Raises:
        InputError: when it searches: there is no such baseline.
    """
    return Ranker(
        f"baseline/{name}",
        lambda search: baseline_costs(name, search if weight is None else weighing(search, weight)),
        weight=weight,
    )


def weight_on(
    corpus: Corpus,
    split: str,
    training: Sequence[Argument] | None,
    outputs: Callable[[], Outputs],
) -> HybridWeight:
    """The weight of BM25 in the baseline `hybrid`, chosen on a split.

    Args:
        corpus: that has the split.
        split: its dev split.
        training: what counts as seen.
        outputs: gives the untrained encoder's outputs for every text of the corpus.
    """
    arguments = corpus.split(split)
    seen = {argument.text_hash for argument in training or ()}
    sets = candidate_sets_of(arguments, corpus.text_number, seen)
    search = search_of(arguments, sets, split, (), outputs, corpus.language)
    return hybrid_weight(sets, search)


def trained_ranker(
    name: str, system: TrainedSystem | CrossEncoderSystem, ranking: CandidateRanking
) -> Ranker:
    """A trained cell, with the vectors of the corpus's texts."""

    def costs(search: Search) -> Costs:
        dense = system.costs(search.query_texts, search.candidate_texts)
        return ranking.costs(dense, lambda: lexical(search))

    return Ranker(name, costs, system.reranker, ranking.weight)


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation on a corpus gives."""

    scores: list[Score]
    notes: list[str]
    """What a reader of the scores must know."""
    files: list[str]
    """What was written, by name in the folder that it was written into."""


def evaluate_debates(
    ranker: Ranker,
    corpus: Corpus,
    training: Sequence[Argument] | None,
    outputs: Callable[[], Outputs],
    out: Path,
    *,
    export: bool,
    top_k: Sequence[int] = (1,),
) -> Evaluated:
    """Evaluate on debates: all tasks and protocols.

    Writes `records.parquet`, `figures.csv` and, to export, rankings and judgements.

    Args:
        ranker: what is evaluated.
        corpus: each split that is evaluated is a role of its own.
        training: what counts as seen; where nothing does, baselines are fitted on each split.
        outputs: gives the untrained encoder's outputs for every text of the corpus.
        out: the folder.
        export: whether to write TREC's files.
        top_k: see `metrics.metrics`.
    """
    seen = {argument.text_hash for argument in training or ()}
    by_split: dict[str, tuple[CandidateSets, list[QueryResults]]] = {}
    costs: dict[str, Costs] = {}
    for split in corpus.roles:
        arguments = corpus.split(split)
        sets = candidate_sets_of(arguments, corpus.text_number, seen)
        texts = [argument.text for argument in training or arguments]
        search = search_of(arguments, sets, split, texts, outputs, corpus.language)
        costs[split] = ranker.costs(search)
        by_split[split] = (sets, query_results(sets, costs[split], ranker.reranker))
    write_records(by_split, out / RECORDS)
    notes = [*corpus.notes, *script_doubts(corpus.texts, corpus.language), *ranker.notes]
    for split, (sets, several) in by_split.items():
        for results in several if export else ():
            if len(results.queries):
                _export(ranker, split, sets, costs[split], results, out / TREC)
        notes += [*_gaps(split, sets), *ties_of(sets, costs[split]).told(f"{split}: {ranker.name}")]
    records = read_records(out / RECORDS)
    scores = Scoring(debates_of(corpus.arguments), top_k).scores(records)
    files = [write_scores(ranker.name, scores, out), RECORDS, *([TREC] if export else [])]
    return Evaluated(scores, notes, files)


def write_scores(system: str, scores: Iterable[Score], out: Path) -> str:
    """Write `figures.csv`, a row a score, with the system's name; return the file's."""
    rows: list[Mapping[str, object]] = [{"system": system, **asdict(score)} for score in scores]
    write_text(out / "figures.csv", csv_text(rows))
    return "figures.csv"


def readable(scores: Iterable[Score]) -> list[dict[str, object]]:
    """The scores on all arguments for a person: in %, with intervals."""
    rows: dict[tuple[str, str, str, int], dict[str, object]] = {}
    for score in scores:
        if score.task not in (EPA, BEIR):
            continue
        protocol = LABELS.get(score.protocol) or PROTOCOLS[score.protocol].label
        key = (score.split, protocol, score.stage, score.n)
        row = rows.setdefault(key, dict(zip(("split", "protocol", "stage", "n"), key, strict=True)))
        ends = f"{100 * score.low:.1f}–{100 * score.high:.1f}"
        row[score.metric] = f"{100 * score.value:.1f} ({ends})"
    return list(rows.values())


def _gaps(split: str, sets: CandidateSets) -> Iterator[str]:
    """What a split has no score of, and what is to be doubted."""
    if sets.left_out:
        yield f"{split}: no query has a wrong candidate in {', '.join(sets.left_out)}; left out"
    yield from few_unseen(split, int(sets.unseen.sum()))
    yield from doubts(split, len(np.unique(sets.debate)))


def _export(
    ranker: Ranker,
    split: str,
    sets: CandidateSets,
    costs: Costs,
    results: QueryResults,
    folder: Path,
) -> None:
    """Judgements and rankings of one task, down to each query's last gold, at least ten."""
    [whole] = query_results(
        sets,
        costs,
        ranker.reranker,
        Evaluation(
            tasks=(results.task,),
            protocols=(results.protocol,),
            depth=max(DEPTH, int(results.ranks.max())),
        ),
    )
    # A split of a file of pairs may be called anything.
    stem = folder / f"{quote(split, '')}.{whole.protocol}.{whole.task}"
    queries = [sets.ids[sets.pairs + query] for query in whole.queries]
    trec.write_qrels(
        stem.with_name(f"{stem.name}.qrels"),
        {
            query: {sets.ids[row]: 1 for row in of_query if row >= 0}
            for query, of_query in zip(queries, whole.golds.tolist(), strict=True)
        },
    )
    stages = {
        "retrieval": (whole.ranks, whole.nearest, whole.nearest_scores),
        "reranked": (whole.reranked_ranks, whole.reordered, whole.reordered_scores),
    }
    for stage, (ranks, rows, scores) in stages.items():
        if ranks is None or rows is None or scores is None:
            continue
        # What follows the last gold changes no score, and there is a lot of it.
        last = np.maximum(ranks.max(axis=1), DEPTH)
        kept = np.where(np.arange(rows.shape[1]) < last[:, None], rows, -1)
        trec.write_run(
            stem.with_name(f"{stem.name}.{stage}.run"),
            named(queries, kept, sets.ids, scores),
            ranker.name,
        )
