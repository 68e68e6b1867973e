"""Two products and GELU at once, against torch's own operations."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders import feed_forward
from counterpoint.encoders.feed_forward import FeedForwardFunction
from tests.support.encoders import live_encoder


def inputs() -> tuple[Tensor, ...]:
    """Of seven tokens of width 3, with 5 inside."""
    random = torch.Generator().manual_seed(1)
    shapes = ((7, 3), (5, 3), (5,), (3, 5), (3,))
    return tuple(
        torch.randn(shape, generator=random, dtype=torch.float64).requires_grad_()
        for shape in shapes
    )


@pytest.mark.parametrize("rows", [1, 3, 7, 100])
def test_both_directions_are_torchs(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_forward, "ROWS", rows)
    given = inputs()
    x, w1, b1, w2, b2 = given
    expected = functional.linear(functional.gelu(functional.linear(x, w1, b1)), w2, b2)
    found = FeedForwardFunction.apply(*given)
    torch.testing.assert_close(found, expected)
    upper = torch.randn(7, 3, dtype=torch.float64)
    own = torch.autograd.grad(found, given, upper)
    theirs = torch.autograd.grad(expected, given, upper)
    assert min(float(part.abs().max()) for part in theirs) > 0.01
    torch.testing.assert_close(own, theirs)


def test_neither_gelu_nor_another_copy_is_kept_for_the_gradient() -> None:
    kept: list[torch.Size] = []

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor.shape)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        FeedForwardFunction.apply(*inputs())
    # x, what GELU takes, and the weights.
    assert sorted(kept) == [(3, 5), (5, 3), (7, 3), (7, 5)]


@pytest.mark.parametrize(("activation", "calls"), [("gelu", 2), ("relu", 0)])
def test_a_model_uses_it_in_every_layer_with_gelu(
    activation: str, calls: int, small: Corpus, tiny_bert: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(tiny_bert, hidden_act=activation)
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(tmp_path)
    encoder = live_encoder(tmp_path, small, trainable="all", dropout=0.0)
    seen: list[int] = []
    own = FeedForwardFunction.forward

    def counted(ctx: object, *given: Tensor) -> Tensor:
        seen.append(len(given))
        return own(ctx, *given)

    monkeypatch.setattr(FeedForwardFunction, "forward", staticmethod(counted))
    encoder(torch.arange(9), "query")
    assert len(seen) == calls
