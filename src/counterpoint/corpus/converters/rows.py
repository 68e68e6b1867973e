"""What a converter gives: rows of a file of pairs, and a count of all that makes no row."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields

from counterpoint.corpus.arguments import normalise
from counterpoint.corpus.sources import MAX_TEXT_BYTES

LARGEST = f"a text of more than {MAX_TEXT_BYTES:,} bytes"


@dataclass(frozen=True, slots=True)
class Row:
    """One pair. What a source does not have is empty, and its column is left out."""

    point: str
    counter: str
    debate: str
    theme: str = ""
    side: str = ""
    """`pro` or `con`: the point's own side."""
    split: str = ""

    def line(self) -> str:
        """The row as a line of JSON, with its line break."""
        named = {column.name: getattr(self, column.name) for column in fields(self)}
        filled = {name: value for name, value in named.items() if value}
        return json.dumps(filled, ensure_ascii=False) + "\n"


@dataclass
class Tally:
    """What was read, and what of it stands in no row: reason to count."""

    read: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    """Reason to the first place where it holds, for reasons that a person would look up."""

    def leave_out(self, reason: str, place: str = "") -> None:
        """Count one thing that makes no row."""
        self.left_out[reason] += 1
        if place:
            self.first.setdefault(reason, place)


def fault(text: str) -> str | None:
    """Why a text can be in no row; None for one that can.

    A file of pairs refuses the same texts (`pairs.read_pairs`).
    """
    if not text.strip():
        return "an empty text"
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        # JSON can escape half a surrogate pair, which no file can hold.
        return "half a surrogate pair"
    return LARGEST if size > MAX_TEXT_BYTES else None


def readable(rows: Iterable[Row], tally: Tally) -> Iterator[Row]:
    """The rows that a file of pairs may hold, each once; the others are counted."""
    seen: set[bytes] = set()
    for row in rows:
        reason = fault(row.point) or fault(row.counter) or fault(row.debate + row.theme)
        if reason is not None:
            tally.leave_out(f"pairs with {reason}")
        elif normalise(row.point) == normalise(row.counter):
            tally.leave_out("pairs whose point and counter are the same text")
        elif (digest := _digest(row)) in seen:
            tally.leave_out("pairs that stand there twice")
        else:
            seen.add(digest)
            yield row


def _digest(row: Row) -> bytes:
    """128 bits: a set of them is small where one of the rows themselves would not be.

    Rows are the same where `pairs.read_pairs` would call them so.
    """
    texts = (normalise(row.point), normalise(row.counter))
    parts = "\0".join((row.theme, row.debate, row.side, row.split, *texts))
    return hashlib.blake2b(parts.encode("utf-8"), digest_size=16).digest()
