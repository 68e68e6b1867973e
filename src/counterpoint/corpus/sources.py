"""Where a corpus lies: the shipped sample, a folder, a zip, a file of pairs, or an address.

A zip is read in place and never unpacked to disk.
"""

import hashlib
import lzma
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Protocol

from counterpoint.errors import InputError
from counterpoint.io.atomic import sha256

MAX_TEXT_BYTES = 1_000_000
"""A text larger than this is no argument; the longest real one has 1065 words."""

MAX_ENTRIES = 2_000_000
MAX_TOTAL_BYTES = 32 << 30
MAX_RATIO = 500
"""Limits of a zip: entries, bytes when unpacked, and bytes unpacked to packed of one large entry.
Text shrinks about threefold, long lists of ids a hundredfold, a bomb a thousandfold."""

LARGE_ENTRY_BYTES = 10_000_000

PAIR_FILE_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
"""What a file of pairs is known by, in any case, with `.gz` behind it or not."""

SPREADSHEETS = (".xlsx", ".xls", ".ods")
"""Files that hold pairs but must be saved as something else."""

_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,  # an offset beyond the file
    RuntimeError,  # an encrypted entry
    NotImplementedError,  # an unknown version or compression
    UnicodeDecodeError,  # names in the directory
)
"""What zipfile raises for a damaged or foreign zip."""


class Source(Protocol):
    """A tree of files, each named by its path from the root with `/` between the parts."""

    name: str

    def folders(self) -> Iterator[str]:
        """Every folder below the root, in no order."""

    def files(self) -> Iterator[str]:
        """Every file below the root, in no order."""

    def read(self, path: str, limit: int = MAX_TEXT_BYTES) -> bytes:
        """The bytes of one file, which has at most `limit` of them."""

    def stamp(self, path: str, *, contents: bool) -> str:
        """What changes when a file does: by its contents where asked, or by what is cheap."""


class FolderSource:
    """A folder on disk."""

    def __init__(self, root: Path) -> None:
        self.name = str(root)
        self._root = root

    def folders(self) -> Iterator[str]:
        """Every folder below the root; links to folders are not followed."""
        for parent, names, _ in self._walk():
            yield from (self._relative(parent, name) for name in names)

    def files(self) -> Iterator[str]:
        """Every file below the root."""
        for parent, _, names in self._walk():
            yield from (self._relative(parent, name) for name in names)

    def read(self, path: str, limit: int = MAX_TEXT_BYTES) -> bytes:
        """The bytes of one file.

        Raises:
            InputError: it is larger than `limit`, or cannot be read.
        """
        full = self._root / path
        try:
            size = full.stat().st_size
            if size > limit:
                raise InputError(_too_large(f"{self.name}/{path}", size, limit))
            return full.read_bytes()
        except OSError as error:
            raise InputError(f"{full}: cannot be read: {error.strerror}") from error

    def stamp(self, path: str, *, contents: bool) -> str:
        """See `Source`."""
        if contents:
            return hashlib.sha256(self.read(path)).hexdigest()
        full = self._root / path
        try:
            facts = full.lstat()
        except OSError as error:
            raise InputError(f"{full}: cannot be read: {error.strerror}") from error
        return f"{facts.st_size} {facts.st_mtime_ns}"

    def _walk(self) -> Iterator[tuple[str, list[str], list[str]]]:
        def stop(error: OSError) -> None:
            # Else walk would pass over a folder that cannot be read.
            raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from error

        return os.walk(self._root, onerror=stop)

    def _relative(self, parent: str, name: str) -> str:
        return (Path(parent) / name).relative_to(self._root).as_posix()


class ZipSource:
    """A zip file, checked as a whole before anything is read from it.

    Raises:
        InputError: it is no zip, or holds paths that leave the folder, links or absurd sizes.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        try:
            self._zip = zipfile.ZipFile(path)
        except _UNREADABLE as error:
            raise InputError(
                f"{path}: not a zip file that can be read ({error}); expected a folder or a zip in "
                f"the layout of ArguAna Counterargs, or pairs in {', '.join(PAIR_FILE_ENDINGS)}"
            ) from error
        entries = self._zip.infolist()
        if len(entries) > MAX_ENTRIES:
            raise InputError(f"{path}: {len(entries)} entries; refused above {MAX_ENTRIES}")
        total = sum(entry.file_size for entry in entries)
        if total > MAX_TOTAL_BYTES:
            raise InputError(f"{path}: {total} bytes unpacked; refused above {MAX_TOTAL_BYTES}")
        for entry in entries:
            self._check(entry)
        self._entries = {
            entry.filename.removeprefix("./"): entry
            for entry in entries
            # Copies of file attributes that macOS adds to the zips it makes.
            if not entry.filename.startswith("__MACOSX/")
        }

    def _check(self, entry: zipfile.ZipInfo) -> None:
        name = entry.filename
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if ".." in parts or name.startswith(("/", "\\")) or ":" in (parts or ("",))[0]:
            raise InputError(f"{self.name}: entry {name!r} leaves the folder; refused")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise InputError(f"{self.name}: entry {name!r} is a link; refused")
        large = entry.file_size > LARGE_ENTRY_BYTES
        if large and entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
            raise InputError(
                f"{self.name}: entry {name!r} unpacks {entry.compress_size} bytes to "
                f"{entry.file_size}; refused as a bomb"
            )

    def folders(self) -> Iterator[str]:
        """Every folder, those without an entry of their own included."""
        seen = set()
        for name in self._entries:
            path = PurePosixPath(name)
            own = [path] if name.endswith("/") else []
            for folder in (*own, *path.parents):
                text = folder.as_posix()
                if text != "." and text not in seen:
                    seen.add(text)
                    yield text

    def files(self) -> Iterator[str]:
        """Every file."""
        return (name for name in self._entries if not name.endswith("/"))

    def read(self, path: str, limit: int = MAX_TEXT_BYTES) -> bytes:
        """The bytes of one file.

        Raises:
            InputError: it is larger than `limit`, encrypted or damaged.
        """
        entry = self._entries[path]
        if entry.file_size > limit:
            raise InputError(_too_large(f"{self.name}: entry {path!r}", entry.file_size, limit))
        try:
            return self._zip.read(entry)
        except _UNREADABLE as error:
            raise InputError(f"{self.name}: entry {path!r} cannot be read: {error}") from error

    def stamp(self, path: str, *, contents: bool) -> str:  # noqa: ARG002  a checksum is both
        """See `Source`."""
        entry = self._entries[path]
        return f"{entry.file_size} {entry.CRC}"


def _too_large(name: str, size: int, limit: int) -> str:
    return f"{name}: {size} bytes; more than {limit} bytes are refused"


def open_source(path: str) -> Source:
    """Open `sample`, a folder or a zip; `$NAME` in the path stands for an environment variable.

    Raises:
        InputError: the variable is not set, or there is nothing usable at the path.
    """
    if path == "sample":
        return FolderSource(Path(str(files("counterpoint") / "corpus" / "sample")))
    return _open_path(expand_variables(path))


def is_pair_file(path: Path) -> bool:
    """Whether a path is that of a file of pairs, by its ending; `pair_files` reads it."""
    ending = Path(path.name.lower().removesuffix(".gz")).suffix
    return ending in (*PAIR_FILE_ENDINGS, *SPREADSHEETS)


def _open_path(path: Path) -> Source:
    if path.is_dir():
        return FolderSource(path)
    if path.is_file():
        return ZipSource(path)
    raise InputError(_nothing_at(path))


def fingerprint(path: str) -> str:
    """Changes when the files at a path do; 16 hexadecimal digits.

    Over the contents of the sample or of a file of pairs; over the checksums that a zip holds; over
    the names, sizes and times of the files in a folder, which may be too many to read each time.

    Raises:
        InputError: as `open_source`, or something cannot be read.
    """
    file = expand_variables(path)
    if is_pair_file(file):
        return _sha256_of(file)[:16]
    return _digest(open_source(path), contents=path == "sample")


def folder_fingerprint(folder: Path) -> str:
    """The same of any folder.

    Raises:
        InputError: something cannot be read.
    """
    return _digest(FolderSource(folder), contents=False)


def _digest(source: Source, *, contents: bool) -> str:
    digest = hashlib.sha256()
    for name in sorted(source.files()):
        digest.update(os.fsencode(f"{name}\n{source.stamp(name, contents=contents)}\n"))
    return digest.hexdigest()[:16]


def checked_fingerprint(path: str, source: str) -> str:
    """The same, before any job starts.

    Args:
        path: `corpus.path`.
        source: where the configuration came from, for the message.

    Raises:
        InputError: as `fingerprint`.
    """
    try:
        return fingerprint(path)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None


def _sha256_of(path: Path) -> str:
    try:
        return sha256(path)
    except FileNotFoundError:
        raise InputError(_nothing_at(path)) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _nothing_at(path: Path) -> str:
    return (
        f"corpus.path: {path}: no such folder or file; expected the corpus's folder or zip, or a "
        "file of pairs"
    )


def expand_variables(path: str) -> Path:
    """Replace `$NAME` and `~`.

    Raises:
        InputError: a variable is not set, or nothing is left of the path: an empty one would mean
            the folder that one happens to be in.
    """
    expanded = os.path.expanduser(os.path.expandvars(path))
    if "$" in expanded or not expanded.strip():
        what = "names an environment variable that is not set" if "$" in expanded else "is empty"
        raise InputError(
            f"corpus.path: {path!r} {what}; set it to the corpus's folder or zip, or give "
            "corpus.path"
        )
    return Path(expanded)


def download(url: str, checksum: str, folder: Path | None = None) -> Path:
    """Fetch a file once, into a cache, and verify it each time.

    Args:
        url: http or https.
        checksum: SHA-256 in hexadecimal.
        folder: the cache; by default the user's.

    Raises:
        InputError: it cannot be reached, or is not the file that was expected.
    """
    # Imported here: pooch and requests take longer to load than most commands to run.
    import pooch
    import requests

    try:
        file = pooch.retrieve(
            url,
            known_hash=f"sha256:{checksum}",
            path=folder or pooch.os_cache("counterpoint"),
            fname=f"{checksum[:16]}.zip",
        )
    except ValueError as error:  # pooch's way to say that the checksum differs
        raise InputError(f"corpus.url {url}: {error}") from error
    except requests.RequestException as error:
        raise InputError(f"corpus.url {url}: cannot be downloaded: {error}") from error
    return Path(file)
