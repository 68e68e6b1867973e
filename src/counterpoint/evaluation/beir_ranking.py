"""Search a corpus in BEIR's layout and measure the rankings."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from counterpoint.arrays import Ints
from counterpoint.corpus.beir import BeirCorpus
from counterpoint.evaluation.metrics import CUTOFF
from counterpoint.evaluation.second_stage import Reranker, score_order
from counterpoint.search.distances import Costs
from counterpoint.search.ranking import nearest
from counterpoint.tasks.candidates import blocks

RECALL_CUTOFF = 100
"""How far recall@100 looks, as BEIR's tables do."""


@dataclass(frozen=True)
class Ranking:
    """(n, depth) rows of documents, the best first, -1 where there are fewer; by stage."""

    retrieval: Ints
    reranked: Ints | None

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
) -> Ranking:
    """Rank all documents but the query's own for each query; ties count against the system.

    Args:
        corpus: what is searched.
        costs: of all documents to the queries.
        reranker: the second stage, on numbers of the corpus's texts; None for a system without one.
        depth: how many are kept, never fewer than are re-ordered.
    """
    device = costs.device
    depth = max(depth, reranker.size) if reranker else depth
    gold = _relevant_rows(corpus)
    found = []
    for numbers in blocks(np.arange(len(corpus.queries))):
        block = costs.block(torch.from_numpy(numbers).to(device))
        candidates = torch.ones_like(block.cost, dtype=torch.bool)
        own = torch.from_numpy(corpus.own[numbers]).to(device)
        candidates[torch.nonzero(own >= 0)[:, 0], own[own >= 0]] = False
        last = torch.from_numpy(gold[numbers]).to(device)
        found.append(nearest(block.only(candidates), depth, last=last).cpu().numpy())
    rows = np.concatenate(found)
    if reranker is None:
        return Ranking(rows, None)
    first = rows[:, : reranker.size]
    texts = corpus.numbers(corpus.document_texts)
    queries = corpus.numbers(corpus.query_texts)
    [scores] = reranker.scores("query", [(queries, texts[first])])
    last_of_ties = (first[:, :, None] == gold[:, None, :]).any(axis=2)
    reranked = rows.copy()
    reranked[:, : reranker.size] = np.take_along_axis(
        first, score_order(rows, scores, last_of_ties), axis=1
    )
    return Ranking(rows, reranked)


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
    (Järvelin, Kekäläinen, TOIS 2002); recall over the relevant documents but the query's own.

    Args:
        corpus: what was searched.
        rows: (queries, depth) documents, the best first; at least 100 where there are so many.
    """
    gains = np.zeros((len(rows), max(RECALL_CUTOFF, rows.shape[1])))
    ideal = np.zeros((len(rows), CUTOFF))
    for query, relevant in enumerate(corpus.relevant):
        gains[query, : rows.shape[1]] = [relevant.get(row, 0) for row in rows[query].tolist()]
        best = sorted(relevant.values(), reverse=True)[:CUTOFF]
        ideal[query, : len(best)] = best
    discount = 1 / np.log2(np.arange(2, CUTOFF + 2))
    counts = np.array([len(relevant) for relevant in corpus.relevant])
    return {
        "ndcg@10": (gains[:, :CUTOFF] @ discount) / (ideal @ discount),
        "accuracy@1": (gains[:, 0] > 0).astype(np.float64),
        "recall@100": (gains[:, :RECALL_CUTOFF] > 0).sum(axis=1) / counts,
    }
