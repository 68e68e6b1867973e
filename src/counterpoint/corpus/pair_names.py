"""What people call the columns, sides and splits of their files, and what we call them.

Sides and splits are read under any of these names. Columns are only proposed: whether an `argument`
is the point, nobody but the file's owner can say (`corpus.columns`).
"""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence

NEEDED = ("point", "counter")
OPTIONAL = ("debate", "theme", "side", "split")
COLUMNS = (*NEEDED, *OPTIONAL)

OTHER_COLUMNS = {
    "point": (
        "point argument arg argument1 arg1 claim anchor query question post originalpost op "
        "statement thesis proposition originalargument sourceargument text1 sentence1 source input "
        "premise opinion comment"
    ),
    "counter": (
        "counter counterargument counterarguments counterarg counterpoint counterclaim countertext "
        "positive pos answer response reply rebuttal refutation attack argument2 arg2 text2 "
        "sentence2 target output opposingargument"
    ),
    "debate": (
        "debate topic discussion discussionid debateid debatetitle thread threadid conversation "
        "conversationid motion title"
    ),
    "theme": "theme category subject domain subreddit field tag",
    "side": "side stance position polarity standpoint",
    "split": "split subset partition set fold",
}
"""Ours to the names in use, without case, blanks and punctuation; the likelier ones first."""

_SIDES = {
    "pro": (
        "pro pros for support supports supporting supportive favor favour infavor infavour agree "
        "agrees affirmative proposition dafür pour 支持 正方"
    ),
    "con": (
        "con cons contra against oppose opposes opposing opposition anti disagree disagrees "
        "negative dagegen contre 反对 反方"
    ),
}

_ROLES = {
    "train": "train training",
    "dev": "dev devel development valid validation val",
    "test": "test testing",
}


def folded(name: str) -> str:
    """A name without case, blanks and punctuation."""
    return re.sub(r"[\W_]+", "", name.casefold())


def _turned(names: Mapping[str, str]) -> dict[str, str]:
    return {other: ours for ours, others in names.items() for other in others.split()}


_SIDE_OF, _ROLE_OF = _turned(_SIDES), _turned(_ROLES)


def side_of(name: str) -> str | None:
    """`pro` or `con`; None where a name is of neither."""
    return _SIDE_OF.get(folded(name))


def role_of(name: str) -> str | None:
    """`train`, `dev` or `test`; None where a split's name says none of them."""
    return _ROLE_OF.get(folded(name))


def named_split(wanted: str, there: Collection[str]) -> str | None:
    """The one of some splits that a name means: its own, or that of its role; None for no such.

    `dev` and `validation` both mean a split `valid` where there is no other of that role.
    """
    if wanted in there:
        return wanted
    role = role_of(wanted)
    alike = [name for name in there if role is not None and role_of(name) == role]
    return alike[0] if len(alike) == 1 else None


def proposed(missing: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Our missing columns to those names of a file that probably mean them."""
    free = [name for name in names if name not in COLUMNS]
    result: dict[str, str] = {}
    for ours in missing:
        by_fold = {folded(name): name for name in free if name not in result.values()}
        known = [by_fold[other] for other in OTHER_COLUMNS[ours].split() if other in by_fold]
        near = difflib.get_close_matches(ours, list(by_fold), n=1, cutoff=0.75)
        close = known or [by_fold[name] for name in near]
        if close:
            result[ours] = close[0]
    return result
