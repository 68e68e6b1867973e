"""What of a corpus cannot be used, collected and reported at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """A place in the corpus that cannot be used."""

    path: str
    what: str
    skippable: bool = True

    def __str__(self) -> str:
        # A file name need not be UTF-8, but a report is.
        text = f"{self.path}: {self.what}"
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


SHOWN = 3
"""Places of a kind of problem that a report names."""


def grouped(problems: Sequence[Problem]) -> Iterator[str]:
    """A line a kind of problem: the first places, and how many more there are."""
    places: dict[str, list[Problem]] = {}
    for problem in problems:
        places.setdefault(problem.what, []).append(problem)
    for what, alike in places.items():
        if len(alike) == 1:
            yield str(alike[0])
            continue
        more = f" and {len(alike) - SHOWN} more" if len(alike) > SHOWN else ""
        named = ", ".join(problem.path for problem in alike[:SHOWN])
        yield str(Problem(f"{len(alike)} times ({named}{more})", what))


def report(name: str, problems: Sequence[Problem], skip: bool) -> str:
    """All problems of a corpus in one message."""
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    lines = [f"corpus {name}: {count}", *(f"  {line}" for line in grouped(problems))]
    if not skip and all(problem.skippable for problem in problems):
        lines.append("Correct the files, or leave them out with corpus.bad_files: skip.")
    elif any(problem.skippable for problem in problems):
        lines.append("Correct the files; an empty or missing split cannot be left out.")
    return "\n".join(lines)
