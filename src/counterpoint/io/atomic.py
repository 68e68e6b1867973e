"""Writing files so that a reader never sees half of one."""

import contextlib
import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoint.io.text import json_text

if TYPE_CHECKING:
    from torch import Tensor


@contextlib.contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Give an `OSError` that names no file, such as a full disk's, the file being written."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = os.fspath(path)
        raise


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success flush it to disk and rename it into place.

    The folder is made where it is missing. On any exception the temporary file is removed and
    what stood at `path` before stays.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # The ending is kept because writers such as matplotlib choose the format by it.
    handle, name = tempfile.mkstemp(
        dir=target.parent, prefix=f".{target.stem}-", suffix=target.suffix
    )
    os.close(handle)
    temporary = Path(name)
    try:
        with naming(target):
            yield temporary
            # mkstemp makes it private to its owner; a result is for everyone the folder is for.
            temporary.chmod(0o666 & ~umask())
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            os.replace(temporary, target)
            flush_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary folder beside `path`; on success it becomes `path`.

    On any exception it is removed, with all that is in it.

    Raises:
        OSError: `path` is there already and not an empty folder, or cannot be written.
    """
    target = Path(path)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(errno.ENOTEMPTY, "is there already; give a new folder", str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        with naming(target):
            yield temporary
            temporary.chmod(0o777 & ~umask())
            os.replace(temporary, target)
            flush_folder(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_safetensors(
    path: str | os.PathLike[str], tensors: "Mapping[str, Tensor]", facts: Mapping[str, str]
) -> None:
    """Write tensors and facts beside them through `replacing`.

    Raises:
        OSError: the file cannot be written; with the system's number and the file's name.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with replacing(path) as temporary:
        try:
            save_file(
                {name: tensor.contiguous() for name, tensor in tensors.items()},
                temporary,
                metadata=dict(facts) or None,
            )
        except SafetensorError as error:
            # It knows the system's error as a text alone.
            number = re.search(r"\(os error (\d+)\)", str(error))
            code = int(number[1]) if number else errno.EIO
            text = os.strerror(code) if number else str(error)
            raise OSError(code, text, os.fspath(path)) from error


def flush_folder(folder: str | os.PathLike[str]) -> None:
    """Make the names in a folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def umask() -> int:
    """The process's file mode mask."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text through `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write indented JSON through `replacing`; not-a-number is refused rather than written."""
    write_text(path, json_text(value))


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's bytes, in lower-case hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
