"""Arrays of a corpus in one file that knows its corpus, its options and its checksum."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open

from counterpoint.config.options import EncoderOptions
from counterpoint.corpus.arguments import Texts
from counterpoint.encoders.names import PUBLISHER
from counterpoint.encoders.prompts import Prompts
from counterpoint.encoders.roles import ROLES, ByRole, both
from counterpoint.errors import InputError
from counterpoint.io.atomic import write_safetensors

COMMIT = "commit"
"""The fact that a file has of an encoder on the hub: the commit that it was made with."""

PROMPT = "prompts."
"""What a role follows in the name of a fact; a file without it was made without a prompt."""

QUERY = "query."
"""What begins the names of the queries' arrays, in a file that has others for candidates."""


def at_commit(commit: str | None) -> dict[str, str]:
    """A commit as a file of arrays holds it; nothing for an encoder that is on this machine."""
    return {} if commit is None else {COMMIT: commit}


def commit_in(path: str | Path) -> str | None:
    """The commit that a file of tokens or features was made with, as its facts tell it."""
    with safe_open(path, framework="pt") as stored:
        return (stored.metadata() or {}).get(COMMIT)


def described(options: EncoderOptions | None, names: Iterable[str]) -> dict[str, str]:
    """Some options by name, as a file of arrays holds them; none of them for None."""
    if options is None:
        return {}
    folder = Path(options.name).expanduser()
    # One encoder has several names.
    name = str(folder.resolve()) if folder.is_dir() else options.name.removeprefix(PUBLISHER)
    values = {option: name if option == "name" else getattr(options, option) for option in names}
    # Files that are older than `encoder.revision` do not tell it, nor do those without one.
    return {option: str(value) for option, value in values.items() if value is not None}


def prompt_facts(prompts: Prompts) -> dict[str, str]:
    """Prompts as a file of arrays holds them, those that are empty left out."""
    return {PROMPT + role: prompts[role] for role in ROLES if prompts[role]}


def prompts_in(facts: Mapping[str, str]) -> Prompts:
    """The prompts among the facts of a file of arrays."""
    return ByRole(*(facts.get(PROMPT + role, "") for role in ROLES))


def texts_digest(corpus: Texts) -> str:
    """SHA-256 of the unique texts' hashes, in order."""
    return hashlib.sha256("\n".join(corpus.text_number).encode("ascii")).hexdigest()


def arrays_checksum(arrays: Iterable[npt.NDArray[Any]]) -> str:
    """SHA-256 of some arrays, one after the other; the file's format has none."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def write_arrays(
    by_role: ByRole[Mapping[str, npt.NDArray[Any]]],
    facts: Mapping[str, str],
    corpus: Texts,
    path: str | Path,
) -> None:
    """Write arrays by name (safetensors), with facts about them and what tells their corpus.

    Those of queries stand beside the candidates' where they differ.
    """
    arrays = dict(by_role.candidate)
    if by_role.differ:
        arrays |= {QUERY + name: array for name, array in by_role.query.items()}
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    checks = {"texts": texts_digest(corpus), "sha256": arrays_checksum(arrays.values())}
    write_safetensors(path, tensors, {**checks, **facts})


def read_arrays(
    path: str | Path,
    names: tuple[str, ...],
    corpus: Texts,
    options: EncoderOptions | None,
    dependent: Iterable[str],
) -> tuple[ByRole[dict[str, npt.NDArray[Any]]], dict[str, str]]:
    """Read the named arrays of a file, and its facts; the arrays stay in the file.

    Args:
        path: of the file.
        names: of the arrays.
        corpus: that they belong to.
        options: that they were made with, in what the file tells of them. Prompts that the options
            leave to the model are taken as they are.
        dependent: the options that they depend on, beside prompts.

    Raises:
        InputError: it is no such file, is damaged, belongs to another corpus, or was made with
            other options than these.
    """
    try:
        # As torch's tensors, because safetensors copies numpy's and maps torch's.
        with safe_open(path, framework="pt") as stored:
            facts = stored.metadata() or {}
            there = set(stored.keys())
            every = [*names, *(QUERY + name for name in names if QUERY + name in there)]
            arrays = {name: stored.get_tensor(name).numpy() for name in every}
    except SafetensorError as error:
        raise _no_arrays(path, error) from error
    if facts.get("sha256") != arrays_checksum(arrays.values()):
        raise InputError(f"{path}: damaged; run `counterpoint tokens` and `features` again")
    if facts.get("texts") != texts_digest(corpus):
        raise InputError(
            f"{path}: made from another corpus; run `counterpoint tokens` and `features` again"
        )
    _check_options(path, facts, options, dependent)
    candidate = {name: arrays[name] for name in names}
    if len(every) == len(names):
        return both(candidate), facts
    return ByRole({name: arrays[QUERY + name] for name in names}, candidate), facts


def _check_options(
    path: str | Path,
    facts: Mapping[str, str],
    options: EncoderOptions | None,
    dependent: Iterable[str],
) -> None:
    if options is None:
        return
    made = prompts_in(facts)
    # Neither tells a revision where there is none.
    made_with = {"revision": "null", **facts} if "name" in facts else facts
    wanted = {"revision": "null", **described(options, dependent)}
    pairs = [(name, made_with.get(name, value), value) for name, value in wanted.items()]
    for role in ROLES:
        asked = getattr(options.prompts, role)
        if asked is not None:
            pairs.append((PROMPT + role, repr(made[role]), repr(asked)))
    for name, there, value in pairs:
        if there != value:
            raise InputError(
                f"{path}: made with encoder.{name}: {there}, and not {value}; run "
                "`counterpoint tokens` and `features` with the options that are used here"
            )


def _no_arrays(path: str | Path, error: SafetensorError) -> InputError:
    return InputError(f"{path}: not written by `counterpoint tokens` or `features`: {error}")
