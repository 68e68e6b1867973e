"""Rankings in TREC's format, for trec_eval, ir_measures and whoever else reads it.

QUERY 0 DOCUMENT GAIN                    judgements (qrels)
QUERY Q0 DOCUMENT RANK SCORE TAG         a ranking (run), the best first

Readers go by the score, hold it in float32 (trec_eval's `sim` is a C float) and break ties their
own way, where ours count against the system. So scores are written strictly falling in float32.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from counterpoint.arrays import Floats
from counterpoint.io.atomic import replacing


@dataclass(frozen=True)
class Ranked:
    """A query's documents, the best first, each with its score; never rising but for rounding."""

    query: str
    documents: Sequence[str]
    scores: npt.NDArray[np.float64]
    """(documents,)"""


def write_qrels(path: Path, judgements: Mapping[str, Mapping[str, int]]) -> None:
    """Write query id to document id to gain."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        for query, gains in judgements.items():
            for document, gain in gains.items():
                stream.write(f"{token(query)} 0 {token(document)} {gain}\n")


def write_run(path: Path, rankings: Iterable[Ranked], tag: str) -> None:
    """Write rankings, with the scores as `falling` gives them."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        for ranked in rankings:
            stream.writelines(run_lines(ranked, tag))


def run_lines(ranked: Ranked, tag: str) -> Iterator[str]:
    """The lines of one query's ranking, with the scores as `falling` gives them."""
    query, tag = token(ranked.query), token(tag)
    # As text each is the shortest that float32 reads back as itself.
    scores = falling(ranked.scores).astype(str).tolist()
    rows = zip(ranked.documents, scores, strict=True)
    for rank, (document, score) in enumerate(rows, start=1):
        yield f"{query} Q0 {token(document)} {rank} {score} {tag}\n"


def falling(scores: npt.NDArray[np.float64]) -> Floats:
    """Scores (n,) in the order of their ranks as float32 that fall strictly.

    One that float32 does not tell from the one before it becomes the next lower number.
    """
    result = scores.astype(np.float32) + np.float32(0)  # no minus before a 0
    down = np.float32(-np.inf)
    for place in np.flatnonzero(~(result[1:] < result[:-1])) + 1:
        # Lowering one may bring it down to those that follow.
        for later in range(place, len(result)):
            if result[later] < result[later - 1]:
                break
            result[later] = np.nextafter(result[later - 1], down)
    return result


def token(name: str) -> str:
    """A name as one word: white space, which parts the fields, and `%` are percent-encoded."""
    return re.sub(r"[%\s]", lambda match: quote(match[0], safe=""), name)
