"""One step: who gets a gradient, who sees which text, and a batch that does not fit into memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.live import LiveEncoder
from tests.support.training import cell, embedded, live_trainer

LAYERS = {
    "encoder.models.query.embeddings",
    *(f"encoder.models.query.encoder.layer.{i}" for i in (0, 1)),
}
QUERY, HEAD = {"projections.query"}, {"head"}


def as_candidate(parts: set[str]) -> set[str]:
    return {part.replace("query", "candidate") for part in parts}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, LAYERS | QUERY | HEAD),
        ({"encoder": {"trainable": 1}}, {max(LAYERS)} | QUERY | HEAD),
        ({"encoder": {"trainable": "none"}}, QUERY | HEAD),
        ({"encoder": {"towers": "separate"}}, LAYERS | as_candidate(LAYERS) | QUERY | HEAD),
        ({"encoder": {"pooling": "cls"}, "fusion": "cls"}, LAYERS | QUERY | HEAD),
        (
            {"encoder": {"pooling": "pooler"}},
            LAYERS | {"encoder.models.query.pooler"} | QUERY | HEAD,
        ),
        ({"projection": {"width": "none"}}, LAYERS | HEAD),
        ({"projection": "separate"}, LAYERS | QUERY | as_candidate(QUERY) | HEAD),
        ({"projection": {"width": 24, "init": "identity"}}, LAYERS | QUERY | HEAD),
        ({"retrieval_loss": "infonce", "projection": "separate"},
         LAYERS | QUERY | as_candidate(QUERY) | HEAD),
        ({"retrieval_loss": {"weight": 0}, "fusion": "cls"}, LAYERS | HEAD),
        ({"retrieval_loss": {"weight": 0}, "fusion": "embedding"}, LAYERS | QUERY | HEAD),
        ({"classifier_loss": 0}, LAYERS | QUERY),
        ({"retrieval_loss": {"margin": 9.0}, "head": {"kind": "layernorm", "hidden": 0}},
         LAYERS | QUERY | HEAD),
    ],
)  # fmt: skip
def test_with_a_live_encoder_gradients_reach_what_should_learn_and_nothing_else(
    corpus: Corpus, tiny_bert: Path, values: dict[str, Any], expected: set[str]
) -> None:
    base = {"name": str(tiny_bert), "max_tokens": 24, "trainable": "all", "dropout": 0.0}
    options = cell(**{**values, "encoder": base | values.get("encoder", {})})
    trainer = live_trainer(options, corpus)
    pairs = trainer.data.pairs
    negatives = np.roll(pairs.counter, 1)
    triples = torch.from_numpy(np.stack([pairs.point, pairs.counter, negatives])[:, :8])
    trainer.model.train()
    trainer.step.gradients(triples, seed=0)
    parts = {*LAYERS, "encoder.models.query.pooler", *QUERY}
    parts |= as_candidate(parts) | HEAD
    found = {
        part
        for part in parts
        for name, parameter in trainer.model.named_parameters()
        if name.startswith(part) and parameter.grad is not None and parameter.grad.any()
    }
    assert found == expected
    width = options.projection.width
    if width != "none":
        assert trainer.model.get_parameter("projections.query.weight").shape == (width, 32)
    seen = {"embedding": 0, "cls": 32, "concat": 32}[options.fusion]
    if options.fusion != "cls":
        seen += 32 if width == "none" else width
    assert trainer.model.get_parameter("head.0.weight").shape[-1] == 3 * seen


@pytest.mark.parametrize("loss", ["triplet", "infonce"])
@pytest.mark.parametrize("roles", ["shared", "separate"])
@pytest.mark.parametrize("negatives", [1, 4])
def test_one_encoder_sees_each_text_once_whatever_the_projections(
    corpus: Corpus,
    tiny_bert: Path,
    roles: str,
    loss: str,
    negatives: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = {"name": str(tiny_bert), "max_tokens": 24, "trainable": "all", "towers": roles}
    options = cell(
        encoder=encoder,
        projection={"towers": "separate", "width": 8},
        retrieval_loss={"kind": loss},
        mining={"negatives": negatives},
        training={"epochs": 1, "batch_size": 4},
    )
    trainer = live_trainer(options, corpus)
    passes: list[list[int]] = []
    embed, forward = LiveEncoder.embed, LiveEncoder.forward
    monkeypatch.setattr(
        LiveEncoder,
        "embed",
        lambda self, texts, role: passes.append(texts.tolist()) or embed(self, texts, role),
    )
    embedded(trainer, "train")
    assert len(passes) == (1 if roles == "shared" else 2)
    steps: list[int] = []
    monkeypatch.setattr(
        LiveEncoder,
        "forward",
        lambda self, texts, role: steps.append(len(texts)) or forward(self, texts, role),
    )
    pairs = trainer.data.pairs
    texts = np.stack([np.roll(pairs.counter, shift) for shift in range(1, 1 + negatives)])
    trainer.losses.of_texts(torch.from_numpy(pairs.triples(texts))[:, :3])
    candidates = 1 + negatives + (loss == "infonce")
    assert steps == ([3 * (2 + negatives)] if roles == "shared" else [3, 3 * candidates])
