"""Sources of files that are no folder and no zip."""

from collections.abc import Iterator, Mapping

from counterpoint.corpus.sources import MAX_TEXT_BYTES


class Memory:
    """A source that holds its files as they are given, in the order given."""

    name = "memory"

    def __init__(self, tree: Mapping[str, str | bytes]) -> None:
        self._tree = tree

    def folders(self) -> Iterator[str]:
        parents = (path.split("/")[:-1] for path in self._tree)
        yield from {"/".join(p[: n + 1]) for p in parents for n in range(len(p))}

    def files(self) -> Iterator[str]:
        yield from self._tree

    def read(self, path: str, limit: int = MAX_TEXT_BYTES) -> bytes:
        content = self._tree[path]
        return content.encode() if isinstance(content, str) else content

    def stamp(self, path: str, *, contents: bool) -> str:
        return self.read(path).hex()
