"""Parameter groups, and learning rates over time."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterpoint.config.options import TrainingOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.training.optimizer import PlainAdamW, learning_rates, make_optimizer, schedule
from tests.support.training import tiny_live, train


@pytest.mark.parametrize(
    ("done", "kind", "warmup", "expected"),
    [
        (0.0, "constant", 0.0, 1.0),
        (0.9, "constant", 0.0, 1.0),
        (0.05, "constant", 0.1, 0.5),
        (0.0, "linear", 0.0, 1.0),
        (0.75, "linear", 0.0, 0.25),
        (0.05, "linear", 0.1, 0.5),
        (0.1, "linear", 0.1, 1.0),
        (0.55, "linear", 0.1, 0.5),  # half way from 0.1 to 1
    ],
)
def test_rates_by_hand(done: float, kind: str, warmup: float, expected: float) -> None:
    options = TrainingOptions(schedule=kind, warmup_ratio=warmup)  # type: ignore[arg-type]
    assert schedule(done, options) == pytest.approx(expected, abs=1e-12)


def test_the_encoder_has_a_rate_of_its_own_and_only_matrices_decay(
    corpus: Corpus, tiny_bert: Path
) -> None:
    trainer = tiny_live(corpus, tiny_bert, encoder_learning_rate=1e-5, weight_decay=0.1)
    model = trainer.model
    own = nn.ModuleList([model.projections, model.head])
    optimizer, rates = make_optimizer(own, model.encoder, trainer.options.training)
    groups = optimizer.param_groups
    encoder = {id(p) for p in trainer.model.encoder.parameters()}
    for group, rate in zip(groups, rates, strict=True):
        inside = [id(p) in encoder for p in group["params"]]
        assert all(inside) or not any(inside)
        assert rate == (1e-5 if inside[0] else 1e-3)
        assert group["weight_decay"] == (0.1 if group["params"][0].dim() > 1 else 0.0)
        assert len({p.dim() > 1 for p in group["params"]}) == 1
    learning = [p for p in trainer.model.parameters() if p.requires_grad]
    assert sum(len(group["params"]) for group in groups) == len(learning)


@pytest.mark.parametrize(
    ("batch", "scaled", "expected"),
    [
        (16, True, (2e-3, 2e-5)),
        (8, True, (1e-3, 1e-5)),
        (4, True, (5e-4, 5e-6)),
        (1, True, (1.25e-4, 1.25e-6)),
        (16, False, (1e-3, 1e-5)),
    ],
)
def test_a_batch_that_is_changed_scales_both_rates_where_that_is_asked(
    batch: int, scaled: bool, expected: tuple[float, float]
) -> None:
    options = TrainingOptions(
        batch_size=batch, learning_rate=1e-3, encoder_learning_rate=1e-5, scale_rate=scaled
    )
    assert learning_rates(options) == pytest.approx(expected, rel=1e-12)
    same = TrainingOptions(batch_size=batch, learning_rate=1e-3, scale_rate=scaled)
    assert learning_rates(same) == pytest.approx((expected[0], expected[0]), rel=1e-12)


def test_scaled_rates_are_those_of_the_steps(corpus: Corpus, tiny_bert: Path) -> None:
    rates = {"batch_size": 4, "learning_rate": 1e-3, "encoder_learning_rate": 1e-4}
    trainer = tiny_live(corpus, tiny_bert, scale_rate=True, **rates)
    log, _ = train(trainer)
    assert {group["lr"] for group in trainer.state.optimizer.param_groups} == {5e-4, 5e-5}
    assert log[0].learning_rate == 5e-4


def stepped(kind: type[torch.optim.AdamW], steps: int) -> tuple[Tensor, dict[str, Any]]:
    """Weights after some steps of falling gradients, and the optimiser's state."""
    weight = nn.Parameter(torch.linspace(-1, 1, 7))
    optimizer = kind([{"params": [weight], "weight_decay": 0.1}], lr=0.05, fused=True)
    for step in range(steps):
        optimizer.zero_grad(set_to_none=True)
        (weight.square().sum() / (1 + step)).backward()
        optimizer.step()
    return weight.detach(), optimizer.state_dict()


def test_the_plain_optimiser_is_torchs_to_the_last_bit() -> None:
    ours, state = stepped(PlainAdamW, 5)
    theirs, expected = stepped(torch.optim.AdamW, 5)
    assert torch.equal(ours, theirs)
    assert state["param_groups"] == expected["param_groups"]
    for name, value in expected["state"][0].items():
        assert torch.equal(state["state"][0][name], value), name


def test_it_does_without_torchs_compiler() -> None:
    """Its import takes as long as torch's own, in every process that trains."""
    program = """
import sys, torch
from counterpoint.training.optimizer import PlainAdamW
weight = torch.nn.Parameter(torch.ones(3))
optimizer = PlainAdamW([weight], lr=0.1, fused=True)
optimizer.zero_grad(set_to_none=True)
weight.sum().backward()
optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
print("torch._dynamo" in sys.modules, float(weight.detach()[0]) < 1)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True"]
