"""Kialo's text export of a discussion: a con below a claim is its counter.

Kialo ("Exporting a Discussion", support.kialo.com) writes a discussion as a numbered tree:

    Discussion Title: Should zoos be closed?

    1. Zoos should be closed.
    1.1. Con: They save \\(some\\) species, [as in Arabia](https://…).
    1.1.1. Con: Few were ever released.
    1.2. Pro: Animals suffer in them.
    1.2.1. Con: -> See 1.1.

and, in its later form, with headings on lines of their own, and sources at the end:

    Discussion Name:
    Should zoos be closed?

    1. Thesis:
    Zoos should be closed.

      1.1. Con:
      They save some species [1].

    Sources:
    [1] https://…

Where a discussion has several theses, a question stands above them. Both forms are also what public
parsers of such files read: github.com/franznowak/kialoparser, with an example of the first, and
github.com/samvalli/debate-analysis, with one of the second.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from counterpoint.corpus.converters.inputs import opened, text_lines
from counterpoint.corpus.converters.rows import Row, Tally
from counterpoint.errors import InputError

_TITLE = re.compile(r"Discussion (?:Title|Name):\s*(.*)")
_CLAIM = re.compile(r"\s*(\d+(?:\.\d+)*)(\.?)\s+(?:(Thesis|Question|Pro|Con):)?\s*(.*)")
_LINKED = "-> See "
_LINK = re.compile(rf"{_LINKED}(\d+(?:\.\d+)*)\.?")
_SOURCE = re.compile(r"\s*\[(\d+)\]\s")
_MARKDOWN_LINK = re.compile(
    r"\[((?:\\.|[^\[\]\\])*)\]"  # the text
    r"\((?:\\.|[^()\\]|\([^()]*\))*\)"  # the address, which may hold one pair of brackets
)
_ESCAPE = re.compile(r"\\(n|[^\w\s])")

_Number = tuple[int, ...]
"""Of a claim: 1.2.3. is (1, 2, 3)."""

ENDINGS = (".txt", ".txt.gz")
"""Of the exports in a folder."""


@dataclass
class _Claim:
    """A claim as the export has it."""

    number: _Number
    mark: str
    """`Thesis`, `Question`, `Pro`, `Con`, or nothing."""
    line: int
    texts: list[str]


@dataclass
class _Discussion:
    """One export, line by line taken apart."""

    path: Path
    title: str = ""
    claims: dict[_Number, _Claim] = field(default_factory=dict)
    sources: set[str] = field(default_factory=set)


def convert(path: Path, tally: Tally) -> Iterator[Row]:
    """The pairs of one export, or of every export in a folder.

    Point is a claim or the thesis, counter a con directly below it. Debate and theme are the
    discussion's title. A thesis is pro; a pro has the side of the claim above it, and a con the
    other one: so every side is the claim's own towards its thesis. A link is read as the claim that
    it leads to. Links of Markdown become their texts, and marks of sources are taken out.

    Raises:
        InputError: no export, or a tree that does not hold together; names the line.
    """
    for file in _exports(path):
        with opened(file) as stream:
            discussion = _parse(file, text_lines(stream), tally)
        tally.read["discussions"] += 1
        tally.read["claims"] += len(discussion.claims)
        yield from _pairs(discussion, tally)


def _exports(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.rglob("*") if file.name.lower().endswith(ENDINGS))
    if not found:
        raise InputError(f"{path}: no {' or '.join(ENDINGS)} in it; expected exports of Kialo")
    return found


# Lines to claims


def _parse(path: Path, lines: Iterable[tuple[int, str]], tally: Tally) -> _Discussion:
    discussion = _Discussion(path)
    rest = ((number, line) for number, line in lines if line.strip())
    discussion.title = _title(path, rest)
    last: _Claim | None = None
    for number, line in rest:
        if line.rstrip() == "Sources:":
            break
        claim = _claim(line, number, discussion.claims)
        if claim is not None:
            _add(discussion, claim)
            last = claim
        elif last is not None:
            last.texts.append(line.strip())
        else:
            tally.leave_out("lines before the first claim", f"{path}:{number}")
    for _, line in rest:
        if source := _SOURCE.match(f"{line} "):
            discussion.sources.add(source[1])
            tally.leave_out("sources at the end of a discussion")
    if not discussion.claims:
        raise InputError(f"{path}: no claims; expected lines such as '1.1. Con: …' below the title")
    return discussion


def _title(path: Path, lines: Iterator[tuple[int, str]]) -> str:
    number, line = next(lines, (1, ""))
    if (heading := _TITLE.fullmatch(line.strip())) is None:
        raise InputError(
            f"{path}:{number}: begins with {line.strip()[:60]!r}; expected 'Discussion Title: …' "
            "or 'Discussion Name:', as Kialo's export as text begins"
        )
    if title := _plain(heading[1]):
        return title
    _, below = next(lines, (number, ""))
    if not below.strip() or _CLAIM.fullmatch(below):
        raise InputError(f"{path}:{number}: no title; write one behind {line.strip()!r}")
    return _plain(below)


def _claim(line: str, number: int, before: Mapping[_Number, _Claim]) -> _Claim | None:
    """The claim that a line begins; None for one that goes on with a claim's text."""
    match = _CLAIM.fullmatch(line)
    if match is None:
        return None
    place, mark, text = _number(match[1]), match[3] or "", match[4].strip()
    # A list in a claim's text may begin with numbers too. The first form does not mark its theses.
    above = place[:-1] in before if place[:-1] else place[0] == _roots(before) + 1
    if not mark and not (match[2] and above):
        return None
    return _Claim(place, mark, number, [text] if text else [])


def _number(text: str) -> _Number:
    return tuple(int(part) for part in text.split("."))


def _roots(claims: Mapping[_Number, _Claim]) -> int:
    return max((number[0] for number in claims), default=0)


def _add(discussion: _Discussion, claim: _Claim) -> None:
    place = f"{discussion.path}:{claim.line}"
    if (other := discussion.claims.get(claim.number)) is not None:
        raise InputError(
            f"{place}: claim {_shown(claim.number)} stands in line {other.line} already; expected "
            "each number once; export the discussion again"
        )
    above = claim.number[:-1]
    if above and above not in discussion.claims:
        raise InputError(
            f"{place}: claim {_shown(claim.number)} has no claim {_shown(above)} above it; export "
            "the discussion again"
        )
    discussion.claims[claim.number] = claim


def _shown(number: _Number) -> str:
    return "".join(f"{part}." for part in number)


# Claims to pairs


def _pairs(discussion: _Discussion, tally: Tally) -> Iterator[Row]:
    sides: dict[_Number, str] = {}
    for number, claim in discussion.claims.items():
        above = sides.get(number[:-1], "pro")
        if claim.mark == "Con":
            sides[number] = "con" if above == "pro" else "pro"
            if (row := _row(discussion, claim, above, tally)) is not None:
                yield row
        elif claim.mark == "Pro":
            sides[number] = above
            tally.leave_out("pros, which counter nothing")
        else:
            sides[number] = "pro"
            tally.leave_out("theses and other claims that are neither pro nor con")


def _row(discussion: _Discussion, claim: _Claim, side: str, tally: Tally) -> Row | None:
    """The pair of a con and the claim above it, which has the side."""
    place = f"{discussion.path}:{claim.line}"
    above = claim.number[:-1]
    counter, point = (_text(discussion, number) for number in (claim.number, above))
    if not above:
        tally.leave_out("cons that no claim stands above", place)
    elif counter is None or point is None:
        tally.leave_out("cons that are, or are below, a link to no claim of the export", place)
    elif not counter or not point:
        tally.leave_out("cons that have, or are below, no text", place)
    else:
        title = discussion.title
        return Row(point=point, counter=counter, debate=title, theme=title, side=side)
    return None


def _text(discussion: _Discussion, number: _Number) -> str | None:
    """A claim's text, of a link that of its target; None for a link that leads to no text."""
    passed: set[_Number] = set()
    while number not in passed and (claim := discussion.claims.get(number)) is not None:
        passed.add(number)
        text = "\n".join(claim.texts)
        if not text.startswith(_LINKED):
            return _plain(text, discussion.sources)
        if (link := _LINK.fullmatch(text)) is None:
            return None
        number = _number(link[1])
    return None


def _plain(text: str, sources: Iterable[str] = ()) -> str:
    """A text without Markdown's links and escapes, and without the marks of some sources."""
    known = set(sources)

    def mark(match: re.Match[str]) -> str:
        return "" if match[1] in known else match[0]

    text = _MARKDOWN_LINK.sub(lambda match: match[1], text)
    text = re.sub(r" ?\[(\d+)\]", mark, text)
    text = _ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], text)
    return text.strip()
