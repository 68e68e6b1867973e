"""Our dropout and attention against torch's."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional

from counterpoint.encoders.attention import attention, flash_takes
from counterpoint.encoders.dropout import Dropout, dropout


def test_a_rate_is_rounded_to_a_byte_and_the_scale_with_it() -> None:
    torch.manual_seed(1)
    found = dropout(torch.ones(400, 500), 0.1)
    kept = found > 0
    assert found[kept].unique().tolist() == [pytest.approx(256 / 230)]
    # 26/256 of 200,000 is 20,312; ±6 standard deviations of 135.
    assert abs(int((~kept).sum()) - 20312) < 810


def test_each_place_is_dropped_as_often_as_any_other() -> None:
    torch.manual_seed(2)
    kept = sum((dropout(torch.ones(3, 7), 0.25) > 0).int() for _ in range(4000))
    # Of 4000 draws 3000 are kept at each place; ±6 standard deviations of 27.
    assert int((kept - 3000).abs().max()) < 164


def test_gradients_go_where_values_went() -> None:
    torch.manual_seed(3)
    values = torch.randn(50, 8, requires_grad=True)
    found = dropout(values, 0.5)
    found.sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad, found.detach() / values.detach())
    assert 100 < int((values.grad == 0).sum()) < 300


def test_the_same_seed_drops_the_same() -> None:
    found = []
    for seed in (4, 4, 5):
        torch.manual_seed(seed)
        found.append(dropout(torch.ones(100), 0.5))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_nothing_is_dropped_outside_training_or_at_a_rate_of_0() -> None:
    values = torch.randn(10)
    layer = Dropout(0.5)
    assert layer.eval()(values) is values
    assert Dropout(0.0).train()(values) is values
    assert (layer.train()(torch.ones(1000)) == 0).any()


MASK = torch.tensor([[True] * 5, [True, True, True, False, False]])[:, None, None, :]


@pytest.mark.parametrize("mask", [None, MASK, torch.zeros(2, 1, 1, 5).masked_fill(~MASK, -1e30)])
def test_attention_whose_dropout_drops_nothing_is_sdpa(
    mask: torch.Tensor | None,
) -> None:
    torch.manual_seed(6)
    q, k, v = torch.randn(3, 2, 4, 5, 8)
    module = SimpleNamespace(is_causal=False)
    expected = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=0.3)
    # A rate that is less than half a level of a byte drops nothing.
    for rate in (0.0, 0.001):
        found, _ = attention(module, q, k, v, mask, dropout=rate, scaling=0.3)  # type: ignore[arg-type]
        torch.testing.assert_close(found, expected.transpose(1, 2))


def test_attention_drops_weights() -> None:
    torch.manual_seed(7)
    q, k = torch.zeros(2, 1, 1, 64, 8)
    v = torch.ones(1, 1, 64, 8)
    module = SimpleNamespace(is_causal=False)
    found, _ = attention(module, q, k, v, None, dropout=0.5)  # type: ignore[arg-type]
    # All weights are 1/64: a row's sum is the number kept times 2/64.
    counts = found[0, :, 0, 0] * 32
    torch.testing.assert_close(counts, counts.round())
    assert 20 < counts.mean() < 44
    assert counts.std() > 1


def test_flash_attention_takes_the_heads_that_its_kernels_are_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: True)
    assert [width for width in (32, 36, 64, 256, 264) if flash_takes(width)] == [32, 64, 256]
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: False)
    assert not flash_takes(64)
