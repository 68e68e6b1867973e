"""The args.me corpus: a premise for a conclusion, and one against it, oppose each other.

The file is one object (Ajjour et al., *Data Acquisition for Argument Search: The args.me Corpus*,
KI 2019; zenodo.org/records/4139439; its fields are also in `ir_datasets/formats/argsme.py`):

    {"arguments": [{
        "id": "…-00004-000",
        "conclusion": "…",
        "premises": [{"text": "…", "stance": "PRO" or "CON"}],
        "context": {
            "sourceId": the page that it was taken from,
            "discussionTitle" (or "topic"), "sourceTitle",
            "previousArgumentInSourceId", "nextArgumentInSourceId"}}]}

The stance is towards the conclusion. Nothing says outright that one argument answers another. Three
things of a page say what does:

- *The conclusion.* Debatewise and its like have headings ("Fit people are happy people"), a text
  for each and one against it, both with the heading as their conclusion; on debate.org all turns of
  a debate have its motion. So both arguments of a pair have the same conclusion.
- *The order.* A turn stands beside the one that it answers, and the text against a heading beside
  the text for it. So they are neighbours, where a page links its arguments.
- *The headings* are arguments for or against the motion too, with no text but themselves. They
  stand in no pair, but they say on which side of the motion their texts are.

The order does not say who spoke first: debate.org's pages are numbered from the last turn.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from counterpoint.corpus.arguments import text_hash
from counterpoint.corpus.converters.inputs import opened
from counterpoint.corpus.converters.rows import Row, Tally, fault
from counterpoint.errors import InputError
from counterpoint.io.atomic import naming


@dataclass(frozen=True, slots=True)
class _Premise:
    """One premise without its text, of which there is a gigabyte."""

    argument: str
    """The id of its argument."""
    neighbours: tuple[str, ...]
    """The ids that its argument is linked to."""
    conclusion: str
    """The conclusion's hash."""
    is_pro: bool
    hash: str
    start: int
    size: int
    """Bytes of the text, and where they begin in the file of texts."""


@dataclass(slots=True)
class _Page:
    """What a debate portal has on one page."""

    debate: str
    theme: str
    premises: list[_Premise] = field(default_factory=list)


def convert(path: Path, tally: Tally) -> Iterator[Row]:
    """The pairs of the corpus's JSON file.

    Point is a premise for a conclusion, counter a premise against it, of the same page and, where
    that links its arguments, of the same argument or of neighbours. Debate is the discussion's
    title; theme is its topic, where a corpus has both. The side is the stance of the conclusion
    towards the discussion, where the conclusion is a heading; else pro.

    The texts lie in a temporary file meanwhile.

    Raises:
        InputError: no JSON, or no arguments in it.
    """
    folder = tempfile.gettempdir()
    with naming(folder), tempfile.TemporaryFile(dir=folder) as texts:
        pages = _read(path, texts, tally)
        tally.read["pages"] = len(pages)
        for page in pages.values():
            yield from _pairs(page, texts, tally)


# Reading


def _read(path: Path, texts: IO[bytes], tally: Tally) -> dict[str, _Page]:
    """Each page by its `sourceId`; the texts of all go into a file."""
    pages: dict[str, _Page] = {}
    for number, argument in enumerate(_arguments(path), start=1):
        tally.read["arguments"] += 1
        reason = _add(argument, pages, texts, tally)
        if reason is not None:
            tally.leave_out(f"arguments {reason}", f"{path}: argument {number}")
    if not tally.read["arguments"]:
        raise InputError(
            f'{path}: no arguments; expected {{"arguments": [{{"id": …, "conclusion": …, '
            '"premises": …, "context": …}]}, as in the JSON files of the args.me corpus'
        )
    return pages


def _arguments(path: Path) -> Iterator[object]:
    # Takes the items of a list one by one, where json would hold the whole file in memory.
    import ijson

    with opened(path) as stream:
        try:
            yield from ijson.items(stream, "arguments.item", use_float=True)
        except (ijson.JSONError, UnicodeDecodeError) as error:
            raise InputError(
                f"{path}: not JSON: {_reason(error)}; expected a JSON file of the args.me corpus"
            ) from error


def _reason(error: Exception) -> str:
    """What is wrong, on one line: the parser draws an arrow, and quotes bytes that are no text."""
    what = error.args[0] if error.args else error
    text = what.decode("utf-8", "backslashreplace") if isinstance(what, bytes) else str(what)
    return " ".join(text.replace("(right here) ------^", "").split())


def _add(argument: object, pages: dict[str, _Page], texts: IO[bytes], tally: Tally) -> str | None:
    """Put an argument on its page; returns why it cannot be."""
    if not isinstance(argument, dict):
        return "that are no object"
    context = argument.get("context")
    source = _name(context, "sourceId")
    debate = next(
        (
            name
            for key in ("discussionTitle", "topic", "sourceTitle", "sourceId")
            if (name := _name(context, key))
        ),
        "",
    )
    conclusion, premises = _name(argument, "conclusion"), argument.get("premises")
    if not source:
        return "without context.sourceId"
    if not conclusion:
        return "without a conclusion"
    if not isinstance(premises, list) or not premises:
        return "without premises"
    topic = _name(context, "topic")
    page = pages.setdefault(source, _Page(debate, topic if topic != debate else ""))
    neighbours = (_name(context, f"{which}ArgumentInSourceId") for which in ("previous", "next"))
    linked = tuple(name for name in neighbours if name)
    for premise in premises:
        one = _premise(premise, _name(argument, "id"), linked, text_hash(conclusion), texts)
        if isinstance(one, _Premise):
            page.premises.append(one)
        else:
            tally.leave_out(f"premises {one}")
    return None


def _premise(
    premise: object, argument: str, neighbours: tuple[str, ...], conclusion: str, texts: IO[bytes]
) -> _Premise | str:
    """A premise whose text has gone into the file of texts, or why it cannot be used."""
    stance = _name(premise, "stance").upper()
    if stance not in ("PRO", "CON"):
        return "whose stance is neither PRO nor CON"
    text = _name(premise, "text")
    if (reason := fault(text)) is not None:
        return f"with {reason}"
    start, data = texts.tell(), text.encode("utf-8")
    texts.write(data)
    return _Premise(
        argument, neighbours, conclusion, stance == "PRO", text_hash(text), start, len(data)
    )


def _name(value: object, key: str) -> str:
    """A text in an object; empty where there is none. A number is one too."""
    found = value.get(key) if isinstance(value, Mapping) else None
    usable = isinstance(found, str | int) and not isinstance(found, bool)
    return str(found).strip() if usable else ""


# Pairing


def _pairs(page: _Page, texts: IO[bytes], tally: Tally) -> Iterator[Row]:
    conclusions = {premise.conclusion for premise in page.premises}
    headings: dict[str, bool] = {}
    by_conclusion: dict[str, list[_Premise]] = {}
    for premise in page.premises:
        if premise.hash in conclusions:
            # One that is its own conclusion says nothing of its side.
            if premise.hash != premise.conclusion:
                headings[premise.hash] = premise.is_pro
            tally.leave_out("premises that are the conclusion of arguments of their page")
        else:
            by_conclusion.setdefault(premise.conclusion, []).append(premise)
    linked = any(premise.neighbours for premise in page.premises)
    for conclusion, premises in by_conclusion.items():
        side = "pro" if headings.get(conclusion, True) else "con"
        paired: set[int] = set()
        for point, counter in _opposed(premises, linked):
            paired |= {point.start, counter.start}
            yield Row(
                point=_text(point, texts),
                counter=_text(counter, texts),
                debate=page.debate,
                theme=page.theme,
                side=side,
            )
        for premise in premises:
            if premise.start not in paired:
                tally.leave_out("premises that none opposes: same page and conclusion, neighbour")


def _opposed(premises: Iterable[_Premise], linked: bool) -> Iterator[tuple[_Premise, _Premise]]:
    """Each premise for a conclusion with each against it, those of neighbours where linked."""
    sides: dict[bool, dict[str, list[_Premise]]] = {True: {}, False: {}}
    for premise in premises:
        sides[premise.is_pro].setdefault(premise.argument, []).append(premise)
    for points in sides[True].values():
        for point in points:
            for argument, counters in sides[False].items():
                if not linked or _beside(point, argument, counters[0]):
                    yield from ((point, counter) for counter in counters)


def _beside(point: _Premise, argument: str, counter: _Premise) -> bool:
    """Whether two premises are of one argument, or of two that one links to the other."""
    return (
        argument == point.argument
        or argument in point.neighbours
        or point.argument in counter.neighbours
    )


def _text(premise: _Premise, texts: IO[bytes]) -> str:
    texts.seek(premise.start)
    return texts.read(premise.size).decode("utf-8")
