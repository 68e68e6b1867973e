"""What every encoder offers: the one interface that models and training know."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from counterpoint.arrays import Ints
from counterpoint.encoders.prompts import NO_PROMPTS, Prompts

MOST_PIECES = 4096
"""Pieces beyond which no batch is cut."""


class InPieces(nn.Module):
    """An encoder whose batches can be cut where memory is short."""

    pieces: int = 1
    """In how many pieces a batch is encoded and differentiated, one after the other."""

    def back_off(self) -> bool:
        """Double `pieces`, where there is something to split; whether there was."""
        if self.pieces >= MOST_PIECES:
            return False
        self.pieces *= 2
        return True


class Encoder(InPieces, ABC):
    """Texts to vectors x of H numbers; texts are named by their numbers in the corpus.

    A role is `query` or `candidate`.
    """

    hidden_size: int
    """H."""
    prompts: Prompts = NO_PROMPTS
    """What is put before each text."""

    @property
    @abstractmethod
    def roles_differ(self) -> bool:
        """Whether a text has another x as a query than as a candidate."""

    @property
    @abstractmethod
    def draws(self) -> bool:
        """Whether training draws random numbers (dropout), so that each step needs its seed."""

    @property
    @abstractmethod
    def is_slow(self) -> bool:
        """Whether an embedding pass is worth a checkpoint before it and interruptions within."""

    @abstractmethod
    def forward(self, texts: Tensor, role: str) -> Tensor:
        """(n,) int64 text numbers to (n, H) float32, with gradients where something learns."""

    @abstractmethod
    def embed(self, texts: Tensor, role: str) -> Iterator[tuple[Ints, Tensor]]:
        """x of (n,) int64 unique text numbers, part by part, for a whole split.

        Yields:
            Positions (k,) among `texts`, and their x (k, H) float32. Together the parts hold each
            position once; `gathered` puts them in order. A part may be empty: work for texts to
            come. A job may stop between two parts.
        """

    @abstractmethod
    def lengths(self, texts: Ints) -> Ints | None:
        """What encoding each of some texts costs (tokens), of their shape; None: all the same.

        As candidates: a prompt for queries adds the same to each of them.
        """

    @abstractmethod
    def fingerprint(self) -> str | None:
        """SHA-256 of the weights as they are; None where a file of inputs tells encoders apart."""


def gathered(parts: Iterable[tuple[Ints, Tensor]], n: int) -> Tensor:
    """The parts of n texts in the order of their positions: (n, H), with gradients as they come."""
    positions, vectors = zip(*parts, strict=True)
    position = np.concatenate(positions)
    x = vectors[0] if len(vectors) == 1 else torch.cat(vectors)
    if np.array_equal(position, np.arange(n)):
        return x
    order = np.empty(n, dtype=np.int64)
    order[position] = np.arange(n)
    return x[on_device(torch.from_numpy(order), x.device)]


def on_device(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device; to a GPU from pinned memory, so that nobody waits for the copy."""
    if tensor.device.type == device.type:
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)
