"""A transformer's output to one vector a text."""

from typing import Any

from torch import Tensor


def apply_pooling(output: Any, mask: Tensor, pooling: str) -> Tensor:
    """A transformer's output to one vector a text, (n, H) float32.

    Args:
        output: with `last_hidden_state` (n, t, H), and `pooler_output` (n, H) for `pooler`.
        mask: (n, t), 1 for real tokens.
        pooling: `pooler`, `cls` (first token) or `mean` (over real tokens).
    """
    if pooling == "pooler":
        pooled: Tensor = output.pooler_output.float()
        return pooled
    hidden: Tensor = output.last_hidden_state.float()
    if pooling == "cls":
        return hidden[:, 0]
    weights = mask[:, :, None].to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)
