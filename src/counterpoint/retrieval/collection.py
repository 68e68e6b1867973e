"""Texts with what is known of them, from whatever holds some.

A collection is a corpus in any layout that is read, a file of texts, a folder of `.txt` files, or
BEIR's `corpus.jsonl`.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from counterpoint.corpus import opening
from counterpoint.corpus.arguments import Argument, normalise, text_hash
from counterpoint.corpus.beir import beir_root
from counterpoint.corpus.beir_files import BeirFiles, Findings
from counterpoint.corpus.pair_names import NEEDED
from counterpoint.corpus.pair_records import Record, listed, read_table, shown
from counterpoint.corpus.pairs import as_text, faults_of_text
from counterpoint.corpus.problems import Problem, report
from counterpoint.corpus.sources import (
    FolderSource,
    Source,
    expand_variables,
    is_pair_file,
    open_source,
)
from counterpoint.errors import InputError

Kinds = Literal["counters", "points", "all"]
"""Which arguments of a corpus are meant."""

KINDS: tuple[Kinds, ...] = get_args(Kinds)

ID_COLUMNS = ("id", "_id")
"""Columns of a file of texts that say where a text comes from, better than its line."""

OTHER_SIDE = {"pro": "con", "con": "pro"}

BEIR_FILES = ("corpus.jsonl", "corpus.jsonl.gz")


@dataclass(frozen=True, slots=True)
class Document:
    """A text that may answer."""

    text: str
    """As it was written, without the white space around it."""
    source: str
    """Where it comes from: an argument's id, a file's path in its folder, `FILE:LINE`."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What else is known of it, by the column's name; what is not known is not there."""


@dataclass(frozen=True)
class Collection:
    """Documents, each once."""

    documents: Sequence[Document]
    notes: tuple[str, ...]
    """How it was understood, and what of it was left out; for people."""


def identity(document: Document) -> str:
    """What two documents share that have the same text and metadata; 32 hexadecimal digits."""
    known = json.dumps(sorted(document.metadata.items()), ensure_ascii=False)
    return text_hash(f"{text_hash(document.text)} {known}")


def read_collection(
    path: str,
    *,
    text: str | None = None,
    kind: Kinds = "counters",
    skip: bool = False,
    columns: Mapping[str, str] | None = None,
) -> Collection:
    """Read a collection.

    Args:
        path: `sample`, a folder, a zip or a file.
        text: of a file of texts, the column that holds them; the others are kept as metadata.
        kind: of a corpus, which arguments. Their metadata are `id`, `theme`, `debate`, `split`,
            `kind`, and `side`, which is the one that the text itself takes: a counter to a text of
            the side pro has the side con.
        skip: leave out what cannot be used instead of stopping.
        columns: of a file of pairs, some of our columns to its names.

    Raises:
        InputError: there is nothing like that, it cannot be used, or no text is left of it.
    """
    file = None if path == "sample" else expand_variables(path)
    if text is not None and (file is None or not is_pair_file(file)):
        raise InputError(f"--text {text}: {path} is no file with columns, so it has none to name")
    if file is not None and file.is_file():
        found = _of_file(file, text, kind, skip, columns)
    else:
        found = _of_source(path, open_source(path), kind, skip)
    return _usable(path, found)


def _usable(path: str, found: Collection) -> Collection:
    """The documents that have a text, each once."""
    once: dict[str, Document] = {}
    left_out: Counter[str] = Counter()
    for document in found.documents:
        if not normalise(document.text):
            left_out["without a text"] += 1
        elif once.setdefault(identity(document), document) is not document:
            left_out["that repeat the text and metadata of another"] += 1
    if not once:
        raise InputError(f"{path}: no text in it; expected at least one")
    told = [f"left out {count:,} {why}" for why, count in left_out.items()]
    return Collection(list(once.values()), (*found.notes, *told))


# Files


def _of_file(
    file: Path, text: str | None, kind: Kinds, skip: bool, columns: Mapping[str, str] | None
) -> Collection:
    if text is not None:
        return read_texts(file, text, skip=skip)
    if file.name in BEIR_FILES:
        return _of_beir(FolderSource(file.parent), "", skip)
    if file.suffix.lower() == ".txt":
        return _of_texts(FolderSource(file.parent), [file.name], skip)
    if not is_pair_file(file):
        return _of_source(str(file), open_source(str(file)), kind, skip)
    if not columns:
        names = read_table(file, NEEDED).names
        if names and not set(NEEDED) <= set(names):
            raise InputError(
                f"{file}: which column holds the texts? Name it with --text (columns found: "
                f"{listed(names)}); a file of pairs has the columns {listed(NEEDED)}"
            )
    return _of_corpus(str(file), kind, skip, columns)


def read_texts(file: Path, text: str, *, skip: bool = False) -> Collection:
    """The rows of a file of texts as they stand there, repeats and empty texts included.

    Args:
        file: with columns.
        text: the column that holds the texts.
        skip: leave out rows that cannot be used instead of stopping.

    Raises:
        InputError: it cannot be read, has no such column, or a row cannot be used.
    """
    wanted = text.strip().lower()
    table = read_table(file, [wanted])
    if table.names and wanted not in table.names:
        raise InputError(
            f"{file}: --text {text}: no such column (columns found: {listed(table.names)})"
        )
    documents, problems = [], []
    for place, record in table.records:
        faults = list(_faults(record, wanted))
        problems += [Problem(place, what) for what in faults]
        if not faults and isinstance(record, Mapping):
            documents.append(_of_record(file.name + place.removeprefix(str(file)), record, wanted))
    _refuse(str(file), problems, skip)
    return Collection(documents, (f"read as {table.form}", *_left_out(problems)))


def _faults(record: Record, text: str) -> Iterator[str]:
    if isinstance(record, str):
        yield record
        return
    value = record.get(text)
    if isinstance(value, bool | list | dict):
        yield f"{text}: {shown(value)} is no text"
    for name, each in record.items():
        yield from faults_of_text(name, _as_value(each))


def _of_record(place: str, record: Mapping[str, object], text: str) -> Document:
    values = {name: _as_value(value) for name, value in record.items() if name != text}
    known = {name: value for name, value in values.items() if value}
    source = next((known[name] for name in ID_COLUMNS if name in known), place)
    return Document(_as_value(record.get(text)), source, known)


def _as_value(value: object) -> str:
    """A value as text; empty where there is none."""
    if value is None or (isinstance(value, str | int | float) and not isinstance(value, bool)):
        return as_text(value)
    return json.dumps(value, ensure_ascii=False, default=str)


# Folders and zips


def _of_source(path: str, source: Source, kind: Kinds, skip: bool) -> Collection:
    root = beir_root(source)
    if root is not None:
        return _of_beir(source, root, skip)
    files = [name for name in source.files() if name.lower().endswith(".txt")]
    try:
        opening.split_folders(source)
    except InputError as error:
        if files:
            return _of_texts(source, sorted(files), skip)
        raise InputError(f"{error}, or a folder of .txt files") from error
    return _of_corpus(path, kind, skip, None)


def _of_texts(source: Source, names: Sequence[str], skip: bool) -> Collection:
    """A text a file."""
    documents, problems = [], []
    for name in names:
        try:
            text = source.read(name).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            problems.append(Problem(name, f"not UTF-8: byte {error.start} is {error.reason}"))
        except InputError as error:
            problems.append(Problem(name, str(error)))
        else:
            folder = PurePosixPath(name).parent.as_posix()
            documents.append(
                Document(text.strip(), name, {} if folder == "." else {"folder": folder})
            )
    _refuse(source.name, problems, skip)
    return Collection(documents, ("read as a text a file", *_left_out(problems)))


def _of_beir(source: Source, root: str, skip: bool) -> Collection:
    """The documents of a corpus in BEIR's layout, each with its title before its text."""
    findings = Findings(source.name)
    documents = [
        Document(one.whole, one.id, {"id": one.id, **({"title": one.title} if one.title else {})})
        for one in BeirFiles(source, root, findings).documents()
    ]
    findings.check("skip" if skip else None)
    return Collection(documents, ("read as a corpus in BEIR's layout", *findings.lines()))


def _of_corpus(path: str, kind: Kinds, skip: bool, columns: Mapping[str, str] | None) -> Collection:
    """Arguments of a corpus, all its splits."""
    corpus, problems = opening.read_usable(path, None, columns, skip=skip)
    found = of_arguments(corpus.arguments, kind)
    return replace(found, notes=(*corpus.notes, *found.notes, *_left_out(problems)))


def of_arguments(arguments: Sequence[Argument], kind: Kinds = "counters") -> Collection:
    """Arguments of a corpus as documents.

    Where no argument is con, nobody has said which are pro, and none has a side.
    """
    wanted = [one for one in arguments if kind in ("all", f"{one.kind}s")]
    has_sides = any(one.side == "con" for one in arguments)
    documents = [_of_argument(one, has_sides) for one in wanted]
    counts = f"{len(wanted):,} of {len(arguments):,} arguments"
    return Collection(documents, (f"{kind}: {counts}",))


def _of_argument(argument: Argument, has_sides: bool) -> Document:
    # A counter stands in the table under the side that it answers.
    side = argument.side if argument.kind == "point" else OTHER_SIDE[argument.side]
    return Document(
        argument.text.strip(),
        argument.id,
        {
            "id": argument.id,
            "theme": argument.theme,
            "debate": argument.debate,
            **({"side": side} if has_sides else {}),
            "split": argument.split,
            "kind": argument.kind,
        },
    )


# What cannot be used


def _refuse(name: str, problems: Sequence[Problem], skip: bool) -> None:
    """Refuse what cannot be used, unless it may be left out.

    Raises:
        InputError: something is refused; a line for each kind.
    """
    if problems and not skip:
        raise InputError(
            report(name, problems, skip).replace("corpus.bad_files: skip", "--bad-files skip")
        )


def _left_out(problems: Sequence[Problem]) -> list[str]:
    if not problems:
        return []
    return [f"left out {len(problems):,} that cannot be used, the first: {problems[0]}"]
