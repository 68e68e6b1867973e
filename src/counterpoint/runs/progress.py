"""How far a training job has come: a bar on a terminal, a line an epoch in a log, and a file.

Times stand here, in `progress.json` and on standard error, and never in the epoch log, which is the
same for the same cell.
"""

import dataclasses
import json
import math
import os
import shutil
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from tqdm import tqdm

from counterpoint.config.options import CellOptions, StoppingOptions
from counterpoint.errors import InputError
from counterpoint.io import atomic
from counterpoint.results.epoch_log import EpochRecord, Losses
from counterpoint.runs.folder import StateFolder

SHOWN = {"train": "official", "dev": "clean", "test": "clean"}
"""Of each split the protocol whose accuracy a person sees who watches."""

QUIET_EPOCHS = 3
"""A job on another host that has missed so many epochs is taken for dead."""

FIRST_SECONDS = 3600.0
"""How long it has, in seconds, while no epoch tells."""

LEAST_SECONDS = 600.0
"""How long it has at least once one does."""

WRITE_SECONDS = 1.0
"""At least so long between two of its words, each of which waits for the disk."""


@dataclass(frozen=True)
class Progress:
    """What a running job says of itself."""

    pid: int
    host: str
    epochs: int
    """Planned."""
    done: int
    epoch_seconds: float | None
    """Mean of the epochs done; None before the first."""
    stops: bool
    """Whether a control may end the cell early, so that `left` is an upper bound."""

    @property
    def left(self) -> float | None:
        """Seconds of training left at most, without the final evaluation."""
        if self.epoch_seconds is None:
            return None
        return (self.epochs - self.done) * self.epoch_seconds

    def left_text(self) -> str:
        """The same in words, such as `left at most 3 min 20 s`; empty where nothing is known."""
        if self.left is None or self.done == self.epochs:
            return ""
        return f"left {'at most ' if self.stops else ''}{duration(self.left)}"


def read(state: Path) -> tuple[Progress, float] | None:
    """What a job says in its state folder, and how many seconds ago it said so; or None."""
    path = StateFolder(state).progress
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        known = {field.name: values[field.name] for field in dataclasses.fields(Progress)}
        return Progress(**known), time.time() - path.stat().st_mtime
    except FileNotFoundError:  # never begun, or ended as we looked
        return None
    except (ValueError, KeyError) as error:
        raise InputError(f"{path}: not what this version writes ({error}); delete it") from error


def sign_of_death(said: Progress, age: float) -> str | None:
    """Why a job that left a `progress.json` runs no more, or None while it runs.

    A job removes the file however it ends, unless it is killed. Taking its lock would tell too, but
    a trainer that starts in that instant would find it taken and refuse. So on this host we ask for
    the process (another one may have got its number; the next run of the cell puts that right), and
    of other hosts, whose processes nobody here can see, that they have written lately.

    Args:
        said: what it said.
        age: seconds since then.
    """
    if said.host == socket.gethostname():
        return None if _lives(said.pid) else "killed: its process is gone without a word"
    patience = FIRST_SECONDS
    if said.epoch_seconds is not None:
        patience = max(LEAST_SECONDS, QUIET_EPOCHS * said.epoch_seconds)
    if age <= patience:
        return None
    return f"no word from {said.host} for {duration(age)}: killed, or very slow"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # signal 0 only asks
    except ProcessLookupError:
        return False
    except PermissionError:  # someone else's
        return True
    return True


def may_stop(options: StoppingOptions) -> bool:
    """Whether any control may end a cell before its last epoch."""
    return any(
        limit is not None for limit in (options.patience, options.dev_loss_rises, options.gap_stop)
    )


class Reporter:
    """Tells of one job while it runs, as a context that removes `progress.json` at its end.

    Args:
        state: the cell's state folder.
        options: of the cell.
        stream: where to show it; a bar if it is a terminal (default: standard error).
    """

    def __init__(self, state: Path, options: CellOptions, stream: TextIO | None = None) -> None:
        self._path = StateFolder(state).progress
        self._stream = stream or sys.stderr
        self._bar: Any = None
        self._before = 0
        self._began = self._written = time.perf_counter()
        self.progress = Progress(
            pid=os.getpid(),
            host=socket.gethostname(),
            epochs=options.stage.training.epochs,
            done=0,
            epoch_seconds=None,
            stops=may_stop(options.stopping),
        )

    def __enter__(self) -> Self:
        self._write()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close_bar()
        self._path.unlink(missing_ok=True)

    def resume(self, done: int) -> None:
        """Say that so many epochs were done before this process began."""
        self._before = done
        self.progress = dataclasses.replace(self.progress, done=done)

    def begin(self) -> None:
        """Start the clock of the epochs."""
        self._write()
        self._began = self._written = time.perf_counter()
        if self._stream.isatty():
            # tqdm shows nothing on a terminal that does not tell its size.
            columns, rows = shutil.get_terminal_size()
            self._bar = tqdm(
                total=self.progress.epochs,
                initial=self.progress.done,
                file=self._stream,
                ncols=columns,
                nrows=rows,
                bar_format="epoch {n_fmt}/{total_fmt} |{bar:20}| {desc}",
            )

    def epoch(self, record: EpochRecord) -> None:
        """Show an epoch that has ended."""
        done = self.progress.done + 1
        now = time.perf_counter()
        seconds = (now - self._began) / (done - self._before)
        self.progress = dataclasses.replace(
            self.progress, done=done, epoch_seconds=round(seconds, 3)
        )
        if now - self._written >= WRITE_SECONDS:
            self._write()
            self._written = now
        ends = any(event.startswith("stop") for event in record.events)
        left = "" if ends else self.progress.left_text()
        if self._bar is None:
            line = "  ".join(filter(None, [epoch_line(record), left]))
            print(line, file=self._stream, flush=True)
        else:
            text = "  ".join(filter(None, [bar_text(record), left]))
            self._bar.set_description_str(text, refresh=False)
            self._bar.n = done
            self._bar.refresh()

    def close_bar(self) -> None:
        """End the bar's line, so that others may follow."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _write(self) -> None:
        atomic.write_json(self._path, dataclasses.asdict(self.progress))


def epoch_line(record: EpochRecord) -> str:
    """One epoch in one line, for a person who watches."""
    parts = [f"epoch {record.epoch:3d}", f"random {record.random_rate:.3f}"]
    parts += [f"{split} {_loss(losses)}" for split, losses in record.losses.items()]
    for split, protocol in SHOWN.items():
        scores = record.accuracy.get(split, {}).get(protocol)
        if scores is not None:
            parts.append(f"{split} {_percent(scores.retrieval)} → {_percent(scores.reranked)}")
    return "  ".join([*parts, *record.events])


def bar_text(record: EpochRecord) -> str:
    """Train loss and dev accuracy (re-ranked) of an epoch."""
    parts = [_loss(record.losses["train"])]
    dev = record.accuracy.get("dev", {}).get(SHOWN["dev"])
    if dev is not None:
        parts.append(f"dev {_percent(dev.reranked)}")
    return "  ".join(parts)


def _loss(losses: Losses) -> str:
    return f"loss {math.nan if losses.total is None else losses.total:.4f}"


def _percent(fraction: float | None) -> str:
    return "none" if fraction is None else f"{fraction:.1%}"


def duration(seconds: float) -> str:
    """Seconds in words: `42 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
