"""A file of pairs as bytes: which form it has, unpacked, and its text decoded."""

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from counterpoint.corpus.sources import PAIR_FILE_ENDINGS, SPREADSHEETS
from counterpoint.errors import InputError

LIMIT = 4 << 30
"""Bytes of a file when unpacked."""


@dataclass(frozen=True)
class PairFile:
    """What lies at a path."""

    path: Path
    form: str
    """The ending that says how it is read: `.csv`, `.tsv`, `.jsonl`, `.ndjson`, `.json` or
    `.parquet`."""
    data: bytes


def open_pair_file(path: Path) -> PairFile:
    """Read a file, unpacked where its name ends in `.gz`.

    Raises:
        InputError: it cannot be read or unpacked, or its name ends in something else.
    """
    name = path.name.lower()
    packed = name.endswith(".gz")
    form = Path(name.removesuffix(".gz")).suffix
    if form in SPREADSHEETS:
        raise InputError(f"{path}: a workbook; save its sheet as CSV (in Excel: CSV UTF-8)")
    if form not in PAIR_FILE_ENDINGS:
        raise InputError(
            f"{path}: expected a name that ends in {', '.join(PAIR_FILE_ENDINGS)}, or in one of "
            "them and .gz"
        )
    try:
        data = _unpacked(path) if packed else path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    return PairFile(path, form, data)


def _unpacked(path: Path) -> bytes:
    try:
        with gzip.open(path, "rb") as stream:
            data = stream.read(LIMIT + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: not a gzip file that can be unpacked: {error}") from error
    if len(data) > LIMIT:
        raise InputError(f"{path}: unpacks to more than {LIMIT} bytes, which is refused")
    return data


_NAMES: Mapping[str, str] = {"utf_8": "UTF-8", "utf_8_sig": "UTF-8"}


def decoded(file: PairFile) -> tuple[str, str]:
    """The text of a file, and the encoding that it was read in.

    What is not UTF-8 is guessed by charset-normalizer. Where that cannot tell Western European
    encodings apart because they give the same text, it is called cp1252, as it nearly always is.

    Raises:
        InputError: no encoding fits.
    """
    data = file.data
    try:
        return data.decode("utf-8-sig"), "UTF-8"
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        value = data[error.start]
    # Imported here: it takes a while, and most files are UTF-8.
    from charset_normalizer import from_bytes

    best = from_bytes(data).best()
    if best is None:
        raise InputError(
            f"{file.path}:{line}: not UTF-8 (byte {value:#04x}), and no other encoding fits; save "
            "the file as UTF-8"
        )
    text, encoding = str(best), _NAMES.get(best.encoding, best.encoding)
    try:
        if data.decode("cp1252") == text:
            encoding = "cp1252"
    except UnicodeDecodeError:
        pass
    return text.removeprefix("\ufeff"), encoding
