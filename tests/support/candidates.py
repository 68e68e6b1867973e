"""Corpora of a few lines, and their candidates by slow loops."""

import unicodedata
from collections.abc import Iterable

from counterpoint.corpus.arguments import Argument, text_hash


def argument(split: str, where: str, text: str) -> Argument:
    """`law/juries/pro01a` and a text as an argument."""
    theme, name, file = where.split("/")
    return Argument(
        id=f"{split}/{where}",
        pair=f"{split}/{where[:-1]}a",
        split=split,
        theme=theme,
        debate=name,
        side=file[:3],
        number=int(file[3:5]),
        kind="point" if file[5] == "a" else "counter",
        text=text,
        text_hash=text_hash(text),
    )


def folded(text: str) -> str:
    """The text by which two are the same."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def brute_candidates(
    arguments: Iterable[Argument], training: Iterable[Argument], task: str, protocol: str
) -> dict[str, set[str]]:
    """{query id: ids of its candidates}, read off the design with nothing but the arguments."""
    seen = {folded(one.text) for one in training}
    points: dict[tuple[str, str, str, int], Argument] = {}
    counters: dict[tuple[str, str, str, int], Argument] = {}
    for one in arguments:
        key = (one.theme, one.debate, one.side, one.number)
        (points if one.kind == "point" else counters)[key] = one
    paired = [key for key in points if key in counters]
    text = {one.id: folded(one.text) for one in arguments}
    result = {}
    for key in paired:
        query, gold = points[key], counters[key]
        if protocol == "clean" and {text[query.id], text[gold.id]} & seen:
            continue
        chosen = set()
        for other in paired:
            same_theme = other[0] == key[0]
            same_debate = other[:2] == key[:2]
            same_side = other[2] == key[2]
            scope = {"s": same_debate if task[1] == "d" else same_theme, "e": True}[task[0]]
            with_points = task[-1] == "a"
            opposing = "o" in task
            if scope and (same_side or not opposing):
                candidate = counters[other]
                copy = text[candidate.id] == text[gold.id]
                own = protocol == "clean" and text[candidate.id] == text[query.id]
                if not copy and not own:
                    chosen.add(candidate.id)
            if scope and with_points and (not same_side or not opposing) and other != key:
                copy = text[points[other].id] in (text[query.id], text[gold.id])
                if not (protocol == "clean" and copy):
                    chosen.add(points[other].id)
        result[query.id] = chosen | {gold.id}
    return result
