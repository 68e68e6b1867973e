"""Arguments and printing that several commands share."""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from counterpoint.errors import InputError

if TYPE_CHECKING:
    from tqdm import tqdm

Commands = argparse._SubParsersAction  # argparse has no public name for it


def add_source(parser: argparse._ActionsContainer) -> None:
    """Add `--corpus`, where texts are read from."""
    parser.add_argument(
        "--corpus",
        metavar="PATH",
        default="sample",
        help="folder or zip that holds the corpus, a file of pairs (CSV, JSON lines), $VARIABLE, "
        "or `sample` (default: %(default)s)",
    )


def add_columns(parser: argparse.ArgumentParser) -> None:
    """Add `--columns`, what a file of pairs calls our columns."""
    parser.add_argument(
        "--columns",
        nargs="+",
        metavar="OURS=NAME",
        default=[],
        help="of a file of pairs: what it calls the columns point, counter, debate, theme, side "
        "and split, such as point=argument",
    )


def named_values(option: str, pairs: Sequence[str], form: str) -> dict[str, str]:
    """The values of an option that are written as its form says, such as ROLE=FOLDER.

    Raises:
        InputError: one is not.
    """
    values: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not value:
            raise InputError(f"{option}: expected {form}, found {pair!r}")
        if values.setdefault(name, value) != value:
            raise InputError(f"{option}: {name} is given twice, as {values[name]!r} and {value!r}")
    return values


def add_out(parser: argparse.ArgumentParser, what: str) -> None:
    """Add `--out`, which must be given."""
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help=what)


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add `--threads`."""
    parser.add_argument("--threads", type=positive, default=1, help="CPU threads (default: 1)")


def add_all_threads(parser: argparse.ArgumentParser) -> None:
    """Add `--threads` of a command that runs alone, as those of a workflow do not."""
    every = os.cpu_count() or 1
    parser.add_argument(
        "--threads", type=positive, default=every, help="CPU threads (default: all)"
    )


def use_threads(threads: int) -> None:
    """Compute with so many threads."""
    import torch

    torch.set_num_threads(threads)


def add_system(parser: argparse.ArgumentParser) -> None:
    """Add `--system` and `--run`, of what answers questions."""
    parser.add_argument(
        "--system",
        metavar="SYSTEM",
        default="best",
        help="`best` (on dev, of those that have vectors), a cell's name as in tables/cells.csv, "
        "recipe/NAME, baseline/untrained, or the folder of a cell or of an exported model "
        "(default: %(default)s)",
    )
    add_run_or_only(parser)


def add_where(parser: argparse.ArgumentParser, help: str) -> None:
    """Add `--where`."""
    parser.add_argument("--where", action="append", metavar="COLUMN=VALUE", default=[], help=help)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--arguments`, the table that a corpus was read into."""
    parser.add_argument(
        "--arguments",
        type=Path,
        required=True,
        metavar="FILE",
        help="arguments.parquet, as `counterpoint corpus` writes it",
    )


def add_options(parser: argparse.ArgumentParser, what: str) -> None:
    """Add `--options`, of an encoder or a cell."""
    parser.add_argument(
        "--options",
        default="{}",
        metavar="JSON|FILE",
        help=f"{what}, as JSON or a file of it; what is left out has its default",
    )


def positive(text: str) -> int:
    """A whole number of at least 1."""
    return _at_least(1, text)


def not_negative(text: str) -> int:
    """A whole number of at least 0."""
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(
            f"expected a whole number of at least {least}, found {text!r}"
        )
    return int(text)


def add_jobs_per_gpu(parser: argparse.ArgumentParser) -> None:
    """Add `--jobs-per-gpu`."""
    parser.add_argument(
        "--jobs-per-gpu",
        type=positive,
        default=1,
        help="jobs that may share one GPU of this machine (default: 1)",
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add `--run`, which must be given."""
    parser.add_argument(
        "--run", type=Path, required=True, metavar="DIR", help="folder of the run, results/RUN"
    )


def print_notes(notes: Iterable[str]) -> None:
    """Print what a reader of the results must know, to stderr."""
    for note in notes:
        print(f"counterpoint: {note}", file=sys.stderr)


def add_run_or_only(parser: argparse.ArgumentParser) -> None:
    """Add `--run`, by default the only run."""
    parser.add_argument(
        "--run",
        type=Path,
        metavar="DIR",
        help="folder of the run, results/RUN (default: the only one there is)",
    )


def counted(texts: int) -> str:
    """A number of texts in words."""
    return f"{texts:,} text{'' if texts == 1 else 's'}"


def encoding_bar(total: int) -> "tqdm[NoReturn]":
    """A bar on a terminal that tells how many texts are encoded."""
    from tqdm import tqdm

    # None: no bar where nobody watches.
    return tqdm(total=total, unit="text", disable=None, leave=False)
