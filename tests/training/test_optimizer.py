"""Groups, rates, order, memory: what stands between a batch and the weights."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from counterpoint.config.options import CellOptions, RetrievalLossOptions, TrainingOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.features import FrozenFeatures
from counterpoint.encoders.live import LiveEncoder
from counterpoint.encoders.tokens import tokenise
from counterpoint.errors import InputError
from counterpoint.models.weights import unique_weights
from counterpoint.training.batches import BUCKET, bucketed, by_debate
from counterpoint.training.controls import collapsed
from counterpoint.training.memory import out_of_memory
from counterpoint.training.optimizer import schedule
from counterpoint.training.trainer import Trainer
from tests.training.test_trainer import CPU, cell, corpus, features

__all__ = ["corpus"]  # a fixture


def live(corpus: Corpus, tiny_bert: Path, dropout: float = 0.0, **training: Any) -> Trainer:
    options = cell(
        encoder={
            "name": str(tiny_bert), "max_tokens": 24, "trainable": "all", "dropout": dropout,
        },
        training={"epochs": 1, "batch_size": 8, "learning_rate": 1e-3, **training},
    )  # fmt: skip
    encoder = LiveEncoder(options.encoder, tokenise(corpus, options.encoder))
    return Trainer(options, corpus, encoder, CPU)


def run(trainer: Trainer) -> list[dict[str, Any]]:
    log: list[dict[str, Any]] = []
    trainer.run(log.append)
    return log


# ---- rates ----


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


def test_each_step_has_its_rate(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    options = cell(training={"epochs": 2, "batch_size": 8, "schedule": "linear", "learning_rate": 0.5})
    trainer = Trainer(options, corpus, FrozenFeatures(features(corpus)), CPU)
    seen: list[float] = []
    step = trainer.optimizer.step
    monkeypatch.setattr(
        trainer.optimizer,
        "step",
        lambda: (seen.append(trainer.optimizer.param_groups[0]["lr"]), step())[1],
    )
    log = run(trainer)
    steps = len(trainer.data.pairs) // 8
    assert seen == pytest.approx([0.5 * (1 - i / (2 * steps)) for i in range(2 * steps)])
    assert [record["learning_rate"] for record in log] == pytest.approx([0.5, 0.25])


def test_the_encoder_has_a_rate_of_its_own_and_only_matrices_decay(
    corpus: Corpus, tiny_bert: Path
) -> None:
    trainer = live(corpus, tiny_bert, encoder_learning_rate=1e-5, weight_decay=0.1)
    groups = trainer.optimizer.param_groups
    encoder = {id(p) for p in trainer.model.encoder.parameters()}
    for group, rate in zip(groups, trainer.rates, strict=True):
        inside = [id(p) in encoder for p in group["params"]]
        assert all(inside) or not any(inside)
        assert rate == (1e-5 if inside[0] else 1e-3)
        assert group["weight_decay"] == (0.1 if group["params"][0].dim() > 1 else 0.0)
        assert len({p.dim() > 1 for p in group["params"]}) == 1
    learning = [p for p in trainer.model.parameters() if p.requires_grad]
    assert sum(len(group["params"]) for group in groups) == len(learning)


def test_a_rate_of_almost_nothing_leaves_the_encoder_as_it_was(
    corpus: Corpus, tiny_bert: Path
) -> None:
    trainer = live(corpus, tiny_bert, encoder_learning_rate=1e-30)
    before = {name: value.clone() for name, value in unique_weights(trainer.model).items()}
    run(trainer)
    changed = {
        name
        for name, value in unique_weights(trainer.model).items()
        if (value - before[name]).abs().max() > 1e-20
    }
    assert changed
    assert not [name for name in changed if name.startswith("encoder.")]


# ---- order ----


def test_buckets_hold_each_triple_once_and_like_lengths_together() -> None:
    rng = np.random.default_rng(1)
    size, steps = 4, 40
    order = rng.permutation(size * steps)
    lengths = rng.integers(1, 500, size * steps)
    found = bucketed(order, lengths, size, np.random.default_rng(2))
    assert sorted(found.ravel().tolist()) == list(range(size * steps))
    of = dict(zip(order.tolist(), lengths.tolist(), strict=True))
    spread = [max(of[t] for t in batch) - min(of[t] for t in batch) for batch in found.tolist()]
    plain = [np.ptp(lengths[i : i + size]) for i in range(0, size * steps, size)]
    assert np.mean(spread) < np.mean(plain) / 4
    # Only neighbours in the shuffled order meet: those of a window of BUCKET batches.
    window = {t: place // (BUCKET * size) for place, t in enumerate(order.tolist())}
    assert all(len({window[t] for t in batch}) == 1 for batch in found.tolist())


def test_triples_of_a_debate_stand_next_to_each_other() -> None:
    debates = np.repeat(np.arange(12), 5)
    order = np.random.default_rng(1).permutation(60)
    found = by_debate(order, debates[order], 8, np.random.default_rng(2))
    assert found.shape == (7, 8)  # four triples are left over
    assert len(np.unique(found)) == 56
    # Eight in a row of fives touch three debates at most; shuffled ones touch about six.
    assert max(len(np.unique(debates[batch])) for batch in found) <= 3
    other = by_debate(order, debates[order], 8, np.random.default_rng(3))
    assert {frozenset(batch) for batch in found.tolist()} != {
        frozenset(batch) for batch in other.tolist()
    }


def test_an_epoch_has_the_same_triples_in_either_order(corpus: Corpus, tiny_bert: Path) -> None:
    plain, bucketed_, by_debates = (
        live(corpus, tiny_bert, order=order)._batches()
        for order in ("plain", "bucketed", "debates")
    )
    assert np.array_equal(np.sort(bucketed_, axis=None), np.sort(plain, axis=None))
    assert not np.array_equal(bucketed_, plain)
    # Of another order others are left over.
    assert by_debates.shape == plain.shape
    assert len(np.unique(by_debates)) == by_debates.size


# ---- memory ----


def fail_once(trainer: Trainer, at: int, monkeypatch: pytest.MonkeyPatch, times: int = 1) -> None:
    """Run out of memory in the encoder's real forward pass, while it learns, from a call on."""
    layer = trainer.model.encoder.models["query"].encoder.layer[1]
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
    whole, faulted = live(corpus, tiny_bert), live(corpus, tiny_bert)
    expected = run(whole)
    fail_once(faulted, 2, monkeypatch, times)
    log = run(faulted)
    assert faulted.model.encoder.pieces == 2**times
    assert [e for e in log[0]["events"] if e.startswith("out of memory")] == [
        f"out of memory: batches go in {2 ** (i + 1)} pieces" for i in range(times)
    ]
    assert not [e for e in expected[0]["events"] if "memory" in e]
    for name, value in unique_weights(whole.model).items():
        torch.testing.assert_close(unique_weights(faulted.model)[name], value, rtol=0, atol=1e-6)


def test_memory_that_never_suffices_is_an_input_error(
    corpus: Corpus, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = live(corpus, tiny_bert)
    fail_once(trainer, 0, monkeypatch, times=10**6)
    with pytest.raises(InputError, match=r"out of memory.*encoder\.max_tokens"):
        run(trainer)


def test_other_errors_are_not_taken_for_a_lack_of_memory(
    corpus: Corpus, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = live(corpus, tiny_bert)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(trainer.model.encoder.models["query"].encoder.layer[1], "forward", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        run(trainer)
    assert trainer.model.encoder.pieces == 1
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert out_of_memory(MemoryError())


# ---- collapse ----


@pytest.mark.parametrize(
    ("loss", "spread", "kind", "expected"),
    [
        (1.0, 0.001, "triplet", True),
        (1.0, 0.2, "triplet", False),  # at the margin, but texts still differ
        (0.5, 0.001, "triplet", False),  # small vectors that rank
        (5.0, 0.001, "infonce", True),
        (1.0, None, "triplet", False),
    ],
)
def test_collapse_by_hand(loss: float, spread: float | None, kind: str, expected: bool) -> None:
    record = {"losses": {"train": {"retrieval": loss}}, "spread": spread}
    options = RetrievalLossOptions(kind=kind)  # type: ignore[arg-type]
    assert collapsed(record, 1.0, options) is expected


def test_a_cell_whose_vectors_collapse_says_so(corpus: Corpus) -> None:
    options: CellOptions = cell(training={"epochs": 2}, fusion="cls")
    trainer = Trainer(options, corpus, FrozenFeatures(features(corpus)), CPU)
    with torch.no_grad():
        trainer.model.projections["query"].weight.normal_()
    quiet = run(trainer)
    assert not [e for record in quiet for e in record["events"] if "nearly the same" in e]
    trainer = Trainer(options, corpus, FrozenFeatures(features(corpus)), CPU)
    with torch.no_grad():
        trainer.model.projections["query"].weight.normal_()
    trainer.optimizer.param_groups[0]["params"] = []
    forward = trainer._learn

    def flatten(*args: Any) -> Any:
        with torch.no_grad():
            trainer.model.projections["query"].weight.mul_(0.01)
        return forward(*args)

    trainer._learn = flatten  # type: ignore[method-assign]
    assert "warning: all vectors have become nearly the same" in run(trainer)[-1]["events"]
