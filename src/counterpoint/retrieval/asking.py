"""Questions with filters to answers: both stages, each text once, never the question's own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from counterpoint.corpus.arguments import normalise
from counterpoint.corpus.pairs import faults_of_text
from counterpoint.errors import InputError
from counterpoint.models.fusion import Vectors
from counterpoint.retrieval.index import Index
from counterpoint.retrieval.nearest import Searchable, excluded_rows
from counterpoint.retrieval.retriever import Ranked, Retriever
from counterpoint.retrieval.second_stage import Candidates, Encoded


@dataclass(frozen=True)
class Question:
    """A point that counters are sought for."""

    text: str
    where: Mapping[str, str] = field(default_factory=dict)
    """Metadata to the value that an answer must have."""
    not_side: str | None = None
    """The side that no answer may be known to take."""


@dataclass(frozen=True)
class Answer:
    """A document that was found."""

    rank: int
    """From 1."""
    text: str
    source: str
    metadata: Mapping[str, str]
    distance: float
    """Euclidean, between the vectors."""
    similarity: float | None
    """Their cosine; None where vectors are not of length 1."""
    probability: float | None
    """That it counters the question; None where there is no second stage, or beyond the texts
    that it re-orders."""
    first_stage_rank: int
    """Its rank by distance, from 1."""


class Asker:
    """Answers questions from an index.

    Args:
        index: what is searched.
        retriever: that the index's vectors are of.
        searched: finds the nearest; by default all rows are compared.
    """

    def __init__(
        self, index: Index, retriever: Retriever, searched: Searchable | None = None
    ) -> None:
        self._index = index
        self._retriever = retriever
        self._searched = searched

    def ask(self, questions: Sequence[Question], k: int = 10) -> list[list[Answer]]:
        """The k best answers to each question, best first; all that there are where k is more.

        Raises:
            InputError: k is less than 1; a question is empty, too long or no Unicode; or the index
                has no such metadata or value.
        """
        if k < 1:
            raise InputError(f"k: {k}; give at least 1")
        for number, question in enumerate(questions, start=1):
            check_text(question.text, f"question {number}")
        if not questions:
            return []
        groups: dict[tuple[object, ...], list[int]] = {}
        for place, question in enumerate(questions):
            key = (*sorted(question.where.items()), question.not_side)
            groups.setdefault(key, []).append(place)
        # Before anything is encoded, because a filter may be wrong.
        allowed = [self._allowed(questions[places[0]]) for places in groups.values()]
        points = self._retriever.encoded([one.text for one in questions], "query")
        answers: dict[int, list[Answer]] = {}
        for places, mask in zip(groups.values(), allowed, strict=True):
            found = self._found(points.rows(places), k, mask)
            answers |= zip(places, found, strict=True)
        return [answers[place] for place in range(len(questions))]

    def _allowed(self, question: Question) -> Tensor | None:
        allowed = self._index.allowed(question.where, question.not_side)
        return None if allowed.all() else torch.from_numpy(allowed)

    def _found(self, points: Encoded, k: int, allowed: Tensor | None) -> Iterator[list[Answer]]:
        own = [self._index.rows_with_text(text).tolist() for text in points.texts]
        ranked = self._retriever.rank(
            points,
            self._index.stored if self._searched is None else self._searched,
            self._candidates(points.vectors.e.device),
            k,
            allowed=allowed,
            excluded=excluded_rows(own),
        )
        return map(self._answers, ranked)

    def _candidates(self, device: torch.device) -> Candidates:
        index = self._index
        return Candidates(
            lambda rows: Vectors(*(each.to(device) for each in index.vectors(rows))),
            lambda rows: [document.text for document in index.documents(rows.tolist())],
        )

    def _answers(self, ranked: Sequence[Ranked]) -> list[Answer]:
        documents = self._index.documents([one.place for one in ranked])
        return [
            Answer(
                rank=rank,
                text=document.text,
                source=document.source,
                metadata=document.metadata,
                distance=one.distance,
                similarity=one.similarity,
                probability=one.probability,
                first_stage_rank=one.first_stage_rank,
            )
            for rank, (one, document) in enumerate(zip(ranked, documents, strict=True), start=1)
        ]


def check_text(text: str, name: str) -> None:
    """Refuse what is no text of an argument.

    Raises:
        InputError: it is empty, no Unicode, or more than a megabyte, or holds a NUL character.
    """
    faults = list(faults_of_text(name, text))
    if "\0" in text:
        faults.append(f"{name}: NUL at character {text.index(chr(0))}; expected text")
    if not normalise(text):
        faults.append(f"{name}: an empty text; expected an argument")
    if faults:
        raise InputError(faults[0])


def cut_note(texts: Sequence[str], retriever: Retriever) -> list[str]:
    """A line on texts of which the beginning alone is read, or none.

    Counted by words, each of which is a token or several, so there may be more.
    """
    options = retriever.options
    read = {"encoder.max_tokens": options.encoder.max_tokens}
    if options.asks_pairs:
        read["reranker.encoder.max_tokens"] = options.reranker.encoder.max_tokens
    counts = {name: sum(len(text.split()) > most for text in texts) for name, most in read.items()}
    return [
        f"texts of more than {most} words: {counts[name]:,}; of each the first {most} tokens are "
        f"read ({name})"
        for name, most in read.items()
        if counts[name]
    ]
