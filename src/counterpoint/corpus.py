"""Debates in the layout of ArguAna Counterargs, read into one table of arguments.

    SPLIT/THEME/DEBATE/{pro,con}/{pro,con}NN{a-point,b-counter}.txt

Two texts are *the same* when equal after Unicode NFC and folding of white space (docs/method.md,
"The corpus"). Everything downstream counts texts that way.
"""

import hashlib
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from counterpoint.errors import InputError
from counterpoint.files import replacing
from counterpoint.sources import Source

ROLES = ("train", "dev", "test")

Kind = Literal["point", "counter"]

KNOWN_FILES = frozenset(
    [
        "metadata.txt",
        "thesis.txt",
        "intro.txt",
        "full.txt",
        "literature.txt",
        "sentiment.tsv",
        ".DS_Store",
    ]
)
"""Files of the published layout that hold no argument."""

_NAME = re.compile(r"(pro|con)(\d{2,})(a-point|b-counter)\.txt")


def normalise(text: str) -> str:
    """The text by which sameness is decided: Unicode NFC, runs of white space as one blank."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def text_hash(text: str) -> str:
    """128 bits, in hexadecimal, that two texts share when they are the same."""
    return hashlib.sha256(normalise(text).encode("utf-8")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Argument:
    """One text of the corpus: a point, or the counter to one."""

    id: str
    """`SPLIT/THEME/DEBATE/proNNa` for a point, `…b` for its counter."""
    split: str
    """Folder, as published (`training`)."""
    theme: str
    debate: str
    side: str
    """`pro` or `con`; a counter's is the side it answers."""
    number: int
    kind: Kind
    text: str
    text_hash: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A place in the corpus that cannot be used."""

    path: str
    what: str
    skippable: bool = True

    def __str__(self) -> str:
        # A file name need not be UTF-8, but a report is.
        text = f"{self.path}: {self.what}"
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


class Texts(Protocol):
    """Texts that are the same are one, and have one number."""

    @property
    def texts(self) -> list[str]:
        """The unique texts, normalised, by number."""

    @property
    def text_number(self) -> dict[str, int]:
        """Text hash to number, in the order of the numbers."""


@dataclass(frozen=True)
class Corpus:
    """All arguments of the splits in use, and the split that plays each role."""

    arguments: Sequence[Argument]
    roles: Mapping[str, str]
    bare_debates: Mapping[str, int]
    """Folder to the number of debates that the publisher lists there without any argument."""
    decontaminate: str = "none"
    """`train` where no training pair may share a text with dev or test."""

    def split(self, folder: str) -> list[Argument]:
        """The arguments of one folder, in the order of the table."""
        return [argument for argument in self.arguments if argument.split == folder]

    @cached_property
    def text_index(self) -> npt.NDArray[np.int64]:
        """(arguments,) int64: the number of each argument's text among the unique texts."""
        numbers: dict[str, int] = {}
        return np.array(
            [numbers.setdefault(argument.text_hash, len(numbers)) for argument in self.arguments],
            dtype=np.int64,
        )

    @cached_property
    def texts(self) -> list[str]:
        """The unique texts, normalised, in order of first appearance."""
        first: dict[str, str] = {}
        for argument in self.arguments:
            first.setdefault(argument.text_hash, normalise(argument.text))
        return list(first.values())

    @cached_property
    def text_number(self) -> dict[str, int]:
        """Text hash to number among the unique texts."""
        return {
            argument.text_hash: int(number)
            for argument, number in zip(self.arguments, self.text_index, strict=True)
        }

    @cached_property
    def withheld(self) -> frozenset[str]:
        """Hashes of the texts that no training pair may have: those of dev and test, or none."""
        if self.decontaminate != "train":
            return frozenset()
        folders = {folder for role, folder in self.roles.items() if role != "train"}
        return frozenset(each.text_hash for each in self.arguments if each.split in folders)


def read_corpus(
    source: Source, roles: Mapping[str, str], *, skip: bool = False
) -> tuple[Corpus, list[Problem]]:
    """Read the splits that the roles name.

    Args:
        source: where the files are.
        roles: role to folder; two roles may share a folder.
        skip: leave out what cannot be used instead of stopping.

    Returns:
        The corpus, and what was left out.

    Raises:
        InputError: everything wrong, found in one pass, in one report.
    """
    splits = list(dict.fromkeys(roles.values()))
    arguments, bare, problems = read_splits(source, splits)
    if problems and not (skip and all(problem.skippable for problem in problems)):
        raise InputError(report(source.name, problems, skip))
    return Corpus(arguments=arguments, roles=dict(roles), bare_debates=bare), problems


def report(name: str, problems: Sequence[Problem], skip: bool) -> str:
    """All problems of a corpus in one message."""
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    lines = [f"corpus {name}: {count}", *(f"  {problem}" for problem in problems)]
    if not skip and all(problem.skippable for problem in problems):
        lines.append("Correct the files, or leave them out with corpus.bad_files: skip.")
    elif any(problem.skippable for problem in problems):
        lines.append("Correct the files; an empty or missing split cannot be left out.")
    return "\n".join(lines)


def read_splits(
    source: Source, splits: Sequence[str]
) -> tuple[list[Argument], dict[str, int], list[Problem]]:
    """Read some splits.

    Returns:
        The arguments that can be used, in the order of the splits given, then of their paths; each
        split's number of bare debates; and every problem met.

    Raises:
        InputError: no folder of the source holds any of the splits.
    """
    folders = sorted(source.folders())
    paths = sorted(source.files())
    prefix = _locate(source.name, paths, folders, splits)
    problems: list[Problem] = []
    arguments: list[Argument] = []
    bare = {}
    for split in splits:
        root = f"{prefix}{split}/"
        below = [path for path in paths if path.startswith(root)]
        found = _drop_unanswered(list(_read_split(source, root, split, below, problems)), problems)
        bare[split] = _bare_debates(root, below, folders, problems)
        if not any(argument.kind == "counter" for argument in found):
            problems.append(_empty_split(prefix, split, folders))
        arguments += found
    return arguments, bare, problems


def _locate(name: str, paths: Sequence[str], folders: Sequence[str], splits: Sequence[str]) -> str:
    """The prefix (`""` or ending in `/`) of the folder that holds the splits."""
    pattern = re.compile(
        rf"(?P<prefix>(?:.*/)?)(?:{'|'.join(map(re.escape, splits))})"
        r"/[^/]+/[^/]+/(?:pro|con)(?:/|$)"
    )
    matches = (pattern.match(path) for path in (*paths, *folders))
    prefixes = sorted({match["prefix"] for match in matches if match})
    # The published zip holds other derivations of the same debates beside this folder.
    own = [prefix for prefix in prefixes if prefix.endswith("02-extracted-arguments/")]
    if len(own) == 1 or len(prefixes) == 1:
        return (own or prefixes)[0]
    if prefixes:
        places = ", ".join(repr(prefix) for prefix in prefixes)
        raise InputError(
            f"corpus {name}: several folders hold the splits {', '.join(splits)}: {places}; "
            "give the path of one of them"
        )
    top = ", ".join(folder for folder in folders if "/" not in folder) or "nothing"
    raise InputError(
        f"corpus {name}: no folder holds {' or '.join(splits)} in the layout "
        f"SPLIT/THEME/DEBATE/{{pro,con}}/proNNa-point.txt (found at the top: {top}); check "
        "corpus.path and corpus.splits"
    )


def _empty_split(prefix: str, split: str, folders: Sequence[str]) -> Problem:
    there = [
        folder.removeprefix(prefix)
        for folder in folders
        if folder.startswith(prefix) and "/" not in folder.removeprefix(prefix)
    ]
    what = "the split holds no pair" if split in there else "there is no such split"
    return Problem(
        f"{prefix}{split}",
        f"{what} (folders there: {', '.join(there)}); set corpus.splits",
        skippable=False,
    )


def _in_side(root: str, path: str) -> tuple[str, str, str, str] | None:
    """(theme, debate, side, rest) of a file below `pro` or `con` that may hold an argument."""
    parts = path.removeprefix(root).split("/", 3)
    if len(parts) < 4 or parts[2] not in ("pro", "con"):
        return None
    name = path.rsplit("/", 1)[-1]
    if name in KNOWN_FILES or name.startswith("._"):
        return None
    return parts[0], parts[1], parts[2], parts[3]


def _bare_debates(
    root: str, below: Sequence[str], folders: Sequence[str], problems: list[Problem]
) -> int:
    """How many debates of a split hold no argument, as published.

    The publisher lists debates with their metadata alone (93 of the 644 of training); a folder
    without sides and without metadata is a mistake.
    """
    depth = root.count("/") + 1
    debates = {
        folder for folder in folders if folder.startswith(root) and folder.count("/") == depth
    }
    debates -= {f"{root}{where[0]}/{where[1]}" for path in below if (where := _in_side(root, path))}
    listed = {
        path.removesuffix("/metadata.txt") for path in below if path.endswith("/metadata.txt")
    }
    for debate in sorted(debates - listed):
        problems.append(Problem(debate, "a debate without sides; expected texts in pro/ and con/"))
    return len(debates & listed)


def _read_split(
    source: Source, root: str, split: str, below: Sequence[str], problems: list[Problem]
) -> Iterator[tuple[str, Argument]]:
    """(path, argument) of every text of a split that can be used."""
    for path in below:
        where = _in_side(root, path)
        if where is None:
            continue
        theme, debate, side, name = where
        if path.encode("utf-8", "replace").decode("utf-8") != path:
            problems.append(Problem(path, "the path is not UTF-8; rename the file or its folders"))
            continue
        match = _NAME.fullmatch(name)
        if match is None or match[1] != side:
            expected = f"{side}NNa-point.txt or {side}NNb-counter.txt"
            problems.append(Problem(path, f"the name does not parse; expected {expected}"))
            continue
        text = _read_text(source, path, problems)
        if text is not None:
            kind: Kind = "point" if match[3] == "a-point" else "counter"
            letter = "a" if kind == "point" else "b"
            yield (
                path,
                Argument(
                    id=f"{split}/{theme}/{debate}/{side}{match[2]}{letter}",
                    split=split,
                    theme=theme,
                    debate=debate,
                    side=side,
                    number=int(match[2]),
                    kind=kind,
                    text=text,
                    text_hash=text_hash(text),
                ),
            )


def _read_text(source: Source, path: str, problems: list[Problem]) -> str | None:
    try:
        data = source.read(path)
    except InputError as error:
        problems.append(Problem(path, str(error)))
        return None
    try:
        # A byte order mark is no part of the text.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        value = data[error.start : error.start + 1].hex()
        problems.append(
            Problem(path, f"not UTF-8 (byte 0x{value} at offset {error.start}); convert the file")
        )
        return None
    if not text.strip():
        problems.append(Problem(path, "an empty text; expected an argument"))
        return None
    return text


def _drop_unanswered(
    found: Sequence[tuple[str, Argument]], problems: list[Problem]
) -> list[Argument]:
    points = {argument.id for _, argument in found if argument.kind == "point"}
    kept = []
    for path, argument in found:
        if argument.kind == "point" or pair_id(argument) in points:
            kept.append(argument)
        else:
            point = path.rsplit("/", 1)[-1].replace("b-counter", "a-point")
            problems.append(Problem(path, f"a counter without a point; expected {point} beside it"))
    return kept


def pair_id(argument: Argument) -> str:
    """The id of the point that an argument belongs to: its own, or that of the point it answers."""
    return argument.id[:-1] + "a"


_COLUMNS = tuple(field.name for field in fields(Argument))


def write_arguments(corpus: Corpus, path: str | Path) -> None:
    """Write the table of arguments (parquet, a column a field of `Argument`).

    Roles and bare debates stand in the file's metadata: one file is all that later steps need.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {name: [getattr(argument, name) for argument in corpus.arguments] for name in _COLUMNS}
    )
    facts = {
        "roles": dict(corpus.roles),
        "bare_debates": dict(corpus.bare_debates),
        "decontaminate": corpus.decontaminate,
    }
    table = table.replace_schema_metadata({"counterpoint": json.dumps(facts)})
    with replacing(path) as temporary:
        pq.write_table(table, temporary)


def read_arguments(path: str | Path) -> Corpus:
    """Read what `write_arguments` wrote.

    Raises:
        InputError: the file is no such table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Opened here, because pyarrow's own error for a missing file does not name it; not by
        # read_table, which would load pandas, and a cell's start counts.
        with open(path, "rb") as stream:
            table = pq.ParquetFile(stream).read()
        facts = json.loads((table.schema.metadata or {})[b"counterpoint"])
        rows = zip(*(table.column(name).to_pylist() for name in _COLUMNS), strict=True)
        return Corpus(
            [Argument(*row) for row in rows],
            facts["roles"],
            facts["bare_debates"],
            facts["decontaminate"],
        )
    except (pa.ArrowException, KeyError, TypeError, json.JSONDecodeError) as error:
        raise _no_table(path, error) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise _no_table(path, error) from error  # pyarrow's for a damaged file


def _no_table(path: str | Path, error: Exception) -> InputError:
    return InputError(
        f"{path}: not a table of arguments as `counterpoint corpus` writes it: {error}"
    )


def pairs_of(arguments: Iterable[Argument]) -> list[tuple[Argument, Argument]]:
    """(point, counter) of every point that has a counter, in the order of the points."""
    both: dict[str, dict[str, Argument]] = defaultdict(dict)
    for argument in arguments:
        both[pair_id(argument)][argument.kind] = argument
    return [
        (pair["point"], pair["counter"])
        for pair in both.values()
        if "point" in pair and "counter" in pair
    ]
