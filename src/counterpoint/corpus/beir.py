"""A corpus in BEIR's layout, to evaluate on: documents, queries and judgements.

    corpus.jsonl      {"_id": …, "title": …, "text": …} a line
    queries.jsonl     {"_id": …, "text": …} a line
    qrels/test.tsv    query-id, corpus-id, score, with a header; or TREC's four columns

Each may be packed, as `corpus.jsonl.gz`. Thakur et al., *BEIR: A Heterogeneous Benchmark for
Zero-shot Evaluation of Information Retrieval Models* (2021). All documents are searched but the one
that has the query's own id, as BEIR's ArguAna wants it, where each query is a document too.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from counterpoint.arrays import Ints
from counterpoint.corpus.arguments import text_hash
from counterpoint.corpus.beir_files import BadFiles, BeirFiles, Findings, Judgement, Kind
from counterpoint.corpus.sources import Source
from counterpoint.errors import InputError


def beir_root(source: Source) -> str | None:
    """The folder of BEIR's corpus.jsonl: `""`, or ending in `/`; None where there is none.

    Raises:
        InputError: there are several.
    """
    found: dict[str, str] = {}
    for path in sorted(source.files()):
        root, name = path[: path.rfind("/") + 1], path[path.rfind("/") + 1 :]
        if name in ("corpus.jsonl", "corpus.jsonl.gz"):
            found.setdefault(root, path)
    if len(found) > 1:
        raise InputError(
            f"corpus {source.name}: several corpora in BEIR's layout: {', '.join(found.values())}; "
            "give the path of one of them"
        )
    return next(iter(found), None)


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
    absent: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """Number of a query to its relevant documents that the corpus lacks, and their gains. They
    count as not found, as in BEIR's own evaluation."""
    copies: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Number of a query to the rows of the documents, neither its own nor relevant, whose text is
    the query's, with the title before it or without."""
    unanswerable: tuple[str, ...] = ()
    """Judged queries without a relevant document but their own, which no score counts."""
    notes: tuple[str, ...] = ()
    """What is wrong in the files and was passed over; a line a kind."""

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


def read_beir(
    source: Source, split: str = "test", *, bad_files: BadFiles | None = None
) -> BeirCorpus:
    """Read documents, and the queries that `qrels/SPLIT.tsv` judges.

    Args:
        source: that holds the files.
        split: whose judgements are read.
        bad_files: `stop` refuses all that is wrong in the files; None goes on where something is
            merely missing, as BEIR's own evaluation does, and refuses lines that cannot be read;
            `skip` leaves those out too.

    Raises:
        InputError: a file is missing, or something is refused; names the files and the lines.
    """
    root = beir_root(source)
    if root is None:
        raise InputError(f"{source.name}: no corpus.jsonl; expected a corpus in BEIR's layout")
    findings = Findings(source.name)
    files = BeirFiles(source, root, findings)
    texts = files.queries()
    judged = _by_query(files.judgements(split), texts, findings)
    documents = _Documents(files, {texts[query] for query in judged})
    relevant, absent = _found(judged, documents.row, findings)
    findings.check(bad_files)
    queries = [query for query in judged if query in relevant or query in absent]
    if not queries:
        raise InputError(
            f"{source.name}: {root}qrels/{split}.tsv: no judgement above 0 of a query that is "
            "there, so there is no query"
        )
    number = {query: place for place, query in enumerate(queries)}
    return BeirCorpus(
        name=source.name,
        documents=tuple(documents.row),
        document_texts=tuple(documents.texts),
        queries=tuple(queries),
        query_texts=tuple(texts[query] for query in queries),
        relevant=tuple(relevant.get(query, {}) for query in queries),
        absent={number[query]: gains for query, gains in absent.items()},
        copies=_copies(
            [(query, texts[query], relevant.get(query, {})) for query in queries], documents
        ),
        unanswerable=tuple(query for query in judged if query not in number),
        notes=tuple(findings.lines()),
    )


class _Documents:
    """Rows and texts of all documents; where the texts of some queries stand among them."""

    def __init__(self, files: BeirFiles, query_texts: Collection[str]) -> None:
        self.row: dict[str, int] = {}
        self.texts: list[str] = []
        self.with_text: dict[str, list[int]] = {}
        """The text of a query to the rows that have it."""
        for document in files.documents():
            row = self.row[document.id] = len(self.row)
            self.texts.append(document.whole)
            for text in {document.whole, document.text} & set(query_texts):
                self.with_text.setdefault(text, []).append(row)


def _by_query(
    judgements: Iterable[Judgement], queries: Collection[str], findings: Findings
) -> dict[str, list[Judgement]]:
    """Query to its judgements, of those that queries.jsonl has."""
    judged: dict[str, list[Judgement]] = {}
    lost: set[str] = set()
    for judgement in judgements:
        if judgement.query in queries:
            judged.setdefault(judgement.query, []).append(judgement)
        elif judgement.query not in lost:
            lost.add(judgement.query)
            findings.add(Kind.NO_QUERY, f"{judgement.place} ({judgement.query!r})")
    return judged


def _found(
    judged: Mapping[str, Sequence[Judgement]], row: Mapping[str, int], findings: Findings
) -> tuple[dict[str, dict[int, int]], dict[str, dict[str, int]]]:
    """Query to the rows of its relevant documents with their gains, and to those that lack."""
    relevant: dict[str, dict[int, int]] = {}
    absent: dict[str, dict[str, int]] = {}
    for query, several in judged.items():
        for one in several:
            if one.document == query:
                continue
            if one.document not in row:
                findings.add(Kind.NO_DOCUMENT, f"{one.place} ({one.document!r} of {query!r})")
                if one.gain > 0:
                    absent.setdefault(query, {})[one.document] = one.gain
            elif one.gain > 0:
                relevant.setdefault(query, {})[row[one.document]] = one.gain
    return relevant, absent


def _copies(
    queries: Iterable[tuple[str, str, Mapping[int, int]]], documents: _Documents
) -> dict[int, tuple[int, ...]]:
    """What `BeirCorpus.copies` holds, of the id, text and relevant rows of each query."""
    copies = {}
    for number, (query, text, relevant) in enumerate(queries):
        # A copy that is relevant stays, as the gold does under `clean`.
        kept = {documents.row.get(query, -1), *relevant}
        rows = tuple(row for row in documents.with_text.get(text, ()) if row not in kept)
        if rows:
            copies[number] = rows
    return copies
