"""Which layout a corpus has, and reading it whichever it is."""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from counterpoint.config.options import CorpusOptions
from counterpoint.corpus import pairs, sources
from counterpoint.corpus.arguana import read_corpus, read_splits
from counterpoint.corpus.arguments import ROLES, Argument, Corpus
from counterpoint.corpus.beir import beir_root
from counterpoint.corpus.problems import Problem, report
from counterpoint.corpus.sources import Source, expand_variables, open_source
from counterpoint.errors import InputError


def open_corpus(options: CorpusOptions) -> tuple[Corpus, list[Problem]]:
    """Read a corpus as its options say; it is downloaded first where they name a URL.

    Returns:
        The corpus, and what of it cannot be used and is left out.

    Raises:
        InputError: as `read`, or the download fails.
    """
    if options.url is not None and options.sha256 is not None:
        path = str(sources.download(options.url, options.sha256))
    else:
        path = str(options.path)
    roles = options.splits.model_dump()
    corpus, problems = read(path, roles, skip=options.bad_files == "skip")
    return replace(corpus, decontaminate=options.decontaminate), problems


def read(
    path: str, roles: Mapping[str, str], *, skip: bool = False
) -> tuple[Corpus, list[Problem]]:
    """Read the splits that the roles name: debates in ArguAna's layout, or a file of pairs.

    Args:
        path: `sample`, a folder, a zip, or a file of pairs.
        roles: role to folder, or to the value of a pair's `split`.
        skip: leave out what cannot be used instead of stopping.

    Raises:
        InputError: everything wrong, in one report; or a layout that nothing is trained on.
    """
    file = _pair_file(path)
    if file is not None:
        return pairs.read_pairs(file, roles, skip=skip)
    return read_corpus(_with_pairs(path), roles, skip=skip)


def read_all(path: str, wanted: list[str] | None = None) -> Corpus:
    """Read all splits of a corpus, or those wanted, to evaluate on; each is a role of its own.

    Raises:
        InputError: as `read`, or a split is not there.
    """
    file = _pair_file(path)
    splits = list(dict.fromkeys(wanted or split_names(path)))
    if file is None:
        source = _with_pairs(path)
        arguments, bare, problems = read_splits(source, splits)
        if problems:
            raise InputError(report(source.name, problems, skip=False))
    else:
        there = pairs.split_names(file)
        arguments = list[Argument]()
        for split in splits:
            if split not in there:
                raise InputError(f"{file}: no split {split!r}; expected one of {', '.join(there)}")
            arguments += _pairs_of(file, split, there)
        bare = dict.fromkeys(splits, 0)
    return Corpus(arguments, {split: split for split in splits}, bare)


def read_training(path: str) -> list[Argument] | None:
    """The arguments of the split `training`, or else `train`; None where there is neither.

    Raises:
        InputError: as `read_all`.
    """
    there = set(split_names(path))
    for name in ("training", "train"):
        if name in there:
            return read_all(path, [name]).split(name)
    return None


def beir_source(path: str) -> Source | None:
    """The source of a corpus in BEIR's layout; None where a path has another.

    Raises:
        InputError: there is nothing at the path.
    """
    if is_pair_file(path):
        return None
    source = open_source(path)
    return source if beir_root(source) is not None else None


def split_names(path: str) -> list[str]:
    """The splits of a corpus in ArguAna's layout or of a file of pairs.

    Raises:
        InputError: there is no such corpus, or it has none.
    """
    file = _pair_file(path)
    return split_folders(_with_pairs(path)) if file is None else pairs.split_names(file)


def _with_pairs(path: str) -> Source:
    source = open_source(path)
    if beir_root(source) is not None:
        raise InputError(
            f"corpus {source.name}: BEIR's layout has no pairs to train on; evaluate on it with "
            "`counterpoint evaluate SYSTEM --corpus PATH`"
        )
    return source


def _pairs_of(file: Path, split: str, there: Collection[str]) -> list[Argument]:
    # A row may name its split by its role, so the role is one that no other split is called.
    role = next((role for role in ROLES if role == split or role not in there), None)
    # Where all three are called so, a split of one's own name goes before the role.
    roles = {role: split} if role else {"train": split, "dev": "train"}
    read, _ = pairs.read_pairs(file, roles)
    return read.split(split)


def split_folders(source: Source) -> list[str]:
    """The folders that hold debates in ArguAna's layout, in the order of their names.

    Raises:
        InputError: there are none.
    """
    pattern = re.compile(r"(?:.*/)?([^/]+)/[^/]+/[^/]+/(?:pro|con)/[^/]+\.txt")
    names = {match[1] for match in map(pattern.fullmatch, source.files()) if match}
    if not names:
        raise InputError(
            f"corpus {source.name}: no SPLIT/THEME/DEBATE/{{pro,con}}/ in it; expected debates in "
            "ArguAna's layout, a file of pairs, or BEIR's layout"
        )
    return sorted(names)


def is_pair_file(path: str) -> bool:
    """Whether a corpus's path is that of a file of pairs."""
    return _pair_file(path) is not None


def _pair_file(path: str) -> Path | None:
    if path == "sample":
        return None
    file = expand_variables(path)
    return file if sources.is_pair_file(file) else None
