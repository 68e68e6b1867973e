"""Opening what a converter reads: a file, plain or gzipped, or a member of a folder or a zip."""

import contextlib
import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from counterpoint.errors import InputError

GZIP = b"\x1f\x8b"
"""The first bytes of a gzip file (RFC 1952, 2.3.1), whatever its name."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """A file's bytes, unpacked where it is gzipped.

    Raises:
        InputError: there is no such file, or it is damaged; also where that shows while it is read.
    """
    with _naming(str(path)), path.open("rb") as stream, _unpacked(stream) as plain:
        yield plain


@contextlib.contextmanager
def opened_member(path: Path, name: str) -> Iterator[IO[bytes]]:
    """The bytes of `name`, or of `name.gz`, in a folder or a zip, or in the one folder that has it.

    Raises:
        InputError: it is not there, or there are several, or as `opened`.
    """
    if path.is_dir():
        found = [one for ending in ("", ".gz") for one in sorted(path.rglob(f"{name}{ending}"))]
        with opened(Path(_only(path, name, [str(one) for one in found]))) as stream:
            yield stream
        return
    with _naming(str(path)), zipfile.ZipFile(path) as archive:
        names = [
            entry
            for entry in archive.namelist()
            # Copies of file attributes that macOS adds to the zips it makes.
            if not entry.startswith("__MACOSX/")
            and PurePosixPath(entry).name in (name, f"{name}.gz")
        ]
        with _entry(archive, _only(path, name, names)) as stream, _unpacked(stream) as plain:
            yield plain


def _entry(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    try:
        return archive.open(name)
    except (RuntimeError, NotImplementedError) as error:  # encrypted; an unknown compression
        raise InputError(f"{archive.filename}: entry {name!r} cannot be read: {error}") from error


def _only(path: Path, name: str, found: list[str]) -> str:
    if len(found) != 1:
        what = f"several files {name}: {', '.join(found)}" if found else f"no file {name}"
        raise InputError(f"{path}: {what}; expected the folder or zip of one corpus")
    return found[0]


@contextlib.contextmanager
def _unpacked(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    """The stream itself, or what it holds gzipped."""
    # Peeking at a buffer needs no seeking, which a member of a zip may do slowly.
    with io.BufferedReader(stream) as buffered:  # type: ignore[type-var]
        if buffered.peek(2)[:2] != GZIP:
            yield buffered
            return
        with gzip.GzipFile(fileobj=buffered) as plain:
            yield cast(IO[bytes], plain)


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Errors of damaged and missing files as messages that name the file."""
    try:
        yield
    except IsADirectoryError as error:
        raise InputError(f"{name}: a folder; expected a file") from error
    except UnicodeDecodeError as error:
        value = error.object[error.start]
        raise InputError(f"{name}: not UTF-8 (byte {value:#04x}); convert the file") from error
    except zipfile.BadZipFile as error:
        raise InputError(f"{name}: not a folder and not a zip that can be read: {error}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{name}: cannot be unpacked: {error}") from error
    except OSError as error:
        if error.filename is not None and str(error.filename) != name:
            raise  # of another file, such as the one that is written
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from error


def text_lines(stream: IO[bytes]) -> Iterator[tuple[int, str]]:
    """(number, line) of every line of UTF-8 text, without its line break.

    Raises:
        UnicodeDecodeError: it is no UTF-8; `opened` makes it a message.
    """
    # Not universal newlines, which break at characters that may stand within a JSON string.
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="\n")
    for number, line in enumerate(text, start=1):
        yield number, line.rstrip("\r\n")


def json_object(text: str, place: str) -> dict[str, object]:
    """One JSON object.

    Raises:
        InputError: it is none; names the place.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:  # a number too long, or too many brackets
        raise InputError(f"{place}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{place}: a JSON {type(value).__name__}; expected an object")
    return value
