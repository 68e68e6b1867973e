"""A trained run, and the command that evaluates its systems."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from counterpoint.cli.main import main
from counterpoint.config import cache_keys, loading, matrix
from counterpoint.corpus.arguments import Corpus, read_arguments
from counterpoint.corpus.synthetic import write_corpus
from counterpoint.encoders.tokens import tokenise, write_tokens
from counterpoint.evaluation import baselines
from counterpoint.evaluation.cross_system import Choice
from counterpoint.runs.batch import Batch
from counterpoint.runs.folder import RunFolder
from counterpoint.runs.job import Job


@dataclass(frozen=True)
class Trained:
    """A run of two tiny cells and all baselines."""

    folder: Path
    frozen: str
    """The name of the cell on frozen features."""
    live: str
    """The name of the cell that trains its encoder."""
    twins: tuple[str, str]
    """A point of validation and a counter of it, of other pairs, that have the same text."""

    @property
    def corpus(self) -> Corpus:
        return read_arguments(self.folder / "corpus" / "arguments.parquet")

    def system(self, name: str) -> str:
        return {"frozen": self.frozen, "live": self.live}.get(name, name)

    def records(self, name: str) -> Path:
        """Of a system, as its own job left them."""
        kind = self.folder if name.startswith("baseline/") else self.folder / "cells"
        return kind / name.replace("baseline/", "baselines/") / "records.parquet"


def crossed(folder: Path) -> tuple[str, str]:
    """Texts that stand in several places, and orphans, in a made-up corpus; see `Trained`."""
    root = folder / "02-extracted-arguments"
    points = {
        split: sorted((root / split).rglob("*a-point.txt"))
        for split in ("training", "validation", "test")
    }

    def counter(point: Path) -> Path:
        return point.with_name(point.name.replace("a-point", "b-counter"))

    shutil.copy(points["training"][0], points["validation"][0])  # a query that was seen
    shutil.copy(counter(points["training"][1]), counter(points["test"][1]))  # a gold that was
    shutil.copy(counter(points["validation"][2]), points["validation"][7])
    shutil.copy(counter(points["validation"][3]), counter(points["validation"][8]))
    for split in ("training", "test"):
        counter(points[split][-1]).unlink()
    twins = []
    for path, ending in ((points["validation"][7], "a"), (points["validation"][2], "b")):
        stem = path.relative_to(root).parts
        twins.append("/".join((*stem[:3], f"{path.name[:5]}{ending}")))
    return twins[0], twins[1]


def make_run(folder: Path, tiny_bert: Path) -> Trained:
    """Train it."""
    corpus = folder / "debates"
    write_corpus(corpus, pairs=70, seed=3)
    twins = crossed(corpus)
    run = folder / "results" / "tiny"
    values = {
        "run": "tiny",
        "corpus": {"path": str(corpus)},
        "encoder": {"name": str(tiny_bert), "max_tokens": 24},
        "projection": {"width": 8},
        "training": {"epochs": 2, "batch_size": 4, "learning_rate": 1e-3},
        "matrix": {
            "axes": {"fusion": ["concat"], "head": ["relu"], "decrease_rate": [0.5]},
            "include": [{"head": "linear", "trainable": "all", "decrease_rate": 0.5}],
        },
    }
    cells = matrix.expand(loading.load(values, "test"), "test")
    arguments = run / "corpus" / "arguments.parquet"
    paths = RunFolder(run)
    tokens = paths.tokens(cache_keys.tokens_key(cells[0].options.encoder))
    features = paths.features(cache_keys.features_key(cells[0].options.encoder))
    encoder = ["--arguments", arguments, "--options", loading.dump(cells[0].options.encoder)]
    for command in (
        ["matrix", "--config", loading.dump(loading.load(values, "test")), "--out", run],
        ["corpus", "--corpus", corpus, "--out", run / "corpus"],
        ["tokens", *encoder, "--out", tokens],
        ["features", *encoder, "--tokens", tokens, "--out", features],
        [
            *("baselines", *baselines.BASELINES, "--arguments", arguments),
            *("--features", features, "--out", paths.baselines),
        ],
    ):
        assert main([str(part) for part in command]) == 0
    for cell in cells:
        frozen = cell.options.encoder.trainable == "none"
        Job(
            options=cell.options,
            arguments=arguments,
            features=features if frozen else None,
            tokens=None if frozen else tokens,
            threads=1,
            jobs_per_gpu=1,
            state=run / "state" / cell.name,
            out=run / "cells" / cell.name,
        ).run()
    return Trained(run, cells[0].name, cells[1].name, twins)


def evaluate(*arguments: object) -> None:
    """Run the command."""
    assert main(["evaluate", *map(str, arguments)]) == 0


SYSTEMS = ["frozen", "live", *(f"baseline/{name}" for name in baselines.BASELINES)]


def rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


def run_lines(path: Path) -> dict[str, list[str]]:
    """Query to documents, in the order of a file in TREC's format."""
    lists: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        query, _, document, _, _, _ = line.split(" ")
        lists.setdefault(query, []).append(document)
    return lists


CROSSED = {"reranker": "cross_encoder", "fusion": "concat", "head": "relu", "decrease_rate": 0.5}
"""The cell with a cross-encoder over the frozen one."""


def make_crossed(trained: Trained, folder: Path) -> tuple[Path, str]:
    """A copy of the run with a cross-encoder over its frozen cell; the copy and the cell's name.

    What dev would choose from so little training is nothing, so both stages get a share.
    """
    run = RunFolder(folder / trained.folder.name)
    shutil.copytree(trained.folder, run.path)
    config = json.loads(run.config.read_text(encoding="utf-8"))
    of_encoder = {"name": config["encoder"]["name"], "max_tokens": 24, "dropout": 0.1}
    training = {"epochs": 2, "batch_size": 4, "encoder_learning_rate": 1e-3}
    config["reranker"] = {
        "encoder": of_encoder,
        "mining": {"negatives": 2, "top_m": 5},
        "training": training,
    }
    config["matrix"]["include"].append(CROSSED)
    loaded = loading.load(config, "test")
    assert main(["matrix", "--config", loading.dump(loaded), "--out", str(run.path)]) == 0
    (cell,) = (one for one in matrix.all_cells(loaded, "test") if one.options.reads_pairs)
    assert cell.first == trained.frozen
    corpus, encoder = read_arguments(run.arguments), cell.options.reranker.encoder
    tokens = run.tokens(cache_keys.tokens_key(encoder))
    write_tokens(tokenise(corpus, encoder), corpus, tokens, encoder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Choice, "best_mix", lambda _: (0.5, np.array([2.0, 3.0])))
        Batch.of_run(run.path, [cell.name]).run()
    return run.path, cell.name
