"""Commands that make what a table is made of: tokens, features, cells, baselines."""

import argparse
from pathlib import Path

from counterpoint.cli.shared import (
    Commands,
    add_arguments,
    add_jobs_per_gpu,
    add_options,
    add_out,
    add_run,
    add_threads,
    print_notes,
)


def add_tokens(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `tokens`."""
    parser = commands.add_parser(
        "tokens",
        help="tokenise every unique text of a corpus once",
        description="Tokenise every unique text of a corpus (safetensors).",
    )
    add_arguments(parser)
    add_options(parser, "options of the encoder")
    add_out(parser, "file to write")
    parser.set_defaults(command=_tokens)


def _tokens(arguments: argparse.Namespace) -> None:
    from counterpoint.config import loading
    from counterpoint.config import options as options_module
    from counterpoint.corpus import arguments as arguments_module
    from counterpoint.encoders import tokens as tokens_module

    options = loading.load_options(options_module.EncoderOptions, arguments.options)
    read = arguments_module.read_arguments(arguments.arguments)
    tokens_module.write_tokens(tokens_module.tokenise(read, options), read, arguments.out, options)


def add_features(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `features`."""
    parser = commands.add_parser(
        "features",
        help="compute the untrained encoder's outputs for every unique text",
        description="Compute the untrained encoder's outputs for every unique text (safetensors); "
        "they serve every cell with encoder.trainable: none.",
    )
    add_arguments(parser)
    parser.add_argument(
        "--tokens", type=Path, required=True, metavar="FILE", help="as `counterpoint tokens` writes"
    )
    add_options(parser, "options of the encoder")
    add_threads(parser)
    add_jobs_per_gpu(parser)
    add_out(parser, "file to write")
    parser.set_defaults(command=_features)


def _features(arguments: argparse.Namespace) -> None:
    import torch

    from counterpoint.config import loading
    from counterpoint.config import options as options_module
    from counterpoint.corpus import arguments as arguments_module
    from counterpoint.encoders import features, live
    from counterpoint.encoders import tokens as tokens_module
    from counterpoint.runs import devices

    options = loading.load_options(options_module.EncoderOptions, arguments.options)
    torch.set_num_threads(arguments.threads)
    read = arguments_module.read_arguments(arguments.arguments)
    tokens = tokens_module.read_tokens(arguments.tokens, read, options)
    with devices.device_for_job(arguments.jobs_per_gpu) as device:
        devices.keep_freed_memory()
        outputs = live.frozen_features(read, tokens, options, torch.device(device))
    features.write_features(outputs, read, arguments.out, options)


def add_train(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `train`."""
    parser = commands.add_parser(
        "train",
        help="train and evaluate cells of a run",
        description="Train cells of a run, one after the other in one process, and evaluate each "
        "at its best epoch. Reads the run's config.json, corpus, and tokens or features. Writes "
        "epochs.jsonl, records.parquet, model.safetensors, options.json, outcome.json, "
        "provenance.json, seconds.json and identity.json into each cell's folder, and what it "
        "prints into the cell's log. A finished cell is left alone; one that was killed goes on; "
        "one that fails stops no other.",
    )
    add_run(parser)
    parser.add_argument(
        "cells",
        nargs="+",
        metavar="CELL",
        help="name of a cell, as matrix.csv has it, or its folder in the run",
    )
    parser.set_defaults(command=_train)


def _train(arguments: argparse.Namespace) -> None:
    from counterpoint.runs import batch

    batch.Batch.of_run(arguments.run, arguments.cells).run()


def add_baselines(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `baselines`."""
    parser = commands.add_parser(
        "baselines",
        help="evaluate systems that nothing is trained for",
        description="Evaluate baselines on the dev and test splits. Writes of each records.parquet "
        "and ties.json, how many queries tie with all of their candidates, into a folder of its "
        "name; of `hybrid` hybrid.json too: the weight of BM25, chosen on dev, with the accuracy "
        "of each that was tried.",
    )
    parser.add_argument(
        "names",
        nargs="+",
        metavar="NAME",
        help="random, tfidf, bm25, untrained, hybrid-rrf or hybrid",
    )
    add_arguments(parser)
    parser.add_argument(
        "--features", type=Path, metavar="FILE", help="for untrained and the hybrid ones"
    )
    add_threads(parser)
    add_out(parser, "folder to write into")
    parser.set_defaults(command=_baselines)


def _baselines(arguments: argparse.Namespace) -> None:
    import torch

    from counterpoint.corpus import arguments as arguments_module
    from counterpoint.evaluation import baselines
    from counterpoint.evaluation import records as records_module
    from counterpoint.runs import folder

    torch.set_num_threads(arguments.threads)
    read = arguments_module.read_arguments(arguments.arguments)
    for name in arguments.names:
        evaluated = baselines.evaluate_baseline(name, read, arguments.features)
        print_notes(evaluated.ties.told(f"baseline {name}"))
        records = folder.records_of_baseline(arguments.out, name)
        evaluated.ties.write(folder.ties_beside(records))
        if evaluated.weight is not None:
            print_notes([evaluated.weight.told(f"baseline {name}")])
            evaluated.weight.write(folder.weight_beside(records))
        records_module.write_records(evaluated.by_split, records)
