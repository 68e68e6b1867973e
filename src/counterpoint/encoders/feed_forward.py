"""The two products of a transformer's layer with GELU between them, in little memory on a CPU."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.encoders.dropout import uses_own_kernels

ROWS = 1024
"""Tokens that are taken at a time: what is computed of them stays in the cache."""


class FeedForwardFunction(torch.autograd.Function):
    """W₂ GELU(W₁ x + b₁) + b₂, of which x and W₁ x + b₁ alone are kept for the gradient.

    GELU is computed again: a hundredth of a training step, for the widest that a layer would keep.
    Nothing else is ever as large as the batch.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
        """x (tokens, n), weights (m, n) and (n, m), biases (m,) and (n,) to (tokens, n)."""
        wide = functional.linear(x, w1, b1)
        result = torch.empty_like(x)
        for rows in _parts(len(x)):
            torch.addmm(b2, functional.gelu(wide[rows]), w2.T, out=result[rows])
        ctx.save_for_backward(x, wide, w1, w2)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        """The gradients of all five."""
        x, wide, w1, w2 = ctx.saved_tensors
        (upper,) = gradients
        of_x, of_w1, of_w2 = torch.empty_like(x), torch.zeros_like(w1), torch.zeros_like(w2)
        of_b1 = torch.zeros_like(w1[:, 0])
        for rows in _parts(len(x)):
            of_w2.addmm_(upper[rows].T, functional.gelu(wide[rows]))
            of_wide = torch.ops.aten.gelu_backward(upper[rows] @ w2, wide[rows])
            of_w1.addmm_(of_wide.T, x[rows])
            of_b1 += of_wide.sum(0)
            torch.mm(of_wide, w1, out=of_x[rows])
        return of_x, of_w1, of_b1, of_w2, upper.sum(0)


def _parts(rows: int) -> Iterator[slice]:
    """Rows in the order in which they are taken."""
    for start in range(0, rows, ROWS):
        yield slice(start, start + ROWS)


def join_feed_forward(model: nn.Module) -> None:
    """Have a model compute both products and GELU in the place of the second, in place.

    In layers of BERT and its kin; those with another activation are left as they are.
    """
    for module in model.modules():
        first: Any = getattr(module, "intermediate", None)
        second: Any = getattr(module, "output", None)
        activation = getattr(first, "intermediate_act_fn", None)
        if getattr(activation, "act", None) is functional.gelu:
            second.dense.forward = partial(_forward, first.dense, second.dense)
            first.forward = _unchanged


def _unchanged(x: Tensor) -> Tensor:
    return x


def _forward(first: nn.Linear, second: nn.Linear, x: Tensor) -> Tensor:
    """(1, tokens, n) or any other number of texts to the same."""
    weights = (first.weight, first.bias, second.weight, second.bias)
    learns = torch.is_grad_enabled() and first.weight.requires_grad
    if learns and uses_own_kernels(x) and not torch.is_autocast_enabled("cpu"):
        # torch declares no types of what `apply` takes.
        found: Tensor = FeedForwardFunction.apply(x.flatten(end_dim=-2), *weights)  # type: ignore[no-untyped-call]
        return found.view_as(x)
    wide = functional.linear(x, *weights[:2])
    return functional.linear(functional.gelu(wide), *weights[2:])
