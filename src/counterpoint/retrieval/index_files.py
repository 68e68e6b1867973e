"""The files of an index.

    INDEX/manifest.json            what the index is made of; the only file that is ever replaced
          model/                   the model folder (`model_folder`)
          parts/NAME.safetensors   vectors: e (n, d), and x (n, H) where the classifier sees x
          parts/NAME.parquet       texts, and what is known of them
          parts/NAME.faiss         an approximate index over some of the parts
          lock                     held by who changes it

A part's name is a digest of all that it holds, so that a command that was killed finds the parts
that it has written when it is given again. The manifest is replaced last: until then the old one
is true. What no manifest names is removed after a change that succeeded.
"""

import contextlib
import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from counterpoint.errors import InputError
from counterpoint.io.atomic import replacing, sha256, write_safetensors
from counterpoint.retrieval.collection import Document, identity
from counterpoint.retrieval.manifest import FORMAT, DType, Manifest, Part, Version

if TYPE_CHECKING:
    import pyarrow as pa
    from torch import Tensor

    from counterpoint.models.fusion import Vectors

MANIFEST, MODEL, PARTS, LOCK = "manifest.json", "model", "parts", "lock"

PREFIX = "metadata."
"""Begins the names of the columns of metadata in a part's table."""


@dataclass(frozen=True)
class IndexFolder:
    """The paths of an index, whether anything is there or not."""

    path: Path

    @property
    def manifest(self) -> Path:
        """What it is made of."""
        return self.path / MANIFEST

    @property
    def model(self) -> Path:
        """The model folder."""
        return self.path / MODEL

    @property
    def parts(self) -> Path:
        """Folder of the parts."""
        return self.path / PARTS

    def vectors(self, name: str) -> Path:
        """A part's vectors."""
        return self.parts / f"{name}.safetensors"

    def texts(self, name: str) -> Path:
        """A part's texts."""
        return self.parts / f"{name}.parquet"

    def approximate(self, name: str) -> Path:
        """An approximate index."""
        return self.parts / f"{name}.faiss"

    def is_one(self) -> bool:
        """Whether nothing is there, or an index, or what a killed command left of one."""
        if not self.path.exists():
            return True
        if not self.path.is_dir():
            return False
        ours = {MANIFEST, MODEL, PARTS, LOCK}
        return all(path.name in ours or _is_left(path) for path in self.path.iterdir())


def _is_left(path: Path) -> bool:
    """Whether a killed command left a file half-written in an index's folder."""
    return path.name.startswith(tuple(f".{Path(name).stem}-" for name in (MANIFEST, MODEL)))


# Reading


def read_manifest(folder: IndexFolder) -> Manifest:
    """The manifest, of a version that can be read.

    Raises:
        InputError: there is none, or it is damaged or of another version.
    """
    path = folder.path
    if not path.is_dir():
        what = "no such folder" if not path.exists() else "a file, and an index is a folder"
        raise InputError(f"{path}: {what}; give one that `counterpoint index` has made")
    if not folder.manifest.is_file():
        if (folder.parts.is_dir() or folder.model.is_dir()) and folder.is_one():
            raise InputError(
                f"{path}: not whole yet: the index is being built, or that was interrupted; give "
                "the same `counterpoint index` again, and it goes on from there"
            )
        raise InputError(
            f"{path}: no {MANIFEST} in it, so it is no index; make one with `counterpoint index`"
        )
    # Before the rest, which another version may call otherwise.
    version = Version.read(folder.manifest)
    if version.format != FORMAT:
        raise InputError(
            f"{folder.manifest}: format {version.format}, written by counterpoint "
            f"{version.program}; this version reads {FORMAT}: {Manifest.REMEDY}"
        )
    return Manifest.read(folder.manifest)


def check_files(folder: IndexFolder, manifest: Manifest) -> None:
    """Check every file that a manifest names.

    Raises:
        InputError: some are missing or damaged; names them.
    """
    wanted = {folder.model / name: digest for name, digest in manifest.model.items()}
    for part in manifest.parts:
        wanted[folder.vectors(part.name)] = part.vectors
        wanted[folder.texts(part.name)] = part.texts
    if manifest.approximate is not None:
        wanted[folder.approximate(manifest.approximate.name)] = manifest.approximate.sha256

    def wrong(item: tuple[Path, str]) -> str:
        path, digest = item
        if not path.is_file():
            return f"{path}: missing"
        return "" if sha256(path) == digest else f"{path}: damaged, its checksum differs"

    # Hashing lets other threads run.
    with ThreadPoolExecutor() as threads:
        found = [what for what in threads.map(wrong, wanted.items()) if what]
    if found:
        raise InputError(
            f"{folder.path}: the index is not whole; build it again, or copy it again from where "
            "it is\n  " + "\n  ".join(found)
        )


def read_vectors(path: Path) -> "dict[str, Tensor]":
    """The vectors of a part; they stay in the file.

    Raises:
        InputError: it is no such file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        # As torch's tensors, because safetensors copies numpy's and maps torch's.
        with safe_open(path, framework="pt") as stored:
            return {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: no vectors that can be read: {error}") from error


def read_texts(path: Path, columns: Sequence[str] | None = None) -> "pa.Table":
    """Some columns of a part's table, or all; those that it lacks are left out.

    Raises:
        InputError: it is no such file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Not by read_table, which would load pandas.
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            wanted = names if columns is None else [name for name in columns if name in names]
            return file.read(columns=wanted)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: no texts that can be read: {error}") from error


# Writing


@contextlib.contextmanager
def locked(folder: IndexFolder) -> Iterator[None]:
    """Keep others from changing an index meanwhile; its folder is made where it is missing.

    Raises:
        InputError: another process is changing it.
    """
    folder.parts.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder.path / LOCK, timeout=0):
            yield
    except Timeout as error:
        raise InputError(
            f"{folder.path}: another process is changing this index; wait until it is done"
        ) from error


def part_name(documents: Sequence[Document], fingerprint: str, dtype: DType) -> str:
    """A digest of all that a part holds; 32 hexadecimal digits."""
    digest = hashlib.sha256(f"{FORMAT} {fingerprint} {dtype}".encode())
    for document in documents:
        digest.update(f"\0{identity(document)}\0{document.source}".encode())
        # Texts that are the same may be written differently.
        digest.update(hashlib.sha256(document.text.encode()).digest())
    return digest.hexdigest()[:32]


def texts_table(documents: Sequence[Document]) -> "pa.Table":
    """A part's table: text, text hash, identity, source, and a column for each of the metadata."""
    import pyarrow as pa

    from counterpoint.corpus.arguments import text_hash

    names = dict.fromkeys(name for document in documents for name in document.metadata)
    short = pa.binary(16)
    return pa.table(
        {
            "text": pa.array([one.text for one in documents], pa.string()),
            "source": pa.array([one.source for one in documents], pa.string()),
            "text_hash": pa.array([bytes.fromhex(text_hash(one.text)) for one in documents], short),
            "identity": pa.array([bytes.fromhex(identity(one)) for one in documents], short),
            **{
                PREFIX + name: pa.array([one.metadata.get(name) for one in documents], pa.string())
                for name in names
            },
        }
    )


def write_part(
    folder: IndexFolder, name: str, documents: Sequence[Document], vectors: "Mapping[str, Tensor]"
) -> None:
    """Write a part; the vectors last, so that it is whole where they are."""
    import pyarrow.parquet as pq

    with replacing(folder.texts(name)) as temporary:
        pq.write_table(texts_table(documents), temporary, compression="zstd")
    write_safetensors(folder.vectors(name), vectors, {"format": "pt"})


def described(folder: IndexFolder, name: str, count: int) -> Part:
    """A part that lies there, with its checksums."""
    return Part(name, count, sha256(folder.vectors(name)), sha256(folder.texts(name)))


def is_written(folder: IndexFolder, name: str, count: int) -> bool:
    """Whether an earlier command has left a part whole."""
    if not (folder.vectors(name).is_file() and folder.texts(name).is_file()):
        return False
    try:
        whole = all(len(one) == count for one in read_vectors(folder.vectors(name)).values())
        return whole and len(read_texts(folder.texts(name), ["source"])) == count
    except InputError:
        return False


def stored(
    vectors: "Vectors", dtype: DType, *, with_x: bool, name: str = "the model"
) -> "dict[str, Tensor]":
    """The vectors that a part keeps, as it keeps them.

    Raises:
        InputError: a number is none, or too large for the type.
    """
    import torch

    kept = {"e": vectors.e, **({"x": vectors.x} if with_x else {})}
    narrow = {key: value.cpu().to(getattr(torch, dtype)) for key, value in kept.items()}
    for key, value in narrow.items():
        if not bool(torch.isfinite(value).all()):
            raise InputError(
                f"{name}: a vector {key} holds a number that {dtype} does not; give --dtype float32"
            )
    return narrow


def model_files(folder: IndexFolder) -> dict[str, str]:
    """Every file of the model folder, to its SHA-256."""
    files = sorted(path for path in folder.model.rglob("*") if path.is_file())
    return {path.relative_to(folder.model).as_posix(): sha256(path) for path in files}


def finish(folder: IndexFolder, manifest: Manifest) -> None:
    """Make a manifest true, then remove what it no longer names."""
    manifest.write(folder.manifest)
    sweep(folder, manifest)


def sweep(folder: IndexFolder, manifest: Manifest) -> None:
    """Remove what killed commands and older manifests left; only who holds the lock may."""
    named = {path.name for part in manifest.parts for path in _files(folder, part.name)}
    if manifest.approximate is not None:
        named.add(folder.approximate(manifest.approximate.name).name)
    _remove(path for path in folder.parts.iterdir() if path.name not in named)
    _remove(path for path in folder.path.iterdir() if _is_left(path))


def _files(folder: IndexFolder, name: str) -> tuple[Path, Path]:
    return folder.vectors(name), folder.texts(name)


def _remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
