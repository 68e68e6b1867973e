"""Little corpora in ArguAna's layout."""

from collections.abc import Mapping

ROLES = {"train": "training", "dev": "validation", "test": "test"}


def debate(split: str, theme: str, name: str, sides: Mapping[str, int]) -> dict[str, str]:
    """The files of one debate with so many pairs a side; every text stands nowhere else."""
    files = {}
    for side, pairs in sides.items():
        for number in range(1, pairs + 1):
            for kind in ("a-point", "b-counter"):
                path = f"{split}/{theme}/{name}/{side}/{side}{number:02d}{kind}.txt"
                files[path] = f"{split} {theme} {name} {side} {number} {kind}"
    return files


def small_debates() -> dict[str, str]:
    """The files of three splits, two debates each, two themes: 24 pairs."""
    files: dict[str, str] = {}
    for split in ROLES.values():
        files |= debate(split, "law", "juries", {"pro": 2, "con": 2})
        files |= debate(split, "sport", "boxing", {"pro": 2, "con": 2})
    return files
