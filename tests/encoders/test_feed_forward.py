"""GELU within the product behind it, against torch's own."""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.feed_forward import GeluLinear
from tests.support.encoders import live_encoder


def test_it_gives_the_numbers_of_torch_in_both_directions() -> None:
    torch.manual_seed(1)
    linear = nn.Linear(6, 4)
    values, upper = torch.randn(2, 3, 6, requires_grad=True), torch.randn(2, 3, 4)
    expected = linear(functional.gelu(values))
    inputs = (values, linear.weight, linear.bias)
    theirs = torch.autograd.grad(expected, inputs, upper)
    layer = GeluLinear(linear)
    found = layer(values)
    assert torch.equal(found, expected)
    for own, other in zip(torch.autograd.grad(found, inputs, upper), theirs, strict=True):
        assert torch.equal(own, other)
    with torch.no_grad():
        assert torch.equal(layer(values), expected)
    assert layer.weight is linear.weight
    assert layer.state_dict().keys() == linear.state_dict().keys()


def test_gelu_is_not_kept_for_the_gradient() -> None:
    kept: list[torch.Size] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.shape)
        return tensor

    values = torch.randn(5, 6, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        GeluLinear(nn.Linear(6, 4))(values)
    assert sorted(kept) == [(4, 6), (5, 6)]


def test_a_model_has_one_in_every_layer(small: Corpus, tiny_bert: Path) -> None:
    model = live_encoder(tiny_bert, small, trainable="all").models["query"]
    assert sum(isinstance(module, GeluLinear) for module in model.modules()) == 2
