"""Search a corpus in BEIR's layout and measure the rankings."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from counterpoint.arrays import Ints
from counterpoint.corpus.beir import BeirCorpus
from counterpoint.evaluation.evaluate import Scorer, score_order, score_pairs
from counterpoint.search.distances import Costs
from counterpoint.search.ranking import nearest
from counterpoint.tasks.candidates import blocks


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
    *,
    k: int = 10,
    depth: int = 100,
    scorer: Scorer | None = None,
    device: torch.device | None = None,
) -> Ranking:
    """Rank all documents but the query's own for each query; ties count against the system.

    Args:
        corpus: what is searched.
        costs: of all documents to the queries.
        k: how many of the nearest the scorer re-orders.
        depth: how many are kept, never fewer than k.
        scorer: the second stage, on numbers of the corpus's texts; None for a system without one.
        device: where the costs lie.
    """
    device = device or torch.device("cpu")
    depth = max(k, depth)
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
    if scorer is None:
        return Ranking(rows, None)
    first = rows[:, :k]
    texts = corpus.numbers(corpus.document_texts)
    [scores] = score_pairs([(corpus.numbers(corpus.query_texts), texts[first])], scorer, device)
    last_of_ties = (first[:, :, None] == gold[:, None, :]).any(axis=2)
    reranked = rows.copy()
    reranked[:, :k] = np.take_along_axis(first, score_order(rows, scores, last_of_ties), axis=1)
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
    gains = np.zeros((len(rows), max(100, rows.shape[1])))
    ideal = np.zeros((len(rows), 10))
    for query, relevant in enumerate(corpus.relevant):
        gains[query, : rows.shape[1]] = [relevant.get(row, 0) for row in rows[query].tolist()]
        best = sorted(relevant.values(), reverse=True)[:10]
        ideal[query, : len(best)] = best
    discount = 1 / np.log2(np.arange(2, 12))
    counts = np.array([len(relevant) for relevant in corpus.relevant])
    return {
        "ndcg@10": (gains[:, :10] @ discount) / (ideal @ discount),
        "accuracy@1": (gains[:, 0] > 0).astype(np.float64),
        "recall@100": (gains[:, :100] > 0).sum(axis=1) / counts,
    }
