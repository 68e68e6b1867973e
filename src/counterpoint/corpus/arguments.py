"""The table of arguments: what every later step reads of a corpus."""

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from counterpoint.corpus.pair_names import role_of
from counterpoint.errors import InputError
from counterpoint.io.atomic import replacing

ROLES = ("train", "dev", "test")

Kind = Literal["point", "counter"]


def normalise(text: str) -> str:
    """The text by which sameness is decided: Unicode NFC, runs of white space as one blank."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def text_hash(text: str) -> str:
    """128 bits, in hexadecimal, that two texts share when they are the same."""
    return hashlib.sha256(normalise(text).encode("utf-8")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Argument:
    """One text of the corpus: a point, or the counter to one."""

    id: str
    """`SPLIT/THEME/DEBATE/proNNa` for a point, `…b` for its counter, `…b2`, `…b3` for others to it;
    for people, never parsed."""
    pair: str
    """The id of the point that it belongs to: its own, or that of the point it answers."""
    split: str
    """Folder, as published (`training`)."""
    theme: str
    debate: str
    side: str
    """`pro` or `con`; a counter's is the side it answers."""
    number: int
    kind: Kind
    text: str
    text_hash: str


class Texts(Protocol):
    """Texts that are the same are one, and have one number."""

    @property
    def texts(self) -> list[str]:
        """The unique texts, normalised, by number."""

    @property
    def text_number(self) -> dict[str, int]:
        """Text hash to number, in the order of the numbers."""


@dataclass(frozen=True)
class Corpus:
    """All arguments of the splits in use, and the split that plays each role."""

    arguments: Sequence[Argument]
    roles: Mapping[str, str]
    bare_debates: Mapping[str, int]
    """Folder to the number of debates that the publisher lists there without any argument."""
    decontaminate: str = "none"
    """`train` where no training pair may share a text with dev or test."""
    notes: tuple[str, ...] = ()
    """How its files were understood, and what in them is suspicious; for people."""
    language: str = "en"
    """Of the texts, as ISO 639-1 has it."""

    def split(self, folder: str) -> list[Argument]:
        """The arguments of one folder, in the order of the table."""
        return [argument for argument in self.arguments if argument.split == folder]

    def folder(self, name: str) -> str | None:
        """The split that a name means, by its folder or its role; None for no such."""
        if name in self.roles.values():
            return name
        return self.roles.get(name) or self.roles.get(role_of(name) or "")

    @cached_property
    def text_index(self) -> npt.NDArray[np.int64]:
        """(arguments,) int64: the number of each argument's text among the unique texts."""
        numbers: dict[str, int] = {}
        return np.array(
            [numbers.setdefault(argument.text_hash, len(numbers)) for argument in self.arguments],
            dtype=np.int64,
        )

    @cached_property
    def texts(self) -> list[str]:
        """The unique texts, normalised, in order of first appearance."""
        first: dict[str, str] = {}
        for argument in self.arguments:
            first.setdefault(argument.text_hash, normalise(argument.text))
        return list(first.values())

    @cached_property
    def text_number(self) -> dict[str, int]:
        """Text hash to number among the unique texts."""
        return {
            argument.text_hash: int(number)
            for argument, number in zip(self.arguments, self.text_index, strict=True)
        }

    @cached_property
    def withheld(self) -> frozenset[str]:
        """Hashes of the texts that no training pair may have: those of dev and test, or none."""
        if self.decontaminate != "train":
            return frozenset()
        folders = {folder for role, folder in self.roles.items() if role != "train"}
        return frozenset(
            argument.text_hash for argument in self.arguments if argument.split in folders
        )


_COLUMNS = tuple(field.name for field in fields(Argument))


def write_arguments(corpus: Corpus, path: str | Path) -> None:
    """Write the table of arguments (parquet, a column a field of `Argument`).

    Roles and bare debates stand in the file's metadata: one file is all that later steps need.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {name: [getattr(argument, name) for argument in corpus.arguments] for name in _COLUMNS}
    )
    facts = {
        "roles": dict(corpus.roles),
        "bare_debates": dict(corpus.bare_debates),
        "decontaminate": corpus.decontaminate,
        "notes": list(corpus.notes),
        "language": corpus.language,
    }
    table = table.replace_schema_metadata({"counterpoint": json.dumps(facts)})
    with replacing(path) as temporary:
        pq.write_table(table, temporary)


def read_arguments(path: str | Path) -> Corpus:
    """Read what `write_arguments` wrote.

    Raises:
        InputError: the file is no such table.
    """
    rows, metadata = _read_columns(path, _COLUMNS)
    try:
        facts = json.loads(metadata[b"counterpoint"])
        return Corpus(
            [Argument(*row) for row in rows],
            facts["roles"],
            facts["bare_debates"],
            facts["decontaminate"],
            tuple(facts.get("notes", ())),
            facts.get("language", "en"),  # a table of an older version is of English texts
        )
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise _no_table(path, error) from error


def read_debates(path: str | Path) -> dict[str, str]:
    """The debate of every argument of the table that `write_arguments` wrote, by the argument's id.

    A debate is named `SPLIT/THEME/DEBATE`: the same folder under two themes is two debates.

    Raises:
        InputError: the file is no such table.
    """
    rows, _ = _read_columns(path, ("id", "split", "theme", "debate"))
    return {name: _debate(*debate) for name, *debate in rows}


def debates_of(arguments: Iterable[Argument]) -> dict[str, str]:
    """The debate of every argument by its id, as `read_debates` names it."""
    return {
        argument.id: _debate(argument.split, argument.theme, argument.debate)
        for argument in arguments
    }


def _debate(split: str, theme: str, name: str) -> str:
    return f"{split}/{theme}/{name}"


def _read_columns(
    path: str | Path, names: Sequence[str]
) -> tuple[list[tuple[Any, ...]], Mapping[bytes, bytes]]:
    """Some columns of a table of arguments as rows, and the file's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Opened here, because pyarrow's own error for a missing file does not name it; not by
        # read_table, which would load pandas, and a cell's start counts.
        with open(path, "rb") as stream:
            file = pq.ParquetFile(stream)
            there = file.schema_arrow.names
            if "id" in there and "pair" not in there:
                raise InputError(
                    f"{path}: written by an older version, without the column `pair`; write it "
                    "again: `snakemake --forcerun corpus`, or `counterpoint corpus`"
                )
            table = file.read(columns=list(names))
        columns = [table.column(name).to_pylist() for name in names]
        return list(zip(*columns, strict=True)), table.schema.metadata or {}
    except (pa.ArrowException, KeyError) as error:
        raise _no_table(path, error) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise _no_table(path, error) from error  # pyarrow's for a damaged file


def _no_table(path: str | Path, error: Exception) -> InputError:
    return InputError(
        f"{path}: not a table of arguments as `counterpoint corpus` writes it: {error}"
    )


def answered_points(arguments: Iterable[Argument]) -> list[tuple[int, list[int]]]:
    """Where every point that has counters stands, and where they do.

    In the order in which the first argument of each pair stands; a point's counters in their own.
    """
    points: dict[str, int] = {}
    counters: dict[str, list[int]] = {}
    for row, argument in enumerate(arguments):
        of_pair = counters.setdefault(argument.pair, [])
        if argument.kind == "point":
            points[argument.pair] = row
        else:
            of_pair.append(row)
    return [(points[pair], rows) for pair, rows in counters.items() if rows and pair in points]


def pairs_of(arguments: Sequence[Argument]) -> list[tuple[Argument, Argument]]:
    """(point, counter) of every counter that has a point, in the order of `answered_points`."""
    return [
        (arguments[point], arguments[counter])
        for point, counters in answered_points(arguments)
        for counter in counters
    ]
