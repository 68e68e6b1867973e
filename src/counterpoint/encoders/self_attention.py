"""Self-attention on a CPU: one product for query, key and value, and texts taken one by one.

The weights of the three stay three parameters, as checkpoints have them. They are put together in
each call, which costs a thousandth of the product over a batch's tokens.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.encoders.attention import Packing, attention
from counterpoint.encoders.dropout import LEVELS, drop_levels, random_bytes, uses_own_kernels

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


class PackedAttention(torch.autograd.Function):
    """Attention of texts that stand one after the other, each within itself.

    Of a text's weights, whose number grows with the square of its length, none are kept for the
    gradient: with what torch would keep of attention a batch takes a third more memory. Without
    dropout torch's kernel computes them again, with it softmax does, and the bytes that say what
    was dropped are kept.
    """

    @staticmethod
    def forward(
        ctx: Any, joint: Tensor, lengths: list[int], scaling: float, dropped: int
    ) -> Tensor:
        """Attend.

        Args:
            ctx: what the gradient needs.
            joint: (tokens, 3, heads, w) queries, keys and values.
            lengths: tokens of each text.
            scaling: of the products.
            dropped: levels of a byte that drop a weight; see `dropout`.

        Returns:
            (tokens, heads, w).
        """
        result = joint.new_empty((joint.shape[0], *joint.shape[2:]))
        kept: list[Tensor] = []
        for one, out in zip(_texts(joint, lengths), torch.split(result, lengths), strict=True):
            if dropped:
                attended, of_text = _attend_dropping(*one, scaling, dropped)
            else:
                attended, of_text = _flash(*one, 0.0, False, scale=scaling)
            kept.append(of_text)
            out.copy_(attended[0].transpose(0, 1))
        ctx.save_for_backward(joint, result, *kept)
        ctx.lengths, ctx.scaling, ctx.dropped = lengths, scaling, dropped
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """The gradient of `joint`, written once, in its shape."""
        joint, result, *kept = ctx.saved_tensors
        found = torch.empty_like(joint)
        parts = (*(torch.split(part, ctx.lengths) for part in (gradients[0], result)), kept)
        texts = zip(_texts(joint, ctx.lengths), _texts(found, ctx.lengths), *parts, strict=True)
        for one, own, upper, out, of_text in texts:
            of_result = upper.transpose(0, 1)[None]
            if ctx.dropped:
                found_of = _gradients_dropping(of_result, one, of_text, ctx.scaling, ctx.dropped)
            else:
                attended = out.transpose(0, 1)[None]
                found_of = _flash_backward(
                    of_result, *one, attended, of_text, 0.0, False, scale=ctx.scaling
                )
            for place, value in zip(own, found_of, strict=True):
                place.copy_(value)
        return found, None, None, None


def _texts(joint: Tensor, lengths: list[int]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Of each text query, key and value (1, heads, t, w): views of (tokens, 3, heads, w)."""
    for text in torch.split(joint, lengths):
        query, key, value = text.permute(1, 2, 0, 3)[:, None]
        yield query, key, value


def _attend_dropping(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, dropped: int
) -> tuple[Tensor, Tensor]:
    weights = ((query * scaling) @ key.mT).softmax(dim=-1)
    kept = (random_bytes(weights.shape) >= dropped).view(torch.int8)
    # The scale of what is kept goes to the values, which are far fewer.
    return (weights * kept) @ (value * _scale(dropped)), kept


def _gradients_dropping(
    upper: Tensor,
    three: tuple[Tensor, Tensor, Tensor],
    kept: Tensor,
    scaling: float,
    dropped: int,
) -> tuple[Tensor, Tensor, Tensor]:
    query, key, value = three
    scaled, upper = query * scaling, upper * _scale(dropped)
    weights = (scaled @ key.mT).softmax(dim=-1)
    of_value = (weights * kept).mT @ upper
    of_weights = (upper @ value.mT).mul_(kept)
    of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype)
    return (of_scores @ key).mul_(scaling), of_scores.mT @ scaled, of_value


def _scale(dropped: int) -> float:
    return LEVELS / (LEVELS - dropped)


def join_products(model: nn.Module) -> None:
    """Have a model's self-attention layers compute query, key and value at once, in place.

    Layers of BERT and its kin, which transformers has copied from one another.
    """
    for module in model.modules():
        if all(hasattr(module, name) for name in ("query", "key", "value", "attention_head_size")):
            layer: Any = module
            layer.forward = partial(_forward, layer, layer.forward)


def _forward(
    layer: Any,
    whole: Callable[..., Any],
    hidden_states: Tensor,
    attention_mask: Tensor | None = None,
    past_key_values: object = None,
    packing: Packing | None = None,
    **options: Any,
) -> Any:
    """What the layer's own `forward` (`whole`) gives, on a CPU by one product.

    In an embedding pass a layer that does not learn is left as it is, so that frozen features do
    not change.
    """
    joins = packing is not None or layer.query.weight.requires_grad
    if past_key_values is not None or not joins or not uses_own_kernels(hidden_states):
        own = {"attention_mask": attention_mask, "past_key_values": past_key_values}
        return whole(hidden_states, **own, **options, **({"packing": packing} if packing else {}))
    three = (layer.query, layer.key, layer.value)
    weight = torch.cat([part.weight for part in three])
    bias = torch.cat([part.bias for part in three])
    joint = functional.linear(hidden_states, weight, bias)
    joint = joint.view(*hidden_states.shape[:2], 3, -1, layer.attention_head_size)
    rate = layer.dropout.p if layer.training else 0.0
    if packing is not None:
        lengths = packing.starts.diff().tolist()
        # torch declares no types of what `apply` takes.
        attended = PackedAttention.apply(joint[0], lengths, layer.scaling, drop_levels(rate))[None]  # type: ignore[no-untyped-call]
    else:
        query, key, value = joint.transpose(1, 3).unbind(2)
        attended, _ = attention(
            layer, query, key, value, attention_mask, rate, scaling=layer.scaling, **options
        )
    return attended.flatten(start_dim=2), None
