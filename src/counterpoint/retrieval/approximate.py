"""An approximate index by faiss over an index's vectors, for when exact search takes too long.

Which rows come near is faiss's word; how near is computed exactly, so that distances are those of
exact search. Rows that were added later are compared exactly, all of them.
"""

import hashlib
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.io.atomic import replacing, sha256
from counterpoint.io.rng import generator
from counterpoint.retrieval import index_files
from counterpoint.retrieval.index import Index
from counterpoint.retrieval.index_files import IndexFolder
from counterpoint.retrieval.manifest import Approximate, Manifest
from counterpoint.retrieval.nearest import StoredVectors, in_order

HNSW_ROWS = 200_000
"""Up to so many rows a graph (HNSW) is built, which answers best; beyond, inverted lists (IVF),
which are built many times faster."""

LEARNT_FROM = 64
"""Vectors that each inverted list is learnt from."""

RECALL_AT = 10
QUERIES = 200
"""Of the index's own vectors, by which the recall is measured."""

FEW = 0.1
"""Share of the rows below which a filter leaves so few that they are compared exactly."""

SPARE = 4
"""Times k, how many rows faiss is asked for where some of them may not answer."""


def faiss_module() -> Any:
    """faiss.

    Raises:
        InputError: it is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise InputError(
            "an approximate index needs faiss: pip install 'counterpoint[faiss]'; exact search "
            "(--exact) needs nothing more"
        ) from error
    return faiss


def kind_of(count: int) -> str:
    """What faiss's factory makes for so many rows."""
    if count <= HNSW_ROWS:
        return "HNSW32,Flat"
    return f"IVF{2 ** round(np.log2(np.sqrt(count)))},Flat"


def build(path: Path) -> Approximate:
    """Build an approximate index over all rows of an index, and measure its recall.

    Raises:
        InputError: faiss is not installed; there is no index, it is damaged, or someone else is
            changing it.
    """
    faiss = faiss_module()
    folder = IndexFolder(path)
    index_files.read_manifest(folder)
    with index_files.locked(folder):
        index = Index.open(path)
        manifest = index_files.read_manifest(folder)
        names = tuple(part.name for part in manifest.parts)
        kind = kind_of(len(index.stored))
        made = _trained(faiss, kind, index)
        name = hashlib.sha256("\n".join((kind, *names)).encode()).hexdigest()[:32]
        with replacing(folder.approximate(name)) as temporary:
            faiss.write_index(made, str(temporary))
        checksum = sha256(folder.approximate(name))
        found = Approximate(name, checksum, kind, names, 1.0, 0)
        recall, queries = _recall(index, ApproximateVectors(index, manifest, found, made))
        found = replace(found, recall=recall, queries=queries)
        index_files.finish(folder, replace(manifest, approximate=found))
    return found


def _trained(faiss: Any, kind: str, index: Index) -> Any:
    """faiss's index with all rows of ours."""
    pieces = [piece.numpy() for _, piece in index.stored.stretches()]
    made = faiss.index_factory(pieces[0].shape[1], kind)
    if not made.is_trained:
        size = LEARNT_FROM * made.nlist
        draw = generator(0, 0, "vectors that inverted lists are learnt from")
        rows = np.sort(draw.permutation(len(index.stored))[:size])
        made.train(index.stored.rows(torch.from_numpy(rows)).numpy())
    for piece in pieces:
        made.add(piece)
    return made


def _recall(index: Index, approximate: "ApproximateVectors") -> tuple[float, int]:
    """Share of the ten nearest that are found, of rows asked as queries; and how many these are."""
    live = torch.from_numpy(index.live)
    draw = generator(0, 0, "queries of an approximate index's recall")
    rows = torch.from_numpy(draw.permutation(np.flatnonzero(index.live))[:QUERIES])
    queries, own = index.stored.rows(rows), rows[:, None]
    k = min(RECALL_AT, len(index) - 1)
    if k < 1:
        return 1.0, 0
    _, exact = index.stored.nearest(queries, k, allowed=live, excluded=own)
    _, found = approximate.nearest(queries, k, allowed=live, excluded=own)
    # By distance, because rows of the same distance are equally near.
    return float((found <= exact[:, -1:]).double().mean()), len(rows)


def open_approximate(index: Index) -> "ApproximateVectors | None":
    """The approximate index that lies beside the parts; None where there is none.

    Raises:
        InputError: faiss is not installed, or cannot read it.
    """
    manifest, folder = index.manifest, index.folder
    if manifest is None or folder is None or manifest.approximate is None:
        return None
    faiss = faiss_module()
    path = folder.approximate(manifest.approximate.name)
    try:
        made = faiss.read_index(str(path))
    except RuntimeError as error:  # faiss's only one
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: faiss cannot read it ({reason}); search with --exact") from error
    return ApproximateVectors(index, manifest, manifest.approximate, made)


class ApproximateVectors:
    """Searches an approximate index, and the rows that it lacks exactly."""

    def __init__(self, index: Index, manifest: Manifest, found: Approximate, made: Any) -> None:
        self._stored = index.stored
        self._made = made
        if hasattr(made, "nprobe"):
            made.nprobe = max(8, made.nlist // 16)
        counts = [part.count for part in manifest.parts]
        ends = list(itertools.accumulate(counts))
        rows = {
            part.name: torch.arange(end - part.count, end)
            for part, end in zip(manifest.parts, ends, strict=True)
        }
        # `indexing.remove` keeps every part that an approximate index counts.
        self._held = torch.cat([rows[name] for name in found.parts])
        later = [name for name in rows if name not in set(found.parts)]
        self._later = torch.cat([rows[name] for name in later]) if later else torch.empty(0).long()
        self._later_vectors = StoredVectors([index.part(name).e for name in later])
        self._place = torch.full((len(self._stored),), -1)
        self._place[self._later] = torch.arange(len(self._later))

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._stored)

    def nearest(
        self,
        queries: Tensor,
        k: int,
        *,
        allowed: Tensor | None = None,
        excluded: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """See `StoredVectors.nearest`; a row that is near may be missed."""
        if excluded is None:
            excluded = torch.empty((len(queries), 0), dtype=torch.int64)
        wanted = SPARE * k + excluded.shape[1]
        left = len(self) if allowed is None else int(allowed.sum())
        if left < FEW * len(self) or wanted > FEW * len(self):
            return self._stored.nearest(queries, k, allowed=allowed, excluded=excluded)
        rows = torch.cat(
            [
                self._asked(queries, wanted, allowed, excluded),
                self._added(queries, k, allowed, excluded),
            ],
            dim=1,
        )
        gone = rows < 0
        cost = self._stored.squared_distances(queries, rows.clamp(min=0))
        cost, rows = in_order(cost.masked_fill(gone, torch.inf), rows)
        found, distances = rows[:, :k].clone(), cost[:, :k].sqrt()
        short = (found < 0).any(dim=1)
        if bool(short.any()):
            # The filter let too few of its answers through.
            found[short], distances[short] = self._stored.nearest(
                queries[short], k, allowed=allowed, excluded=excluded[short]
            )
        return found, distances

    def _asked(
        self, queries: Tensor, wanted: int, allowed: Tensor | None, excluded: Tensor
    ) -> Tensor:
        """(q, wanted) rows that faiss finds; -1 for those that may not answer."""
        if hasattr(self._made, "hnsw"):
            self._made.hnsw.efSearch = max(64, 2 * wanted)
        _, places = self._made.search(queries.contiguous().numpy(), wanted)
        found = torch.from_numpy(places)
        rows = torch.where(found < 0, -1, self._held[found.clamp(min=0)])
        refused = (rows[:, :, None] == excluded[:, None, :]).any(dim=2)
        if allowed is not None:
            refused |= ~allowed[rows.clamp(min=0)]
        return rows.masked_fill(refused, -1)

    def _added(self, queries: Tensor, k: int, allowed: Tensor | None, excluded: Tensor) -> Tensor:
        """(q, k) nearest of the rows that faiss does not hold, -1 where there are fewer."""
        if not len(self._later):
            return torch.empty((len(queries), 0), dtype=torch.int64)
        own = torch.where(excluded < 0, -1, self._place[excluded.clamp(min=0)])
        few = None if allowed is None else allowed[self._later]
        found, _ = self._later_vectors.nearest(queries, k, allowed=few, excluded=own)
        return torch.where(found < 0, -1, self._later[found.clamp(min=0)])
