"""The lines of a corpus in BEIR's layout, and what of them is lost or cannot be read."""

import gzip
import io
import json
import re
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from counterpoint.corpus.arguments import normalise
from counterpoint.corpus.sources import Source
from counterpoint.errors import InputError

LIMIT = 4 << 30
"""Bytes of a file, unpacked; BEIR's largest corpus has 8.8 million passages."""

SHOWN = 5
"""How many findings of a kind are named."""

BadFiles = Literal["stop", "skip"]


class Kind(Enum):
    """What may be wrong, in words, and whether BEIR's own evaluation goes on with it."""

    BROKEN = "lines that cannot be read and are left out", False
    TWICE = "ids that stand twice, of which the first counts", False
    NO_TEXT = "documents without a text, which are searched as empty ones", True
    NO_DOCUMENT = "judgements of a document that the corpus lacks, which counts as not found", True
    NO_QUERY = "judged queries that queries.jsonl lacks and that are left out", True

    @property
    def words(self) -> str:
        """As messages name it."""
        return self.value[0]

    @property
    def is_gap(self) -> bool:
        """Whether something is merely missing."""
        return self.value[1]


class Findings:
    """What is wrong in a corpus, by kind."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._found: dict[Kind, list[str]] = {}

    def add(self, kind: Kind, what: str) -> None:
        """Note one more of a kind."""
        self._found.setdefault(kind, []).append(what)

    def lines(self, kinds: Collection[Kind] = tuple(Kind)) -> list[str]:
        """A line for each kind that was found: how many, and the first ones."""
        return [
            f"{kind.words} ({len(self._found[kind])}): {'; '.join(self._found[kind][:SHOWN])}"
            f"{'; …' if len(self._found[kind]) > SHOWN else ''}"
            for kind in kinds
            if kind in self._found
        ]

    def check(self, bad_files: BadFiles | None) -> None:
        """Refuse what was found, unless it may be passed over.

        Args:
            bad_files: `stop` refuses everything, `skip` nothing, None what is not merely missing.

        Raises:
            InputError: something is refused; a line for each kind.
        """
        refused = [] if bad_files == "skip" else [k for k in Kind if bad_files or not k.is_gap]
        if lines := self.lines(refused):
            raise InputError(
                "\n  ".join([f"corpus {self._name}: cannot be used as it is:", *lines])
                + "\nCorrect the files, or pass over all this with --bad-files skip."
            )


@dataclass(frozen=True)
class Document:
    """A line of corpus.jsonl, its texts normalised."""

    id: str
    title: str
    text: str

    @property
    def whole(self) -> str:
        """Title and text, by which it is searched."""
        return " ".join(part for part in (self.title, self.text) if part)


@dataclass(frozen=True)
class Judgement:
    """A line of a file of judgements."""

    place: str
    query: str
    document: str
    gain: int


class BeirFiles:
    """The three files.

    Args:
        source: that holds them.
        root: the folder of corpus.jsonl, empty or ending in `/`.
        findings: gets what is wrong in them.
    """

    def __init__(self, source: Source, root: str, findings: Findings) -> None:
        self._source = source
        self._root = root
        self._findings = findings

    def documents(self) -> Iterator[Document]:
        """Every document once.

        Raises:
            InputError: the file is missing, damaged or not UTF-8.
        """
        seen: set[str] = set()
        for place, row in self._rows("corpus.jsonl", seen):
            title, text = row.get("title"), row.get("text")
            if not isinstance(title, str | int | float | None):
                self._broken(place, 'expected "title" to be a text')
            elif not isinstance(text, str | None):
                self._broken(place, 'expected "text" to be a text')
            elif self._is_unicode(place, f"{title}{text}"):
                shown = "" if title is None else str(title)
                found = Document(_id(row), normalise(shown), normalise(text or ""))
                if text is None or not found.whole:
                    self._findings.add(Kind.NO_TEXT, f"{place} ({found.id})")
                yield found

    def queries(self) -> dict[str, str]:
        """Id to normalised text of every query.

        Raises:
            InputError: as `documents`.
        """
        texts: dict[str, str] = {}
        for place, row in self._rows("queries.jsonl", set()):
            text = row.get("text")
            if not isinstance(text, str):
                self._broken(place, 'expected "text", a text')
            elif self._is_unicode(place, text):
                texts[_id(row)] = normalise(text)
        return texts

    def judgements(self, split: str) -> Iterator[Judgement]:
        """Every judgement of `qrels/SPLIT.tsv`, as BEIR or as TREC writes them.

        Raises:
            InputError: as `documents`.
        """
        for number, (place, line) in enumerate(self._lines(f"qrels/{split}.tsv")):
            fields = line.rstrip("\r\n").split("\t")
            if len(fields) not in (3, 4):
                fields = line.split()  # TREC's files are parted by any white space
            if number == 0 and fields[-1].lower() == "score":
                continue
            score = re.fullmatch(r"(-?[0-9]{1,9})(?:\.0*)?", fields[-1].strip())
            if len(fields) not in (3, 4) or score is None:
                self._broken(
                    place,
                    "expected query-id, corpus-id and a whole score, parted by tabs, or the four "
                    f"columns of TREC, found {line[:80]!r}",
                )
            else:
                yield Judgement(place, fields[0], fields[-2], int(score[1]))

    def _rows(self, name: str, seen: set[str]) -> Iterator[tuple[str, dict[str, object]]]:
        """(place, object) of every line that has an id of its own."""
        for place, line in self._lines(name):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:  # too long a number, too many brackets
                self._broken(place, f"not JSON: {error}")
                continue
            if not isinstance(row, dict) or not _id(row):
                self._broken(place, 'expected an object with "_id", a text or number, not empty')
            elif _id(row) in seen:
                self._findings.add(Kind.TWICE, f"{place} ({_id(row)!r})")
            elif self._is_unicode(place, _id(row)):
                seen.add(_id(row))
                yield place, row

    def _lines(self, name: str) -> Iterator[tuple[str, str]]:
        """(place, line) of every line that is not blank."""
        path, data = self._read(name)
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"{self._source.name}: {path}: not UTF-8: {error}") from error
        # Not splitlines, which also breaks at separators that may stand within a text.
        for number, line in enumerate(io.StringIO(text, newline="\n"), start=1):
            if line.strip():
                yield f"{path}:{number}", line

    def _read(self, name: str) -> tuple[str, bytes]:
        """The path and the bytes of a file, which may be packed by gzip."""
        there = set(self._source.files())
        path = f"{self._root}{name}"
        if path in there:
            return path, self._source.read(path, LIMIT)
        packed = f"{path}.gz"
        if packed not in there:
            raise InputError(
                f"{self._source.name}: {path}: no such file, nor {packed}; BEIR's layout has it"
            )
        where = f"{self._source.name}: {packed}"
        try:
            with gzip.open(io.BytesIO(self._source.read(packed, LIMIT))) as stream:
                data = stream.read(LIMIT + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{where}: not a gzip file that can be read: {error}") from error
        if len(data) > LIMIT:
            raise InputError(f"{where}: unpacks to more than {LIMIT} bytes; refused")
        return packed, data

    def _is_unicode(self, place: str, text: str) -> bool:
        if re.search(r"[\ud800-\udfff]", text):
            self._broken(place, "half a surrogate pair is escaped; expected Unicode text")
            return False
        return True

    def _broken(self, place: str, what: str) -> None:
        self._findings.add(Kind.BROKEN, f"{place}: {what}")


def _id(row: dict[str, object]) -> str:
    """The id of a line as text; empty where it has none."""
    value = row.get("_id")
    is_name = isinstance(value, str | int | float) and not isinstance(value, bool)
    return str(value) if is_name else ""
