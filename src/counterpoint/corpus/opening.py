"""Which layout a corpus has, and reading it whichever it is."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from counterpoint.config.corpus_options import CorpusOptions, Splits
from counterpoint.corpus import pairs, sources
from counterpoint.corpus.arguana import read_corpus, read_splits
from counterpoint.corpus.arguments import Argument, Corpus
from counterpoint.corpus.beir import beir_root
from counterpoint.corpus.pair_names import named_split
from counterpoint.corpus.problems import Problem, report
from counterpoint.corpus.script import script_doubts
from counterpoint.corpus.sources import Source, expand_variables, open_source
from counterpoint.corpus.suspicions import suspicions
from counterpoint.errors import InputError


def open_corpus(options: CorpusOptions) -> tuple[Corpus, list[Problem]]:
    """Read a corpus as its options say; it is downloaded first where they name a URL.

    Returns:
        The corpus, and what of it cannot be used and is left out. Its notes tell what was guessed
        and what is suspicious.

    Raises:
        InputError: as `read`, or the download fails.
    """
    if options.url is not None and options.sha256 is not None:
        path = str(sources.download(options.url, options.sha256))
    else:
        path = str(options.path)
    roles = options.splits.model_dump()
    corpus, problems = read(
        path, roles, skip=options.bad_files == "skip", columns=options.columns.named()
    )
    doubts = script_doubts(corpus.texts, options.language)
    corpus = replace(
        corpus,
        decontaminate=options.decontaminate,
        language=options.language,
        notes=(*corpus.notes, *suspicions(corpus), *doubts),
    )
    return corpus, problems


def read(
    path: str,
    roles: Mapping[str, str],
    *,
    skip: bool = False,
    columns: Mapping[str, str] | None = None,
) -> tuple[Corpus, list[Problem]]:
    """Read the splits that the roles name: debates in ArguAna's layout, or a file of pairs.

    Args:
        path: `sample`, a folder, a zip, or a file of pairs.
        roles: role to folder, or to the value of a pair's `split`.
        skip: leave out what cannot be used instead of stopping.
        columns: of a file of pairs, some of our columns to its names.

    Raises:
        InputError: everything wrong, in one report; or a layout that nothing is trained on.
    """
    file = _pair_file(path)
    if file is not None:
        return pairs.read_pairs(file, roles, skip=skip, columns=columns)
    if columns:
        raise InputError(f"corpus.columns: {path} is no file of pairs, so it has no columns")
    return read_corpus(_with_pairs(path), roles, skip=skip)


def read_all(
    path: str, wanted: Sequence[str] | None = None, columns: Mapping[str, str] | None = None
) -> Corpus:
    """What `read_usable` reads, where nothing may be left out.

    Raises:
        InputError: as `read_usable`.
    """
    return read_usable(path, wanted, columns, skip=False)[0]


def read_usable(
    path: str,
    wanted: Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
    *,
    skip: bool,
) -> tuple[Corpus, list[Problem]]:
    """Read all splits of a corpus, or those wanted, to evaluate on; each is a role of its own.

    A split is wanted by its name or by its role. A file of pairs that names none has the split
    `all`, and those that `corpus` divides it into.

    Args:
        path: of the corpus.
        wanted: the splits; all by default.
        columns: as `read` takes them.
        skip: leave out what cannot be used instead of stopping.

    Returns:
        The corpus, and what was left out.

    Raises:
        InputError: as `read`, or a split is not there.
    """
    file = _pair_file(path)
    there = split_names(path, columns)
    if file is not None and not there:
        return _unnamed_splits(file, wanted, columns, skip)
    splits = list(dict.fromkeys(_there(path, name, there) for name in wanted or there))
    if file is None:
        source = _with_pairs(path)
        found = read_splits(source, splits)
        if found.problems and not (skip and all(each.skippable for each in found.problems)):
            raise InputError(report(source.name, found.problems, skip))
        roles = {split: split for split in splits}
        corpus = Corpus(found.arguments, roles, found.bare_debates, notes=tuple(found.notes))
        return corpus, found.problems
    arguments, notes, problems = [], dict[str, None](), dict[Problem, None]()
    for split in splits:
        of_split, on_split, left_out = pairs.read_split(file, split, columns, skip=skip)
        arguments += of_split
        notes |= dict.fromkeys(on_split)
        problems |= dict.fromkeys(left_out)
    corpus = Corpus(
        arguments, {split: split for split in splits}, dict.fromkeys(splits, 0), notes=tuple(notes)
    )
    return corpus, list(problems)


def _unnamed_splits(
    file: Path, wanted: Sequence[str] | None, columns: Mapping[str, str] | None, skip: bool
) -> tuple[Corpus, list[Problem]]:
    if wanted in (None, [], ["all"]):
        arguments, notes, problems = pairs.read_split(file, None, columns, skip=skip)
        return Corpus(arguments, {"all": "all"}, {"all": 0}, notes=tuple(notes)), problems
    roles = Splits().model_dump()
    there = list(roles.values())
    folders = list(dict.fromkeys(_there(str(file), name, there) for name in wanted or ()))
    corpus, problems = pairs.read_pairs(file, roles, skip=skip, columns=columns)
    corpus = replace(
        corpus,
        arguments=[one for one in corpus.arguments if one.split in folders],
        roles={folder: folder for folder in folders},
        bare_debates=dict.fromkeys(folders, 0),
    )
    return corpus, problems


def _there(path: str, name: str, there: Sequence[str]) -> str:
    """The split that is meant.

    Raises:
        InputError: there is none.
    """
    split = named_split(name, there)
    if split is None:
        raise InputError(
            f"corpus {path}: no split {name!r}; expected one of {', '.join(there)}, or a role: "
            "train, dev or test"
        )
    return split


def read_training(
    path: str, columns: Mapping[str, str] | None = None, *, skip: bool = False
) -> tuple[list[Argument] | None, list[Problem]]:
    """The arguments of the split whose role is train, by its name; None where there is none.

    Returns:
        The arguments, and what was left out.

    Raises:
        InputError: as `read_usable`.
    """
    corpus, problems = read_role("train", path, columns, skip=skip)
    return (None if corpus is None else list(corpus.arguments)), problems


def read_role(
    role: str, path: str, columns: Mapping[str, str] | None = None, *, skip: bool = False
) -> tuple[Corpus | None, list[Problem]]:
    """The split that has a role by its name, as the only one of a corpus; None where there is none.

    Args:
        role: train, dev or test.
        path: of the corpus.
        columns: as `read` takes them.
        skip: as `read_usable` takes it.

    Returns:
        The corpus, and what was left out.

    Raises:
        InputError: as `read_usable`.
    """
    split = named_split(role, split_names(path, columns))
    return (None, []) if split is None else read_usable(path, [split], columns, skip=skip)


def beir_source(path: str) -> Source | None:
    """The source of a corpus in BEIR's layout; None where a path has another.

    Raises:
        InputError: there is nothing at the path.
    """
    if is_pair_file(path):
        return None
    source = open_source(path)
    return source if beir_root(source) is not None else None


def split_names(path: str, columns: Mapping[str, str] | None = None) -> list[str]:
    """The splits of a corpus in ArguAna's layout or of a file of pairs, which may name none.

    Raises:
        InputError: there is no such corpus, or no split in ArguAna's layout.
    """
    file = _pair_file(path)
    if file is not None:
        return pairs.split_names(file, columns)
    return split_folders(_with_pairs(path))


def _with_pairs(path: str) -> Source:
    source = open_source(path)
    if beir_root(source) is not None:
        raise InputError(
            f"corpus {source.name}: BEIR's layout has no pairs to train on; evaluate on it with "
            "`counterpoint evaluate SYSTEM --corpus PATH`"
        )
    return source


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
