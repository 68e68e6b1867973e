"""An index of planted vectors: made, added to and asked, beside other programs on the same vectors.

    python -m benchmarks.index --rows 1000000 --threads 2

prints a Markdown table. Times of searching are medians over `--repeat` rounds, in each of which
every program is asked once; they count from vectors of queries to rows and distances. All programs
must give the same ten rows, but for ties and rounding.
"""

import argparse
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from counterpoint.io.text import markdown_table
from counterpoint.models.fusion import Vectors
from counterpoint.retrieval import indexing
from counterpoint.retrieval.collection import Document
from counterpoint.retrieval.index import Index
from counterpoint.retrieval.retriever import Retriever

K = 10
QUERIES = (1, 32)
CENTRES = 1_000
ALIKE = 0.999
"""Share of the rows that all programs must give alike."""

Search = Callable[[Tensor], Tensor]
"""(q, d) queries to (q, K) rows."""


@dataclass(frozen=True)
class Planted:
    """Vectors of length 1 around centres, as those of texts lie, and queries among them."""

    vectors: Tensor
    queries: Tensor


def planted(rows: int, width: int) -> Planted:
    random = torch.Generator().manual_seed(20261127)
    centres = torch.randn((CENTRES, width), generator=random)

    def some(count: int) -> Tensor:
        near = torch.randint(CENTRES, (count,), generator=random)
        vectors = torch.randn((count, width), generator=random).mul_(0.7).add_(centres[near])
        return functional.normalize(vectors, dim=1, out=vectors)

    return Planted(some(rows), some(max(QUERIES)))


def documents(rows: int, start: int = 0) -> list[Document]:
    numbers = range(start, start + rows)
    return [Document(f"Planted text {number}.", str(number), {"theme": "t"}) for number in numbers]


def ours(index: Index) -> Search:
    stored = index.stored
    return lambda queries: stored.nearest(queries, K)[0]


def sentence_transformers(vectors: Tensor) -> Search:
    from sentence_transformers.util import semantic_search

    def search(queries: Tensor) -> Tensor:
        found = semantic_search(queries, vectors, top_k=K)
        return torch.tensor([[int(hit["corpus_id"]) for hit in hits] for hits in found])

    return search


def faiss_flat(vectors: Tensor) -> Search:
    import faiss

    made = faiss.IndexFlatIP(vectors.shape[1])
    made.add(vectors.numpy())
    return lambda queries: torch.from_numpy(made.search(queries.numpy(), K)[1])


def seconds(search: Search, queries: Tensor) -> float:
    start = time.perf_counter()
    search(queries)
    return time.perf_counter() - start


def rounds(
    programs: dict[str, Search], queries: Tensor, repeat: int
) -> dict[str, dict[int, float]]:
    """Program to number of queries to the median of its seconds.

    Raises:
        RuntimeError: programs answer differently.
    """
    answers = {name: search(queries) for name, search in programs.items()}
    first, *others = answers.values()
    for name, rows in zip(list(programs)[1:], others, strict=True):
        same = float((rows[:, :, None] == first[:, None, :]).any(dim=2).double().mean())
        if same < ALIKE:
            raise RuntimeError(f"{name} gives {same:.1%} of the rows that ours gives")
    times: dict[str, dict[int, list[float]]] = {
        name: {count: [] for count in QUERIES} for name in programs
    }
    for _ in range(repeat):
        for name, search in programs.items():
            for count in QUERIES:
                times[name][count].append(seconds(search, queries[:count]))
    return {
        name: {count: statistics.median(own) for count, own in of_one.items()}
        for name, of_one in times.items()
    }


def peak() -> float:
    """GiB that the process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)


def timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def measure(rows: int, repeat: int, folder: Path) -> str:
    """The tables."""
    made = Retriever.untrained()
    given = planted(rows, made.width)
    path = folder / "index"
    more = max(1, rows // 100)
    new = planted(more, made.width).vectors
    lines = []

    def step(name: str, act: Callable[[], object]) -> None:
        lines.append({"step": name, "seconds": f"{timed(act):.1f}", "peak GiB": f"{peak():.2f}"})

    nothing = torch.empty((rows, 0))
    step(
        f"build from {rows:,} vectors",
        lambda: indexing.build(
            path, documents(rows), made, vectors=Vectors(nothing, given.vectors)
        ),
    )
    step(
        f"add {more:,}",
        lambda: indexing.add(
            path, documents(more, rows), vectors=Vectors(torch.empty((more, 0)), new)
        ),
    )
    step("open and check", lambda: Index.open(path).stored)
    index = Index.open(path)
    everything = torch.cat([given.vectors, new])
    programs = {
        "counterpoint": ours(index),
        "sentence_transformers.util.semantic_search": sentence_transformers(everything),
        "faiss.IndexFlatIP": faiss_flat(everything),
    }
    found = rounds(programs, given.queries, repeat)
    searched = [
        {"program": name, **{f"{count} at once, s": f"{times[count]:.3f}" for count in QUERIES}}
        for name, times in found.items()
    ]
    return f"{markdown_table(lines)}\n{markdown_table(searched)}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="for the index (default: a temporary one)")
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(parsed.threads)
    folder = Path(tempfile.mkdtemp(prefix="index-", dir=parsed.folder))
    try:
        print(measure(parsed.rows, parsed.repeat, folder))
    finally:
        shutil.rmtree(folder)
    print(
        f"{parsed.rows:,} rows, {parsed.threads} threads, medians of {parsed.repeat}; torch "
        f"{torch.__version__}, python {sys.version.split()[0]}"
    )


if __name__ == "__main__":
    main()
