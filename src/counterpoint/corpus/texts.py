"""Texts of the caller's own, numbered as those of a corpus are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from counterpoint.arrays import Ints
from counterpoint.corpus.arguments import normalise, text_hash
from counterpoint.errors import InputError


@dataclass(frozen=True)
class NumberedTexts:
    """The different ones of some texts, as `corpus.arguments.Texts` describes."""

    texts: list[str]
    """The unique texts, normalised, by number."""
    text_number: dict[str, int]
    """Text hash to number."""
    numbers: Ints
    """(n,) int64: the number of each text that was given."""


def number_texts(texts: Sequence[str]) -> NumberedTexts:
    """Number n texts; those that are the same get one number.

    Raises:
        InputError: there is none, or one of them is empty.
    """
    if not texts:
        raise InputError("no texts are given; give at least one")
    for place, text in enumerate(texts):
        if not normalise(text):
            raise InputError(f"text {place}: {text!r} is empty")
    numbers: dict[str, int] = {}
    unique: list[str] = []
    for text in texts:
        if numbers.setdefault(text_hash(text), len(numbers)) == len(unique):
            unique.append(normalise(text))
    each = [numbers[text_hash(text)] for text in texts]
    return NumberedTexts(unique, numbers, np.array(each, dtype=np.int64))
