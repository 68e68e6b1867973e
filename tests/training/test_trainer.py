"""The training job: same cell same log, losses fall, every option acts, and how cells end."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from counterpoint.config.options import CellOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.encoder import Encoder, gathered
from counterpoint.encoders.features import FrozenFeatures, same_outputs
from counterpoint.errors import InputError
from counterpoint.models.weights import unique_weights
from counterpoint.results.epoch_log import EpochRecord
from counterpoint.results.files import Outcome
from counterpoint.training.data import CorpusData
from counterpoint.training.epochs import CheckpointDue
from counterpoint.training.trainer import Trainer
from tests.support.training import (
    CPU,
    NO_STOP,
    cell,
    embedded,
    features,
    frozen_trainer,
    live_encoder,
    results_by_key,
    results_of,
    tiny_live,
    train,
)


def trained(options: CellOptions, corpus: Corpus) -> tuple[Trainer, list[EpochRecord], Outcome]:
    """A cell on frozen features, trained to its end."""
    trainer = frozen_trainer(options, corpus)
    return trainer, *train(trainer)


def log_of(options: CellOptions, corpus: Corpus) -> list[EpochRecord]:
    return trained(options, corpus)[1]


def test_the_same_cell_gives_the_same_log_and_records(corpus: Corpus) -> None:
    (first, one_log, _), (second, other_log, _) = (trained(cell(), corpus) for _ in range(2))
    assert one_log == other_log
    ours, theirs = results_of(first), results_of(second)
    for split in ("train", "dev", "test"):
        for one, other in zip(ours[split][1], theirs[split][1], strict=True):
            np.testing.assert_array_equal(one.rank, other.rank)
            np.testing.assert_array_equal(one.reordered, other.reordered)


def test_another_seed_gives_another_log(corpus: Corpus) -> None:
    assert log_of(cell(), corpus) != log_of(cell(seed=2), corpus)


def test_either_backend_of_mining_gives_the_same_log(corpus: Corpus) -> None:
    hard = {"initial_random_rate": 0.3, "decrease_rate": 0.1, "top_m": 3}
    exact = log_of(cell(mining={**hard, "backend": "exact"}), corpus)
    tree = log_of(cell(mining={**hard, "backend": "balltree"}), corpus)
    assert exact == tree


def test_the_loss_falls_and_the_planted_answers_are_found(corpus: Corpus) -> None:
    settings = {"epochs": 12, "batch_size": 4, "learning_rate": 1e-3}
    _, log, outcome = trained(cell(training=settings, stopping=NO_STOP), corpus)
    totals = [record.losses["train"].total for record in log]
    assert outcome.status == "finished"
    assert totals[-1] < 0.5 * totals[0]
    assert log[-1].accuracy["dev"]["clean"].retrieval > 0.5


def test_an_epochs_record_says_what_it_should(corpus: Corpus) -> None:
    mining = {"initial_random_rate": 0.5, "decrease_rate": 0.25}
    log = log_of(cell(mining=mining, stopping=NO_STOP), corpus)
    assert [record.epoch for record in log] == [0, 1, 2]
    assert [record.random_rate for record in log] == [0.5, 0.25, 0.0]
    pairs = 36  # 60 % of 60, every text unique
    for record in log:
        facts = record.negatives
        assert facts.random + facts.hard_point + facts.hard_counter == pairs
        assert set(record.accuracy) == {"train", "dev", "test"}
        assert set(record.accuracy["dev"]) == {"official", "clean"}
        assert set(record.accuracy["train"]) == {"official"}
        assert set(record.losses) == set(record.distances) == {"train", "dev", "test"}
        terms = record.losses["train"]
        total = terms.retrieval + terms.counter + terms.negative
        assert terms.total == pytest.approx(total, rel=1e-6)
    assert log[2].negatives.random == 0


def test_scores_are_of_the_weights_at_the_epochs_end(corpus: Corpus) -> None:
    trainer, log, outcome = trained(cell(stopping=NO_STOP), corpus)
    chosen = results_by_key(trainer, "dev")["clean", "epa"]
    best = log[outcome.best_epoch].accuracy["dev"]["clean"]
    assert float((chosen.rank == 1).mean()) == best.retrieval
    assert float((chosen.reranked == 1).mean()) == best.reranked


def test_without_test_scores_the_rest_of_the_log_is_the_same(corpus: Corpus) -> None:
    with_test = log_of(cell(), corpus)
    without = log_of(cell(evaluation={"test_every_epoch": False}), corpus)

    def without_test(record: EpochRecord) -> EpochRecord:
        return replace(
            record,
            accuracy={split: of for split, of in record.accuracy.items() if split != "test"},
            losses={split: of for split, of in record.losses.items() if split != "test"},
            distances={split: of for split, of in record.distances.items() if split != "test"},
        )

    assert [without_test(record) for record in with_test] == without


def test_patience_stops_and_the_best_weights_come_back(corpus: Corpus) -> None:
    settings = {"epochs": 40, "batch_size": 4, "learning_rate": 1e-3}
    options = cell(training=settings, stopping={**NO_STOP, "patience": 2})
    trainer, log, outcome = trained(options, corpus)
    assert outcome.status == "stopped"
    assert outcome.epochs == outcome.best_epoch + 3 == len(log)
    assert "best" in log[outcome.best_epoch].events
    again = trainer.evaluation.accuracy(embedded(trainer, "train", "dev", "test"))
    assert again == log[outcome.best_epoch].accuracy


def test_the_learning_rate_halves_when_dev_accuracy_does_not_rise(corpus: Corpus) -> None:
    settings = {"epochs": 8, "batch_size": 4, "learning_rate": 1e-9}
    options = cell(training=settings, stopping={**NO_STOP, "halve_after": 3})
    rates = [record.learning_rate for record in log_of(options, corpus)]
    assert rates == [1e-9] * 4 + [5e-10] * 3 + [2.5e-10]


def test_a_cell_stops_when_dev_loss_rises_and_goes_back_to_its_best_weights(
    corpus: Corpus,
) -> None:
    settings = {"epochs": 40, "batch_size": 4, "learning_rate": 3e-2}
    options = cell(training=settings, stopping={**NO_STOP, "dev_loss_rises": 2})
    trainer, log, outcome = trained(options, corpus)
    assert (outcome.status, outcome.reason) == (
        "stopped", "dev loss has risen for 2 epochs in a row"
    )  # fmt: skip
    losses = [record.losses["dev"].total for record in log]
    rises = [after > before for before, after in itertools.pairwise(losses)]
    assert [pair for pair in itertools.pairwise(rises) if all(pair)] == [(True, True)]
    assert rises[-2:] == [True, True]
    assert log[-1].events[-1] == f"stop: {outcome.reason}"
    again = trainer.evaluation.accuracy(embedded(trainer, "train", "dev", "test"))
    assert again == log[outcome.best_epoch].accuracy


def test_a_growing_gap_is_warned_of_and_stops_where_that_is_asked(corpus: Corpus) -> None:
    settings = {"epochs": 40, "batch_size": 4, "learning_rate": 1e-2}
    control = {**NO_STOP, "gap_warning": 1, "gap_stop": 1}
    # Nothing to be found, so that what is learnt is learnt by heart.
    noise = np.random.default_rng(3).normal(size=(len(corpus.texts), 16)).astype(np.float32)
    options = cell(training=settings, stopping=control)
    log, outcome = train(
        Trainer(options, CorpusData(corpus), FrozenFeatures(same_outputs(noise)), CPU)
    )
    assert outcome.reason == "the gap between train and dev accuracy has grown for 1 epochs"
    grown = [after.gap > before.gap + 1e-12 for before, after in itertools.pairwise(log)]
    warned = [any("warning: the gap" in event for event in record.events) for record in log]
    assert warned == [False, *grown]
    assert grown == [False] * (len(grown) - 1) + [True]


def test_a_loss_that_is_no_number_ends_the_cell_as_diverged(corpus: Corpus) -> None:
    options = cell(training={"epochs": 5, "batch_size": 4, "learning_rate": 1e30}, stopping=NO_STOP)
    trainer, log, outcome = trained(options, corpus)
    assert outcome.status == "diverged"
    assert "epoch 0" in outcome.reason
    assert log[-1].events == ["stop: the loss is not a number"]
    assert log[-1].accuracy == {}
    assert log[-1].losses["train"].total is None
    weights = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
    assert torch.isfinite(weights).all()


def test_weights_lost_in_the_last_step_are_never_the_best(corpus: Corpus) -> None:
    """One step an epoch: its loss is still finite, what it leaves is not."""
    settings = {"epochs": 5, "batch_size": 36, "learning_rate": 1e30}
    trainer, log, outcome = trained(cell(training=settings, stopping=NO_STOP), corpus)
    assert log[0].losses["train"].total is not None
    assert outcome.status == "diverged"
    assert (outcome.epochs, outcome.best_epoch) == (1, -1)
    weights = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
    assert torch.isfinite(weights).all()


@pytest.mark.parametrize(
    "values",
    [
        {"projection": "separate"},
        {"projection": {"width": "none"}},
        {"projection": {"towers": "separate", "width": 8, "init": "identity"}},
        {"retrieval_loss": "infonce"},
        {"retrieval_loss": "infonce", "projection": "separate"},
        {"head": {"kind": "layernorm", "hidden": 0}},
        {"mining": {"preset": "hard"}},
        {"classifier_loss": 0},
        {"retrieval_loss": {"weight": 0}},
        {"fusion": "cls"},
        {"fusion": "embedding", "head": "linear"},
    ],
    ids=str,
)
def test_every_option_trains(corpus: Corpus, values: dict[str, Any]) -> None:
    trainer, log, _ = trained(cell(**values), corpus)
    assert all(record.losses["train"].total is not None for record in log)
    length = embedded(trainer, "dev")["query"].e.norm(dim=1)
    used = torch.from_numpy(trainer.data.texts(("dev",)))
    if values.get("retrieval_loss") == "infonce":
        torch.testing.assert_close(length[used], torch.ones(len(used)))


def test_the_classifier_alone_leaves_no_gradient_in_an_unused_projection(corpus: Corpus) -> None:
    options = cell(
        fusion="cls", retrieval_loss={"weight": 0}, training={"epochs": 1, "batch_size": 4}
    )
    trainer = frozen_trainer(options, corpus)
    weight = unique_weights(trainer.model)["projections.query.weight"]
    before = weight.clone()
    train(trainer)
    assert torch.equal(before, weight)


@pytest.mark.parametrize("trainable", ["all", 1])
@pytest.mark.parametrize("roles", ["shared", "separate"])
def test_a_live_encoder_learns(
    corpus: Corpus, tiny_bert: Path, trainable: object, roles: str
) -> None:
    encoder = {"name": str(tiny_bert), "max_tokens": 24, "trainable": trainable, "towers": roles}
    settings = {"epochs": 3, "batch_size": 4, "learning_rate": 1e-3}
    options = cell(encoder=encoder, training=settings, stopping=NO_STOP)
    live = live_encoder(options, corpus)
    before = {name: p.clone() for name, p in live.named_parameters()}
    trainer = Trainer(options, CorpusData(corpus), live, CPU)
    log, _ = train(trainer)
    assert log[-1].losses["train"].total < log[0].losses["train"].total
    changed = {name for name, p in live.named_parameters() if not torch.equal(p, before[name])}
    learning = {name for name, p in live.named_parameters() if p.requires_grad}
    assert changed <= learning
    assert {"models.query.encoder.layer.1.output.dense.weight"} <= changed
    if roles == "separate":
        assert {"models.candidate.encoder.layer.1.output.dense.weight"} <= changed


def test_a_frozen_live_encoder_and_its_features_give_the_same_cell(
    corpus: Corpus, tiny_bert: Path
) -> None:
    """The slow path that encodes each batch, and the fast one on features computed before."""
    # Dropout of a frozen encoder is off where its outputs are computed once.
    encoder = {"name": str(tiny_bert), "max_tokens": 24, "dropout": 0.0}
    options = cell(encoder=encoder, training={"batch_sampler": "plain"})
    live = live_encoder(options, corpus)
    n = len(corpus.texts)
    x = gathered(live.eval().embed(torch.arange(n), "query"), n).detach().numpy()
    encoders: list[Encoder] = [FrozenFeatures(same_outputs(x)), live]
    logs = [train(Trainer(options, CorpusData(corpus), encoder, CPU)).log for encoder in encoders]
    for fast, slow in zip(*logs, strict=True):
        assert fast.losses["train"].total == pytest.approx(slow.losses["train"].total, rel=1e-4)
        assert fast.negatives == slow.negatives


def test_each_step_has_its_rate(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    options = cell(
        training={"epochs": 2, "batch_size": 8, "schedule": "linear", "learning_rate": 0.5}
    )
    trainer = frozen_trainer(options, corpus)
    seen: list[float] = []
    step = trainer.state.optimizer.step
    monkeypatch.setattr(
        trainer.state.optimizer,
        "step",
        lambda: (seen.append(trainer.state.optimizer.param_groups[0]["lr"]), step())[1],
    )
    log, _ = train(trainer)
    steps = len(trainer.data.pairs) // 8
    assert seen == pytest.approx([0.5 * (1 - i / (2 * steps)) for i in range(2 * steps)])
    assert [record.learning_rate for record in log] == pytest.approx([0.5, 0.25])


def test_a_rate_of_almost_nothing_leaves_the_encoder_as_it_was(
    corpus: Corpus, tiny_bert: Path
) -> None:
    trainer = tiny_live(corpus, tiny_bert, encoder_learning_rate=1e-30)
    before = {name: value.clone() for name, value in unique_weights(trainer.model).items()}
    train(trainer)
    changed = {
        name
        for name, value in unique_weights(trainer.model).items()
        if (value - before[name]).abs().max() > 1e-20
    }
    assert changed
    assert not [name for name in changed if name.startswith("encoder.")]


def test_a_cell_whose_vectors_collapse_says_so(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: CellOptions = cell(training={"epochs": 2}, fusion="cls")
    trainer = frozen_trainer(options, corpus)
    with torch.no_grad():
        trainer.model.projections["query"].weight.normal_()
    quiet, _ = train(trainer)
    assert not [e for record in quiet for e in record.events if "nearly the same" in e]
    trainer = frozen_trainer(options, corpus)
    with torch.no_grad():
        trainer.model.projections["query"].weight.normal_()

    def flatten() -> None:
        with torch.no_grad():
            trainer.model.projections["query"].weight.mul_(0.01)

    monkeypatch.setattr(trainer.state.optimizer, "step", flatten)
    loud, _ = train(trainer)
    assert "warning: all vectors have become nearly the same" in loud[-1].events


def test_vectors_that_are_not_numbers_are_an_input_error(corpus: Corpus) -> None:
    x = features(corpus)
    x[:, 3] = np.nan
    with pytest.raises(InputError, match=r"encoder\.name 'all-MiniLM-L6-v2'.*finite"):
        train(Trainer(cell(), CorpusData(corpus), FrozenFeatures(same_outputs(x)), CPU))


def test_a_pass_over_the_triples_is_saved_before_all_texts_are_embedded(
    corpus: Corpus, tiny_bert: Path
) -> None:
    trainer = tiny_live(corpus, tiny_bert, epochs=2)
    saved = []
    for event in trainer.events():
        if isinstance(event, CheckpointDue):
            facts = trainer.state.checkpoint().facts
            saved.append((facts.epoch, facts.steps))
    steps = len(trainer.data.pairs) // trainer.options.training.batch_size
    assert saved == [(0, 0), (0, steps), (1, 0), (1, steps), (2, 0)]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("live", [False, True])
def test_a_gpu_trains_the_same_cell_to_rounding(
    corpus: Corpus, tiny_bert: Path, live: bool
) -> None:
    asked = {"name": str(tiny_bert), "max_tokens": 24, "trainable": "all" if live else "none"}
    alike = {"dropout": 0.0, "precision": "float32"}
    options = cell(encoder=asked | alike, stopping=NO_STOP)
    logs = []
    for device in ("cpu", "cuda"):
        encoder: Encoder = FrozenFeatures(same_outputs(features(corpus)))
        if live:
            encoder = live_encoder(options, corpus)
        trainer = Trainer(options, CorpusData(corpus), encoder, torch.device(device))
        logs.append(train(trainer).log)
        assert results_of(trainer)["dev"][1]
    for here, there in zip(*logs, strict=True):
        assert here.losses["train"].total == pytest.approx(there.losses["train"].total, rel=1e-3)
        assert here.negatives.random == there.negatives.random
