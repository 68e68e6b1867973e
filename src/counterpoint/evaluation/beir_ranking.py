"""Search a corpus in BEIR's layout and measure the rankings."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from counterpoint.arrays import Ints
from counterpoint.corpus.beir import BeirCorpus
from counterpoint.evaluation.metrics import CUTOFF
from counterpoint.evaluation.second_stage import Reranker, score_order
from counterpoint.evaluation.ties import block_ties
from counterpoint.results.files import Ties
from counterpoint.search.distances import Costs
from counterpoint.search.ranking import nearest
from counterpoint.tasks.candidates import blocks

BEIR = "beir"
"""Names the task of a corpus in BEIR's layout, the way that BEIR asks it, and their files."""

WITHOUT_COPIES = "beir-without-copies"
"""The same without the documents that copy the query under another id, as `clean` is."""

LABELS = {BEIR: "beir", WITHOUT_COPIES: "beir, without copies of the query"}
"""What a person is shown of both."""

RECALL_CUTOFF = 100
"""How far recall@100 looks, as BEIR's tables do."""


@dataclass(frozen=True)
class Ranking:
    """(n, depth) rows of documents, the best first, -1 where there are fewer; by stage."""

    retrieval: Ints
    reranked: Ints | None
    ties: Ties
    """Queries to which all documents cost the same."""

    def stages(self) -> Iterator[tuple[str, Ints]]:
        """Each stage there is, with its rows."""
        yield "retrieval", self.retrieval
        if self.reranked is not None:
            yield "reranked", self.reranked


def rank(
    corpus: BeirCorpus,
    costs: Costs,
    reranker: Reranker | None = None,
    *,
    depth: int = RECALL_CUTOFF,
    queries: Ints | None = None,
    without_copies: bool = False,
) -> Ranking:
    """Rank all documents but the query's own for each query; ties count against the system.

    Args:
        corpus: what is searched.
        costs: of all documents to the queries.
        reranker: the second stage, on numbers of the corpus's texts; None for a system without one.
        depth: how many are kept, never fewer than are re-ordered.
        queries: (n,) numbers of those that are asked; all by default.
        without_copies: leave out the documents that copy the query too.
    """
    device = costs.device
    depth = max(depth, reranker.size) if reranker else depth
    asked = np.arange(len(corpus.queries)) if queries is None else queries
    gold = _relevant_rows(corpus)
    found = []
    ties = Ties(0, 0)
    for numbers in blocks(asked):
        block = costs.block(torch.from_numpy(numbers).to(device))
        candidates = candidates_of(corpus, numbers, without_copies).to(device)
        ties += block_ties(block, candidates)
        last = torch.from_numpy(gold[numbers]).to(device)
        found.append(nearest(block.only(candidates), depth, last=last).cpu().numpy())
    rows = np.concatenate(found)
    if reranker is None:
        return Ranking(rows, None, ties)
    first = rows[:, : reranker.size]
    texts = corpus.numbers(corpus.document_texts)
    [scores] = reranker.scores("query", [(corpus.numbers(corpus.query_texts)[asked], texts[first])])
    last_of_ties = (first[:, :, None] == gold[asked][:, None, :]).any(axis=2)
    reranked = rows.copy()
    reranked[:, : reranker.size] = np.take_along_axis(
        first, score_order(rows, scores, last_of_ties), axis=1
    )
    return Ranking(rows, reranked, ties)


def rank_without_copies(
    corpus: BeirCorpus, ranking: Ranking, costs: Costs, reranker: Reranker | None = None
) -> Ranking:
    """A ranking that `rank` gave, anew for the queries that have copies among the documents."""
    queries = np.array(sorted(corpus.copies), dtype=np.int64)
    if not len(queries):
        return ranking
    depth = ranking.retrieval.shape[1]
    anew = rank(corpus, costs, reranker, depth=depth, queries=queries, without_copies=True)
    whole = [rows.copy() for _, rows in ranking.stages()]
    for rows, (_, of_queries) in zip(whole, anew.stages(), strict=True):
        rows[queries] = of_queries
    return Ranking(whole[0], whole[1] if len(whole) > 1 else None, ranking.ties)


def candidates_of(corpus: BeirCorpus, queries: Ints, without_copies: bool = False) -> Tensor:
    """(n, documents) bool: what is searched for each of some queries."""
    mask = torch.ones((len(queries), len(corpus.documents)), dtype=torch.bool)
    for place, query in enumerate(queries.tolist()):
        if corpus.own[query] >= 0:
            mask[place, corpus.own[query]] = False
        if without_copies:
            mask[place, list(corpus.copies.get(query, ()))] = False
    return mask


def _relevant_rows(corpus: BeirCorpus) -> Ints:
    """(queries, most) rows of the relevant documents of each query, -2 for none."""
    most = max(len(gains) for gains in corpus.relevant)
    rows = np.full((len(corpus.relevant), most), -2, dtype=np.int64)
    for query, gains in enumerate(corpus.relevant):
        rows[query, : len(gains)] = list(gains)
    return rows


def measure(corpus: BeirCorpus, rows: Ints) -> dict[str, npt.NDArray[np.float64]]:
    """nDCG@10, accuracy@1 and recall@100 of each query, (queries,) each.

    nDCG with the gain as it is judged and the discount log2(1 + rank), as trec_eval computes it
    (Järvelin, Kekäläinen, TOIS 2002); recall over the relevant documents but the query's own. One
    that the corpus lacks counts in the ideal gain and in the number of relevant documents.

    Args:
        corpus: what was searched.
        rows: (queries, depth) documents, the best first; at least 100 where there are so many.
    """
    gains = np.zeros((len(rows), max(RECALL_CUTOFF, rows.shape[1])))
    ideal = np.zeros((len(rows), CUTOFF))
    for query, relevant in enumerate(corpus.relevant):
        gains[query, : rows.shape[1]] = [relevant.get(row, 0) for row in rows[query].tolist()]
        absent = corpus.absent.get(query, {}).values()
        best = sorted((*relevant.values(), *absent), reverse=True)[:CUTOFF]
        ideal[query, : len(best)] = best
    discount = 1 / np.log2(np.arange(2, CUTOFF + 2))
    counts = np.array(
        [len(found) + len(corpus.absent.get(n, ())) for n, found in enumerate(corpus.relevant)]
    )
    return {
        "ndcg@10": (gains[:, :CUTOFF] @ discount) / (ideal @ discount),
        "accuracy@1": (gains[:, 0] > 0).astype(np.float64),
        "recall@100": (gains[:, :RECALL_CUTOFF] > 0).sum(axis=1) / counts,
    }
