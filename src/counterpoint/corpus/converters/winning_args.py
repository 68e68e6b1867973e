"""ConvoKit's Winning Arguments corpus: a reply that changed the author's view counters the post.

Threads of r/ChangeMyView (Tan et al., *Winning Arguments*, WWW 2016) in ConvoKit's format, a folder
or zip (convokit.cornell.edu/documentation/winning.html and …/data_format.html):

    utterances.jsonl      {"id": …, "speaker": …, "conversation_id": …, "reply_to": …, "text": …,
                           "meta": {"success": 1, 0 or null, "pair_ids": […]}} a line
    conversations.json    {"ID OF THE POST": {"op-title": …, "op-text-body": …, "train": 1 or 0}}

Published before ConvoKit's names changed, it says `user`, `root` and `reply-to`; corpora that
ConvoKit writes today have the facts of a conversation below `meta`. `success` is 1 in every comment
of a thread that changed the author's view, and only the first of them answers the post.
"""

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from counterpoint.corpus.converters.inputs import json_object, opened_member, text_lines
from counterpoint.corpus.converters.rows import Row, Tally
from counterpoint.errors import InputError

UTTERANCES = "utterances.jsonl"
CONVERSATIONS = "conversations.json"

DELETED = ("", "[deleted]", "[removed]")
"""What Reddit leaves of a text that its author or a moderator took away."""

_FOOTNOTE = re.compile(r"\s*_*\s*>?\s*\**Hello, users of CMV! This is a footnote from.*", re.DOTALL)
"""What the subreddit's moderators wrote below every post."""


@dataclass(frozen=True, slots=True)
class _Utterance:
    """A post or comment."""

    conversation: str
    reply_to: str
    """Empty in a post."""
    success: int | None
    text: str


@dataclass(frozen=True, slots=True)
class _Post:
    """What conversations.json says of a post."""

    title: str
    body: str
    split: str


@dataclass
class _Thread:
    """What is kept of a conversation."""

    post: _Utterance | None = None
    replies: list[_Utterance] = field(default_factory=list)
    """Direct ones that succeeded."""


def convert(path: Path, tally: Tally) -> Iterator[Row]:
    """The pairs of the corpus: each post with each direct reply to it that succeeded.

    Point is the post, its title before its text; debate is the conversation's id; there is no
    theme and no side. The split is `train` or `test`, as the corpus has it (`train` 1 or 0).

    Raises:
        InputError: a file is missing, or a line cannot be used; names the line.
    """
    posts = _posts(path)
    with opened_member(path, UTTERANCES) as stream:
        threads = _threads(_utterances(f"{path}: {UTTERANCES}", text_lines(stream), tally), tally)
    has_splits = any(post.split for post in posts.values())
    for conversation, thread in threads.items():
        tally.read["conversations"] += 1
        post = posts.get(conversation)
        reason, point = _point(thread, post)
        if not thread.replies:
            tally.leave_out("posts without a direct reply that succeeded")
        elif post is not None and has_splits and not post.split:
            reason = "whose conversation names no split"
        for reply in thread.replies:
            if reason is not None:
                tally.leave_out(f"replies {reason}", f"{path}: conversation {conversation}")
            else:
                split = post.split if post else ""
                yield Row(point=point, counter=reply.text, debate=conversation, split=split)


def _point(thread: _Thread, post: _Post | None) -> tuple[str | None, str]:
    """Why there is no point, and the point."""
    if post is None:
        return f"whose conversation is not in {CONVERSATIONS}", ""
    own = thread.post.text if thread.post else ""
    body = _FOOTNOTE.sub("", own if own not in DELETED else post.body)
    if body in DELETED:
        return "whose post is deleted or has no text", ""
    return None, body if body.startswith(post.title) else f"{post.title}\n\n{body}"


def _threads(utterances: Iterable[_Utterance], tally: Tally) -> dict[str, _Thread]:
    threads: dict[str, _Thread] = {}
    for one in utterances:
        thread = threads.setdefault(one.conversation, _Thread())
        if not one.reply_to:
            thread.post = one
        elif (reason := _reason(one)) is not None:
            tally.leave_out(reason)
        else:
            thread.replies.append(one)
    return threads


def _reason(one: _Utterance) -> str | None:
    """Why a reply is no counter to the post."""
    if one.success is None:
        return "replies that nobody judged (success null)"
    if one.success == 0:
        return "replies that did not succeed (success 0)"
    if one.reply_to != one.conversation:
        return "replies in a thread that succeeded, but not to the post itself"
    return "replies that are deleted or have no text" if one.text in DELETED else None


# Reading


def _utterances(name: str, lines: Iterable[tuple[int, str]], tally: Tally) -> Iterator[_Utterance]:
    for number, line in lines:
        if line.strip():
            tally.read["utterances"] += 1
            place = f"{name}:{number}"
            yield _utterance(json_object(line, place), place)


def _utterance(row: Mapping[str, object], place: str) -> _Utterance:
    meta = row.get("meta")
    if not isinstance(meta, Mapping):
        raise InputError(f'{place}: no "meta"; expected an utterance of ConvoKit\'s format')
    success = meta.get("success")
    if success not in (0, 1, None):
        raise InputError(f"{place}: meta.success is {success!r}; expected 1, 0 or null")
    return _Utterance(
        conversation=_named(row, place, "conversation_id", "root"),
        reply_to=_named(row, place, "reply_to", "reply-to", needed=False),
        success=None if success is None else int(bool(success)),
        text=_text(row.get("text")),
    )


def _named(row: Mapping[str, object], place: str, *names: str, needed: bool = True) -> str:
    """A name under the first of some keys that the row has; empty for null where not needed."""
    key = next((name for name in names if name in row), None)
    value = row[key] if key is not None else None
    if isinstance(value, str) and value:
        return value
    if key is None or needed or value is not None:
        raise InputError(f'{place}: "{names[0]}" is missing or no text; expected a name')
    return ""


def _posts(path: Path) -> dict[str, _Post]:
    """Each conversation by its id."""
    with opened_member(path, CONVERSATIONS) as stream:
        text = stream.read().decode("utf-8-sig")
    place = f"{path}: {CONVERSATIONS}"
    posts = {}
    for name, facts in json_object(text, place).items():
        meta = facts.get("meta", facts) if isinstance(facts, Mapping) else None
        if not isinstance(meta, Mapping):
            raise InputError(f"{place}: conversation {name!r} is no object; expected its facts")
        title = _text(meta.get("op-title"))
        if not title:
            raise InputError(f"{place}: conversation {name!r} has no op-title; expected a text")
        train = meta.get("train")
        split = {1: "train", 0: "test"}.get(train, "") if isinstance(train, int) else ""
        posts[name] = _Post(title, _text(meta.get("op-text-body")), split)
    return posts


def _text(value: object) -> str:
    """A text of Reddit's without its escapes; empty where there is none."""
    return html.unescape(value).strip() if isinstance(value, str) else ""
