"""The command that takes a trained model out of its run."""

import argparse

from counterpoint.cli.shared import Commands, add_out, add_run_or_only, print_notes


def add_export(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `export`."""
    parser = commands.add_parser(
        "export",
        help="write a trained cell as a folder that sentence-transformers loads",
        description="Write a trained cell as a folder of its own, which SentenceTransformer(DIR) "
        "and counterpoint.Retriever.load(DIR) read: encoder, pooling, projection, the classifier "
        "or cross-encoder beside them, and a model card with its training, its scores and what "
        "leaks. Weights are safetensors alone.",
    )
    parser.add_argument(
        "system",
        metavar="CELL",
        help="a cell's folder, or of a run a cell's name as in tables/cells.csv, recipe/NAME, "
        "baseline/untrained, or `best` of them on dev",
    )
    add_run_or_only(parser)
    add_out(parser, "folder to write, which is not there yet, or empty")
    parser.add_argument(
        "--license", metavar="ID", help="of the model, as the hub spells it, such as mit"
    )
    parser.add_argument(
        "--corpus-name",
        metavar="NAME",
        help="what the card calls the corpus (default: the name of its file or folder)",
    )
    parser.add_argument(
        "--corpus-license", metavar="TEXT", help="licence of the corpus, for the card"
    )
    parser.set_defaults(command=_export)


def _export(arguments: argparse.Namespace) -> None:
    from counterpoint.retrieval.card import Stated
    from counterpoint.retrieval.export import export

    stated = Stated(arguments.license, arguments.corpus_name, arguments.corpus_license)
    name = export(arguments.system, arguments.run, arguments.out, stated)
    print_notes([f"wrote {name} into {arguments.out}; its README.md is the model card"])
