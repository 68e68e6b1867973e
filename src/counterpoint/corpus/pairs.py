"""Pairs of any origin, a row each in one file of CSV or of JSON lines, read as a corpus.

The columns `point` and `counter` are needed; `debate`, `theme`, `side` and `split` may be missing,
or be empty in some rows. Other columns are ignored (docs/method.md, "The corpus").
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

from counterpoint.corpus.arguments import ROLES, Argument, Corpus, Kind, text_hash
from counterpoint.corpus.pair_records import (
    NEEDED,
    OPTIONAL,
    Record,
    listed,
    read_records,
    shown,
)
from counterpoint.corpus.problems import Problem, report
from counterpoint.corpus.sources import MAX_TEXT_BYTES
from counterpoint.errors import InputError
from counterpoint.io.rng import generator

SHARES = {"train": 60, "dev": 20, "test": 20}
"""Per cent of the debates that each role gets where the file names no splits."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """A row that can be used; theme and debate as they stand in an id."""

    point: str
    counter: str
    theme: str
    debate: str
    side: str
    folder: str
    """Of the split; empty until the debates are divided."""


def read_pairs(
    path: Path, roles: Mapping[str, str], *, skip: bool = False
) -> tuple[Corpus, list[Problem]]:
    """Read the pairs of one file, in the order of its rows within each split.

    A row without a debate is a debate of its own; one without a theme is of the theme `all`, and
    one without a side is pro. A split is given by its folder or by its role; rows of a split that
    no role names are not read. Where no row names a split, the debates are divided by `SHARES`, in
    a way that depends on nothing but their names.

    Args:
        path: `.csv`, `.tsv`, `.jsonl` or `.ndjson`, in UTF-8.
        roles: role to folder; two roles may share a folder, which then gets the shares of both.
        skip: leave out rows that cannot be used instead of stopping.

    Returns:
        The corpus, and what was left out.

    Raises:
        InputError: no such file, not UTF-8, empty, or without a needed column; else everything
            wrong in its rows, in one report.
    """
    records = read_records(path)
    folders = list(dict.fromkeys(roles[role] for role in ROLES if role in roles))
    splits = list(dict.fromkeys(_splits(records)))
    # A folder's own name goes before a role's: a folder `test` may play the role dev.
    folder_of = {**roles, **{folder: folder for folder in folders}} if splits else {}
    _require_apart(path, roles, splits)
    problems: list[Problem] = []
    pairs = _usable(path, records, folder_of, problems)
    if not pairs:
        problems.append(Problem(str(path), "no row can be used", skippable=False))
    elif splits:
        problems += _empty_splits(path, folders, pairs, splits)
    else:
        pairs = _divided(path, pairs, roles, problems)
    if problems and not (skip and all(problem.skippable for problem in problems)):
        raise InputError(report(str(path), problems, skip))
    arguments = sorted(_arguments(pairs), key=lambda argument: folders.index(argument.split))
    return Corpus(arguments, dict(roles), dict.fromkeys(folders, 0)), problems


def _require_apart(path: Path, roles: Mapping[str, str], splits: Collection[str]) -> None:
    """Roles that share a folder must not be told apart by rows: test would be mixed into dev."""
    by_folder: dict[str, list[str]] = {}
    for role in roles:
        if role in splits:
            by_folder.setdefault(roles[role], []).append(role)
    for folder, named in by_folder.items():
        if len(named) > 1:
            raise InputError(
                f"{path}: its rows tell the splits {' and '.join(named)} apart, but corpus.splits "
                f"gives both the folder {folder!r}; give each its own"
            )


def split_names(path: Path) -> list[str]:
    """The splits that the rows of a file name, in order; `all` where they name none.

    Raises:
        InputError: as `read_pairs`, for the file as a whole.
    """
    return list(dict.fromkeys(_splits(read_records(path)))) or ["all"]


def _splits(records: Iterable[tuple[int, Record]]) -> Iterator[str]:
    """The split that each row names, where it does."""
    for _, record in records:
        if isinstance(record, Mapping) and (split := _as_text(record.get("split"))):
            yield split


def _usable(
    path: Path,
    records: Iterable[tuple[int, Record]],
    folder_of: Mapping[str, str],
    problems: list[Problem],
) -> list[_Pair]:
    """The pairs of the splits in use; `folder_of` is empty where no row names a split."""
    pairs = []
    known = {name.casefold(): name for name in folder_of}
    for number, (line, record) in enumerate(records, start=1):
        if isinstance(record, str):
            problems.append(Problem(f"{path}:{line}", record))
            continue
        split = _as_text(record.get("split"))
        if split and split not in folder_of:
            if (meant := known.get(split.casefold())) is not None:
                what = f"a split {split!r}; expected {meant!r}, as it is written elsewhere"
                problems.append(Problem(f"{path}:{line}", what))
            continue
        faults = list(_faults(record, split_needed=bool(folder_of)))
        problems += [Problem(f"{path}:{line}", what) for what in faults]
        if not faults:
            pairs.append(_pair(record, number, folder_of.get(split, "")))
    return pairs


def _faults(record: Mapping[str, object], *, split_needed: bool) -> Iterator[str]:
    for column in NEEDED:
        value = record.get(column)
        if value is None or (isinstance(value, str) and not value.strip()):
            yield f"an empty {column}; expected an argument"
        elif not isinstance(value, str):
            yield f"{column}: {shown(value)} is no text"
        else:
            yield from _faults_of_text(column, value)
    for column in OPTIONAL:
        value = record.get(column)
        if isinstance(value, bool | list | dict):
            yield f"{column}: {shown(value)} is no text"
        else:
            yield from _faults_of_text(column, _as_text(value))
    side = _as_text(record.get("side"))
    if side.lower() not in ("", "pro", "con"):
        yield f"side: {shown(side)}; expected pro or con"
    if split_needed and not _as_text(record.get("split")):
        yield "no split, which other rows have; name one, or leave out the column"


def _faults_of_text(column: str, text: str) -> Iterator[str]:
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        # JSON can escape half a surrogate pair, which no file can hold.
        yield f"{column}: {shown(text)} holds a lone surrogate; expected Unicode text"
    else:
        if size > MAX_TEXT_BYTES:
            yield f"{column}: {size} bytes; a text of more than {MAX_TEXT_BYTES} bytes is refused"


def _pair(record: Mapping[str, object], number: int, folder: str) -> _Pair:
    debate = _escaped(_as_text(record.get("debate")))
    if re.fullmatch(r"row-\d+", debate):
        debate = debate.replace("-", "%2D")  # kept apart from the rows without a debate
    return _Pair(
        point=str(record["point"]),
        counter=str(record["counter"]),
        theme=_escaped(_as_text(record.get("theme"))) or "all",
        debate=debate or f"row-{number:06d}",
        side=_as_text(record.get("side")).lower() or "pro",
        folder=folder,
    )


def _as_text(value: object) -> str:
    """A name without the blanks around it; empty where there is none. A number is a name too."""
    named = isinstance(value, str | int | float) and not isinstance(value, bool)
    return str(value).strip() if named else ""


def _escaped(name: str) -> str:
    """A name as part of an id: a `/` would divide it, and a control character a table's line."""
    return re.sub(r"[%/\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda match: quote(match[0], ""), name)


# Splits and ids


def _empty_splits(
    path: Path, folders: Sequence[str], pairs: Sequence[_Pair], splits: Sequence[str]
) -> list[Problem]:
    used = {pair.folder for pair in pairs}
    what = f"(splits found: {listed(splits)}); set corpus.splits"
    return [
        Problem(str(path), f"no row of the split {folder!r} can be used {what}", skippable=False)
        for folder in folders
        if folder not in used
    ]


def _divided(
    path: Path, pairs: Sequence[_Pair], roles: Mapping[str, str], problems: list[Problem]
) -> list[_Pair]:
    """The pairs with the folders that their debates fall to."""
    shares: Counter[str] = Counter()
    for role, share in SHARES.items():
        if role in roles:
            shares[roles[role]] += share
    debates = sorted({(pair.theme, pair.debate) for pair in pairs})
    if len(debates) < len(shares):
        what = (
            f"{len(debates)} debates to divide among the splits {listed(list(shares))}; expected "
            "at least one for each; add pairs, or set corpus.splits"
        )
        problems.append(Problem(str(path), what, skippable=False))
        return []
    order = generator(0, -1, "splits of a pair file").permutation(len(debates))
    sizes = _sizes(len(debates), list(shares.values()))
    folders = [folder for folder, size in zip(shares, sizes, strict=True) for _ in range(size)]
    folder_of = {debates[place]: folder for place, folder in zip(order, folders, strict=True)}
    return [replace(pair, folder=folder_of[pair.theme, pair.debate]) for pair in pairs]


def _sizes(count: int, shares: Sequence[int]) -> list[int]:
    """`count` in parts of at least one each, every part within one of its share."""
    ends = [0]
    for number in range(1, len(shares) + 1):
        end = round(count * sum(shares[:number]) / sum(shares))
        rest = len(shares) - number
        ends.append(min(max(end, ends[-1] + 1), count - rest))
    return [end - start for start, end in pairwise(ends)]


def _arguments(pairs: Iterable[_Pair]) -> Iterator[Argument]:
    numbers: Counter[tuple[str, str, str, str]] = Counter()
    for pair in pairs:
        place = (pair.folder, pair.theme, pair.debate, pair.side)
        numbers[place] += 1
        name = f"{'/'.join(place)}{numbers[place]:02d}"
        texts: tuple[tuple[str, Kind, str], ...] = (
            (f"{name}a", "point", pair.point),
            (f"{name}b", "counter", pair.counter),
        )
        for text_id, kind, text in texts:
            yield Argument(
                id=text_id,
                pair=f"{name}a",
                split=pair.folder,
                theme=pair.theme,
                debate=pair.debate,
                side=pair.side,
                number=numbers[place],
                kind=kind,
                text=text,
                text_hash=text_hash(text),
            )
