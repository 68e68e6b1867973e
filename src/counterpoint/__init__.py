"""Counterpoint: find the best counterargument, and find out which way of training for it works.

What a notebook needs:

    import counterpoint

    corpus = counterpoint.open_corpus("sample")
    run = counterpoint.read_run("results/sample")
    table = counterpoint.scores(run)
    retriever = counterpoint.Retriever.load("results/sample", "best")
    answers = retriever.search(["Cars pollute."], ["Cars bring freedom.", "Zoos are cruel."])

The packages form a one-way street (`docs/architecture.md`). Importing this one imports none of
them: each name is looked up when it is first used, so that `counterpoint --help` and the Snakefile
start at once.
"""

from typing import TYPE_CHECKING

__all__ = [
    "Corpus",
    "Found",
    "InputError",
    "Retriever",
    "Run",
    "encode_texts",
    "open_corpus",
    "read_run",
    "scores",
]

if TYPE_CHECKING:
    from counterpoint.api import (
        Corpus,
        InputError,
        Run,
        encode_texts,
        open_corpus,
        read_run,
        scores,
    )
    from counterpoint.retrieval.retriever import Found, Retriever

    __version__: str
else:

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from counterpoint.versions import program_version

            return program_version()
        if name in ("Found", "Retriever"):
            from counterpoint.retrieval import retriever  # with torch, which the others do without

            return getattr(retriever, name)
        if name in __all__:
            from counterpoint import api

            return getattr(api, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, "__version__"})
