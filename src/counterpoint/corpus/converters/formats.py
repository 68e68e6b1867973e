"""The formats that pairs are made from, and writing them as a file of pairs."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from counterpoint.corpus.arguments import normalise
from counterpoint.corpus.converters import argsme, kialo, winning_args
from counterpoint.corpus.converters.rows import Row, Tally, readable
from counterpoint.errors import InputError
from counterpoint.io.atomic import replacing

FORMATS: Mapping[str, Callable[[Path, Tally], Iterator[Row]]] = {
    "kialo": kialo.convert,
    "argsme": argsme.convert,
    "winning-args": winning_args.convert,
}
"""Name to converter: it gives the rows, and counts what makes none."""

ENDINGS = (".jsonl", ".ndjson")
"""Of what is written, which readers of pairs know JSON lines by."""


@dataclass(frozen=True)
class Report:
    """What a conversion found."""

    read: Mapping[str, int]
    """What the source holds: its kinds of things to their counts."""
    pairs: int
    points: int
    """Queries that a reader makes of them: different texts within a debate and side."""
    debates: int
    splits: Mapping[str, int]
    """Split to pairs; empty where the source has none."""
    left_out: Mapping[str, int]
    """Reason to count."""
    first: Mapping[str, str]
    """Reason to the first place where it holds, of some reasons."""


def convert(
    name: str, path: Path, out: Path, *, overwrite: bool = False, splits: bool = True
) -> Report:
    """Write the pairs of a published corpus as JSON lines, which `pairs.read_pairs` reads.

    Args:
        name: of the format.
        path: what to read.
        out: the file to write; appears when it is whole.
        overwrite: replace it where it exists.
        splits: keep the publisher's split, where there is one.

    Raises:
        InputError: no such format, a file that must not be written, or input without pairs.
        OSError: the file cannot be written.
    """
    if name not in FORMATS:
        raise InputError(f"no format {name!r}; expected one of {', '.join(FORMATS)}")
    _check(path, out, overwrite)
    tally = Tally()
    rows = readable(FORMATS[name](path, tally), tally)
    if not splits:
        rows = (replace(row, split="") for row in rows)
    first = next(rows, None)
    if first is None:
        what = "; ".join(f"{count:,} {reason}" for reason, count in tally.left_out.items())
        raise InputError(f"{path}: no pairs in it; left out: {what or 'nothing'}")
    return _write(chain([first], rows), tally, out)


def _check(path: Path, out: Path, overwrite: bool) -> None:
    if out.suffix.lower() not in ENDINGS:
        raise InputError(f"{out}: expected a name that ends in {' or '.join(ENDINGS)}")
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if out.is_dir():
        raise InputError(f"{out}: a folder; give a file to write")
    if out.exists():
        if path.samefile(out):
            raise InputError(f"{out}: is what is read; give another file to write")
        if not overwrite:
            raise InputError(f"{out}: exists; give another file, or --overwrite to replace it")


def _write(rows: Iterator[Row], tally: Tally, out: Path) -> Report:
    points: set[int] = set()
    debates: set[tuple[str, str]] = set()
    splits: dict[str, int] = {}
    pairs = 0
    with replacing(out) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        for row in rows:
            stream.write(row.line())
            pairs += 1
            points.add(hash((row.split, row.theme, row.debate, row.side, normalise(row.point))))
            debates.add((row.theme, row.debate))
            if row.split:
                splits[row.split] = splits.get(row.split, 0) + 1
    return Report(
        read=tally.read,
        pairs=pairs,
        points=len(points),
        debates=len(debates),
        splits=splits,
        left_out=tally.left_out,
        first=tally.first,
    )
