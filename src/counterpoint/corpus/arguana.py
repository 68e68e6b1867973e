"""Debates in the layout of ArguAna Counterargs, read into one table of arguments.

    SPLIT/THEME/DEBATE/{pro,con}/{pro,con}NN{a-point,b-counter}.txt

Two texts are *the same* when equal after Unicode NFC and folding of white space (docs/method.md,
"The corpus"). Everything downstream counts texts that way.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from counterpoint.corpus.arguments import Argument, Corpus, Kind, text_hash
from counterpoint.corpus.pair_names import side_of
from counterpoint.corpus.problems import Problem, report
from counterpoint.corpus.sources import Source
from counterpoint.errors import InputError

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

SHOWN = 3
"""Names of ignored files that a note gives."""

_NAME = re.compile(r"(pro|con)(\d{2,})(a-point|b-counter)\.txt")


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
    read = read_splits(source, splits)
    problems = read.problems
    if problems and not (skip and all(problem.skippable for problem in problems)):
        raise InputError(report(source.name, problems, skip))
    corpus = Corpus(read.arguments, dict(roles), read.bare_debates, notes=tuple(read.notes))
    return corpus, problems


@dataclass(frozen=True)
class SplitsRead:
    """What lies in some splits."""

    arguments: list[Argument]
    """Those that can be used, in the order of the splits given, then of their paths."""
    bare_debates: dict[str, int]
    """Of each split."""
    problems: list[Problem]
    notes: list[str]
    """What became of each split's files: the counts add up."""


def read_splits(source: Source, splits: Sequence[str]) -> SplitsRead:
    """Read some splits.

    Raises:
        InputError: no folder of the source holds any of the splits.
    """
    folders = sorted(source.folders())
    paths = sorted(source.files())
    prefix = _locate(source.name, paths, folders, splits)
    problems: list[Problem] = []
    arguments: list[Argument] = []
    bare, notes = {}, []
    for split in splits:
        root = f"{prefix}{split}/"
        below = [path for path in paths if path.startswith(root)]
        texts = list(_read_split(source, root, split, below, problems))
        usable = _drop_unanswered(texts, problems)
        notes.append(_counts(split, below, len(usable)))
        bare[split] = _bare_debates(root, below, folders, problems)
        if not any(argument.kind == "counter" for argument in usable):
            problems.append(_empty_split(prefix, split, folders))
        arguments += usable
    return SplitsRead(arguments, bare, problems, notes)


def _locate(name: str, paths: Sequence[str], folders: Sequence[str], splits: Sequence[str]) -> str:
    """The prefix (`""` or ending in `/`) of the folder that holds the splits."""
    pattern = re.compile(
        rf"(?P<prefix>(?:.*/)?)(?:{'|'.join(map(re.escape, splits))})"
        r"/[^/]+/[^/]+/(?:pro|con)(?:/|$)"
    )
    matches = (pattern.match(path) for path in (*paths, *folders))
    prefixes = sorted({match["prefix"] for match in matches if match})
    # The published zip holds other derivations of the same debates beside this folder.
    published = [prefix for prefix in prefixes if prefix.endswith("02-extracted-arguments/")]
    if len(published) == 1 or len(prefixes) == 1:
        return (published or prefixes)[0]
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
    if len(parts) < 4 or parts[2] not in ("pro", "con") or _ignored(path):
        return None
    return parts[0], parts[1], parts[2], parts[3]


def _ignored(path: str) -> bool:
    """Whether a file holds no argument wherever it lies: the publisher's others, and no texts."""
    name = path.rsplit("/", 1)[-1]
    return name in KNOWN_FILES or name.startswith("._") or not name.endswith(".txt")


def _misplaced(root: str, path: str) -> str:
    """Why a text is none of the layout."""
    parts = path.removeprefix(root).split("/")
    expected = f"expected {root}THEME/DEBATE/{{pro,con}}/{{pro,con}}NN{{a-point,b-counter}}.txt"
    if len(parts) > 3 and (side := side_of(parts[2])) is not None:
        return f"lies in a folder {parts[2]!r}; rename it to {side}"
    if len(parts) != 4:
        where = "high" if len(parts) < 4 else "deep"
        levels = abs(4 - len(parts))
        return f"lies {levels} level{'s' if levels > 1 else ''} too {where}; {expected}"
    return f"lies in a folder {parts[2]!r}, which is no side; {expected}"


def _counts(split: str, below: Sequence[str], used: int) -> str:
    ignored = Counter(path.rsplit("/", 1)[-1] for path in below if _ignored(path))
    most = [f"{count} {name}" for name, count in ignored.most_common(SHOWN)]
    listed = f" ({', '.join(most)}{' …' if len(ignored) > SHOWN else ''})" if ignored else ""
    others = ignored.total()
    bad = len(below) - used - others
    return f"{split}: {len(below)} files: {used} texts read, {bad} bad, {others} ignored{listed}"


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
    what = "a debate without sides; expected texts in pro/ and con/"
    problems += [Problem(debate, what) for debate in sorted(debates - listed)]
    return len(debates & listed)


def _read_split(
    source: Source, root: str, split: str, below: Sequence[str], problems: list[Problem]
) -> Iterator[tuple[str, Argument]]:
    """(path, argument) of every text of a split that can be used."""
    for path in below:
        if _ignored(path):
            continue
        where = _in_side(root, path)
        if where is None:
            problems.append(Problem(path, _misplaced(root, path)))
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
            pair = f"{split}/{theme}/{debate}/{side}{match[2]}"
            point, counter = f"{pair}a", f"{pair}b"
            yield (
                path,
                Argument(
                    id=point if kind == "point" else counter,
                    pair=point,
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
    texts: Sequence[tuple[str, Argument]], problems: list[Problem]
) -> list[Argument]:
    points = {argument.id for _, argument in texts if argument.kind == "point"}
    kept = []
    for path, argument in texts:
        if argument.kind == "point" or argument.pair in points:
            kept.append(argument)
        else:
            point = path.rsplit("/", 1)[-1].replace("b-counter", "a-point")
            problems.append(Problem(path, f"a counter without a point; expected {point} beside it"))
    return kept
