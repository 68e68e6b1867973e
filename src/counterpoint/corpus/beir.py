"""A corpus in BEIR's layout, to evaluate on: documents, queries and judgements.

    corpus.jsonl      {"_id": …, "title": …, "text": …} a line
    queries.jsonl     {"_id": …, "text": …} a line
    qrels/test.tsv    query-id, corpus-id, score, with a header

Thakur et al., *BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation of Information Retrieval
Models* (2021). All documents are searched but the one that has the query's own id, as BEIR's
ArguAna wants it, where each query is a document too.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from counterpoint.arrays import Ints
from counterpoint.corpus.arguments import normalise, text_hash
from counterpoint.corpus.sources import Source
from counterpoint.errors import InputError


def beir_root(source: Source) -> str | None:
    """The folder of BEIR's corpus.jsonl: `""`, or ending in `/`; None where there is none.

    Raises:
        InputError: there are several.
    """
    paths = sorted(path for path in source.files() if f"/{path}".endswith("/corpus.jsonl"))
    if len(paths) > 1:
        raise InputError(
            f"corpus {source.name}: several corpora in BEIR's layout: {', '.join(paths)}; give the "
            "path of one of them"
        )
    return paths[0].removesuffix("corpus.jsonl") if paths else None


LIMIT = 4 << 30
"""Bytes of a file; BEIR's largest corpus has 8.8 million passages."""


@dataclass(frozen=True)
class BeirCorpus:
    """Documents and judged queries.

    `relevant[i]` gives, for query i, the rows of its relevant documents and their gains, all above
    0. Texts are normalised, a document's title before its text.
    """

    name: str
    documents: tuple[str, ...]
    document_texts: tuple[str, ...]
    queries: tuple[str, ...]
    query_texts: tuple[str, ...]
    relevant: tuple[Mapping[int, int], ...]
    unanswerable: tuple[str, ...] = ()
    """Judged queries without a relevant document but their own, which no figure counts."""

    @cached_property
    def texts(self) -> list[str]:
        """The unique texts of documents and queries, in order of first appearance."""
        return list(dict.fromkeys((*self.document_texts, *self.query_texts)))

    @cached_property
    def text_number(self) -> dict[str, int]:
        """Text hash to number among the unique texts."""
        return {text_hash(text): number for number, text in enumerate(self.texts)}

    def numbers(self, texts: tuple[str, ...]) -> Ints:
        """(n,) int64: the number of each of some texts."""
        number = {text: place for place, text in enumerate(self.texts)}
        return np.array([number[text] for text in texts], dtype=np.int64)

    @cached_property
    def own(self) -> Ints:
        """(queries,) int64: the document that has the query's own id, or -1."""
        row = {document: place for place, document in enumerate(self.documents)}
        return np.array([row.get(query, -1) for query in self.queries], dtype=np.int64)


def read_beir(source: Source, split: str = "test") -> BeirCorpus:
    """Read documents, and the queries that `qrels/SPLIT.tsv` judges.

    Raises:
        InputError: a file is missing or a line cannot be used; names the file and the line.
    """
    root = beir_root(source)
    if root is None:
        raise InputError(f"{source.name}: no corpus.jsonl; expected a corpus in BEIR's layout")
    documents = _read_jsonl(source, f"{root}corpus.jsonl", title=True)
    texts = _read_jsonl(source, f"{root}queries.jsonl", title=False)
    path = f"{root}qrels/{split}.tsv"
    judged = _read_qrels(source, path, documents, texts)
    relevant = {query: gains for query, gains in judged.items() if gains}
    if not relevant:
        raise InputError(f"{source.name}: {path}: no judgement above 0, so there is no query")
    return BeirCorpus(
        name=source.name,
        documents=tuple(documents),
        document_texts=tuple(documents.values()),
        queries=tuple(relevant),
        query_texts=tuple(texts[query] for query in relevant),
        relevant=tuple(relevant.values()),
        unanswerable=tuple(query for query in judged if query not in relevant),
    )


def _lines(source: Source, path: str) -> Iterator[tuple[str, str]]:
    """(place, line) of every line that is not blank."""
    if path not in set(source.files()):
        raise InputError(f"{source.name}: {path}: no such file; BEIR's layout has it")
    try:
        text = source.read(path, LIMIT).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{source.name}: {path}: not UTF-8: {error}") from error
    # Not splitlines, which also breaks at separators that may stand within a text.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{source.name}: {path}:{number}", line


def _read_jsonl(source: Source, path: str, *, title: bool) -> dict[str, str]:
    """Id to normalised text."""
    texts: dict[str, str] = {}
    for place, line in _lines(source, path):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # a number too long, or too many brackets
            raise InputError(f"{place}: not JSON: {error}") from error
        if not isinstance(row, dict) or not (
            isinstance(row.get("_id"), str) and row["_id"] and isinstance(row.get("text"), str)
        ):
            raise InputError(
                f'{place}: expected an object with "_id", not empty, and "text", both texts'
            )
        if row["_id"] in texts:
            raise InputError(f"{place}: id {row['_id']!r} stands there twice; ids are unique")
        parts = [str(row.get("title") or ""), row["text"]] if title else [row["text"]]
        texts[row["_id"]] = normalise(" ".join(parts))
        if re.search(r"[\ud800-\udfff]", row["_id"] + texts[row["_id"]]):
            raise InputError(f"{place}: half a surrogate pair is escaped; expected Unicode text")
    return texts


def _read_qrels(
    source: Source, path: str, documents: Mapping[str, str], queries: Mapping[str, str]
) -> dict[str, dict[int, int]]:
    """Each judged query's id to the rows of its relevant documents and their gains."""
    row_of = {document: row for row, document in enumerate(documents)}
    relevant: dict[str, dict[int, int]] = {}
    for number, (place, line) in enumerate(_lines(source, path)):
        fields = line.rstrip("\r").split("\t")
        if number == 0 and fields[-1] == "score":
            continue
        if len(fields) != 3 or not re.fullmatch(r"-?[0-9]{1,9}", fields[2]):
            raise InputError(
                f"{place}: expected query-id, corpus-id and a whole score, parted by tabs, found "
                f"{line!r}"
            )
        query, document, score = fields
        for kind, name, known in (
            ("query", query, queries),
            ("document", document, documents),
        ):
            if name not in known:
                file = "queries.jsonl" if kind == "query" else "corpus.jsonl"
                raise InputError(
                    f"{place}: {kind} {name!r} is not in {file}; correct the judgement or add it"
                )
        gains = relevant.setdefault(query, {})
        if int(score) > 0 and query != document:
            gains[row_of[document]] = int(score)
    return relevant
