"""Dropout that costs little on a CPU, and attention that uses it (docs/method.md, "Speed").

torch draws a random number for every element, on one thread: a sixth of a training step. Here a
64-bit number is drawn for every eight elements and each of its bytes decides over one, so a rate is
rounded to a multiple of 1/256 (0.1 is 26/256 = 0.1016), and the scale of what is kept with it. On
other devices torch's own kernels are used.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LEVELS = 256
"""What a byte can tell apart."""

ATTENTION = "counterpoint"
"""The name under which transformers knows `attention`."""


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, dropped: int, scale: float) -> Tensor:
        # As int8, which torch multiplies several times faster than bool.
        kept = (random_bytes(values.shape) >= dropped).view(torch.int8)
        ctx.save_for_backward(kept)
        ctx.scale = scale
        return _scaled(values * kept, scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        return _scaled(gradients[0] * kept, ctx.scale), None, None


def _scaled(values: Tensor, scale: float) -> Tensor:
    return values if scale == 1 else values.mul_(scale)


def _levels(rate: float) -> int:
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
        rate: in [0, 1); on a CPU rounded to a multiple of 1/256.
    """
    if values.device.type != "cpu":
        return functional.dropout(values, rate)
    dropped = _levels(rate)
    scale = LEVELS / (LEVELS - dropped)
    result: Tensor = values if dropped == 0 else _Dropout.apply(values, dropped, scale)  # type: ignore[no-untyped-call]
    return result


class Dropout(nn.Module):
    """A layer of `dropout`, at work in training mode alone."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.p = rate  # as torch calls it: attention layers of transformers read it

    def forward(self, values: Tensor) -> Tensor:
        """Any shape to the same."""
        return dropout(values, self.p) if self.training and self.p else values


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[Tensor, None]:
    """What transformers calls an attention function: SDPA, or with dropout on a CPU the plain way.

    There SDPA would take the plain way too, with a dropout of one draw an element.

    Args:
        module: the layer that asks.
        query: (n, heads, t, w).
        key: (n, heads, t, w).
        value: (n, heads, t, w).
        attention_mask: broadcasts to (n, heads, t, t); False, or minus infinity, for whom a token
            does not see.
        dropout: rate over the weights.
        options: others, `scaling` among them.

    Returns:
        (n, t, heads, w), and None for the weights.
    """
    # Here and not above: a cell on frozen features never waits for transformers.
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    # More heads in queries than in keys, or a bias by position: SDPA's wrapper knows how.
    plain = query.shape[1] == key.shape[1] and options.get("position_bias") is None
    if dropout == 0 or query.device.type != "cpu" or not plain or _causal(module, options):
        result: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, **options
        )
        return result
    scaling = options.get("scaling")
    scores = (query * (query.shape[-1] ** -0.5 if scaling is None else scaling)) @ key.mT
    if attention_mask is not None:
        if attention_mask.dtype == torch.bool:
            attention_mask = scores.new_zeros(()).masked_fill(~attention_mask, -torch.inf)
        scores += attention_mask
    dropped = _levels(dropout)
    weights: Tensor = _Dropout.apply(scores.softmax(dim=-1), dropped, 1.0)  # type: ignore[no-untyped-call]
    # The scale of what is kept goes to the values, which are far fewer.
    return (weights @ (value * (LEVELS / (LEVELS - dropped)))).transpose(1, 2).contiguous(), None


def _causal(module: nn.Module, options: dict[str, Any]) -> bool:
    asked = options.get("is_causal")
    return bool(getattr(module, "is_causal", True) if asked is None else asked)


def install(model: "PreTrainedModel", rate: float | None) -> None:
    """Put our dropout and attention into a transformer, in place.

    Args:
        model: as transformers loads it.
        rate: of every dropout; None for each layer's own.
    """
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Dropout):
                setattr(parent, name, Dropout(child.p if rate is None else rate))
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ATTENTION, attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(ATTENTION)
