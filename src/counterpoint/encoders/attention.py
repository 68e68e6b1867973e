"""Attention of texts with or without padding."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from counterpoint.encoders.dropout import (
    LEVELS,
    DropoutFunction,
    drop_levels,
    uses_own_kernels,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel


ATTENTION = "counterpoint"
"""The name under which transformers knows `attention`."""


@dataclass(frozen=True)
class Packing:
    """How n texts stand one after the other, as one row of tokens."""

    starts: Tensor
    """(n + 1,) int32 on the texts' device: where each begins, and the end."""
    longest: int
    """Tokens of the longest."""


def attention(  # noqa: PLR0917  as transformers calls it
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    packing: Packing | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """What transformers calls an attention function: SDPA, or on a CPU the plain way where it pays.

    With dropout SDPA would take the plain way too, with one draw an element. Texts that stand one
    after the other are taken all at once by a GPU's flash attention; on a CPU they never come here
    (`self_attention`).

    Args:
        module: the layer that asks.
        query: (n, heads, t, w).
        key: (n, heads, t, w).
        value: (n, heads, t, w).
        attention_mask: broadcasts to (n, heads, t, t); False, or minus infinity, for whom a token
            does not see.
        dropout: rate over the weights.
        packing: of the texts that stand one after the other along t, where n is 1; each sees itself
            alone. On a GPU in half precision.
        options: others, `scaling` among them.

    Returns:
        (n, t, heads, w), and None for the weights.
    """
    if packing is not None:
        return _flash(query, key, value, packing, dropout, options.get("scaling")), None

    # Here and not above: a cell on frozen features never waits for transformers.
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    # More heads in queries than in keys, or a bias by position: SDPA's wrapper knows how.
    plain = query.shape[1] == key.shape[1] and options.get("position_bias") is None
    if dropout == 0 or not uses_own_kernels(query) or not plain or _causal(module, options):
        result: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, **options
        )
        return result
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        attention_mask = query.new_zeros(()).masked_fill(~attention_mask, -torch.inf)
    return plain_attention(query, key, value, attention_mask, dropout, options.get("scaling")), None


def _flash(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    packing: Packing,
    dropout: float,
    scaling: float | None,
) -> Tensor:
    """torch's kernel, called by its inner name.

    Of the public ways to it `varlen_attn` drops nothing, and SDPA on nested tensors needs so much
    Python a call that the GPU waits (docs/benchmarks-gpu.md).
    """
    # Not by an index, whose gradient is copied into a tensor of zeros.
    q, k, v = (part.transpose(1, 2).squeeze(0) for part in (query, key, value))
    starts, longest = packing.starts, packing.longest
    result: Tensor = torch.ops.aten._flash_attention_forward(
        q, k, v, starts, starts, longest, longest, dropout, False, False, scale=scaling
    )[0]
    return result.unsqueeze(0)


def flash_takes(width: int) -> bool:
    """Whether a GPU's flash attention is there, and takes heads of a width."""
    return torch.backends.cuda.is_flash_attention_available() and width % 8 == 0 and width <= 256


def plain_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    dropout: float,
    scaling: float | None,
) -> Tensor:
    """Softmax of scaled products, in plain operations.

    Args:
        query: (n, heads, t, w).
        key: (n, heads, t, w).
        value: (n, heads, t, w).
        mask: added to the products; broadcasts to (n, heads, t, t).
        dropout: rate over the weights; rounded to a multiple of 1/256.
        scaling: of the products; None for w ** -0.5.

    Returns:
        (n, t, heads, w).
    """
    scores = (query * (query.shape[-1] ** -0.5 if scaling is None else scaling)) @ key.mT
    if mask is not None:
        scores += mask
    weights = scores.softmax(dim=-1)
    dropped = drop_levels(dropout)
    if dropped:
        # torch declares no types of what `apply` takes.
        weights = DropoutFunction.apply(weights, dropped, 1.0)  # type: ignore[no-untyped-call]
        # The scale of what is kept goes to the values, which are far fewer.
        value = value * (LEVELS / (LEVELS - dropped))
    return (weights @ value).transpose(1, 2).contiguous()


def _causal(module: nn.Module, options: dict[str, Any]) -> bool:
    option = options.get("is_causal")
    return bool(getattr(module, "is_causal", True) if option is None else option)


def register(model: "PreTrainedModel") -> None:
    """Have a model that would take SDPA call `attention`."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ATTENTION, attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(ATTENTION)


def is_registered(model: nn.Module) -> bool:
    """Whether a model calls `attention`."""
    settings: Any = model.config
    return bool(settings._attn_implementation == ATTENTION)
