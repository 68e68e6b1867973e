"""Where each option of a configuration came from, for messages."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Origins:
    """The sources of a configuration, and which options each gives."""

    layers: Sequence[tuple[str, frozenset[str]]]
    """Each source and the dotted paths that it gives, the one that counts most last."""

    def of(self, path: str) -> str:
        """The last source that gives an option, a part of it, or a section around it.

        All sources together where none does, or where the path is empty: a whole configuration.
        """
        for source, paths in reversed(self.layers):
            if path and any(_overlap(path, given) for given in paths):
                return source
        return str(self)

    def __str__(self) -> str:
        return " + ".join(source for source, _ in self.layers)


Source = str | Origins
"""Where a configuration came from: one name for all of it, or one for each option."""


def origin(source: Source, path: str) -> str:
    """Where an option came from."""
    return source if isinstance(source, str) else source.of(path)


def _overlap(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}.") or other.startswith(f"{path}.")
