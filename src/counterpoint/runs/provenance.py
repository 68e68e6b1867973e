"""What produced a result: versions, code, commit, machine. Holds no time, so it is reproducible."""

import ast
import functools
import hashlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import torch

from counterpoint.config.options import CellOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.prompts import Prompts
from counterpoint.encoders.roles import ROLES
from counterpoint.results.files import Provenance
from counterpoint.training.checkpoint import Identity
from counterpoint.versions import TRAINING_VERSION, program_version

PACKAGE = Path(__file__).parents[1]
"""Where the program's code lies."""

PACKAGES = ("torch", "numpy", "transformers", "tokenizers", "scikit-learn", "pyarrow", "snakemake")

COMPUTED_WITH = (
    "arrays.py",
    "io",
    "config",
    "corpus",
    "tasks",
    "results",
    "encoders",
    "models",
    "search",
    "evaluation",
    "training",
)
"""The packages that a cell computes with, and the module that they share."""

# Each call reads a package's files anew.
version = functools.cache(metadata.version)


@functools.cache
def running_code() -> str:
    """`code_hash` of the code that runs, read once a process."""
    return code_hash(PACKAGE)


def code_hash(package: Path) -> str:
    """SHA-256 (16 digits) over the code that a cell computes with; tables warn where cells differ.

    Over what Python makes of it: another comment, docstring or line break is the same code.
    """
    digest = hashlib.sha256()
    for part in COMPUTED_WITH:
        path = package / part
        for module in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(module.relative_to(package).as_posix().encode("utf-8"))
            digest.update(parsed(module.read_text(encoding="utf-8")).encode("utf-8"))
    return digest.hexdigest()[:16]


def parsed(source: str) -> str:
    """The syntax tree of a module, without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [statement for statement in node.body if not _is_docstring(statement)]
    return ast.dump(tree)


def _is_docstring(statement: ast.stmt) -> bool:
    """Also of an attribute: a string that nothing is done with."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def corpus_hash(corpus: Corpus) -> str:
    """SHA-256 (16 digits) over a corpus: ids, texts, roles, and what training leaves out."""
    facts = (sorted(corpus.roles.items()), corpus.decontaminate)
    digest = hashlib.sha256(repr(facts).encode("utf-8"))
    for argument in corpus.arguments:
        digest.update(f"{argument.id}\t{argument.text_hash}\n".encode())
    return digest.hexdigest()[:16]


@functools.cache
def git_commit() -> str | None:
    """The commit of the source tree that the package runs from, `+` where files differ from it.

    None for a package installed from a wheel, or without git.
    """

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(PACKAGE), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", str(PACKAGE))
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")


def provenance(
    *,
    corpus: str,
    encoder_commit: str | None,
    prompts: Prompts,
    first_stage: str | None,
    device: str,
    threads: int,
    seed: int,
) -> Provenance:
    """All of it, as it stands beside each cell's result."""

    def installed(package: str) -> str | None:
        try:
            return version(package)
        except metadata.PackageNotFoundError:
            return None

    return Provenance(
        counterpoint=program_version(),
        training_version=TRAINING_VERSION,
        code=running_code(),
        commit=git_commit(),
        corpus=corpus,
        prompts={role: prompts[role] for role in ROLES},
        seed=seed,
        device=device,
        threads=threads,
        python=platform.python_version(),
        platform=platform.platform(),
        processors=os.cpu_count(),
        packages={package: installed(package) for package in PACKAGES},
        encoder_commit=encoder_commit,
        first_stage=first_stage,
    )


def identity_of(
    options: CellOptions,
    *,
    corpus: str,
    inputs: str,
    encoder: str | None,
    threads: int,
    device: str,
) -> Identity:
    """What a cell's checkpoint and results belong to; see `Identity` for its parts."""
    return Identity(
        options=options.model_dump(mode="json"),
        corpus=corpus,
        inputs=inputs,
        encoder=encoder,
        threads=threads,
        device=device,
        torch=torch.__version__,
        numpy=version("numpy"),
        transformers=version("transformers"),
        training_version=TRAINING_VERSION,
        code=running_code(),
    )


def is_of_this_code(identity: Identity) -> bool:
    """Whether a checkpoint may go on with the code that runs now."""
    return (identity.training_version, identity.code) == (TRAINING_VERSION, running_code())
