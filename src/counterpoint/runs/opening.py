"""Which options a run has: a new run's from the files, an existing one's from its own folder.

A run whose folder holds a `config.json` knows itself. Naming it on the command line (`--config
run=NAME`) takes its options from there, with whatever else is given on top. Files that describe it
otherwise are not silently obeyed: see `changes`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterpoint.config.layers import COMMAND_LINE, Layer, merge
from counterpoint.config.loading import load, load_written
from counterpoint.config.matrix import Cell, all_cells, rows
from counterpoint.config.options import EncoderOptions
from counterpoint.config.origins import Origins
from counterpoint.config.run_options import RunConfig
from counterpoint.config.scalars import read_scalar
from counterpoint.corpus.sources import checked_fingerprint
from counterpoint.encoders.names import check_name
from counterpoint.errors import InputError
from counterpoint.io import atomic
from counterpoint.io.text import csv_text, json_text
from counterpoint.runs import changes
from counterpoint.runs.folder import RunFolder
from counterpoint.runs.trackers import require_installed

CHANGE = "change"
"""What `--config` is given to change an existing run; no option of the run."""


@dataclass(frozen=True)
class Opened:
    """A run as it is asked for, checked before any job starts."""

    config: RunConfig
    folder: RunFolder
    cells: Mapping[str, Cell]
    """By name, in order."""
    corpus_fingerprint: str | None
    """Changes when the corpus does; a download is known by its checksum."""


def open_run(
    files: Mapping[str, Mapping[str, Any]],
    command_line: Mapping[str, Any],
    *,
    results: Path = Path("results"),
    may_refuse: bool = True,
) -> Opened:
    """What a run's options are, and its cells.

    Args:
        files: path of each configuration file to what it holds, the one that counts most last. The
            first one has the defaults.
        command_line: what `--config` was given.
        results: the folder of all runs.
        may_refuse: whether an existing run is protected from other options; a job of the run is
            given them by whoever has been asked already.

    Raises:
        InputError: something cannot be used, or would change an existing run unasked.
    """
    given = {key: value for key, value in command_line.items() if key != CHANGE}
    config, origins = _options(
        [Layer(_shown(path), values) for path, values in files.items()],
        Layer(COMMAND_LINE, given),
        results,
    )
    cells = all_cells(config, origins)
    folder = RunFolder(results / config.run)
    if may_refuse and not _is_change(command_line):
        changes.refuse(folder, config, cells)
    for tracker in config.trackers:
        require_installed(tracker)
    _check_encoders(config, cells, origins)
    fingerprint = (
        checked_fingerprint(config.corpus.path, origins.of("corpus.path"))
        if config.corpus.path is not None and config.corpus.url is None
        else config.corpus.sha256
    )
    return Opened(config, folder, {cell.name: cell for cell in cells}, fingerprint)


def write_plan(folder: RunFolder, config: RunConfig, cells: Iterable[Cell]) -> None:
    """Write a run's plan: `config.json`, all its options, and `matrix.csv`, its matrix's cells.

    Files that say so already are left alone.

    Args:
        folder: of the run.
        config: of the run.
        cells: of that configuration.

    Raises:
        OSError: the folder cannot be written.
    """
    plan = {
        folder.matrix: csv_text(rows(cell for cell in cells if cell.columns)),
        folder.config: json_text(config.model_dump(mode="json")),
    }
    for path, text in plan.items():
        if not path.is_file() or path.read_bytes() != text.encode("utf-8"):
            atomic.write_text(path, text)


def _options(
    files: Sequence[Layer], command_line: Layer, results: Path
) -> tuple[RunConfig, Origins]:
    """The options that files and command line add up to, and where each came from."""
    values, origins = merge([*files, command_line])
    if "run" not in command_line.values:
        return load(values, origins), origins
    # Validated before it becomes a path.
    name = load({"run": command_line.values["run"]}, COMMAND_LINE).run
    written = RunFolder(results / name).config
    if not written.is_file():
        return load(values, origins), origins
    own = Layer(str(written), load_written(RunConfig, written).model_dump(mode="json"))
    values, origins = merge([own, *files[1:], command_line])
    return load(values, origins), origins


def _is_change(command_line: Mapping[str, Any]) -> bool:
    change = read_scalar(command_line.get(CHANGE, False))  # Snakemake reads True, but not true
    if not isinstance(change, bool):
        raise InputError(f"{COMMAND_LINE}: {CHANGE}: expected true or false, found {change!r}")
    return change


def _check_encoders(config: RunConfig, cells: Sequence[Cell], origins: Origins) -> None:
    """Refuse encoders that cannot be there, each once."""
    encoders = dict.fromkeys((_named(cell.options.encoder) for cell in cells), "matrix")
    encoders[_named(config.encoder)] = "encoder.name"
    for (name, revision), option in encoders.items():
        source = origins.of(option)
        try:
            check_name(name, revision)
        except InputError as error:
            raise InputError(f"{source}: {error}") from None


def _named(options: EncoderOptions) -> tuple[str, str | None]:
    return options.name, options.revision


def _shown(path: str) -> str:
    """A path as messages name it: from the working folder where it lies there."""
    whole, here = Path(path).absolute(), Path.cwd()
    return str(whole.relative_to(here)) if whole.is_relative_to(here) else path
