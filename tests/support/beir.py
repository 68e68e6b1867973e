"""A little corpus in BEIR's layout, and how such files are written."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def jsonl(rows: Mapping[str, str | Mapping[str, str]]) -> str:
    """Id to text, or to title and text."""
    parts = {
        name: {"text": value} if isinstance(value, str) else value for name, value in rows.items()
    }
    return "".join(f"{json.dumps({'_id': name, **part})}\n" for name, part in parts.items())


def qrels(rows: Sequence[tuple[str, str, int]]) -> str:
    lines = [f"{query}\t{document}\t{score}\n" for query, document, score in rows]
    return "".join(["query-id\tcorpus-id\tscore\n", *lines])


DOCUMENTS = {"a": "one", "b": "two", "c": "three", "d": "four", "q1": "zero"}
QUERIES = {"q1": "zero", "q2": "ten", "q3": "two and a bit", "unjudged": "nobody asks"}
JUDGED = [
    ("q1", "b", 2),
    ("q1", "d", 1),
    ("q1", "q1", 1),  # its own document
    ("q2", "d", 1),
    ("q2", "a", 0),
    ("q3", "a", 1),
    ("q3", "q1", 2),
]

HAND = {
    "corpus.jsonl": jsonl(DOCUMENTS),
    "queries.jsonl": jsonl(QUERIES),
    "qrels/test.tsv": qrels(JUDGED),
}

# Where texts lie on a line; query 3 lies on b.
PLACE = {"zero": 0.0, "one": 1.0, "two": 2.0, "three": 3.0, "four": 4.0, "ten": 10.0}
PLACE["two and a bit"] = 2.0


def pack(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"beir/{file.relative_to(folder)}")
    return path
