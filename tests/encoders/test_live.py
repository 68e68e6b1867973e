"""Live encoders: vectors, gradients, pieces, what is compiled."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders import tower
from counterpoint.encoders.live import LiveEncoder
from counterpoint.encoders.pooling import apply_pooling
from counterpoint.encoders.tokens import tokenise
from counterpoint.errors import InputError
from tests.support.encoders import embedded, encoder_options, gradients, live_encoder


def test_the_fingerprint_follows_weights_and_configuration_and_not_the_folder(
    small: Corpus, tiny_bert: Path, tmp_path: Path
) -> None:
    def loaded(folder: Path) -> LiveEncoder:
        chosen = encoder_options(folder, max_tokens=8, trainable="all")
        return LiveEncoder(chosen, tokenise(small, chosen))

    copy = shutil.copytree(tiny_bert, tmp_path / "copy")
    same = loaded(tiny_bert).fingerprint()
    assert loaded(copy).fingerprint() == same
    changed = loaded(copy)
    with torch.no_grad():
        next(changed.parameters())[0] += 1
    assert changed.fingerprint() != same
    settings = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(settings | {"hidden_dropout_prob": 0.3}))
    assert loaded(copy).fingerprint() != same


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
@pytest.mark.parametrize("roles", ["shared", "separate"])
def test_compiled_it_gives_the_same_vectors_and_gradients(
    small: Corpus, tiny_bert: Path, roles: str
) -> None:
    results = []
    texts = torch.arange(4)
    for compiled in (False, True):
        chosen = encoder_options(
            tiny_bert, trainable="all", towers=roles, dropout=0.0, compile=compiled
        )
        live = LiveEncoder(chosen, tokenise(small, chosen))
        x = live(texts, "candidate")
        x.square().sum().backward()
        # What is not used, such as the pooler, has no gradient or one of zeros.
        learnt = [
            torch.zeros_like(weights) if weights.grad is None else weights.grad
            for weights in live.models["candidate"].parameters()
        ]
        results.append((list(live.state_dict()), x.detach(), learnt))
    (names, plain, expected), (other_names, compiled_x, others) = results
    assert other_names == names
    torch.testing.assert_close(compiled_x, plain, atol=1e-5, rtol=1e-4)
    for one, other in zip(expected, others, strict=True):
        torch.testing.assert_close(other, one, atol=1e-4, rtol=1e-3)


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_compiled_it_drops_by_the_seed_and_learns(small: Corpus, tiny_bert: Path) -> None:
    live = live_encoder(tiny_bert, small, trainable="all", dropout=0.5, compile=True).train()
    texts = torch.arange(4)

    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        x: torch.Tensor = live(texts, "candidate")
        return x

    with torch.random.fork_rng(devices=[]):
        first, again, other = drawn(0), drawn(0), drawn(1)
        torch.testing.assert_close(again, first, atol=0, rtol=0)
        assert not torch.allclose(other, first)
        other.square().sum().backward()
    learnt = [weights.grad for weights in live.models["candidate"].encoder.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in learnt)
    assert any(gradient is not None and gradient.any() for gradient in learnt)


def test_compiling_without_a_compiler_is_an_input_error(
    small: Corpus, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    chosen = encoder_options(tiny_bert, trainable="all", compile=True)
    with pytest.raises(InputError, match=r"encoder\.compile.*g\+\+"):
        LiveEncoder(chosen, tokenise(small, chosen))


def test_pooling_by_hand() -> None:
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]])
    output = SimpleNamespace(last_hidden_state=hidden, pooler_output=torch.tensor([[7.0, 8.0]]))
    mask = torch.tensor([[1, 1, 0]])
    assert apply_pooling(output, mask, "pooler").tolist() == [[7.0, 8.0]]
    assert apply_pooling(output, mask, "cls").tolist() == [[1.0, 2.0]]
    assert apply_pooling(output, mask, "mean").tolist() == [[2.0, 3.0]]


def test_repeated_texts_are_encoded_once_and_alike(small: Corpus, tiny_bert: Path) -> None:
    live = live_encoder(tiny_bert, small, trainable="all").eval()
    x = live(torch.tensor([3, 1, 3, 3]), "query")
    assert torch.equal(x[0], x[2])
    assert torch.equal(x[0], x[3])
    assert not torch.equal(x[0], x[1])


def test_one_encoder_or_one_for_each_role(small: Corpus, tiny_bert: Path) -> None:
    tokens = tokenise(small, encoder_options(tiny_bert))
    shared = LiveEncoder(encoder_options(tiny_bert, trainable="all"), tokens)
    separate = LiveEncoder(encoder_options(tiny_bert, trainable="all", towers="separate"), tokens)
    count = sum(p.numel() for p in shared.parameters())
    assert shared.models["query"] is shared.models["candidate"]
    assert sum(p.numel() for p in separate.parameters()) == 2 * count


def gradients_of(live: LiveEncoder, texts: torch.Tensor, seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    live.zero_grad()
    live(texts, "query").square().sum().backward()
    return gradients(live)


def test_gradients_add_up_over_pieces(small: Corpus, tiny_bert: Path) -> None:
    live = live_encoder(tiny_bert, small, trainable="all", dropout=0.0).train()
    texts = torch.arange(6)
    whole = live(texts, "query").detach()
    plain = gradients_of(live, texts, 1)
    assert live.back_off()
    assert live.back_off()
    assert live.pieces == 4
    pieces = gradients_of(live, texts, 1)
    assert pieces.keys() == plain.keys()
    torch.testing.assert_close(live(texts, "query").detach(), whole)
    for name in plain:
        torch.testing.assert_close(pieces[name], plain[name], rtol=1e-4, atol=1e-5)


NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])])
def test_what_is_computed_again_drops_what_was_dropped_before(
    small: Corpus, tiny_bert: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = (
        live_encoder(tiny_bert, small, trainable="all", dropout=0.3, precision="float32")
        .to(device)
        .train()
    )
    assert live.back_off()
    pieces = gradients_of(live, torch.arange(6), 1)
    # The same pieces, each with its activations kept.
    monkeypatch.setattr(
        tower, "checkpoint", lambda function, *given, use_reentrant: function(*given)
    )
    kept = gradients_of(live, torch.arange(6), 1)
    assert pieces.keys() == kept.keys()
    for name in kept:
        torch.testing.assert_close(pieces[name], kept[name], rtol=1e-4, atol=1e-6)


def test_learning_sees_the_vectors_that_embedding_gives(small: Corpus, tiny_bert: Path) -> None:
    """Two ways into the transformer: words looked up once for a batch, and ids of each call."""
    for pooling in ("mean", "cls", "pooler"):
        live = live_encoder(tiny_bert, small, trainable="all", pooling=pooling).eval()
        texts = torch.tensor([7, 2, 5, 0, 2])
        expected = embedded(live, len(small.texts))[texts]
        torch.testing.assert_close(live(texts, "query"), expected)


def test_words_have_the_gradients_of_a_plain_pass(small: Corpus, tiny_bert: Path) -> None:
    live = live_encoder(tiny_bert, small, trainable="all").eval()
    found = gradients_of(live, torch.arange(5), 1)
    model = live.models["query"]
    live.zero_grad()
    ids, mask = live.tokens.query.padded(np.arange(5))
    output = model(input_ids=ids, attention_mask=mask)
    apply_pooling(output, mask, "mean").square().sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            gradient = found[f"models.query.{name}"]
            torch.testing.assert_close(gradient, parameter.grad, rtol=1e-4, atol=1e-6)
