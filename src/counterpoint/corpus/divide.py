"""Splits made by us, where a file of pairs names none."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from counterpoint.io.rng import generator

SHARES = {"train": 60, "dev": 20, "test": 20}
"""Per cent of the debates that each role gets."""

Debate = tuple[str, str]
"""Theme and name."""


def shares_of(roles: Mapping[str, str]) -> dict[str, int]:
    """The share of each folder; two roles may share one."""
    shares: Counter[str] = Counter()
    for role, share in SHARES.items():
        if role in roles:
            shares[roles[role]] += share
    return dict(shares)


def groups(texts: Iterable[tuple[Debate, str]]) -> list[list[Debate]]:
    """Debates that share a text, directly or by others between them; sorted, as are the groups.

    Args:
        texts: each debate with each of its texts.
    """
    above: dict[object, object] = {}

    def top(node: object) -> object:
        while (parent := above.setdefault(node, node)) != node:
            above[node] = above[parent]
            node = parent
        return node

    debates = set()
    for debate, text in texts:
        debates.add(debate)
        above[top(debate)] = top(text)
    found: dict[object, list[Debate]] = {}
    for debate in sorted(debates):
        found.setdefault(top(debate), []).append(debate)
    return sorted(found.values())


def divided(groups: Sequence[Sequence[Debate]], shares: Mapping[str, int]) -> dict[Debate, str]:
    """The folder of every debate: groups stay whole, and every folder gets at least one.

    In an order drawn once for all, the largest first, each group goes where most debates are still
    wanted. That depends on nothing but the debates' names and groups.

    Args:
        groups: as many as folders, or more.
        shares: of the debates, by folder.
    """
    order = generator(0, -1, "splits of a pair file").permutation(len(groups))
    drawn = sorted((groups[place] for place in order), key=len, reverse=True)
    count = sum(map(len, groups))
    wanted = {folder: count * share / sum(shares.values()) for folder, share in shares.items()}
    empty = dict.fromkeys(shares)
    folder_of: dict[Debate, str] = {}
    for number, group in enumerate(drawn):
        # The last groups are for those that have none yet.
        among = empty if len(drawn) - number == len(empty) else shares
        folder = max(among, key=lambda name: wanted[name])
        empty.pop(folder, None)
        wanted[folder] -= len(group)
        folder_of |= dict.fromkeys(group, folder)
    return folder_of
