"""Gradients reach what should learn, and nothing else."""

import math

import pytest
import torch

from counterpoint.models.cell_model import CellModel
from counterpoint.models.fusion import Vectors
from counterpoint.models.losses import classifier, distance
from tests.support.models import (
    BETWEEN,
    build,
    every_model,
    options_of,
)


def parts_with_gradient(model: CellModel, loss: torch.Tensor) -> set[str]:
    model.zero_grad()
    loss.backward()
    return {
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().sum() > 0
    }


def layer_names(model: CellModel, *prefixes: str) -> set[str]:
    return {name for name, _ in model.named_parameters() if name.startswith(prefixes)}


@every_model
def test_gradients_reach_what_should_learn_and_nothing_else(
    fusion: str, kind: str, hidden: int, projection: str
) -> None:
    model = build(options_of(fusion, kind, min(hidden, 16), projection, width=4), 6)
    head = layer_names(model, "head.")
    layers = layer_names(model, "projections.")
    assert head | layers == {name for name, _ in model.named_parameters()}

    def triple() -> tuple[Vectors, Vectors, Vectors]:
        p = model(torch.tensor([0, 1, 2]), "query")
        c = model(torch.tensor([3, 4, 5]), "candidate")
        n = model(torch.tensor([6, 7, 8]), "candidate")
        return p, c, n

    # The classifier teaches the head, and the projection only where it sees e.
    p, c, n = triple()
    loss = classifier(torch.stack([model.logits(p, c), model.logits(p, n)])).sum()
    sees_e = fusion != "cls"
    assert parts_with_gradient(model, loss) == head | (layers if sees_e else set())

    # The distances teach the projection alone. The bias of a shared one cancels in e_p − e_c.
    if projection != "none":
        p, c, n = triple()
        found = parts_with_gradient(model, (distance(p.e, c.e) - 2 * distance(p.e, n.e)).mean())
        weights = {name for name in layers if name.endswith("weight")}
        assert weights <= found <= layers
        assert head.isdisjoint(found)


def test_frozen_features_neither_learn_nor_are_saved() -> None:
    model = build(options_of())
    before = model.encoder.get_buffer("candidate").clone()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    p, c = model(torch.arange(4), "query"), model(torch.arange(4, 8), "candidate")
    (model.logits(p, c).mean() + distance(p.e, c.e).mean()).backward()
    optimiser.step()
    assert torch.equal(model.encoder.get_buffer("candidate"), before)
    assert not model.encoder.candidate.requires_grad
    assert not [name for name in model.state_dict() if name.startswith("encoder")]


def test_each_role_teaches_its_own_projection() -> None:
    model = build(options_of("embedding", projection="separate", width=4), 6)
    query = layer_names(model, "projections.query.")
    candidate = layer_names(model, "projections.candidate.")
    texts = torch.arange(4)
    assert parts_with_gradient(model, model(texts, "query").e.pow(2).sum()) == query
    assert parts_with_gradient(model, model(texts, "candidate").e.pow(2).sum()) == candidate


@pytest.mark.parametrize("kind", BETWEEN)
def test_a_head_learns_to_tell_a_counter_from_a_negative(kind: str) -> None:
    model = build(options_of("concat", kind, 16, width=4), 6)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)

    def loss_now() -> torch.Tensor:
        p = model(torch.tensor([0, 1, 2]), "query")
        c = model(torch.tensor([3, 4, 5]), "candidate")
        n = model(torch.tensor([6, 7, 8]), "candidate")
        return classifier(torch.stack([model.logits(p, c), model.logits(p, n)])).sum()

    first = loss_now().item()
    for _ in range(60):
        optimiser.zero_grad()
        loss_now().backward()
        optimiser.step()
    assert first == pytest.approx(2 * math.log(2), abs=1.0)
    assert loss_now().item() < 0.2 * first
