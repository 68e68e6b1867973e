"""Whenever a trainer is stopped, another one goes on from its checkpoint as if nothing was."""

from pathlib import Path

import pytest
import torch

from counterpoint.corpus.arguments import Corpus
from counterpoint.models.weights import unique_weights
from counterpoint.training.checkpoint import CheckpointFolder
from counterpoint.training.epochs import EpochEnded
from counterpoint.training.trainer import Trainer
from tests.support.training import an_identity, cell, frozen_trainer, live_trainer, train


def trainer_of(kind: str, corpus: Corpus, tiny_bert: Path) -> Trainer:
    if kind == "frozen":
        options = cell(stopping={"halve_after": 1}, training={"schedule": "linear"})
        return frozen_trainer(options, corpus)
    options = cell(
        encoder={"name": str(tiny_bert), "max_tokens": 24, "trainable": "all"},
        training={"epochs": 2, "weight_decay": 0.1, "encoder_learning_rate": 1e-3},
    )
    return live_trainer(options, corpus)


@pytest.mark.parametrize("kind", ["frozen", "live"])
@pytest.mark.parametrize("after", [0, 1, 4, 6, 8, 10, 12, 15])
def test_whenever_it_stops_it_goes_on_as_if_nothing_had_happened(
    corpus: Corpus, tiny_bert: Path, tmp_path: Path, kind: str, after: int
) -> None:
    whole = trainer_of(kind, corpus, tiny_bert)
    expected = train(whole)

    folder = CheckpointFolder(tmp_path, an_identity())
    first, before = trainer_of(kind, corpus, tiny_bert), []
    for number, event in enumerate(first.events()):
        if isinstance(event, EpochEnded):
            before.append(event.record)
        if number == after:
            folder.save(first.state.checkpoint())
            break
    second = trainer_of(kind, corpus, tiny_bert)
    saved = folder.load()
    assert saved is not None
    second.restore(saved)
    log, outcome = train(second)

    assert outcome == expected.outcome
    assert [*before, *log] == expected.log
    for name, weights in unique_weights(whole.model).items():
        assert torch.equal(weights, unique_weights(second.model)[name]), name


def test_a_state_that_has_ended_trains_no_further(corpus: Corpus, tiny_bert: Path) -> None:
    first = trainer_of("frozen", corpus, tiny_bert)
    expected = train(first)
    second = trainer_of("frozen", corpus, tiny_bert)
    second.restore(first.state.checkpoint())
    assert train(second) == ([], expected.outcome)
