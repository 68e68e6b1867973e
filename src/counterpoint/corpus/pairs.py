"""Pairs of any origin, a row each in one file, read as a corpus.

The columns `point` and `counter` are needed; `debate`, `theme`, `side` and `split` may be missing,
or be empty in some rows. Other columns are not read (docs/method.md, "The corpus").
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from counterpoint.corpus.arguments import ROLES, Argument, Corpus, Kind, text_hash
from counterpoint.corpus.divide import Debate, divided, groups, shares_of
from counterpoint.corpus.pair_names import NEEDED, OPTIONAL, role_of, side_of
from counterpoint.corpus.pair_records import PairTable, listed, read_records, shown
from counterpoint.corpus.problems import Problem, report
from counterpoint.corpus.sources import MAX_TEXT_BYTES
from counterpoint.errors import InputError

FolderOf = Callable[[str], str | None]
"""The folder that a row's split means; None where no role has it."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """A row that can be used; theme and debate as they stand in an id."""

    point: str
    counter: str
    theme: str
    debate: str
    """Empty where the row names none."""
    side: str
    folder: str
    """Of the split; empty until the debates are divided."""
    place: str
    number: int
    """Of the row, counted from 1."""


def read_pairs(
    path: Path,
    roles: Mapping[str, str],
    *,
    skip: bool = False,
    columns: Mapping[str, str] | None = None,
) -> tuple[Corpus, list[Problem]]:
    """Read the pairs of one file, in the order of its rows within each split.

    Rows of one debate and side with the same point are one point with several counters; rows that
    repeat such a pair are counted in the notes and otherwise left out. Rows without a debate are of
    one debate where they have the same point; one without a theme is of the theme `all`, and one
    without a side is pro. A split is given by its folder, its role or a common name of that; rows
    of other splits are not read. Where no row names a split, the debates are divided
    (`corpus.divide`).

    Args:
        path: see `pair_records.read_records`.
        roles: role to folder; two roles may share a folder, which then gets the shares of both.
        skip: leave out rows that cannot be used instead of stopping.
        columns: some of our columns to their names in the file.

    Returns:
        The corpus, and what was left out. Its notes say how the file was understood.

    Raises:
        InputError: no such file, of no encoding, empty, or without a needed column; else everything
            wrong in its rows, in one report.
    """
    table = read_records(path, columns)
    folders = list(dict.fromkeys(roles[role] for role in ROLES if role in roles))
    splits = _splits(table)
    folder_of = _by_role(roles, folders)
    _require_apart(path, roles, folders, splits)
    problems: list[Problem] = []
    notes = [*table.notes, *_on_splits(splits, folder_of)]
    pairs = _usable(table, folder_of if splits else None, problems, notes)
    if not pairs:
        problems.append(Problem(str(path), "no row can be used", skippable=False))
    elif splits:
        problems += _empty_splits(path, folders, pairs, list(splits))
    else:
        pairs = _divided(path, pairs, roles, problems, notes)
    if problems and not (skip and all(problem.skippable for problem in problems)):
        raise InputError(report(str(path), problems, skip))
    arguments = sorted(_arguments(pairs), key=lambda argument: folders.index(argument.split))
    return Corpus(arguments, dict(roles), dict.fromkeys(folders, 0), notes=tuple(notes)), problems


def read_split(
    path: Path,
    split: str | None,
    columns: Mapping[str, str] | None = None,
    *,
    skip: bool = False,
) -> tuple[list[Argument], list[str], list[Problem]]:
    """The arguments of one split under its own name, the notes, and what was left out.

    Args:
        path: see `read_pairs`.
        split: as the rows spell it; None for all rows, as a split `all`.
        columns: see `read_pairs`.
        skip: see `read_pairs`.

    Raises:
        InputError: as `read_pairs`.
    """
    table = read_records(path, columns)
    problems: list[Problem] = []
    notes = list(table.notes)
    of_split = None if split is None else {split: split}.get
    pairs = _usable(table, of_split, problems, notes)
    if split is None:
        pairs = [replace(pair, folder="all") for pair in pairs]
    if not pairs:
        problems.append(Problem(str(path), "no row can be used", skippable=False))
    if problems and not (skip and all(problem.skippable for problem in problems)):
        raise InputError(report(str(path), problems, skip))
    return list(_arguments(pairs)), notes, problems


def split_names(path: Path, columns: Mapping[str, str] | None = None) -> list[str]:
    """The splits that the rows of a file name, in order; none where they name none.

    Raises:
        InputError: as `read_pairs`, for the file as a whole.
    """
    return list(_splits(read_records(path, columns)))


# Splits that the file names


def _splits(table: PairTable) -> Counter[str]:
    """The splits that rows name, in order, with the number of rows."""
    return Counter(
        split
        for _, record in table.records
        if isinstance(record, Mapping) and (split := as_text(record.get("split")))
    )


def _by_role(roles: Mapping[str, str], folders: Sequence[str]) -> FolderOf:
    def folder_of(split: str) -> str | None:
        # A folder's own name goes before a role's: a folder `test` may play the role dev.
        if split in folders:
            return split
        by_case = {folder.casefold(): folder for folder in folders}
        folder = roles.get(split) or by_case.get(split.casefold())
        return folder or roles.get(role_of(split) or "")

    return folder_of


def _require_apart(
    path: Path, roles: Mapping[str, str], folders: Sequence[str], splits: Iterable[str]
) -> None:
    """Roles that share a folder must not be told apart by rows: test would be mixed into dev."""
    named = {role_of(split) for split in splits if split not in folders}
    by_folder: dict[str, list[str]] = {}
    for role in roles:
        if role in named:
            by_folder.setdefault(roles[role], []).append(role)
    for folder, shared in by_folder.items():
        if len(shared) > 1:
            raise InputError(
                f"{path}: its rows tell the splits {' and '.join(shared)} apart, but corpus.splits "
                f"gives both the folder {folder!r}; give each its own"
            )


def _on_splits(splits: Mapping[str, int], folder_of: FolderOf) -> Iterator[str]:
    for split, count in splits.items():
        folder = folder_of(split)
        if folder is None:
            yield f"{_rows(count)} of the split {split!r} not read: corpus.splits does not name it"
        elif folder != split:
            yield f"{_rows(count)} of the split {split!r} read as {folder}"


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


# Rows


def _usable(
    table: PairTable, folder_of: FolderOf | None, problems: list[Problem], notes: list[str]
) -> list[_Pair]:
    """The pairs of the splits in use; `folder_of` is None where no split is asked for."""
    pairs = []
    sides: Counter[str] = Counter()
    for number, (place, record) in enumerate(table.records, start=1):
        if isinstance(record, str):
            problems.append(Problem(place, record))
            continue
        split = as_text(record.get("split"))
        folder = "" if folder_of is None or not split else folder_of(split)
        if folder is None:
            continue
        faults = list(_faults(record, split_needed=folder_of is not None))
        problems += [Problem(place, what) for what in faults]
        if not faults:
            sides[as_text(record.get("side"))] += 1
            pairs.append(_pair(record, place, number, folder))
    notes += [
        f"{_rows(count)} with the side {side!r} read as {side_of(side)}"
        for side, count in sides.items()
        if side and side.lower() != side_of(side)
    ]
    return _once(_with_debates(pairs), notes)


def _faults(record: Mapping[str, object], *, split_needed: bool) -> Iterator[str]:
    for column in NEEDED:
        value = record.get(column)
        if value is None or (isinstance(value, str) and not value.strip()):
            yield f"an empty {column}; expected an argument"
        elif not isinstance(value, str):
            yield f"{column}: {shown(value)} is no text"
        else:
            yield from faults_of_text(column, value)
    for column in OPTIONAL:
        value = record.get(column)
        if isinstance(value, bool | list | dict):
            yield f"{column}: {shown(value)} is no text"
        else:
            yield from faults_of_text(column, as_text(value))
    side = as_text(record.get("side"))
    if side and side_of(side) is None:
        yield f"side: {shown(side)}; expected pro or con (or for, against and the like)"
    if split_needed and not as_text(record.get("split")):
        yield "no split, which other rows have; name one, or leave out the column"


def faults_of_text(column: str, text: str) -> Iterator[str]:
    """What is wrong with a text or name that some column holds: half a character, or its size."""
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        # JSON can escape half a surrogate pair, which no file can hold.
        yield f"{column}: {shown(text)} holds a lone surrogate; expected Unicode text"
    else:
        if size > MAX_TEXT_BYTES:
            yield f"{column}: {size} bytes; a text of more than {MAX_TEXT_BYTES} bytes is refused"


def _pair(record: Mapping[str, object], place: str, number: int, folder: str) -> _Pair:
    debate = _escaped(as_text(record.get("debate")))
    if re.fullmatch(r"row-\d+", debate):
        debate = debate.replace("-", "%2D")  # kept apart from the rows without a debate
    return _Pair(
        point=str(record["point"]),
        counter=str(record["counter"]),
        theme=_escaped(as_text(record.get("theme"))) or "all",
        debate=debate,
        side=side_of(as_text(record.get("side"))) or "pro",
        folder=folder,
        place=place,
        number=number,
    )


def _with_debates(pairs: Iterable[_Pair]) -> Iterator[_Pair]:
    """Rows without a debate are of the debate `row-NNNNNN`, by the first row with their point."""
    first: dict[tuple[str, str, str], int] = {}
    for pair in pairs:
        if pair.debate:
            yield pair
        else:
            key = (pair.folder, pair.theme, text_hash(pair.point))
            yield replace(pair, debate=f"row-{first.setdefault(key, pair.number):06d}")


def _once(pairs: Iterable[_Pair], notes: list[str]) -> list[_Pair]:
    """Every pair once; those that are repeated are noted."""
    seen: set[tuple[str, ...]] = set()
    kept, again = [], []
    for pair in pairs:
        key = (*_point(pair), text_hash(pair.counter))
        if key in seen:
            again.append(pair.place)
        else:
            seen.add(key)
            kept.append(pair)
    if again:
        places = ", ".join(again[:3]) + (" …" if len(again) > 3 else "")
        notes.append(
            f"{_rows(len(again))} left out, which repeat a pair of their debate ({places})"
        )
    return kept


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"


def _point(pair: _Pair) -> tuple[str, str, str, str, str]:
    return pair.folder, pair.theme, pair.debate, pair.side, text_hash(pair.point)


def as_text(value: object) -> str:
    """A name without the blanks around it; empty where there is none. A number is a name too."""
    if isinstance(value, float) and math.isnan(value):  # pandas's way to say that there is none
        return ""
    named = isinstance(value, str | int | float) and not isinstance(value, bool)
    return str(value).strip() if named else ""


def _escaped(name: str) -> str:
    """A name as part of an id: a `/` would divide it, and a control character a table's line."""
    return re.sub(r"[%/\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda match: quote(match[0], ""), name)


# Splits made by us, and ids


def _divided(
    path: Path,
    pairs: Sequence[_Pair],
    roles: Mapping[str, str],
    problems: list[Problem],
    notes: list[str],
) -> list[_Pair]:
    """The pairs with the folders that their debates fall to."""
    shares = shares_of(roles)
    together = groups(
        ((pair.theme, pair.debate), text_hash(text))
        for pair in pairs
        for text in (pair.point, pair.counter)
    )
    debates = sum(map(len, together))
    if len(together) < len(shares):
        shared = "" if debates == len(together) else f", because {debates} debates share texts"
        what = (
            f"{len(together)} debates to divide among the splits {listed(list(shares))}{shared}; "
            "expected at least one for each; add pairs, or name the splits in a column `split`"
        )
        problems.append(Problem(str(path), what, skippable=False))
        return []
    folder_of = divided(together, shares)
    if len(shares) > 1:
        notes.append(_on_division(together, folder_of, shares))
    return [replace(pair, folder=folder_of[pair.theme, pair.debate]) for pair in pairs]


def _on_division(
    together: Sequence[Sequence[Debate]], folder_of: Mapping[Debate, str], shares: Iterable[str]
) -> str:
    counts = Counter(folder_of.values())
    parts = ", ".join(f"{folder} {counts[folder]}" for folder in shares)
    largest = max(map(len, together))
    shared = f"; those that share a text stay together, up to {largest}" if largest > 1 else ""
    return f"no row names a split: {len(folder_of)} debates are divided by us ({parts}){shared}"


def _arguments(pairs: Iterable[_Pair]) -> Iterator[Argument]:
    counters: dict[tuple[str, ...], list[_Pair]] = {}
    for pair in pairs:
        counters.setdefault(_point(pair), []).append(pair)
    numbers: Counter[tuple[str, str, str, str]] = Counter()
    for of_point in counters.values():
        first = of_point[0]
        place = (first.folder, first.theme, first.debate, first.side)
        numbers[place] += 1
        name = f"{'/'.join(place)}{numbers[place]:02d}"
        texts: list[tuple[str, Kind, str]] = [(f"{name}a", "point", first.point)]
        for number, pair in enumerate(of_point, start=1):
            texts.append((f"{name}b{number if number > 1 else ''}", "counter", pair.counter))
        for text_id, kind, text in texts:
            yield Argument(
                id=text_id,
                pair=f"{name}a",
                split=first.folder,
                theme=first.theme,
                debate=first.debate,
                side=first.side,
                number=numbers[place],
                kind=kind,
                text=text,
                text_hash=text_hash(text),
            )
