"""Answers as they are printed: for people, as JSON, and in TREC's format."""

import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import numpy as np

from counterpoint.evaluation import trec
from counterpoint.io.text import terminal_text
from counterpoint.retrieval.asking import Answer
from counterpoint.retrieval.questions import Asked

Answered = tuple[Asked, Sequence[Answer]]
"""A question and its answers, the best first."""

WIDTH = 100
"""Columns at most, however wide the terminal is."""

INDENT = "    "

KNOWN = ("side", "theme", "debate")
"""Metadata that people see first; what the source says already is left out."""

HIDDEN = ("id", "_id", "kind", "split", "title", "folder")


def as_json(answered: Answered, system: str) -> str:
    """One line; docs/search.md tells what stands in it."""
    asked, answers = answered
    value = {
        "question": asdict(asked),
        "system": system,
        "answers": [asdict(answer) for answer in answers],
    }
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def as_trec(answered: Answered, system: str) -> str:
    """Lines of a run file; a score is 1 / rank, for a rank may come from either stage."""
    asked, answers = answered
    ranked = trec.Ranked(
        asked.id,
        [answer.source for answer in answers],
        1 / np.arange(1, len(answers) + 1, dtype=np.float64),
    )
    return "".join(trec.run_lines(ranked, system))


def as_text(answered: Answered, *, explain: bool, headed: bool) -> str:
    """For people, in the width of the terminal.

    Args:
        answered: what is shown.
        explain: with a line on what both stages said.
        headed: with the question above it.
    """
    asked, answers = answered
    width = min(WIDTH, shutil.get_terminal_size().columns)
    head = [textwrap.shorten(terminal_text(f"{asked.id}: {asked.text}"), width), ""]
    lines = head if headed else []
    if not answers:
        lines.append("No text of the index may answer.")
    for answer in answers:
        lines += _shown(answer, width, explain)
    return "\n".join(lines)


def _shown(answer: Answer, width: int, explain: bool) -> Iterator[str]:
    values = (answer.metadata.get(name) for name in KNOWN)
    others = (
        f"{name}: {value}"
        for name, value in answer.metadata.items()
        if name not in (*KNOWN, *HIDDEN) and len(value) <= WIDTH
    )
    about = [value for value in values if value] + list(others)
    near = f"distance {answer.distance:.3f}"
    if answer.similarity is not None:
        near = f"similarity {answer.similarity:.3f}"
    told = [near]
    if answer.probability is not None:
        told.append(f"probability {answer.probability:.3f}")
    yield f"{answer.rank:>2}. " + terminal_text(" · ".join([", ".join(told), *about]))
    if explain:
        yield INDENT + _explained(answer)
    for paragraph in answer.text.splitlines():
        yield from textwrap.wrap(
            terminal_text(paragraph), width, initial_indent=INDENT, subsequent_indent=INDENT
        )
    yield INDENT + terminal_text(f"({answer.source})".replace("\n", " "))
    yield ""


def _explained(answer: Answer) -> str:
    first = f"by distance ({answer.distance:.4f}) {_place(answer.first_stage_rank)}"
    if answer.probability is None:
        return f"{first}; not re-ranked"
    moved = answer.first_stage_rank - answer.rank
    up = f"{abs(moved)} {'up' if moved > 0 else 'down'}" if moved else "where it was"
    return (
        f"{first}; the second stage ({answer.probability:.4f}) puts it {_place(answer.rank)}: {up}"
    )


def _place(rank: int) -> str:
    return f"in place {rank}"
