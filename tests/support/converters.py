"""Converting invented files of other formats, and what comes of them."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from counterpoint.corpus.converters.formats import Report, convert
from counterpoint.errors import InputError

Rows = list[dict[str, str]]


def converted(name: str, path: Path) -> tuple[Rows, Report]:
    """The rows that a source becomes, as they stand in the file, and the report."""
    out = path.parent / "converted.jsonl"
    report = convert(name, path, out, overwrite=True)
    lines = out.read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    rows = [json.loads(line) for line in lines]
    assert report.pairs == len(rows)
    assert report.points == len({row["point"] for row in rows})
    assert report.debates == len({(row.get("theme"), row["debate"]) for row in rows})
    return rows, report


def refusal(name: str, path: Path) -> str:
    """The message about a source that cannot be converted, for which nothing is written."""
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(InputError) as error:
        convert(name, path, path.parent / "refused" / "pairs.jsonl")
    assert sorted(path.parent.rglob("*")) == before
    return str(error.value)


def pairs(rows: Rows) -> list[tuple[str, str]]:
    """Point and counter of each row."""
    return [(row["point"], row["counter"]) for row in rows]


def premise(
    number: int,
    stance: str,
    text: str,
    conclusion: str,
    *,
    page: str = "page",
    links: tuple[int | None, int | None] = (None, None),
    context: Mapping[str, str] | None = None,
) -> dict[str, object]:
    """An argument of the args.me corpus with one premise, linked to the numbers before and after.

    `context` goes on top of a context with a discussion's title.
    """
    before, after = ("" if link is None else f"{page}-{link}" for link in links)
    return {
        "id": f"{page}-{number}",
        "conclusion": conclusion,
        "premises": [{"text": text, "stance": stance}],
        "context": {
            "discussionTitle": "Fitness is all",
            "sourceId": page,
            "previousArgumentInSourceId": before,
            "nextArgumentInSourceId": after,
            **(context or {}),
        },
    }


def utterance(
    identity: str,
    text: str | None,
    reply_to: str | None = None,
    success: int | None = None,
    *,
    root: str = "t3_a",
    speaker: str = "someone",
    old_names: bool = True,
) -> dict[str, object]:
    """A line of utterances.jsonl, under the published corpus's names or under ConvoKit's own."""
    names = (
        ("user", "root", "reply-to") if old_names else ("speaker", "conversation_id", "reply_to")
    )
    return {
        "id": identity,
        **dict(zip(names, (speaker, root, reply_to), strict=True)),
        "text": text,
        "timestamp": 1,
        "meta": {"success": success, "pair_ids": [] if success is None else ["p_1"]},
    }


def write_threads(
    folder: Path,
    utterances: list[dict[str, object]],
    conversations: Mapping[str, object],
) -> Path:
    """A folder in ConvoKit's format."""
    folder.mkdir(parents=True)
    lines = "".join(f"{json.dumps(one)}\n" for one in utterances)
    (folder / "utterances.jsonl").write_text(lines)
    (folder / "conversations.json").write_text(json.dumps(conversations))
    (folder / "speakers.json").write_text("{}")
    return folder
