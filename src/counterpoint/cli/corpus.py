"""Commands that read, count or make corpora."""

import argparse
import json
import sys
from pathlib import Path

from counterpoint.cli.shared import (
    Commands,
    add_columns,
    add_source,
    named_values,
    not_negative,
    positive,
)
from counterpoint.errors import InputError


def add_corpus(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `corpus`."""
    parser = commands.add_parser(
        "corpus",
        help="read a corpus into one table of arguments, and audit it",
        description="Read a corpus: debates in the layout of ArguAna Counterargs, or a file of "
        "pairs. Prints how it was understood, counts of each split, and three pairs. With --out, "
        "writes arguments.parquet, audit.csv, audit.md and problems.txt into a folder.",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("file", nargs="?", metavar="PATH", help="the same as --corpus PATH")
    add_source(source)
    source.add_argument("--url", help="download the zip from here instead")
    parser.add_argument("--sha256", help="checksum of the file at --url")
    parser.add_argument(
        "--splits",
        nargs="+",
        metavar="ROLE=FOLDER",
        default=["train=training", "dev=validation", "test=test"],
        help="the folder of each role (default: %(default)s)",
    )
    add_columns(parser)
    parser.add_argument(
        "--bad-files",
        choices=("stop", "skip"),
        default="stop",
        help="what to do with files that cannot be used (default: %(default)s)",
    )
    parser.add_argument(
        "--decontaminate",
        choices=("none", "train"),
        default="none",
        help="train: leave out training pairs that share a text with dev or test "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--language",
        metavar="CODE",
        default="en",
        help="of the texts, ISO 639-1 (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, metavar="PATH", help="folder to write into")
    parser.set_defaults(command=_corpus)


def _corpus(arguments: argparse.Namespace) -> None:
    from counterpoint.config import corpus_options, loading
    from counterpoint.corpus import opening
    from counterpoint.corpus.problems import grouped
    from counterpoint.tasks import audit

    options = loading.parse(
        corpus_options.CorpusOptions,
        {
            "path": None if arguments.url else arguments.file or arguments.corpus,
            "url": arguments.url,
            "sha256": arguments.sha256,
            "splits": named_values("--splits", arguments.splits, "ROLE=FOLDER"),
            "columns": named_values("--columns", arguments.columns, "OURS=NAME"),
            "bad_files": arguments.bad_files,
            "decontaminate": arguments.decontaminate,
            "language": arguments.language,
        },
        "arguments of `counterpoint corpus`",
    )
    if options.sha256 is not None and options.url is None:
        raise InputError("--sha256: goes with --url alone; a local corpus is not checked")
    corpus, problems = opening.open_corpus(options)
    if arguments.out is not None:
        audit.write_corpus(corpus, problems, arguments.out)
    if problems:
        print(f"counterpoint: left out {len(problems)} bad files or rows:", file=sys.stderr)
        print(*grouped(problems), sep="\n", file=sys.stderr)
    print(audit.as_markdown(corpus), end="")
    if arguments.out is None:
        print(audit.first_pairs(corpus), end="")


def add_tasks(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `tasks`."""
    parser = commands.add_parser(
        "tasks",
        help="count the candidates of the eight tasks in one split",
        description="Count the queries of a split, and the query-candidate pairs of each task "
        "(protocol official, gold included).",
    )
    add_source(parser)
    add_columns(parser)
    parser.add_argument(
        "--split", required=True, metavar="SPLIT", help="the split, by its folder or its role"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.set_defaults(command=_tasks)


def _tasks(arguments: argparse.Namespace) -> None:
    from counterpoint.corpus import opening
    from counterpoint.tasks import candidates

    columns = named_values("--columns", arguments.columns, "OURS=NAME")
    read = opening.read_all(arguments.corpus, [arguments.split], columns)
    [split] = read.roles
    sets = candidates.candidate_sets_of(read.split(split), read.text_number, frozenset())
    counts = {"queries": sets.points, **candidates.totals(sets)}
    if arguments.json:
        print(json.dumps(counts))
    else:
        for name, count in counts.items():
            print(f"{name:8}{count:12,}")


def add_synthesize(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `synthesize`."""
    parser = commands.add_parser(
        "synthesize",
        help="write a made-up corpus of any size with planted structure",
        description="Write a corpus in the layout of ArguAna Counterargs whose right answers are "
        "known: the words of a counter are planted from those of its point.",
    )
    parser.add_argument("--pairs", type=positive, required=True, help="pairs in all three splits")
    parser.add_argument(
        "--seed", type=not_negative, default=1, help="of its random numbers (default: 1)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="folder to write; must not exist, or be empty (default: synthetic-PAIRS-SEED)",
    )
    parser.set_defaults(command=_synthesize)


def _synthesize(arguments: argparse.Namespace) -> None:
    from counterpoint.corpus import synthetic

    out = arguments.out or Path(f"synthetic-{arguments.pairs}-{arguments.seed}")
    synthetic.write_corpus(out, pairs=arguments.pairs, seed=arguments.seed)
