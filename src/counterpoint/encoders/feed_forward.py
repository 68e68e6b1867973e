"""GELU and the product behind it, of which a training step keeps less in memory."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.encoders.dropout import uses_own_kernels


class GeluLinearFunction(torch.autograd.Function):
    """A product of GELU(x), which is not kept for the gradient but computed again from x.

    That is a hundredth of a training step, and what it spares is the widest that a layer would
    keep: a quarter of a batch's memory. The numbers are torch's own.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """(…, m) values, (n, m) weight and (n,) bias to (…, n)."""
        ctx.save_for_backward(values, weight)
        result: Tensor = functional.linear(functional.gelu(values), weight, bias)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As torch has it: of values, weight and bias."""
        values, weight = ctx.saved_tensors
        upper = gradients[0].flatten(end_dim=-2)
        flat = values.flatten(end_dim=-2)
        of_weight = upper.T @ functional.gelu(flat)
        of_values = torch.ops.aten.gelu_backward(upper @ weight.to(upper.dtype), flat)
        return of_values.view_as(values), of_weight.to(weight.dtype), upper.sum(0).to(weight.dtype)


class GeluLinear(nn.Linear):
    """A linear layer over GELU of what it is given."""

    def __init__(self, linear: nn.Linear) -> None:
        # Nothing is made: the parameters are those of the layer that this one takes the place of.
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, input: Tensor) -> Tensor:
        """(…, m) to (…, n)."""
        if uses_own_kernels(input) and torch.is_grad_enabled():
            # torch declares no types of what `apply` takes.
            result: Tensor = GeluLinearFunction.apply(input, self.weight, self.bias)  # type: ignore[no-untyped-call]
            return result
        return functional.linear(functional.gelu(input), self.weight, self.bias)


def join_activations(model: nn.Module) -> None:
    """Move a model's GELUs into the linear layers behind them, in place.

    In layers of BERT and its kin; a model with another activation is left as it is.
    """
    for module in model.modules():
        first, second = getattr(module, "intermediate", None), getattr(module, "output", None)
        activation: Any = getattr(first, "intermediate_act_fn", None)
        if getattr(activation, "act", None) is functional.gelu and isinstance(second, nn.Module):
            setattr(first, "intermediate_act_fn", nn.Identity())  # noqa: B010  no declared field
            second.dense = GeluLinear(second.get_submodule("dense"))  # type: ignore[arg-type]
