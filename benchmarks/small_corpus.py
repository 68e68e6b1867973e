"""A few debates of a corpus as a corpus of their own, small enough to fine-tune an encoder on."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.evaluate import SYNTHETIC_PAIRS
from counterpoint.corpus import arguana, sources, synthetic
from counterpoint.corpus import arguments as arguments_module
from counterpoint.corpus.arguments import Argument, Corpus

HELD_OUT_SHARE = 4
"""Dev and test each have one pair for so many training pairs: 128 for 512."""

LEAST_HELD_OUT = 8
"""Pairs of dev and of test at least: their pool holds the ten that are re-ranked."""


def first_debates(arguments: Sequence[Argument], pairs: int) -> list[Argument]:
    """Whole debates, in the corpus's order, until they hold so many pairs."""
    chosen: list[Argument] = []
    debates: dict[tuple[str, str], list[Argument]] = {}
    for argument in arguments:
        debates.setdefault((argument.theme, argument.debate), []).append(argument)
    for debate in debates.values():
        if len(arguments_module.pairs_of(chosen)) >= pairs:
            break
        chosen += debate
    return chosen


def read_folders(path: str | None) -> dict[str, list[Argument]]:
    """The training and validation folders of a corpus; without a path, of one made up."""
    with tempfile.TemporaryDirectory() as name:
        if path is None:
            path = f"{name}/corpus"
            synthetic.write_corpus(Path(path), pairs=SYNTHETIC_PAIRS, seed=0)
        read = arguana.read_splits(sources.open_source(path), ["training", "validation"]).arguments
    return {
        folder: [argument for argument in read if argument.split == folder]
        for folder in ("training", "validation")
    }


def small_corpus(folders: dict[str, list[Argument]], pairs: int | None) -> Corpus:
    """The first debates of training, and of validation two lots of its first, as dev and as test.

    Args:
        folders: as `read_folders` gives them.
        pairs: of training, at least; all of them by default, with 512 pairs' dev and test.
    """
    held_out = max(LEAST_HELD_OUT, (512 if pairs is None else pairs) // HELD_OUT_SHARE)
    train = folders["training"]
    if pairs is not None:
        train = first_debates(train, pairs)
    dev = first_debates(folders["validation"], held_out)
    test = first_debates(folders["validation"][len(dev) :], held_out)
    # The published zip's own test folder is left alone: nobody should tune a figure on it.
    renamed = [replace(argument, split="test") for argument in test]
    roles = {"train": "training", "dev": "validation", "test": "test"}
    return Corpus([*train, *dev, *renamed], roles, dict.fromkeys(roles.values(), 0))
