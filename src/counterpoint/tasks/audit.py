"""What a corpus holds: counts of each split, before anything is trained on it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from counterpoint.corpus.arguments import (
    ROLES,
    Corpus,
    normalise,
    pairs_of,
    write_arguments,
)
from counterpoint.corpus.problems import Problem
from counterpoint.io.atomic import write_text
from counterpoint.io.text import csv_text, markdown_table
from counterpoint.tasks.candidates import candidate_sets
from counterpoint.tasks.protocols import few_unseen
from counterpoint.tasks.training_pairs import trainable, training_pairs


def write_corpus(corpus: Corpus, problems: Sequence[Problem], folder: Path) -> None:
    """Write a corpus's table of arguments, its audit, and what was left out of it.

    The files are `arguments.parquet`, `audit.csv`, `audit.md` and `problems.txt`.
    """
    write_arguments(corpus, folder / "arguments.parquet")
    write_text(folder / "audit.csv", csv_text(audit(corpus)))
    write_text(folder / "audit.md", as_markdown(corpus))
    write_text(folder / "problems.txt", "".join(f"{problem}\n" for problem in problems))


def as_markdown(corpus: Corpus) -> str:
    """The audit as a table, then how the corpus was understood and what is to be doubted."""
    notes = [*corpus.notes, *small_splits(corpus)]
    listed = "".join(f"- {note}\n" for note in notes)
    return markdown_table(audit(corpus)) + (f"\n{listed}" if listed else "")


def small_splits(corpus: Corpus) -> Iterator[str]:
    """That a split has few or no unseen queries, where it has."""
    for folder in dict.fromkeys(corpus.roles[role] for role in ("dev", "test")):
        yield from few_unseen(folder, int(candidate_sets(corpus, folder).unseen.sum()))


FIRST = 3
"""Pairs that a person is shown."""

WIDTH = 200
"""Characters of a text that a person is shown."""


def first_pairs(corpus: Corpus) -> str:
    """The first pairs of a corpus, for a person who wants to see what was understood."""
    blocks = []
    for point, counter in pairs_of(corpus.arguments)[:FIRST]:
        where = f"{point.split}, theme {point.theme}, debate {point.debate}, {point.side}"
        blocks.append(
            f"\n{where}\n  point:   {_short(point.text)}\n  counter: {_short(counter.text)}\n"
        )
    return "".join(blocks)


def _short(text: str) -> str:
    text = normalise(text)
    return text if len(text) <= WIDTH else f"{text[:WIDTH]}…"


def audit(corpus: Corpus) -> list[dict[str, object]]:
    """Counts of each split: one row a folder, in the order of the roles.

    `bare_debates` are those without arguments, counted in `debates` too; `unique_pairs` counts
    pairs of unique texts; `shared_with_X` the unique texts that also stand in folder X;
    `unseen_queries` the points of which neither the text nor a counter's stands in the training
    folder. `dropped_pairs`
    are those that training leaves out because they share a text with dev or test
    (`corpus.decontaminate`), `trained_pairs` the different ones that it keeps; both are 0 for a
    folder that is not trained on. `tasks_left_out` names the tasks in which no query has a
    candidate but its golds; they are not evaluated.
    """
    folders = list(dict.fromkeys(corpus.roles[role] for role in ROLES if role in corpus.roles))
    texts = {
        folder: {argument.text_hash for argument in corpus.split(folder)} for folder in folders
    }
    rows = []
    for folder in folders:
        arguments = corpus.split(folder)
        pairs = pairs_of(arguments)
        sets = candidate_sets(corpus, folder)
        kept = trainable(corpus, sets)
        trained = folder == corpus.roles["train"]
        points = sum(argument.kind == "point" for argument in arguments)
        debates = len({(argument.theme, argument.debate) for argument in arguments})
        rows.append(
            {
                "split": folder,
                "roles": " ".join(role for role in ROLES if corpus.roles.get(role) == folder),
                "themes": len({argument.theme for argument in arguments}),
                "debates": debates + corpus.bare_debates[folder],
                "bare_debates": corpus.bare_debates[folder],
                "points": points,
                "pairs": len(pairs),
                "orphans": points - sets.points,
                "texts": len(arguments),
                "unique_texts": len(texts[folder]),
                "unique_pairs": len({(p.text_hash, c.text_hash) for p, c in pairs}),
                **{f"shared_with_{other}": len(texts[folder] & texts[other]) for other in folders},
                "unseen_queries": int(sets.unseen.sum()),
                "dropped_pairs": len(pairs) - len(kept) if trained else 0,
                "trained_pairs": len(training_pairs(sets, kept)) if trained else 0,
                "tasks_left_out": " ".join(sets.left_out),
            }
        )
    return rows
