"""What produced a result: versions, code, commit, machine. Holds no time, so it is reproducible."""

import hashlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from counterpoint.config.options import CellOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.encoder import Encoder
from counterpoint.io import atomic
from counterpoint.versions import TRAINING_VERSION, program_version

PACKAGES = ("torch", "numpy", "transformers", "tokenizers", "scikit-learn", "pyarrow", "snakemake")


ELSEWHERE = frozenset(
    [
        "audit",
        "baselines",
        "beir",
        "claims",
        "clean",
        "cli",
        "compare",
        "formats",
        "latex_tables",
        "layouts",
        "leak",
        "margins",
        "markdown_tables",
        "matrix",
        "old_logs",
        "pair_files",
        "plan",
        "plots",
        "progress",
        "report",
        "sources",
        "status",
        "synthesize",
        "tables",
        "trackers",
        "transfer",
        "trec",
    ]
)
"""Modules that no cell computes with."""


def code_hash() -> str:
    """SHA-256 (16 digits) over the modules that make a cell; tables warn where cells differ."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted(folder.glob("*.py")):
        if path.stem in ELSEWHERE:
            continue
        digest.update(path.name.encode("utf-8"))
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def corpus_hash(corpus: Corpus) -> str:
    """SHA-256 (16 digits) over a corpus: ids, texts, roles, and what training leaves out."""
    facts = (sorted(corpus.roles.items()), corpus.decontaminate)
    digest = hashlib.sha256(repr(facts).encode("utf-8"))
    for argument in corpus.arguments:
        digest.update(f"{argument.id}\t{argument.text_hash}\n".encode())
    return digest.hexdigest()[:16]


def git_commit() -> str | None:
    """The commit of the source tree that the package runs from, `+` where files differ from it.

    None for a package installed from a wheel, or without git.
    """
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", str(folder))
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")


def provenance(corpus: Corpus, *, device: str, threads: int, seed: int) -> dict[str, object]:
    """All of it, as it stands beside each cell's result."""

    def installed(package: str) -> str | None:
        try:
            return version(package)
        except PackageNotFoundError:
            return None

    return {
        "counterpoint": program_version(),
        "training_version": TRAINING_VERSION,
        "code": code_hash(),
        "commit": git_commit(),
        "corpus": corpus_hash(corpus),
        "seed": seed,
        "device": device,
        "threads": threads,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "packages": {package: installed(package) for package in PACKAGES},
    }


def identity_of(
    options: CellOptions,
    corpus: Corpus,
    inputs: Path,
    encoder: Encoder,
    threads: int,
    device: str,
) -> dict[str, Any]:
    """All that changes a cell's results.

    Args:
        options: of the cell.
        corpus: that it reads.
        inputs: the file of features or tokens.
        encoder: as it was loaded.
        threads: on a CPU they change how sums are rounded.
        device: as provenance names it.
    """
    return {
        "options": options.model_dump(mode="json"),
        "corpus": corpus_hash(corpus),
        "inputs": atomic.sha256(inputs),
        "encoder": encoder.fingerprint(),
        "threads": threads,
        "device": device,
        "torch": torch.__version__,
        # Its generators choose the negatives and the order.
        "numpy": version("numpy"),
        "transformers": version("transformers"),
        **code(),
    }


def code() -> dict[str, Any]:
    """What an identity says of the code: a state goes on with that which made it."""
    return {"training_version": TRAINING_VERSION, "code": code_hash()}
