"""A lack of memory: told from other errors, and answered by smaller pieces."""

from collections.abc import Callable, Generator
from typing import TypeVar

import torch

from counterpoint.encoders.encoder import InPieces
from counterpoint.errors import InputError

T = TypeVar("T")
E = TypeVar("E")


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a GPU or on the CPU, whose allocator has no error of its own."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # The driver's and cuBLAS's own errors come as others.
    signs = ("can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return any(sign in str(error) for sign in signs)


class BackOff:
    """Does an encoder's work in ever smaller pieces until it fits into memory.

    The pieces stay small from then on. A batch is the same batch: the same triples, one loss over
    all of them, one step at the same learning rates. Without dropout its gradient is the same too,
    to rounding. With dropout each piece draws its own masks, other ones than the whole batch would
    draw: the loss and its gradient are another sample of the same distribution.

    Args:
        encoder: whose work it is.
        device: where it computes.
        note: gets a sentence for the epoch's record each time that pieces become smaller.
    """

    def __init__(
        self, encoder: InPieces, device: torch.device, note: Callable[[str], None]
    ) -> None:
        self._encoder = encoder
        self._device = device
        self._note = note

    def fitting(self, work: Callable[[], T]) -> T:
        """Do it.

        Raises:
            InputError: not even single texts fit.
        """
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                reason = _reason(error)
            # Not in the handler, where the traceback still holds what was computed.
            self._halve(reason)

    def fitting_parts(self, parts: Callable[[], Generator[E, None, T]]) -> Generator[E, None, T]:
        """Do what is done part by part; where it does not fit it begins anew.

        Raises:
            InputError: not even single texts fit.
        """
        while True:
            try:
                return (yield from parts())
            except (RuntimeError, MemoryError) as error:
                reason = _reason(error)
            self._halve(reason)

    def _halve(self, reason: str) -> None:
        if not self._encoder.back_off():
            raise InputError(
                "out of memory, and no batch can be cut further; lower encoder.max_tokens, "
                f"encoder.batch_tokens or training.batch_size ({reason})"
            )
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        self._note(f"out of memory: batches go in {self._encoder.pieces} pieces")


def _reason(error: RuntimeError | MemoryError) -> str:
    """The first line of a lack of memory; any other error goes on."""
    if not out_of_memory(error):
        raise error
    return str(error).partition("\n")[0]
