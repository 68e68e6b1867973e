"""A system on a corpus in BEIR's layout: scores, and rankings for other programs."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from counterpoint.corpus.beir import BeirCorpus
from counterpoint.corpus.script import script_doubts
from counterpoint.encoders.features import Outputs
from counterpoint.evaluation import beir_ranking, trec
from counterpoint.evaluation.baselines import Search
from counterpoint.evaluation.beir_ranking import (
    BEIR,
    LABELS,
    WITHOUT_COPIES,
    Ranking,
    candidates_of,
)
from counterpoint.evaluation.external import TREC, Evaluated, Ranker, write_scores
from counterpoint.evaluation.rankings import named, reranked_scores, retrieval_scores
from counterpoint.evaluation.scoring import Score
from counterpoint.evaluation.statistics import Bootstrap
from counterpoint.search.distances import Costs


def evaluate_beir(
    ranker: Ranker,
    collection: BeirCorpus,
    split: str,
    training: Sequence[str] | None,
    outputs: Callable[[], Outputs],
    out: Path,
    *,
    export: bool,
    language: str,
) -> Evaluated:
    """Evaluate on a corpus in BEIR's layout, which is searched as a whole.

    As BEIR has it, and again without documents that copy the query. Writes `figures.csv` and, to
    export, rankings and judgements.

    Args:
        ranker: what is evaluated.
        collection: the corpus.
        split: whose judgements it has.
        training: the texts that baselines are fitted on; the documents by default.
        outputs: gives the untrained encoder's outputs for every text of the corpus.
        out: the folder.
        export: whether to write TREC's files.
        language: of the texts.
    """
    search = Search(
        name=split,
        collection=collection.document_texts,
        candidates=np.arange(len(collection.documents)),
        candidate_texts=collection.numbers(collection.document_texts),
        queries=collection.query_texts,
        query_texts=collection.numbers(collection.query_texts),
        training=collection.document_texts if training is None else training,
        outputs=outputs,
        language=language,
        copies=lambda queries: ~candidates_of(collection, queries, without_copies=True).numpy(),
    )
    costs = ranker.costs(search)
    ranking = beir_ranking.rank(collection, costs, ranker.reranker)
    without = beir_ranking.rank_without_copies(collection, ranking, costs, ranker.reranker)
    # There are no debates: each query is resampled alone.
    bootstrap = Bootstrap(collection.queries)
    scores: list[Score] = []
    for protocol, ranked in ((BEIR, ranking), (WITHOUT_COPIES, without)):
        scores += _scores(split, protocol, ranked, collection, bootstrap)
        if export:
            _export(ranker, collection, costs, ranked, out / TREC, protocol)
    if export:
        trec.write_qrels(out / TREC / f"{BEIR}.qrels", _judgements(collection))
    files = [write_scores(ranker.name, scores, out), *([TREC] if export else [])]
    notes = [
        *collection.notes,
        *_lost(collection),
        *_copied(collection),
        *script_doubts(collection.texts, language),
        *ranking.ties.told(ranker.name),
        *ranker.notes,
    ]
    return Evaluated(scores, notes, files)


def _scores(
    split: str, protocol: str, ranking: Ranking, collection: BeirCorpus, bootstrap: Bootstrap
) -> Iterator[Score]:
    for stage, rows in ranking.stages():
        values = beir_ranking.measure(collection, rows)
        ends = bootstrap.interval(np.stack(list(values.values()), axis=1))
        for (metric, each), low, high in zip(values.items(), *ends, strict=True):
            where = (split, protocol, BEIR, stage, metric)
            yield Score(*where, float(each.mean()), len(each), float(low), float(high))


def _export(
    ranker: Ranker,
    collection: BeirCorpus,
    costs: Costs,
    ranking: Ranking,
    folder: Path,
    protocol: str,
) -> None:
    """Write the rankings of each stage, with their scores."""
    queries = np.arange(len(collection.queries))
    texts = collection.numbers(collection.document_texts)
    for stage, rows in ranking.stages():
        scores = retrieval_scores(costs, queries, rows)
        if stage == "reranked" and ranker.reranker is not None:
            asked = collection.numbers(collection.query_texts)
            scores = reranked_scores(ranker.reranker, "query", asked, texts[rows], scores)
        lists = named(collection.queries, rows, collection.documents, scores)
        trec.write_run(folder / f"{protocol}.{stage}.run", lists, ranker.name)


def _judgements(collection: BeirCorpus) -> dict[str, dict[str, int]]:
    """Query to document to gain, of the documents that the corpus lacks too."""
    return {
        query: {
            **{collection.documents[row]: gain for row, gain in relevant.items()},
            **collection.absent.get(number, {}),
        }
        for number, (query, relevant) in enumerate(
            zip(collection.queries, collection.relevant, strict=True)
        )
    }


def _lost(collection: BeirCorpus) -> Iterator[str]:
    lost = collection.unanswerable
    if lost:
        yield (
            f"{len(lost)} of {len(lost) + len(collection.queries)} judged queries have no relevant "
            f"document but their own and are left out: {', '.join(lost[:5])}"
            f"{' …' if len(lost) > 5 else ''}"
        )


def _copied(collection: BeirCorpus) -> Iterator[str]:
    if collection.copies:
        yield (
            f"{len(collection.copies)} of {len(collection.queries)} queries stand among the "
            f"documents under another id too; {LABELS[WITHOUT_COPIES]!r} leaves such documents out"
        )
