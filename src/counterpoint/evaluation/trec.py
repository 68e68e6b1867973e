"""Rankings in TREC's format, for trec_eval, ir_measures and whoever else reads it.

QUERY 0 DOCUMENT GAIN                    judgements (qrels)
QUERY Q0 DOCUMENT RANK SCORE TAG         a ranking (run), the best first
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from counterpoint.io.atomic import replacing


def write_qrels(path: Path, judgements: Mapping[str, Mapping[str, int]]) -> None:
    """Write query id to document id to gain."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        for query, gains in judgements.items():
            for document, gain in gains.items():
                stream.write(f"{token(query)} 0 {token(document)} {gain}\n")


def write_run(path: Path, rankings: Iterable[tuple[str, Sequence[str]]], tag: str) -> None:
    """Write (query id, document ids, the best first).

    The score only repeats the rank, because readers order by score and break ties their own way,
    where ours count against the system.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        for query, documents in rankings:
            for rank, document in enumerate(documents, start=1):
                stream.write(f"{token(query)} Q0 {token(document)} {rank} {-rank} {token(tag)}\n")


def token(name: str) -> str:
    """A name as one word: white space, which parts the fields, and `%` are percent-encoded."""
    return re.sub(r"[%\s]", lambda match: quote(match[0], safe=""), name)
