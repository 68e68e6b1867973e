"""What a request may ask for; whatever goes beyond is refused by name, with the limit."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from counterpoint.errors import InputError
from counterpoint.retrieval.asking import Answer, Question, check_text
from counterpoint.retrieval.index import SIDE

BODY = 256 * 1024
"""Bytes of a request's body; more than `CHARACTERS` take, however JSON writes them."""

CHARACTERS = 20_000
"""Of a text. Arguments have some hundreds of words; an encoder reads a few hundred tokens."""

MOST = 100
"""Answers to one question."""

FILTERS = 20
"""Columns that one question may be filtered by."""

SHOWN = 60
"""Characters of a value that a message repeats."""


class SearchRequest(BaseModel):
    """A point that counters are sought for."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    text: str = Field(min_length=1, max_length=CHARACTERS, examples=["Cars pollute the air."])
    """The argument to answer."""
    k: int = Field(10, ge=1, le=MOST)
    """How many answers, at most."""
    where: dict[str, str] = Field(default_factory=dict, max_length=FILTERS)
    """Metadata to the value that an answer must have; `GET /index` lists both."""
    not_side: str | None = None
    """The side that no answer may be known to take."""

    def question(self, columns: Mapping[str, Mapping[str, int]]) -> Question:
        """What the index is asked.

        Args:
            columns: of the index: its metadata to their values with counts.

        Raises:
            InputError: the text is no text, or the index has no such metadata or value.
        """
        check_text(self.text, "text")
        for column, value in self.where.items():
            _check_value(columns, f"where.{column}", column, value)
        if self.not_side is not None:
            _check_value(columns, "not_side", SIDE, self.not_side)
        return Question(self.text, self.where, self.not_side)


class SearchResponse(BaseModel):
    """The answers to a question."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    answers: list[Answer]
    """Best first; fewer than k where there are no more."""
    system: str
    """What answered."""
    seconds: float
    """From the request to its answers, waiting included."""


def _check_value(
    columns: Mapping[str, Mapping[str, int]], name: str, column: str, value: str
) -> None:
    if column not in columns:
        there = ", ".join(columns) or "none"
        raise InputError(f"{shown(name)}: the index has no such metadata; it has: {there}")
    if value not in columns[column]:
        some = ", ".join(list(columns[column])[:10])
        raise InputError(
            f"{shown(name)}: no text of the index has the value {shown(repr(value))}; its values "
            f"are: {some}{', …' if len(columns[column]) > 10 else ''} (GET /index lists them)"
        )


def shown(text: str) -> str:
    """A text of a request as a message repeats it: not much of it."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text):,} characters)"


def told(errors: Sequence[Mapping[str, Any]]) -> str:
    """What pydantic found wrong with a request, in one line: names, limits and values."""
    return "; ".join(map(_told, errors))


def _told(error: Mapping[str, Any]) -> str:
    if error["type"] == "json_invalid":
        return f"body: no JSON: {error['ctx']['error']} at character {error['loc'][-1]}"
    name = shown(".".join(str(part) for part in error["loc"][1:])) or "body"
    message = error["msg"][0].lower() + error["msg"][1:]
    value = error["input"]
    if error["type"] == "missing":
        return f"{name}: {message}"
    if isinstance(value, str) and len(value) > SHOWN:
        return f"{name}: {message}, found {len(value):,}"
    return f"{name}: {message}, found {shown(repr(value))}"
