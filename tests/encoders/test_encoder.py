"""What every encoder keeps to: an embedding pass in parts, the same vectors as in training."""

from pathlib import Path

import numpy as np
import pytest
import torch

from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.encoder import Encoder, gathered
from counterpoint.encoders.features import FrozenFeatures, same_outputs
from tests.support.encoders import live_encoder

KINDS = {
    "frozen": None,
    "all": {"trainable": "all"},
    "last layer": {"trainable": 1, "dropout": 0.0},
    "separate": {"trainable": 1, "dropout": 0.0, "towers": "separate"},
}


def make(kind: str, corpus: Corpus, folder: Path) -> Encoder:
    changes = KINDS[kind]
    if changes is None:
        x = np.random.default_rng(1).normal(size=(len(corpus.texts), 32))
        return FrozenFeatures(same_outputs(x.astype(np.float32)))
    return live_encoder(folder, corpus, batch_tokens=64, **changes)


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_of_an_embedding_pass_hold_each_text_once(
    kind: str, small: Corpus, tiny_bert: Path
) -> None:
    encoder = make(kind, small, tiny_bert).eval()
    texts = torch.tensor([7, 2, 30, 0, 11, 5])
    with torch.no_grad():
        parts = list(encoder.embed(texts, "candidate"))
        whole = encoder(texts, "candidate")
    assert sorted(np.concatenate([positions for positions, _ in parts]).tolist()) == list(range(6))
    for positions, x in parts:
        assert x.shape == (len(positions), encoder.hidden_size)
        torch.testing.assert_close(x, whole[positions], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gathered(parts, 6), whole, rtol=1e-4, atol=1e-5)


def test_one_can_stop_while_the_lower_layers_are_computed(small: Corpus, tiny_bert: Path) -> None:
    """Before any text of the pass is ready; whoever asks again begins anew."""
    encoder = make("last layer", small, tiny_bert).eval()
    layers = encoder.get_submodule("models.query.encoder.layer")
    calls: list[int] = []
    layers[0].register_forward_hook(lambda *_: calls.append(0))
    parts = encoder.embed(torch.arange(9), "query")
    for _ in range(3):
        positions, x = next(parts)
        assert (len(positions), len(x)) == (0, 0)
    assert len(calls) == 2
    parts.close()  # type: ignore[attr-defined]  # a generator, though declared an iterator
    with torch.no_grad():
        assert gathered(encoder.embed(torch.arange(9), "query"), 9).shape == (9, 32)


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_encoder_says_of_itself(kind: str, small: Corpus, tiny_bert: Path) -> None:
    encoder = make(kind, small, tiny_bert)
    is_live = kind != "frozen"
    assert encoder.is_slow == is_live
    assert encoder.draws == is_live
    assert encoder.roles_differ == (kind == "separate")
    assert (encoder.lengths(np.array([[0, 1]])) is not None) == is_live
    assert (encoder.fingerprint() is not None) == is_live
    before = encoder.pieces
    assert encoder.back_off() == is_live
    assert encoder.pieces == before * (2 if is_live else 1)


def test_parts_are_put_in_the_order_of_their_positions() -> None:
    x = torch.arange(10.0).reshape(5, 2)
    order = np.array([3, 1, 4, 0, 2])
    parts = [(order[:2], x[order[:2]]), (order[2:2], x[:0]), (order[2:], x[order[2:]])]
    assert torch.equal(gathered(parts, 5), x)
    assert torch.equal(gathered([(order, x[order])], 5), x)
    assert torch.equal(gathered([(np.arange(5), x)], 5), x)
