"""One product for query, key and value, and texts one by one, against torch's own operations."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoModel

from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.dropout import LEVELS, random_bytes
from counterpoint.encoders.self_attention import PackedAttention
from tests.support.encoders import embedded, live_encoder, other_versions

LENGTHS = [5, 1, 3]


def joint_of(dtype: torch.dtype = torch.float64) -> Tensor:
    """(tokens, 3, heads, w)."""
    random = torch.Generator().manual_seed(1)
    return torch.randn(sum(LENGTHS), 3, 2, 4, generator=random, dtype=dtype).requires_grad_()


def plain(joint: Tensor, scaling: float, masks: list[Tensor]) -> Tensor:
    """Each text by itself, with masks (heads, t, t) that the weights are multiplied with."""
    found = []
    for text, mask in zip(torch.split(joint, LENGTHS), masks, strict=True):
        query, key, value = text.permute(1, 2, 0, 3)
        weights = (scaling * query @ key.mT).softmax(dim=-1) * mask
        found.append((weights @ value).transpose(0, 1))
    return torch.cat(found)


def no_masks() -> list[Tensor]:
    return [torch.ones(2, t, t, dtype=torch.float64) for t in LENGTHS]


def check(found: Tensor, expected: Tensor, joint: Tensor) -> None:
    torch.testing.assert_close(found, expected)
    upper = torch.randn(found.shape, dtype=found.dtype)
    (own,) = torch.autograd.grad(found, joint, upper)
    (theirs,) = torch.autograd.grad(expected, joint, upper)
    assert theirs.abs().max() > 0.1
    torch.testing.assert_close(own, theirs)


def test_each_text_attends_to_itself_alone() -> None:
    joint = joint_of()
    check(PackedAttention.apply(joint, LENGTHS, 0.3, 0), plain(joint, 0.3, no_masks()), joint)


def test_dropped_weights_count_in_neither_direction() -> None:
    joint, dropped = joint_of(), 64
    torch.manual_seed(5)
    found = PackedAttention.apply(joint, LENGTHS, 0.3, dropped)
    torch.manual_seed(5)
    bytes_ = [random_bytes(torch.Size((1, 2, t, t)))[0] for t in LENGTHS]
    masks = [(some >= dropped) * LEVELS / (LEVELS - dropped) for some in bytes_]
    assert 0 < sum(int((mask == 0).sum()) for mask in masks) < 70
    check(found, plain(joint, 0.3, masks), joint)


def test_bfloat16_stays_bfloat16() -> None:
    joint = joint_of(torch.bfloat16)
    for dropped in (0, 1):
        found = PackedAttention.apply(joint, LENGTHS, 0.3, dropped)
        (gradient,) = torch.autograd.grad(found.float().sum(), joint)
        assert found.dtype == gradient.dtype == torch.bfloat16
        expected = plain(joint.double(), 0.3, no_masks())
        torch.testing.assert_close(found.double(), expected, rtol=0.05, atol=0.05)


def test_a_model_learns_as_transformers_own(small: Corpus, tiny_bert: Path) -> None:
    encoder = live_encoder(tiny_bert, small, trainable="all", dropout=0.0)
    theirs = AutoModel.from_pretrained(tiny_bert, attn_implementation="eager")
    weights = dict(theirs.named_parameters())
    own = dict(encoder.models["query"].named_parameters())
    assert {name: w.shape for name, w in own.items()} == {n: w.shape for n, w in weights.items()}
    ids, mask = encoder.tokens.candidate.padded(np.arange(9))
    states = theirs(input_ids=ids, attention_mask=mask).last_hidden_state
    expected = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    torch.testing.assert_close(embedded(encoder, 9), expected, rtol=1e-4, atol=1e-5)
    found = encoder(torch.arange(9), "query")
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    upper = torch.randn(found.shape, generator=torch.Generator().manual_seed(2))
    found.backward(upper)
    expected.backward(upper)
    learnt = {name for name, weight in weights.items() if weight.grad is not None}
    assert len(learnt) > 30
    for name in learnt:
        torch.testing.assert_close(own[name].grad, weights[name].grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("trainable", ["none", "all"])
def test_a_layer_computes_one_product_unless_it_is_frozen(
    trainable: str, small: Corpus, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = live_encoder(tiny_bert, small, trainable=trainable, dropout=0.0)
    outputs: list[int] = []
    linear = functional.linear

    def noted(values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        outputs.append(len(weight))
        return linear(values, weight, bias)

    monkeypatch.setattr(functional, "linear", noted)
    embedded(encoder, 9)
    assert (3 * encoder.hidden_size in outputs) == (trainable == "all")


def test_what_a_frozen_encoder_gives_does_not_depend_on_what_we_change(
    small: Corpus, tiny_bert: Path
) -> None:
    with other_versions():
        as_it_comes = live_encoder(tiny_bert, small, trainable="none", dropout=0.0)
    ours = live_encoder(tiny_bert, small, trainable="none", dropout=0.0)
    assert torch.equal(embedded(as_it_comes.eval(), 9), embedded(ours.eval(), 9))
