"""The command that makes and changes indexes."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoint.cli.shared import (
    Commands,
    add_all_threads,
    add_columns,
    add_out,
    add_system,
    add_where,
    counted,
    encoding_bar,
    named_values,
    print_notes,
    use_threads,
)
from counterpoint.errors import InputError

if TYPE_CHECKING:
    from counterpoint.retrieval.collection import Collection
    from counterpoint.retrieval.indexing import Added


def add_index(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `index`."""
    parser = commands.add_parser(
        "index",
        help="make an index of texts, to search again and again; add to it, take out of it",
        description="Encode a collection of texts once with a system of a run, and keep texts, "
        "vectors and model in a folder that `counterpoint search` asks. Given again after it was "
        "interrupted, it goes on from there. A collection is any corpus (its counters), a file of "
        "texts (--text), a folder of .txt files, or BEIR's corpus.jsonl.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("collection", nargs="?", metavar="COLLECTION", help="what to index")
    what.add_argument("--add", metavar="COLLECTION", help="add its texts to the index")
    what.add_argument(
        "--remove",
        nargs="?",
        const="",
        metavar="COLLECTION",
        help="take its texts out of the index; without a value those that --where names",
    )
    add_out(parser, "folder of the index")
    add_system(parser)
    parser.add_argument(
        "--text", metavar="COLUMN", help="of a file of texts: the column that holds them"
    )
    parser.add_argument(
        "--kind",
        choices=("counters", "points", "all"),
        default="counters",
        help="of a corpus: which arguments (default: %(default)s)",
    )
    add_columns(parser)
    parser.add_argument(
        "--bad-files",
        choices=("stop", "skip"),
        default="stop",
        help="what to do with what cannot be used (default: %(default)s)",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16"),
        default="float32",
        help="of the vectors; float16 takes half the space (default: %(default)s)",
    )
    add_where(parser, "with --remove: metadata of the texts to take out, such as split=test")
    parser.add_argument(
        "--approximate",
        action="store_true",
        help="build an approximate index too (extra faiss), and print how much it finds; alone, "
        "for an index that there is",
    )
    add_all_threads(parser)
    parser.set_defaults(command=_index)


def _index(arguments: argparse.Namespace) -> None:
    changes = (arguments.collection, arguments.add, arguments.remove)
    if all(value is None for value in changes) and not arguments.approximate:
        raise InputError("give a COLLECTION to index, or --add, --remove or --approximate")
    if arguments.where and arguments.remove is None:
        raise InputError("--where: goes with --remove alone")
    if arguments.approximate:
        from counterpoint.retrieval.approximate import faiss_module

        faiss_module()  # before anything is encoded
    if arguments.collection is not None:
        _build(arguments)
    elif arguments.add is not None:
        _add(arguments)
    elif arguments.remove is not None:
        _remove(arguments)
    if arguments.approximate:
        _approximate(arguments.out, arguments.threads)


def _build(arguments: argparse.Namespace) -> None:
    from counterpoint.retrieval import indexing

    indexing.new_index(arguments.out)
    collection = _collection(arguments.collection, arguments)
    use_threads(arguments.threads)

    from counterpoint.retrieval.asking import cut_note
    from counterpoint.retrieval.choosing import load_system
    from counterpoint.runs import devices

    with devices.device_for_job(jobs_per_gpu=1) as device:
        retriever, told = load_system(arguments.system, arguments.run, device)
        texts = [one.text for one in collection.documents]
        print_notes([f"system: {told}", *cut_note(texts, retriever)])
        with encoding_bar(len(collection.documents)) as bar:
            done = indexing.build(
                arguments.out,
                collection.documents,
                retriever,
                dtype=arguments.dtype,
                settings={"collection": arguments.collection, "system": told},
                bar=bar,
            )
    _tell(done, arguments.out)


def _add(arguments: argparse.Namespace) -> None:
    from counterpoint.retrieval import indexing

    indexing.existing(arguments.out)
    collection = _collection(arguments.add, arguments)
    use_threads(arguments.threads)

    from counterpoint.runs import devices

    with (
        devices.device_for_job(jobs_per_gpu=1) as device,
        encoding_bar(len(collection.documents)) as bar,
    ):
        done = indexing.add(arguments.out, collection.documents, device=device, bar=bar)
    _tell(done, arguments.out)


def _remove(arguments: argparse.Namespace) -> None:
    from counterpoint.retrieval import indexing

    indexing.existing(arguments.out)
    where = named_values("--where", arguments.where, "COLUMN=VALUE")
    if bool(arguments.remove) == bool(where):
        raise InputError("--remove: give either a COLLECTION of the texts to take out, or --where")
    texts = []
    if arguments.remove:
        texts = [one.text for one in _collection(arguments.remove, arguments).documents]
    removed, left = indexing.remove(arguments.out, texts=texts, where=where)
    print(f"{counted(removed)} removed, {left:,} left in {arguments.out}")


def _approximate(out: Path, threads: int) -> None:
    from counterpoint.retrieval import approximate

    use_threads(threads)
    found = approximate.build(out)
    print(
        f"approximate index {found.kind}: it finds {100 * found.recall:.1f} % of the exact "
        f"{approximate.RECALL_AT} nearest ({found.queries} texts of the index asked)"
    )


def _collection(path: str, arguments: argparse.Namespace) -> "Collection":
    from counterpoint.retrieval.collection import read_collection

    collection = read_collection(
        path,
        text=arguments.text,
        kind=arguments.kind,
        skip=arguments.bad_files == "skip",
        columns=named_values("--columns", arguments.columns, "OURS=NAME"),
    )
    print_notes(collection.notes)
    return collection


def _tell(done: "Added", out: Path) -> None:
    known = f", {done.known:,} were there already" if done.known else ""
    found = f" ({done.found:,} of them encoded by the interrupted command)" if done.found else ""
    print(f"{counted(done.added)} added{found}{known}; {done.total:,} in {out}")
