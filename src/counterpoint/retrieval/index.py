"""An index that is open: its documents, what is known of them, and their vectors."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from counterpoint.arrays import Ints, Mask
from counterpoint.corpus.arguments import text_hash
from counterpoint.corpus.pair_records import listed
from counterpoint.errors import InputError
from counterpoint.models.fusion import Vectors
from counterpoint.retrieval import index_files
from counterpoint.retrieval.collection import Document
from counterpoint.retrieval.index_files import PREFIX, IndexFolder
from counterpoint.retrieval.manifest import Manifest, Part
from counterpoint.retrieval.nearest import StoredVectors, vectors_of_rows
from counterpoint.retrieval.retriever import Retriever

if TYPE_CHECKING:
    import pyarrow as pa

SIDE = "side"
"""The metadata that `--not-side` is about."""

TABLES = 64
"""Parts whose texts are kept in memory."""

Hashes = npt.NDArray[np.uint64]
"""(n, 2): the halves of 128 bits."""


@dataclass(frozen=True)
class OpenPart:
    """Some of an index's documents."""

    e: Tensor
    """(n, d) float32 or float16."""
    x: Tensor | None
    """(n, H), where the classifier sees it."""
    read: "Callable[[Sequence[str] | None], pa.Table]"
    """Some columns of its table, or all."""
    removed: Sequence[int] = ()


@dataclass(frozen=True)
class _Column:
    """One column of the metadata."""

    values: Sequence[str]
    """Each once."""
    codes: Ints
    """(rows,) int64 into the values; -1 where a document has none."""


class Index:
    """Documents with their vectors, in memory or in a folder.

    A row is a document's place among all that are stored, those that were removed included.
    """

    def __init__(
        self,
        parts: Sequence[OpenPart],
        columns: Sequence[str],
        folder: IndexFolder | None = None,
        manifest: Manifest | None = None,
    ) -> None:
        self.columns = tuple(columns)
        """Names of the metadata."""
        self.folder = folder
        """Where it lies; None where it does in memory."""
        self.manifest = manifest
        self._parts = [part for part in parts if len(part.e)]
        sizes = [len(part.e) for part in self._parts]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._columns: dict[str, _Column] = {}
        self._table = lru_cache(TABLES)(lambda number: self._parts[number].read(None))

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open an index that `counterpoint index` has made; its vectors stay in their files.

        Raises:
            InputError: there is none, it is of another version, or damaged; names the files.
        """
        folder = IndexFolder(Path(path))
        manifest = index_files.read_manifest(folder)
        index_files.check_files(folder, manifest)
        return cls(
            [_open_part(folder, part) for part in manifest.parts],
            manifest.columns,
            folder,
            manifest,
        )

    @classmethod
    def of(cls, documents: Sequence[Document], vectors: Vectors, *, with_x: bool) -> Self:
        """An index in memory.

        Args:
            documents: n of them.
            vectors: of their texts, as candidates.
            with_x: whether x is kept.
        """
        table = index_files.texts_table(documents)
        kept = index_files.stored(vectors, "float32", with_x=with_x)
        part = OpenPart(
            kept["e"],
            kept.get("x"),
            lambda names: table if names is None else _chosen(table, names),
        )
        return cls([part], column_names(documents))

    def retriever(self, device: str = "cpu") -> Retriever:
        """The model that its vectors are of.

        Raises:
            InputError: it is in memory, or its model is gone or another one.
        """
        if self.folder is None or self.manifest is None:
            raise InputError("an index in memory has no model of its own")
        found = Retriever.load(self.folder.model, device=device)
        if found.fingerprint != self.manifest.fingerprint:
            raise InputError(
                f"{self.folder.model}: not the model that the vectors are of; {Manifest.REMEDY}"
            )
        return found

    def __len__(self) -> int:
        """Number of documents that can be found."""
        return int(self.live.sum())

    @cached_property
    def live(self) -> Mask:
        """(rows,) bool: which rows were not removed."""
        live = np.ones(int(self._starts[-1]), dtype=bool)
        for start, part in zip(self._starts, self._parts, strict=False):
            live[start + np.asarray(part.removed, dtype=np.int64)] = False
        return live

    @cached_property
    def stored(self) -> StoredVectors:
        """e of all rows, to search."""
        return StoredVectors([part.e for part in self._parts])

    def vectors(self, rows: Tensor) -> Vectors:
        """Both vectors (…, ·) float32 of (…) int64 rows, for the classifier.

        x has no columns where the classifier does not see it.
        """
        e = vectors_of_rows([part.e for part in self._parts], rows)
        outputs = [part.x for part in self._parts if part.x is not None]
        x = vectors_of_rows(outputs, rows) if outputs else torch.empty((*rows.shape, 0))
        return Vectors(x, e)

    def part(self, name: str) -> OpenPart:
        """A part of an index in a folder, by its name in the manifest."""
        assert self.manifest is not None
        names = [part.name for part in self.manifest.parts]
        return self._parts[names.index(name)]

    def documents(self, rows: Sequence[int]) -> list[Document]:
        """The documents of some rows."""
        return [self._document(*self._place(row)) for row in rows]

    def _place(self, row: int) -> tuple[int, int]:
        """Number of the part, and the row within it."""
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        return number, row - int(self._starts[number])

    def _document(self, number: int, row: int) -> Document:
        record: dict[str, Any] = self._table(number).slice(row, 1).to_pylist()[0]
        known = {
            name.removeprefix(PREFIX): value
            for name, value in record.items()
            if name.startswith(PREFIX) and value is not None
        }
        return Document(record["text"], record["source"], known)

    # Metadata

    def values(self, column: str) -> dict[str, int]:
        """The values of one of the metadata to their number of documents, most frequent first.

        Raises:
            InputError: there is no such column.
        """
        found = self._column(column)
        codes = found.codes[self.live]
        counts = np.bincount(codes[codes >= 0], minlength=len(found.values)).tolist()
        pairs = [pair for pair in zip(found.values, counts, strict=True) if pair[1]]
        return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))

    def _column(self, name: str) -> _Column:
        if name not in self.columns:
            there = (
                f"those that there are: {listed(self.columns)}" if self.columns else "it has none"
            )
            raise InputError(f"{name!r}: the index has no such metadata; {there}")
        if name not in self._columns:
            values: dict[str, int] = {}
            codes = [self._codes(part, PREFIX + name, values) for part in self._parts]
            whole = np.concatenate([np.empty(0, np.int64), *codes])
            self._columns[name] = _Column(list(values), whole)
        return self._columns[name]

    @staticmethod
    def _codes(part: OpenPart, name: str, values: dict[str, int]) -> Ints:
        """The codes of a part's column; new values are added to those that there are."""
        table = part.read([name])
        if not table.num_columns:
            return np.full(len(part.e), -1, dtype=np.int64)
        column = table.column(0).combine_chunks().dictionary_encode()
        known = [values.setdefault(value, len(values)) for value in column.dictionary.to_pylist()]
        own = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        codes: Ints = np.array([*known, -1], dtype=np.int64)[own]
        return codes

    def with_value(self, column: str, value: str) -> Mask:
        """(rows,) bool: the rows that have a value.

        Raises:
            InputError: there is no such column, or no document has the value.
        """
        found = self._column(column)
        mask = np.zeros_like(self.live)
        if value in found.values:
            mask = found.codes == found.values.index(value)
        if not (mask & self.live).any():
            there = self.values(column)
            more = f" and {len(there) - 20:,} more" if len(there) > 20 else ""
            raise InputError(
                f"{column}={value}: no document of the index has this value; those that there "
                f"are: {listed(list(there))}{more}"
            )
        return mask

    def allowed(self, where: Mapping[str, str], not_side: str | None = None) -> Mask:
        """(rows,) bool: the rows that may answer, each text once.

        Args:
            where: metadata to the value that is wanted.
            not_side: documents of this side may not; those of no known side may.

        Raises:
            InputError: there is no such column, or no document has the value.
        """
        if not where and not_side is None:
            return self._answering
        allowed = self.live.copy()
        for column, value in where.items():
            allowed &= self.with_value(column, value)
        if not_side is not None:
            allowed &= ~self.with_value(SIDE, not_side)
        return self._each_text_once(allowed)

    @cached_property
    def _answering(self) -> Mask:
        """What `allowed` gives without a filter: for nearly every question the same."""
        return self._each_text_once(self.live)

    def _each_text_once(self, allowed: Mask) -> Mask:
        if self._text_codes is not None:
            rows = np.flatnonzero(allowed)
            _, first = np.unique(self._text_codes[rows], return_index=True)
            allowed = np.zeros_like(allowed)
            allowed[rows[first]] = True
        return allowed

    # Texts that are the same

    def rows_with_text(self, text: str) -> Ints:
        """The rows (n,) int64 of the documents with a text."""
        halves = np.frombuffer(bytes.fromhex(text_hash(text)), np.uint64)
        return np.flatnonzero((self._text_hashes == halves).all(axis=1))

    @cached_property
    def _text_hashes(self) -> Hashes:
        return self.hashes("text_hash")

    @cached_property
    def _text_codes(self) -> Ints | None:
        """(rows,) int64: a number that rows of the same text share; None where no text repeats."""
        hashes = self._text_hashes
        order = np.lexsort((hashes[:, 1], hashes[:, 0]))
        new = np.ones(len(order), dtype=bool)
        new[1:] = (hashes[order[1:]] != hashes[order[:-1]]).any(axis=1)
        if new.all():
            return None
        codes = np.empty(len(order), dtype=np.int64)
        codes[order] = np.cumsum(new) - 1
        return codes

    def hashes(self, name: str) -> Hashes:
        """The column `text_hash` or `identity` of all rows."""
        own = [_halves(part.read([name])) for part in self._parts]
        return np.concatenate([np.empty((0, 2), np.uint64), *own])


def column_names(documents: Sequence[Document]) -> list[str]:
    """Names of the metadata of some documents."""
    return list(dict.fromkeys(name for document in documents for name in document.metadata))


def _open_part(folder: IndexFolder, part: Part) -> OpenPart:
    vectors = index_files.read_vectors(folder.vectors(part.name))
    texts = folder.texts(part.name)
    return OpenPart(
        vectors["e"],
        vectors.get("x"),
        lambda names: index_files.read_texts(texts, names),
        part.removed,
    )


def _chosen(table: "pa.Table", names: Sequence[str]) -> "pa.Table":
    return table.select([name for name in names if name in table.column_names])


def _halves(table: "pa.Table") -> Hashes:
    column = table.column(0).combine_chunks()
    values = np.frombuffer(column.buffers()[1], np.uint64).reshape(-1, 2)
    return values[column.offset : column.offset + len(column)]
