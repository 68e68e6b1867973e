"""The epoch log: one JSON object a line, written as each epoch ends, without any time in it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from counterpoint.errors import InputError
from counterpoint.io.atomic import naming, replacing


def append(path: str | os.PathLike[str], record: Mapping[str, Any]) -> None:
    """Add one epoch's record and flush it to disk.

    Not-a-number, as in a loss that diverged, is written as null: JSON has no word for it.
    """
    with naming(path), open(path, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(_plain(record), ensure_ascii=False, allow_nan=False) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def truncate(path: str | os.PathLike[str], epochs: int) -> None:
    """Keep the first so many records, and flush to disk.

    Raises:
        InputError: there are fewer.
    """
    kept = Path(path).read_bytes().splitlines(keepends=True)[:epochs] if epochs else []
    if len(kept) < epochs or not all(line.endswith(b"\n") for line in kept):
        raise InputError(
            f"{path}: the log of {epochs} epochs was cut; delete its folder to train the cell anew"
        )
    with replacing(path) as temporary:
        temporary.write_bytes(b"".join(kept))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return value if value - value == 0 else None
    return value


def read(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The records of a log, in order.

    Raises:
        InputError: a line is no JSON object with an `epoch`.
    """
    records = []
    # As bytes: text would also be split at the line separators that Unicode has beside \n.
    for number, line in enumerate(Path(path).read_bytes().splitlines(), start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}, line {number}: not a JSON object: {error}") from error
        if not isinstance(record, dict) or "epoch" not in record:
            raise InputError(f"{path}, line {number}: not the record of an epoch: {line[:80]!r}")
        records.append(record)
    return records
