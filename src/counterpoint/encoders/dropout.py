"""Dropout that costs little on a CPU (docs/method.md, "Speed").

torch draws a random number for every element, on one thread: a sixth of a training step. Here a
64-bit number is drawn for every eight elements and each of its bytes decides over one, so a rate is
rounded to a multiple of 1/256 (0.1 is 26/256 = 0.1016), and the scale of what is kept with it. On
other devices, and in a compiled model, torch's own kernels are used: its compiler makes one loop of
them with what surrounds them, and fails at reading an integer's bytes.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 256
"""What a byte can tell apart."""


class DropoutFunction(torch.autograd.Function):
    """Values of any shape with some set to zero, and the others times a scale."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, dropped: int, scale: float) -> Tensor:
        """Zero an element where its random byte lies below `dropped`; scale the others."""
        # As int8, which torch multiplies several times faster than bool.
        kept = (random_bytes(values.shape) >= dropped).view(torch.int8)
        ctx.save_for_backward(kept)
        ctx.scale = scale
        return _scaled(values * kept, scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """The gradients go the way of the values."""
        (kept,) = ctx.saved_tensors
        return _scaled(gradients[0] * kept, ctx.scale), None, None


def _scaled(values: Tensor, scale: float) -> Tensor:
    return values if scale == 1 else values.mul_(scale)


def uses_own_kernels(values: Tensor) -> bool:
    """Whether our operations pay: on a CPU, in a model that is not compiled."""
    return values.device.type == "cpu" and not torch.compiler.is_compiling()


def drop_levels(rate: float) -> int:
    """How many of a byte's values drop an element."""
    return min(round(rate * LEVELS), LEVELS - 1)


def random_bytes(shape: torch.Size) -> Tensor:
    """Uniform uint8 of a shape, from torch's generator of the CPU."""
    count = shape.numel()
    words = torch.empty((count + 7) // 8, dtype=torch.int64)
    words.random_(-(2**63), None)
    return words.view(torch.uint8)[:count].view(shape)


def dropout(values: Tensor, rate: float) -> Tensor:
    """Zero elements with a probability and scale the others so that the mean stays.

    Args:
        values: any shape, floating point.
        rate: in [0, 1); on a CPU, uncompiled, rounded to a multiple of 1/256.
    """
    if not uses_own_kernels(values):
        return functional.dropout(values, rate)
    dropped = drop_levels(rate)
    scale = LEVELS / (LEVELS - dropped)
    # torch declares no types of what `apply` takes.
    result: Tensor = values if dropped == 0 else DropoutFunction.apply(values, dropped, scale)  # type: ignore[no-untyped-call]
    return result


class Dropout(nn.Module):
    """A layer of `dropout`, at work in training mode alone."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.p = rate  # as torch calls it: attention layers of transformers read it

    def forward(self, values: Tensor) -> Tensor:
        """Any shape to the same."""
        return dropout(values, self.p) if self.training and self.p else values


def replace_dropout(model: nn.Module) -> None:
    """Put `Dropout` in the place of every `nn.Dropout`, at the same rate, in place."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Dropout):
                setattr(parent, name, Dropout(child.p))


def rates(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Every rate of dropout in a model: the module and the attribute that holds it."""
    for module in model.modules():
        if isinstance(module, Dropout | nn.Dropout):
            yield module, "p"
        else:
            # Some families call the function, with a rate that the module has under such a name.
            attributes = [
                name
                for name, value in vars(module).items()
                if "dropout" in name and isinstance(value, float)
            ]
            yield from ((module, name) for name in attributes)
