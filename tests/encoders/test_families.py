"""Transformers of several families: texts without padding, and layers that do not learn.

Either is computed otherwise than by the model as it comes, with the same result.
"""

from pathlib import Path

import pytest
import torch
from transformers import (
    AutoTokenizer,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    MPNetConfig,
    PreTrainedConfig,
    RobertaConfig,
)
from transformers.models.auto import AutoModel

from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.live import LiveEncoder
from counterpoint.encoders.names import resolve
from counterpoint.encoders.packing import PACKED
from tests.support.encoders import embedded, gradients, live_encoder, other_versions

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}

FAMILIES: dict[str, PreTrainedConfig] = {
    "bert": BertConfig(**SIZES),
    "roberta": RobertaConfig(**SIZES, vocab_size=30522),
    "electra": ElectraConfig(**SIZES, embedding_size=16),
    "mpnet": MPNetConfig(**SIZES),
    "modernbert": ModernBertConfig(**SIZES, pad_token_id=0, reference_compile=False),
    "distilbert": DistilBertConfig(
        dim=16, n_layers=3, n_heads=2, hidden_dim=32, max_position_embeddings=40
    ),
}


@pytest.fixture(params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A random model of some family, with the bundled tokenizer."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        AutoModel.from_config(FAMILIES[request.param]).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(resolve("all-MiniLM-L6-v2")).save_pretrained(tmp_path)
    return tmp_path


def live(folder: Path, corpus: Corpus, **changes: object) -> LiveEncoder:
    return live_encoder(folder, corpus, **{"trainable": 2, "dropout": 0.0, **changes}).train()


def vectors_and_gradients(encoder: LiveEncoder) -> dict[str, torch.Tensor]:
    vectors = {"embedded": embedded(encoder, 9)}
    encoder.zero_grad()
    x = encoder(torch.tensor([4, 1, 7, 1, 0]), "candidate")
    x.square().sum().backward()
    return {**vectors, "x": x.detach(), **gradients(encoder)}


@pytest.mark.parametrize(
    "changes",
    [
        {"trainable": "all", "pooling": "cls"},
        {"trainable": "all", "pooling": "mean"},
        {"pooling": "cls"},
        {"pooling": "mean"},
        {"towers": "separate"},
    ],
    ids=str,
)
def test_vectors_and_gradients_are_those_of_the_model_as_it_comes(
    folder: Path, small: Corpus, changes: dict[str, object]
) -> None:
    """Whole, and with padding."""
    ours = live(folder, small, **changes)
    assert ours.packs == (ours.models["query"].config.model_type in PACKED)
    assert ours.computes_lower_layers_once == (changes.get("trainable") != "all")
    with other_versions():
        theirs = live(folder, small, **changes)
    assert not theirs.packs
    assert not theirs.computes_lower_layers_once
    expected, found = vectors_and_gradients(theirs), vectors_and_gradients(ours)
    assert found.keys() == expected.keys()
    assert len(found) > 10
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=1e-4, atol=1e-4)
    assert ours.state_dict().keys() == theirs.state_dict().keys()


def test_pieces_change_nothing(small: Corpus, tiny_bert: Path) -> None:
    encoder = live(tiny_bert, small, trainable=1)
    expected = vectors_and_gradients(encoder)
    assert encoder.back_off()
    found = vectors_and_gradients(encoder)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-5)


def test_the_lower_layers_see_each_text_once(small: Corpus, tiny_bert: Path) -> None:
    encoder = live(tiny_bert, small, trainable=1)
    model = encoder.models["query"]
    calls = {"lower": 0, "upper": 0}
    lower, upper = model.encoder.layer
    lower.register_forward_hook(lambda *_: calls.update(lower=calls["lower"] + 1))
    upper.register_forward_hook(lambda *_: calls.update(upper=calls["upper"] + 1))
    vectors_and_gradients(encoder)
    before = dict(calls)
    assert before["lower"] == 1  # so few texts are one batch
    vectors_and_gradients(encoder)
    assert calls["lower"] == before["lower"]
    assert calls["upper"] == 2 * before["upper"]


@pytest.mark.parametrize("changes", [{"dropout": None}, {"dropout": 0.1}, {"trainable": "all"}])
def test_where_it_is_not_exact_nothing_is_split(
    small: Corpus, tiny_bert: Path, changes: dict[str, object]
) -> None:
    encoder = live(tiny_bert, small, **changes)
    assert not encoder.computes_lower_layers_once
    assert encoder(torch.arange(3), "query").shape == (3, 32)


def test_words_narrower_than_the_layers_are_not_split(small: Corpus, tmp_path: Path) -> None:
    AutoModel.from_config(ElectraConfig(**SIZES, embedding_size=8)).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(resolve("all-MiniLM-L6-v2")).save_pretrained(tmp_path)
    encoder = live(tmp_path, small)
    assert not encoder.computes_lower_layers_once
    assert vectors_and_gradients(encoder)["x"].shape == (5, 16)


def test_a_rate_reaches_dropout_that_is_no_layer(small: Corpus, tmp_path: Path) -> None:
    config = ModernBertConfig(**SIZES, pad_token_id=0, attention_dropout=0.3)
    AutoModel.from_config(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(resolve("all-MiniLM-L6-v2")).save_pretrained(tmp_path)
    assert not live(tmp_path, small, dropout=None).computes_lower_layers_once
    assert live(tmp_path, small, dropout=0.0).computes_lower_layers_once
