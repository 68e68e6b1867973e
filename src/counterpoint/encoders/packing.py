"""How texts share a call of the encoder: batches of like lengths, rows without padding."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from counterpoint.arrays import Ints
from counterpoint.encoders.attention import is_registered

PACKED = frozenset({"bert", "electra", "roberta", "xlm-roberta"})
"""Families whose models take texts one after the other: all that mixes tokens is `attention`."""


def takes_packed_texts(model: nn.Module) -> bool:
    """Whether a transformer takes texts one after the other, as one row of tokens."""
    settings: Any = model.config
    return is_registered(model) and settings.model_type in PACKED


def means_of_texts(states: Tensor, starts: Tensor) -> Tensor:
    """(n, H): the mean of each text's states (tokens, H), which begin at `starts` (n + 1,)."""
    lengths = starts.diff()
    if states.is_cuda:
        # Checking the lengths would wait for the device.
        return torch.segment_reduce(states, "mean", lengths=lengths.long(), unsafe=True)
    return torch.stack([text.mean(dim=0) for text in torch.split(states, lengths.tolist())])


@dataclass(frozen=True)
class TokenInputs:
    """What enters a transformer for every token of n texts, as rows of a table."""

    table: Tensor
    """(tokens, H): a text's tokens stand one after the other; any row may stand for padding."""
    ends: Ints
    """(n,) the row behind each text's last token."""
    lengths: Ints
    """(n,) tokens of each text."""
    types: Ints | None = None
    """(tokens,) the token type of each row; None where all are 0."""

    def rows(self, part: Ints) -> Ints:
        """The rows of some texts' tokens, one text after the other."""
        return token_rows(self.ends[part], self.lengths[part])


def token_rows(ends: Ints, lengths: Ints) -> Ints:
    """The numbers of the tokens of texts, one after the other, by where each text ends."""
    return np.concatenate(
        [np.arange(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    )


def length_batches(lengths: Ints, budget: int, call: int) -> Iterator[Ints]:
    """Positions of texts, longest first, in the batches that cost least.

    A batch costs as many tokens as it has with its padding, and a call on top. The longest come
    first so that a lack of memory shows at once.

    Args:
        lengths: (n,) tokens of each text.
        budget: padded tokens of a batch at most; a longer text makes a batch of its own.
        call: what a call costs, in tokens.
    """
    order = np.argsort(-lengths, kind="stable")
    ordered = lengths[order]
    n = len(order)
    # least[i]: the cost of the texts from the i-th on, which the longest of them begins.
    least = np.zeros(n + 1, dtype=np.int64)
    ends = np.zeros(n, dtype=np.int64)
    for start in range(n - 1, -1, -1):
        longest = int(ordered[start])
        most = min(max(1, budget // longest), n - start)
        costs = longest * np.arange(1, most + 1) + least[start + 1 : start + 1 + most]
        ends[start] = start + 1 + int(costs.argmin())
        least[start] = call + costs.min()
    start = 0
    while start < n:
        yield order[start : ends[start]]
        start = int(ends[start])


def packs(lengths: Ints, budget: int) -> Iterator[Ints]:
    """Positions of texts in order, as many at a time as have `budget` tokens together.

    Args:
        lengths: (n,) tokens of each text.
        budget: no smaller than any of them.
    """
    start, tokens = 0, 0
    for text, length in enumerate(lengths.tolist()):
        if tokens + length > budget:
            yield np.arange(start, text)
            start, tokens = text, 0
        tokens += length
    yield np.arange(start, len(lengths))
