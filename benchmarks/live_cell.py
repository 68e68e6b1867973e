"""Seconds by stage of a cell that trains its encoder on some pairs of a real corpus.

    python -m benchmarks.live_cell --corpus /path/to/arguana-counterargs-corpus.zip --pairs 300

Takes whole debates from the training split until there are enough pairs, and a fifth as many from
the dev split, writes them as a corpus of their own, and trains one cell on it as the workflow does.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.small_corpus import first_debates
from counterpoint.cli import main as main_module
from counterpoint.config.loading import parse
from counterpoint.config.options import CellOptions
from counterpoint.corpus import arguana, sources
from counterpoint.corpus.arguments import Argument
from counterpoint.results import epoch_log
from counterpoint.runs.job import Job


def write(arguments: Sequence[Argument], folder: Path) -> None:
    for argument in arguments:
        split, theme, debate, stem = argument.id.split("/")
        kind = "-point" if argument.kind == "point" else "-counter"
        path = folder / split / theme / debate / argument.side / f"{stem}{kind}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(argument.text, encoding="utf-8")


def command(*arguments: str) -> None:
    if status := main_module.main(arguments):
        raise SystemExit(status)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--encoder", default="all-MiniLM-L6-v2", help="a name or a folder")
    parser.add_argument("--max-tokens", type=int, default=256)
    parsed = parser.parse_args(arguments)
    source = sources.open_source(parsed.corpus)
    read = arguana.read_splits(source, ["training", "validation"]).arguments
    encoder = {"name": parsed.encoder, "max_tokens": parsed.max_tokens}
    options = {
        "encoder": {**encoder, "trainable": "all"},
        "training": {"epochs": parsed.epochs, "learning_rate": 2e-5},
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split, pairs in (("training", parsed.pairs), ("validation", parsed.pairs // 5)):
            own = [argument for argument in read if argument.split == split]
            write(first_debates(own, pairs), folder / "corpus")
        splits = ("train=training", "dev=validation", "test=validation")
        command("corpus", "--corpus", f"{name}/corpus", "--splits", *splits, "--out", name)
        inputs = ("--arguments", f"{name}/arguments.parquet")
        tokens = f"{name}/tokens.safetensors"
        command("tokens", *inputs, "--options", json.dumps(encoder), "--out", tokens)
        Job(
            options=parse(CellOptions, options, "live_cell"),
            arguments=folder / "arguments.parquet",
            features=None,
            tokens=Path(tokens),
            threads=parsed.threads,
            jobs_per_gpu=1,
            state=folder / "state",
            out=folder / "cell",
        ).run()
        records = epoch_log.read(folder / "cell/epochs.jsonl")
        losses = [record.losses["train"].total for record in records]
        print(json.dumps({"loss": losses}))
        print((folder / "cell/seconds.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main(sys.argv[1:])
