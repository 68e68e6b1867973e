"""Parameter groups, and learning rates over time."""

from pathlib import Path

import pytest

from counterpoint.config.options import TrainingOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.training.optimizer import make_optimizer, schedule
from tests.support.training import tiny_live


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
    optimizer, rates = make_optimizer(trainer.model, trainer.options.training)
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
