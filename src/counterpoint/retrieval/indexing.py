"""Making and changing an index in a folder."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from counterpoint.arrays import Mask
from counterpoint.errors import InputError
from counterpoint.models.fusion import Vectors
from counterpoint.retrieval import index_files
from counterpoint.retrieval.collection import Document, identity
from counterpoint.retrieval.index import Index, column_names
from counterpoint.retrieval.index_files import IndexFolder
from counterpoint.retrieval.manifest import FORMAT, DType, Manifest, Part
from counterpoint.retrieval.nearest import ROWS
from counterpoint.versions import program_version

if TYPE_CHECKING:
    from torch import Tensor

    from counterpoint.retrieval.retriever import Retriever

PART = 4096
"""Documents of a part: what a kill loses is less than a part's work."""

BATCH = 256
"""Documents that are encoded at a time, which move the bar."""


class Bar(Protocol):
    """Shows how far it has come."""

    def update(self, n: int) -> object:
        """So many documents more are done."""


class NoBar:
    """Shows nothing."""

    def update(self, n: int) -> None:
        """See `Bar`."""


@dataclass(frozen=True)
class Added:
    """What a change did."""

    added: int
    found: int
    """Of them those whose vectors an interrupted command had left."""
    total: int
    """Documents of the index by now."""
    known: int = 0
    """Of those that were given, how many it had."""


def build(
    path: Path,
    documents: Sequence[Document],
    retriever: "Retriever",
    *,
    dtype: DType = "float32",
    vectors: Vectors | None = None,
    settings: Mapping[str, str] | None = None,
    bar: Bar | None = None,
) -> Added:
    """Make an index of documents, each different from the others.

    Given again after it was interrupted, it encodes only what is left to do.

    Args:
        path: a folder that is new, empty, or what an interrupted command left.
        documents: at least one.
        retriever: encodes them, and travels with the index.
        dtype: of the vectors that are stored.
        vectors: of the documents as candidates, where some program has computed them.
        settings: how it was asked for, for people.
        bar: is told of each document that is done.

    Raises:
        InputError: something else is at the path, an index is, or someone else is making one.
    """
    folder = new_index(path)
    with index_files.locked(folder):
        manifest = _begun(folder, retriever, dtype, settings or {})
        source = _Source(documents, retriever, dtype, vectors, bar or NoBar())
        parts, found = _written(folder, source)
        index_files.finish(
            folder, replace(manifest, parts=parts, columns=tuple(column_names(documents)))
        )
    return Added(len(documents), found, len(documents))


def new_index(path: Path) -> IndexFolder:
    """Where an index may be made.

    Raises:
        InputError: an index or something else is there.
    """
    folder = IndexFolder(path)
    if folder.manifest.is_file():
        raise InputError(
            f"{path}: there is an index already; add to it with --add, or give a new folder"
        )
    if not folder.is_one():
        raise InputError(f"{path}: is there already and no index; give a new folder")
    return folder


def add(
    path: Path,
    documents: Sequence[Document],
    *,
    vectors: Vectors | None = None,
    device: str = "cpu",
    bar: Bar | None = None,
) -> Added:
    """Add documents to an index; those that it has, with the same metadata, are not added.

    Args:
        path: of the index.
        documents: each different from the others.
        vectors: as `build` takes them.
        device: `cpu` or `cuda`, to encode on.
        bar: as `build` takes it.

    Raises:
        InputError: there is no index, it is damaged, or someone else is changing it.
    """
    folder, manifest = existing(path)
    with index_files.locked(folder):
        index = Index.open(path)
        manifest = index_files.read_manifest(folder)
        rows = _unknown(index, documents)
        if not rows:
            return Added(0, 0, len(index), len(documents))
        new = [documents[row] for row in rows]
        given = None if vectors is None else vectors.rows(torch.tensor(rows))
        bar = bar or NoBar()
        bar.update(len(documents) - len(new))
        source = _Source(new, index.retriever(device), manifest.dtype, given, bar)
        parts, found = _written(folder, source)
        columns = dict.fromkeys((*manifest.columns, *column_names(new)))
        index_files.finish(
            folder, replace(manifest, parts=(*manifest.parts, *parts), columns=tuple(columns))
        )
    return Added(len(new), found, len(index) + len(new), len(documents) - len(new))


def remove(
    path: Path, *, texts: Sequence[str] = (), where: Mapping[str, str] | None = None
) -> tuple[int, int]:
    """Take documents out of an index, whose vectors are not touched.

    Args:
        path: of the index.
        texts: documents with one of these texts go.
        where: documents that have all these metadata go.

    Returns:
        How many went, and how many are left.

    Raises:
        InputError: there is no index, it is damaged, someone else is changing it, no document is
            meant, or none would be left.
    """
    folder, _ = existing(path)
    with index_files.locked(folder):
        index = Index.open(path)
        manifest = index_files.read_manifest(folder)
        gone = _meant(index, texts, where or {})
        count = int(gone.sum())
        if not count:
            raise InputError(f"{path}: no document of the index is meant, so nothing is removed")
        if count == len(index):
            raise InputError(
                f"{path}: nothing would be left of the index; delete its folder instead"
            )
        index_files.finish(folder, _without(manifest, gone))
    return count, len(index) - count


def existing(path: Path) -> tuple[IndexFolder, Manifest]:
    """An index that is there, before its lock is taken.

    Raises:
        InputError: there is none, or it is of another version.
    """
    folder = IndexFolder(path)
    return folder, index_files.read_manifest(folder)


def _begun(
    folder: IndexFolder, retriever: "Retriever", dtype: DType, settings: Mapping[str, str]
) -> Manifest:
    """The manifest of an index without documents; its model is written."""
    import shutil

    # What an interrupted command left may be another model.
    shutil.rmtree(folder.model, ignore_errors=True)
    retriever.save(folder.model)
    return Manifest(
        format=FORMAT,
        program=program_version(),
        retriever=retriever.name,
        fingerprint=retriever.fingerprint,
        dtype=dtype,
        width=retriever.width,
        model=index_files.model_files(folder),
        settings=settings,
    )


@dataclass(frozen=True)
class _Source:
    """Documents and where their vectors come from."""

    documents: Sequence[Document]
    retriever: "Retriever"
    dtype: DType
    given: Vectors | None
    bar: Bar

    def vectors(self, rows: slice) -> "dict[str, Tensor]":
        """The vectors of some documents as they are stored."""
        some = self.documents[rows]
        if self.given is None:
            vectors = encoded(self.retriever, some, self.bar)
        else:
            vectors = self.given.rows(rows)
            self.bar.update(len(some))
        with_x, name = self.retriever.sees_encoder_outputs, self.retriever.name
        return index_files.stored(vectors, self.dtype, with_x=with_x, name=name)


def _written(folder: IndexFolder, source: _Source) -> tuple[tuple[Part, ...], int]:
    """Parts of documents, and how many of these an interrupted command had left."""
    parts, found = [], 0
    fingerprint = source.retriever.fingerprint
    # Vectors that are given cost nothing to lose, and large parts are searched faster.
    size = PART if source.given is None else ROWS
    for rows in _pieces(len(source.documents), size):
        some = source.documents[rows]
        name = index_files.part_name(some, fingerprint, source.dtype)
        if source.given is None and index_files.is_written(folder, name, len(some)):
            found += len(some)
            source.bar.update(len(some))
        else:
            index_files.write_part(folder, name, some, source.vectors(rows))
        parts.append(index_files.described(folder, name, len(some)))
    return tuple(parts), found


def encoded(retriever: "Retriever", documents: Sequence[Document], bar: Bar) -> Vectors:
    """Vectors of documents as candidates, a batch at a time, on the CPU."""
    batches = []
    for rows in _pieces(len(documents), BATCH):
        some = documents[rows]
        vectors = retriever.vectors([one.text for one in some], "candidate")
        batches.append(Vectors(vectors.x.cpu(), vectors.e.cpu()))
        bar.update(len(some))
    return Vectors(*(torch.cat(each) for each in zip(*batches, strict=True)))


def _pieces(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _unknown(index: Index, documents: Sequence[Document]) -> list[int]:
    """Where the documents stand that an index does not have."""
    known = {bytes(row) for row in index.hashes("identity")[index.live]}
    places = enumerate(documents)
    return [place for place, one in places if bytes.fromhex(identity(one)) not in known]


def _meant(index: Index, texts: Sequence[str], where: Mapping[str, str]) -> Mask:
    """(rows,) bool: the rows that are to go."""
    gone = np.zeros_like(index.live)
    for text in texts:
        gone[index.rows_with_text(text)] = True
    if where:
        matching = np.ones_like(gone)
        for column, value in where.items():
            matching &= index.with_value(column, value)
        gone |= matching
    return gone & index.live


def _without(manifest: Manifest, gone: Mask) -> Manifest:
    """A manifest without some rows.

    A part of which nothing is left goes, unless an approximate index counts its rows.
    """
    kept, start = [], 0
    counted = manifest.approximate.parts if manifest.approximate is not None else ()
    for part in manifest.parts:
        own = np.flatnonzero(gone[start : start + part.count]).tolist()
        removed = tuple(sorted({*part.removed, *own}))
        if len(removed) < part.count or part.name in counted:
            kept.append(replace(part, removed=removed))
        start += part.count
    return replace(manifest, parts=tuple(kept))
