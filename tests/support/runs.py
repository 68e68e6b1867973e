"""A small run, made by the commands themselves."""

import json
from pathlib import Path

from counterpoint.cli.main import main
from counterpoint.config.loading import dump, load
from counterpoint.config.matrix import expand


def make_run(results: Path, corpus: Path, encoder: Path) -> Path:
    """Train two seeds of a frozen cell for an epoch, and evaluate a baseline; the run's folder.

    Args:
        results: folder of the run's folder.
        corpus: of debates, at least four pairs to train on.
        encoder: folder of one.
    """
    options = {
        "run": "small",
        "corpus": {"path": str(corpus)},
        "encoder": {"name": str(encoder), "max_tokens": 16},
        "training": {"epochs": 1, "batch_size": 4},
        "baselines": ["random"],
        "matrix": {"axes": {"fusion": ["cls"], "head": ["linear"], "seed": [1, 2]}},
    }
    run = results / "small"
    table, features = run / "corpus" / "arguments.parquet", run / "features.safetensors"
    encoding = json.dumps(options["encoder"])
    _do("matrix", "--config", json.dumps(options), "--out", run)
    _do("corpus", "--corpus", corpus, "--out", table.parent)
    given = ("--arguments", table)
    _do("tokens", *given, "--options", encoding, "--out", run / "tokens.safetensors")
    tokens = ("--tokens", run / "tokens.safetensors")
    _do("features", *given, *tokens, "--options", encoding, "--out", features)
    for cell in expand(load(options, "test"), "test"):
        places = ("--state", run / "state" / cell.name, "--out", run / "cells" / cell.name)
        _do("train", *given, "--features", features, "--options", dump(cell.options), *places)
    _do("baseline", "random", *given, "--out", run / "baselines" / "random" / "records.parquet")
    return run


def _do(*arguments: object) -> None:
    status = main([str(argument) for argument in arguments])
    assert status == 0, arguments
