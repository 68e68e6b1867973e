"""A lack of memory is answered by smaller pieces, and told from other errors."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders import tower
from counterpoint.errors import InputError
from counterpoint.models.weights import unique_weights
from counterpoint.training.memory import out_of_memory
from counterpoint.training.trainer import Trainer
from tests.support.training import tiny_live, train


def upper_layer(trainer: Trainer) -> nn.Module:
    """Of the tiny BERT."""
    return trainer.model.encoder.get_submodule("models.query.encoder.layer.1")


def fail_once(trainer: Trainer, at: int, monkeypatch: pytest.MonkeyPatch, times: int = 1) -> None:
    """Run out of memory in the encoder's real forward pass, while it learns, from a call on."""
    layer = upper_layer(trainer)
    calls = itertools.count()
    forward = layer.forward

    def failing(*args: Any, **kwargs: Any) -> Any:
        if torch.is_grad_enabled() and at <= next(calls) < at + times:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return forward(*args, **kwargs)

    monkeypatch.setattr(layer, "forward", failing)


@pytest.mark.parametrize("times", [1, 2])
def test_backing_off_leaves_the_same_weights(
    corpus: Corpus, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    whole, faulted = tiny_live(corpus, tiny_bert), tiny_live(corpus, tiny_bert)
    expected, _ = train(whole)
    fail_once(faulted, 2, monkeypatch, times)
    log, _ = train(faulted)
    assert faulted.model.encoder.pieces == 2**times
    assert [e for e in log[0].events if e.startswith("out of memory")] == [
        f"out of memory: batches go in {2 ** (i + 1)} pieces" for i in range(times)
    ]
    assert not [e for e in expected[0].events if "memory" in e]
    for name, value in unique_weights(whole.model).items():
        torch.testing.assert_close(unique_weights(faulted.model)[name], value, rtol=0, atol=1e-6)


def step_of(trainer: Trainer, pieces: int) -> tuple[Tensor, Tensor]:
    """Losses and the encoder's gradient of one batch of eight in some pieces."""
    pairs = trainer.data.pairs
    negatives = np.roll(pairs.counter, 1)
    triples = torch.from_numpy(np.stack([pairs.point, pairs.counter, negatives])[:, :8])
    trainer.model.encoder.pieces = pieces
    trainer.model.train()
    losses = trainer.step.gradients(triples, seed=7).losses
    weights = [weight for weight in upper_layer(trainer).parameters() if weight.grad is not None]
    return losses, torch.cat([weight.grad.flatten() for weight in weights])


def test_without_dropout_pieces_change_neither_loss_nor_gradient(
    corpus: Corpus, tiny_bert: Path
) -> None:
    trainer = tiny_live(corpus, tiny_bert, dropout=0.0)
    (loss, gradient), (cut_loss, cut_gradient) = step_of(trainer, 1), step_of(trainer, 2)
    torch.testing.assert_close(cut_loss, loss, rtol=0, atol=1e-5)
    torch.testing.assert_close(cut_gradient, gradient, rtol=0, atol=1e-5)


def test_with_dropout_pieces_have_masks_of_their_own_which_repeat(
    corpus: Corpus, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = tiny_live(corpus, tiny_bert, dropout=0.3)
    (loss, _), (cut_loss, cut_gradient) = step_of(trainer, 1), step_of(trainer, 2)
    assert float((loss - cut_loss).abs().max()) > 1e-3
    again_loss, again_gradient = step_of(trainer, 2)
    assert torch.equal(again_loss, cut_loss)
    assert torch.equal(again_gradient, cut_gradient)

    def kept(function: Callable[..., Tensor], *args: Any, use_reentrant: bool) -> Tensor:
        del use_reentrant
        return function(*args)

    # What is computed a second time has the masks of the first: it is as if it had been kept.
    monkeypatch.setattr(tower, "checkpoint", kept)
    kept_loss, kept_gradient = step_of(trainer, 2)
    assert torch.equal(kept_loss, cut_loss)
    torch.testing.assert_close(kept_gradient, cut_gradient, rtol=0, atol=1e-6)


def test_memory_that_never_suffices_is_an_input_error(
    corpus: Corpus, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = tiny_live(corpus, tiny_bert)
    fail_once(trainer, 0, monkeypatch, times=10**6)
    with pytest.raises(InputError, match=r"out of memory.*encoder\.max_tokens"):
        train(trainer)


def test_other_errors_are_not_taken_for_a_lack_of_memory(
    corpus: Corpus, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = tiny_live(corpus, tiny_bert)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(upper_layer(trainer), "forward", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        train(trainer)
    assert trainer.model.encoder.pieces == 1


def test_every_allocators_error_is_a_lack_of_memory() -> None:
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert out_of_memory(MemoryError())
