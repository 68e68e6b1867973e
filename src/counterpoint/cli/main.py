"""The command line: one subcommand a rule of the workflow, each of use by hand.

Modules are imported inside the commands, so that `--help` answers at once and a cell on frozen
features never loads what it does not need.
"""

import argparse
import io
import sys
from collections.abc import Sequence
from typing import NoReturn

from counterpoint.cli.convert import add_convert
from counterpoint.cli.corpus import add_corpus, add_synthesize, add_tasks
from counterpoint.cli.evaluate import add_evaluate
from counterpoint.cli.export import add_export
from counterpoint.cli.index import add_index
from counterpoint.cli.results import (
    add_compare,
    add_import_log,
    add_leak,
    add_plots,
    add_report,
    add_summarise,
    add_tables,
)
from counterpoint.cli.run import add_clean, add_matrix, add_plan, add_schema, add_status
from counterpoint.cli.search import add_search
from counterpoint.cli.serve import add_serve
from counterpoint.cli.train import add_baselines, add_features, add_tokens, add_train
from counterpoint.errors import InputError, Interrupted


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status.

    0, 2 for input that cannot be used, or 75 for a job that was asked to stop and can go on.
    """
    parsed = _parsed(arguments)
    try:
        parsed.command(parsed)
    except InputError as error:
        print(f"counterpoint: {error}", file=sys.stderr)
        return 2
    except Interrupted as error:
        print(f"counterpoint: {error}", file=sys.stderr)
        return Interrupted.STATUS
    except OSError as error:
        named = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(f"counterpoint: {named}", file=sys.stderr)
        return 2
    return 0


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The arguments of a command.

    Where a command takes any number of words (`given`), argparse takes those before the first
    option alone, and knows nothing of those behind it.
    """
    parser = make_parser()
    parsed, rest = parser.parse_known_args(arguments)
    options = [word for word in rest if word.startswith("-") and word != "-"]
    if rest and (options or not hasattr(parsed, "given")):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        parsed.given += rest
    return parsed


def run() -> None:
    """The console command."""
    if sys.argv[1:2] == ["train"]:
        from counterpoint.runs import devices

        devices.restart_without_small_caches()
    for stream in (sys.stdout, sys.stderr):
        # A terminal that has no sign for a name or a δ must end no command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main())


class _Version(argparse.Action):
    """As argparse's own, but the version is looked up only where it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from counterpoint.versions import program_version

        print(f"counterpoint {program_version()}")
        parser.exit()


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="counterpoint",
        description="Find the best counterargument, and find out which way of training works.",
        epilog="The whole matrix: snakemake --cores all --configfile config/arguana.yaml",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (
        add_matrix,
        add_convert,
        add_corpus,
        add_tasks,
        add_synthesize,
        add_tokens,
        add_features,
        add_train,
        add_baselines,
        add_plan,
        add_status,
        add_tables,
        add_compare,
        add_leak,
        add_evaluate,
        add_export,
        add_index,
        add_search,
        add_import_log,
        add_plots,
        add_report,
        add_summarise,
        add_clean,
        add_serve,
        add_schema,
    ):
        add(commands)
    return parser
