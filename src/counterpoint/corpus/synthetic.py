"""Made-up corpora of any size whose right answers are known.

Every pair of a point and its counter shares words that stand nowhere else in its split, beside
words of its debate, of its theme and of the language at large. So the text nearest to a point by
rare words is its counter, and a system that finds less than that is at fault.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from counterpoint.errors import InputError
from counterpoint.io.atomic import naming
from counterpoint.io.rng import generator

PAIRS_PER_DEBATE = 6
DEBATES_PER_THEME = 10
SHARES = {"training": 0.6, "validation": 0.2, "test": 0.2}

_CONSONANTS = "bdfgklmnprstvz"
_VOWELS = "aeiou"
_SYLLABLES = [c + v for c in _CONSONANTS for v in _VOWELS]


def word(number: int) -> str:
    """The made-up word of a number; different numbers give different words."""
    base = len(_SYLLABLES)
    digits: list[str] = []
    while number or len(digits) < 3:
        number, digit = divmod(number, base)
        digits.append(_SYLLABLES[digit])
    return "".join(digits)


def split_sizes(pairs: int) -> dict[str, int]:
    """Pairs of each split: 60, 20 and 20 %.

    Raises:
        InputError: a split would have fewer than two.
    """
    sizes = {split: int(pairs * share) for split, share in SHARES.items()}
    sizes["training"] += pairs - sum(sizes.values())
    if min(sizes.values()) < 2:
        raise InputError(f"--pairs: {pairs} leaves a split with fewer than two; give at least 10")
    return sizes


def texts(pairs: int, seed: int) -> Iterator[tuple[str, str]]:
    """(path, text) of every file of a corpus, in the layout of ArguAna Counterargs."""
    rng = generator(seed, -1, "synthesize")
    common = np.arange(400)
    for split, size in split_sizes(pairs).items():
        # Words are drawn anew in each split, so that a system fitted on training knows those of
        # the other splits.
        fresh = iter(range(1000, 1 << 40))
        left = size
        debate = 0
        while left:
            if debate % DEBATES_PER_THEME == 0:
                of_theme = _take(fresh, 30)
            of_debate = _take(fresh, 20)
            theme = f"theme-{debate // DEBATES_PER_THEME % 15:02d}"
            for place in range(min(PAIRS_PER_DEBATE, left)):
                own = _take(fresh, 8)
                side = "pro" if place % 2 == 0 else "con"
                stem = f"{split}/{theme}/debate-{debate:05d}/{side}/{side}{place // 2 + 1:02d}"
                for ending in ("a-point", "b-counter"):
                    yield f"{stem}{ending}.txt", _text(rng, own, of_debate, of_theme, common)
            left -= min(PAIRS_PER_DEBATE, left)
            debate += 1


def _take(fresh: Iterator[int], count: int) -> np.ndarray:
    return np.array([next(fresh) for _ in range(count)])


def _text(rng: np.random.Generator, *vocabularies: np.ndarray) -> str:
    counts = (12, 10, 8, 20)
    numbers = np.concatenate(
        [rng.choice(words, size=count) for words, count in zip(vocabularies, counts, strict=True)]
    )
    rng.shuffle(numbers)
    return " ".join(word(int(number)) for number in numbers).capitalize() + ".\n"


def write_corpus(folder: Path, *, pairs: int, seed: int) -> None:
    """Write a corpus; the folder appears when it is whole.

    Raises:
        InputError: the folder holds something already, or there are too few pairs.
    """
    split_sizes(pairs)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists and is not empty; give another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        root = temporary / "02-extracted-arguments"
        for path, text in texts(pairs, seed):
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with naming(target):
                target.write_text(text, encoding="utf-8")
        temporary.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
