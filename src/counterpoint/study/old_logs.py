"""Imported logs of the original study: written beside the runs, and read again."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from counterpoint.config.scalars import Scalar
from counterpoint.errors import InputError
from counterpoint.io.atomic import replacing
from counterpoint.runs.folder import EPOCHS
from counterpoint.study.old_log import OldEpoch, OldLog, Source
from counterpoint.study.old_log_text import read_log

SOURCE = "source.json"
"""Beside an imported log: where it came from."""

_NAME = re.compile(r"\w[\w.+=~,-]*")


def import_logs(
    paths: Sequence[Path],
    out: Path,
    name: str | None = None,
    axes: Mapping[str, Scalar] | None = None,
) -> list[OldLog]:
    """Read old logs and write each into a folder of its own, `epochs.jsonl` and `source.json`.

    All are read before anything is written.

    Args:
        paths: the logs.
        out: the folder of the folders.
        name: the log's name where there is one log; otherwise files give their names.
        axes: what all of them were trained with, as `log_axes.read_axes` gives it.

    Raises:
        InputError: a log that cannot be used, a name that cannot be a folder's or is taken.
    """
    if name is not None and len(paths) > 1:
        raise InputError(f"--name {name}: names one log, but {len(paths)} are given")
    named: dict[str, Path] = {}
    for path in paths:
        folder_name = _name_of(path, name)
        if folder_name in named:
            raise InputError(
                f"{path}: would be named {folder_name}, as {named[folder_name]} is; give --name"
            )
        named[folder_name] = path
    logs = [read_log(path, folder_name) for folder_name, path in named.items()]
    for log, path in zip(logs, paths, strict=True):
        _require_free(out / log.name, log, path)
    logs = [replace(log, source=replace(log.source, axes=axes or {})) for log in logs]
    for log in logs:
        _write(log, out / log.name)
    return logs


def _name_of(path: Path, name: str | None) -> str:
    # What follows the last point of `decreased_0.01` is no ending.
    stem = path.name if path.suffix[1:].isdigit() else path.stem
    folder_name = stem if name is None else name
    if not _NAME.fullmatch(folder_name):
        raise InputError(
            f"{path}: {folder_name!r} cannot name a folder; expected letters, digits and "
            ". , _ - + = ~, beginning with a letter or a digit; give --name"
        )
    return folder_name


def _require_free(folder: Path, log: OldLog, path: Path) -> None:
    source = folder / SOURCE
    if not folder.exists():
        return
    # An import that was cut short has written at most this; no log is found without a source.json.
    if not source.exists() and {path.name for path in folder.iterdir()} <= {EPOCHS}:
        return
    # The hash stands in the text as it was written.
    if source.is_file() and log.source.sha256 in source.read_text(encoding="utf-8"):
        return
    raise InputError(
        f"{path}: {folder} exists and was not made from this file; give another --name, or "
        "delete that folder"
    )


def _write(log: OldLog, folder: Path) -> None:
    with replacing(folder / EPOCHS) as temporary:
        lines = (
            json.dumps(epoch.to_json(log.source.protocol), allow_nan=False) + "\n"
            for epoch in log.epochs
        )
        temporary.write_text("".join(lines), encoding="utf-8")
    # Last, because it is by this file that an imported log is found.
    log.source.write(folder / SOURCE)


def sources(folder: Path) -> list[Path]:
    """The file beside each imported log of a folder that tells where it came from."""
    return sorted(folder.glob(f"*/{SOURCE}"))


def read_imported(folder: Path) -> dict[str, OldLog]:
    """The imported logs in a folder, by name.

    Raises:
        InputError: a line is not the record of an epoch, or what tells of the log is no such file.
    """
    return {path.parent.name: _read(path) for path in sources(folder)}


def _read(path: Path) -> OldLog:
    source = Source.read(path)
    epochs = _read_epochs(path.parent / EPOCHS, source.protocol)
    return OldLog(path.parent.name, epochs, source)


def _read_epochs(path: Path, protocol: str) -> list[OldEpoch]:
    epochs = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            epochs.append(OldEpoch.from_json(json.loads(line), protocol))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}, line {number}: not an epoch of an imported log: {line[:80]!r}; import "
                "the log again"
            ) from error
    return epochs
