"""Questions from a file or from standard input."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from counterpoint.corpus.sources import is_pair_file
from counterpoint.errors import InputError
from counterpoint.retrieval.asking import check_text
from counterpoint.retrieval.collection import ID_COLUMNS, read_texts


@dataclass(frozen=True)
class Asked:
    """A text that is asked, and what its file says of it."""

    id: str
    text: str
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_questions(path: Path, column: str) -> tuple[list[Asked], Sequence[str]]:
    """The questions of a file, and how it was understood.

    Args:
        path: a file with columns, or a text file with a question a line.
        column: of a file with columns, the one that holds the texts.

    Raises:
        InputError: it cannot be read, holds no question, or a text that cannot be asked; names
            the line.
    """
    if is_pair_file(path):
        found = read_texts(path, column)
        asked = []
        for number, one in enumerate(found.documents, start=1):
            named = any(name in one.metadata for name in ID_COLUMNS)
            check_text(one.text, f"{path}: row {number}" if named else one.source)
            asked.append(Asked(one.source if named else str(number), one.text, one.metadata))
        notes = found.notes
    else:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        lines = decoded(data, str(path)).split("\n")
        asked = [Asked(str(n), line) for n, line in enumerate(lines, start=1) if line.strip()]
        for each in asked:
            check_text(each.text, f"{path}:{each.id}")
        notes = ()
    if not asked:
        raise InputError(f"{path}: no question in it; expected at least one")
    return asked, notes


def decoded(data: bytes, name: str) -> str:
    """Bytes that somebody typed or wrote as text.

    Raises:
        InputError: they are not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{name}:{line}: not UTF-8 (byte {data[error.start]:#04x}); save it as UTF-8"
        ) from error
