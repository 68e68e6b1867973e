"""The command that makes pairs from published corpora of other formats."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoint.cli.shared import Commands, add_out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from counterpoint.corpus.converters.formats import Report


def add_convert(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `convert`."""
    parser = commands.add_parser(
        "convert",
        help="make a file of pairs from Kialo's export, args.me or Winning Arguments",
        description="Make a file of pairs from a published corpus and keep what it says of debate, "
        "theme, side and split. Prints what was found, and what was left out with its count. What "
        "a pair is in each format: docs/convert.md.",
    )
    parser.add_argument(
        "format",
        metavar="FORMAT",
        help="kialo (export as text, or a folder of them), argsme (JSON of the args.me corpus) or "
        "winning-args (folder or zip of ConvoKit's winning-args-corpus)",
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="what to read; files may be gzipped"
    )
    add_out(parser, "file to write, .jsonl or .ndjson")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the file at --out where it exists"
    )
    parser.add_argument(
        "--without-splits",
        action="store_true",
        help="leave out the publisher's split, so that the reader divides the debates itself",
    )
    parser.set_defaults(command=_convert)


def _convert(arguments: argparse.Namespace) -> None:
    from counterpoint.corpus.converters import formats

    report = formats.convert(
        arguments.format,
        arguments.file,
        arguments.out,
        overwrite=arguments.overwrite,
        splits=not arguments.without_splits,
    )
    _print(report, arguments.out)


def _print(report: "Report", out: Path) -> None:
    print(f"read: {_counted(report.read)}")
    print(
        f"{out}: {report.pairs:,} pairs of {report.points:,} points in {report.debates:,} debates"
    )
    if report.splits:
        print(f"splits: {_counted(report.splits)}")
    if report.left_out:
        print("left out:")
        width = max(len(f"{count:,}") for count in report.left_out.values())
        for reason, count in report.left_out.items():
            first = f" (first: {report.first[reason]})" if reason in report.first else ""
            print(f"  {count:>{width},} {reason}{first}")


def _counted(counts: "Mapping[str, int]") -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())
