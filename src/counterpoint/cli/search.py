"""The command that asks."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoint.cli.shared import (
    Commands,
    add_all_threads,
    add_system,
    add_where,
    counted,
    encoding_bar,
    named_values,
    positive,
    print_notes,
    use_threads,
)
from counterpoint.errors import InputError

if TYPE_CHECKING:
    from counterpoint.cli.answers import Answered
    from counterpoint.retrieval.asking import Asker
    from counterpoint.retrieval.questions import Asked
    from counterpoint.retrieval.retriever import Retriever

AT_ONCE = 256
"""Questions that are asked together."""

MANY = 2_000
"""Texts of a run's corpus from which on an index saves the more time."""


def add_search(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `search`."""
    parser = commands.add_parser(
        "search",
        help="ask: find the best counters to a text, in an index or in a run's corpus",
        description="Find the best counters to an argument. `search INDEX TEXT` asks an index; "
        "with --run, `search --run results/RUN TEXT` asks the run's best system over the counters "
        "of the run's corpus. A text's own copies are never an answer. Prints to standard output "
        "the answers alone.",
    )
    parser.add_argument(
        "given",
        nargs="*",
        metavar="INDEX TEXT",
        help="the index (not with --run), then one text or several; - is one text from standard "
        "input",
    )
    parser.add_argument(
        "--file",
        type=Path,
        metavar="FILE",
        help="ask its texts: a .txt with one a line, or a file with columns (--text)",
    )
    parser.add_argument(
        "--text",
        metavar="COLUMN",
        default="text",
        help="of a --file with columns: the one with the texts (default: %(default)s)",
    )
    parser.add_argument(
        "-k",
        type=positive,
        default=10,
        metavar="N",
        help="answers to a text (default: %(default)s)",
    )
    add_where(parser, "answers of this metadata alone, such as theme=law; may be repeated")
    parser.add_argument("--not-side", metavar="SIDE", help="no answers that take this side")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print an object of JSON a question")
    form.add_argument("--trec", action="store_true", help="print a run file, as trec_eval reads it")
    form.add_argument(
        "--explain", action="store_true", help="show what each of the two stages said of an answer"
    )
    parser.add_argument(
        "--exact",
        action="store_true",
        help="compare all texts, whatever approximate index is there",
    )
    add_system(parser)
    add_all_threads(parser)
    parser.set_defaults(command=_search)


def _search(arguments: argparse.Namespace) -> None:
    from counterpoint.retrieval.asking import Question, cut_note

    index, texts = arguments.given[:1], arguments.given[1:]
    if arguments.run is not None:
        index, texts = [], arguments.given
    elif not index:
        raise InputError("give an INDEX and a text, or --run and a text")
    elif arguments.system != "best":
        raise InputError("--system: an index has its own; it goes with --run alone")
    where = named_values("--where", arguments.where, "COLUMN=VALUE")
    asked = _asked(texts, arguments.file, arguments.text)
    asker, retriever = _of_index(index[0], arguments) if index else _of_run(arguments)
    print_notes(cut_note([one.text for one in asked], retriever))
    for start in range(0, len(asked), AT_ONCE):
        some = asked[start : start + AT_ONCE]
        questions = [Question(one.text, where, arguments.not_side) for one in some]
        answers = asker.ask(questions, arguments.k)
        _print(zip(some, answers, strict=True), retriever.name, arguments, len(asked))


def _print(
    answered: "Iterator[Answered]", name: str, arguments: argparse.Namespace, count: int
) -> None:
    from counterpoint.cli import answers

    for each in answered:
        if arguments.json:
            print(answers.as_json(each, name))
        elif arguments.trec:
            print(answers.as_trec(each, name), end="")
        else:
            print(answers.as_text(each, explain=arguments.explain, headed=count > 1))


def _asked(texts: Sequence[str], file: Path | None, column: str) -> "list[Asked]":
    """What is asked.

    Raises:
        InputError: nothing, or what cannot be asked.
    """
    from counterpoint.retrieval.asking import check_text
    from counterpoint.retrieval.questions import Asked, decoded, read_questions

    if bool(texts) == (file is not None):
        raise InputError("what is asked? Give a text, - for standard input, or --file")
    if file is not None:
        asked, notes = read_questions(file, column)
        print_notes(notes)
        return asked
    if texts.count("-") > 1:
        raise InputError("-: standard input can be read once")
    asked = [
        Asked(
            str(number),
            decoded(sys.stdin.buffer.read(), "standard input").strip() if text == "-" else text,
        )
        for number, text in enumerate(texts, start=1)
    ]
    for text, one in zip(texts, asked, strict=True):
        check_text(one.text, "standard input" if text == "-" else f"text {one.id}")
    return asked


def _of_index(path: str, arguments: argparse.Namespace) -> "tuple[Asker, Retriever]":
    """What answers from an index, and its model."""
    from counterpoint.retrieval.approximate import open_approximate
    from counterpoint.retrieval.asking import Asker
    from counterpoint.retrieval.index import Index

    index = Index.open(path)
    use_threads(arguments.threads)
    retriever = index.retriever()
    print_notes([f"{counted(len(index))}, searched by {retriever.name}"])
    searched = None if arguments.exact else open_approximate(index)
    return Asker(index, retriever, searched), retriever


def _of_run(arguments: argparse.Namespace) -> "tuple[Asker, Retriever]":
    """What answers from the corpus of a run."""
    from counterpoint.corpus.arguments import read_arguments
    from counterpoint.retrieval import collection
    from counterpoint.retrieval.asking import Asker
    from counterpoint.retrieval.choosing import load_system
    from counterpoint.retrieval.index import Index
    from counterpoint.retrieval.indexing import encoded
    from counterpoint.runs import devices
    from counterpoint.runs.folder import RunFolder

    use_threads(arguments.threads)
    with devices.device_for_job(jobs_per_gpu=1) as device:
        retriever, told = load_system(arguments.system, arguments.run, device)
        corpus = read_arguments(RunFolder(arguments.run).arguments)
        documents = collection.of_arguments(corpus.arguments).documents
        print_notes([told, f"{counted(len(documents))}, the counters of the run's corpus"])
        if len(documents) > MANY:
            print_notes(["they are encoded each time; `counterpoint index` does it once"])
        with encoding_bar(len(documents)) as bar:
            vectors = encoded(retriever, documents, bar)
    index = Index.of(documents, vectors, with_x=retriever.sees_encoder_outputs)
    return Asker(index, retriever), retriever
