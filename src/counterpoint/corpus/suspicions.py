"""What of a corpus can be read, but is probably not meant: told, and left as it is."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from counterpoint.corpus.arguments import Argument, Corpus, pairs_of

SHOWN = 3
"""Ids that a note names."""

MANY_POINTS = 5
"""A counter to so many different points is no counter to each."""


def suspicions(corpus: Corpus) -> Iterator[str]:
    """A note for each kind of suspicious text, over all splits, with the count."""
    pairs = pairs_of(corpus.arguments)
    same = [point for point, counter in pairs if point.text_hash == counter.text_hash]
    yield from _told(same, lambda count: f"{count} points are the same text as their counter")
    wordless = [one for one in corpus.arguments if not re.search(r"\w", one.text)]
    yield from _told(wordless, lambda count: f"{count} texts hold no word")
    points_of: dict[str, set[str]] = defaultdict(set)
    example: dict[str, Argument] = {}
    for point, counter in pairs:
        points_of[counter.text_hash].add(point.text_hash)
        example.setdefault(counter.text_hash, counter)
    for text, points in points_of.items():
        if len(points) >= MANY_POINTS:
            yield f"one text is the counter to {len(points)} different points ({example[text].id})"


def _told(arguments: Sequence[Argument], what: Callable[[int], str]) -> Iterator[str]:
    if arguments:
        more = " …" if len(arguments) > SHOWN else ""
        yield f"{what(len(arguments))} ({', '.join(one.id for one in arguments[:SHOWN])}{more})"
