"""The training job: same cell same log, losses fall, every option acts, and how cells end."""

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from counterpoint.config.loading import parse
from counterpoint.config.options import CellOptions
from counterpoint.corpus.arguana import read_corpus
from counterpoint.corpus.arguments import Corpus, write_arguments
from counterpoint.corpus.sources import open_source
from counterpoint.corpus.synthetic import write_corpus
from counterpoint.encoders.encoder import gathered
from counterpoint.encoders.features import FrozenFeatures, write_features
from counterpoint.encoders.live import LiveEncoder
from counterpoint.encoders.tokens import tokenise, write_tokens
from counterpoint.errors import InputError
from counterpoint.evaluation.records import QueryResults
from counterpoint.runs import epoch_log
from counterpoint.runs.job import RESULTS, Job, epoch_line
from counterpoint.tasks.candidates import CandidateSets
from counterpoint.training.data import Data
from counterpoint.training.trainer import Stopwatch, Trainer
from tests.support.debates import ROLES

CPU = torch.device("cpu")
NO_STOP = {"patience": None, "halve_after": None, "dev_loss_rises": None}


def cell(**values: Any) -> CellOptions:
    return parse(CellOptions, {"training": {"epochs": 3, "batch_size": 4}, **values}, "test")


def features(corpus: Corpus, width: int = 16, seed: int = 5) -> np.ndarray:
    """Vectors in which a counter lies near its point: what training can find."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(len(corpus.texts), width)).astype(np.float32)
    for argument, text in zip(corpus.arguments, corpus.text_index, strict=True):
        twin = argument.id[:-1] + "a"
        base = np.random.default_rng(abs(hash_of(twin))).normal(size=width)
        x[text] = base + 0.3 * x[text]
    return x


def hash_of(text: str) -> int:
    import zlib

    return zlib.crc32(text.encode("utf-8"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("synthetic") / "corpus"
    write_corpus(folder, pairs=60, seed=3)
    return read_corpus(open_source(str(folder)), ROLES)[0]


def train(options: CellOptions, corpus: Corpus) -> tuple[Trainer, list[dict[str, Any]], Any]:
    trainer = Trainer(options, corpus, FrozenFeatures(features(corpus)), CPU)
    log: list[dict[str, Any]] = []
    outcome = trainer.run(log.append)
    return trainer, log, outcome


def test_the_same_cell_gives_the_same_log_and_records(corpus: Corpus) -> None:
    runs = [train(cell(), corpus) for _ in range(2)]
    assert json.dumps(runs[0][1]) == json.dumps(runs[1][1])
    for role in ("train", "dev", "test"):
        ours, theirs = (run[0].records()[role][1] for run in runs)
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one.rank, other.rank)
            np.testing.assert_array_equal(one.reordered, other.reordered)


def test_another_seed_gives_another_log(corpus: Corpus) -> None:
    assert train(cell(), corpus)[1] != train(cell(seed=2), corpus)[1]


def test_both_backends_and_no_backend_choice_change_the_log(corpus: Corpus) -> None:
    hard = {"initial_random_rate": 0.3, "decrease_rate": 0.1, "top_m": 3}
    exact = train(cell(mining={**hard, "backend": "exact"}), corpus)[1]
    tree = train(cell(mining={**hard, "backend": "balltree"}), corpus)[1]
    assert exact == tree


def test_the_loss_falls_and_the_planted_answers_are_found(corpus: Corpus) -> None:
    settings = {"epochs": 12, "batch_size": 4, "learning_rate": 1e-3}
    _, log, outcome = train(cell(training=settings, stopping=NO_STOP), corpus)
    totals = [record["losses"]["train"]["total"] for record in log]
    assert outcome.status == "finished"
    assert totals[-1] < 0.5 * totals[0]
    assert log[-1]["accuracy"]["dev"]["clean"]["retrieval"] > 0.5


def test_an_epochs_record_says_what_it_should(corpus: Corpus) -> None:
    mining = {"initial_random_rate": 0.5, "decrease_rate": 0.25}
    _, log, _ = train(cell(mining=mining, stopping=NO_STOP), corpus)
    assert [record["epoch"] for record in log] == [0, 1, 2]
    assert [record["random_rate"] for record in log] == [0.5, 0.25, 0.0]
    pairs = 36  # 60 % of 60, every text unique
    for record in log:
        facts = record["negatives"]
        assert facts["random"] + facts["hard_point"] + facts["hard_counter"] == pairs
        assert set(record["accuracy"]) == {"train", "dev", "test"}
        assert set(record["accuracy"]["dev"]) == {"official", "clean"}
        assert set(record["accuracy"]["train"]) == {"official"}
        assert set(record["losses"]) == set(record["distances"]) == {"train", "dev", "test"}
        terms = record["losses"]["train"]
        total = terms["retrieval"] + terms["counter"] + terms["negative"]
        assert terms["total"] == pytest.approx(total, rel=1e-6)
    assert log[2]["negatives"]["random"] == 0


def test_figures_are_of_the_weights_at_the_epochs_end(corpus: Corpus) -> None:
    trainer, log, outcome = train(cell(stopping=NO_STOP), corpus)
    records = {(r.protocol, r.task): r for r in trainer.records()["dev"][1]}
    chosen = records["clean", "epa"]
    best = log[outcome.best_epoch]["accuracy"]["dev"]["clean"]
    assert float((chosen.rank == 1).mean()) == best["retrieval"]
    assert float((chosen.reranked == 1).mean()) == best["reranked"]


def test_without_test_figures_the_rest_of_the_log_is_the_same(corpus: Corpus) -> None:
    with_test = train(cell(), corpus)[1]
    without = train(cell(evaluation={"test_every_epoch": False}), corpus)[1]
    for record in with_test:
        for part in ("accuracy", "losses", "distances"):
            del record[part]["test"]
    assert with_test == without


def test_patience_stops_and_the_best_weights_come_back(corpus: Corpus) -> None:
    settings = {"epochs": 40, "batch_size": 4, "learning_rate": 1e-3}
    options = cell(training=settings, stopping={**NO_STOP, "patience": 2})
    trainer, log, outcome = train(options, corpus)
    assert outcome.status == "stopped"
    assert outcome.epochs == outcome.best_epoch + 3 == len(log)
    assert "best" in log[outcome.best_epoch]["events"]
    vectors = trainer.embed(("train", "dev", "test"))
    dev = trainer._accuracy(("dev",), vectors)["dev"]
    assert dev == log[outcome.best_epoch]["accuracy"]["dev"]


def test_the_learning_rate_halves_when_dev_accuracy_does_not_rise(corpus: Corpus) -> None:
    settings = {"epochs": 8, "batch_size": 4, "learning_rate": 1e-9}
    options = cell(training=settings, stopping={**NO_STOP, "halve_after": 3})
    rates = [record["learning_rate"] for record in train(options, corpus)[1]]
    assert rates == [1e-9] * 4 + [5e-10] * 3 + [2.5e-10]


def test_a_cell_stops_when_dev_loss_rises_and_goes_back_to_its_best_weights(
    corpus: Corpus,
) -> None:
    settings = {"epochs": 40, "batch_size": 4, "learning_rate": 3e-2}
    options = cell(training=settings, stopping={**NO_STOP, "dev_loss_rises": 2})
    trainer, log, outcome = train(options, corpus)
    assert (outcome.status, outcome.reason) == (
        "stopped", "dev loss has risen for 2 epochs in a row"
    )  # fmt: skip
    losses = [record["losses"]["dev"]["total"] for record in log]
    rises = [after > before for before, after in itertools.pairwise(losses)]
    assert [pair for pair in itertools.pairwise(rises) if all(pair)] == [(True, True)]
    assert rises[-2:] == [True, True]
    assert log[-1]["events"][-1] == f"stop: {outcome.reason}"
    vectors = trainer.embed(("train", "dev", "test"))
    dev = trainer._accuracy(("dev",), vectors)["dev"]
    assert dev == log[outcome.best_epoch]["accuracy"]["dev"]


def test_a_growing_gap_is_warned_of_and_stops_where_that_is_asked(corpus: Corpus) -> None:
    settings = {"epochs": 40, "batch_size": 4, "learning_rate": 1e-2}
    control = {**NO_STOP, "gap_warning": 1, "gap_stop": 1}
    # Nothing to be found, so that what is learnt is learnt by heart.
    noise = np.random.default_rng(3).normal(size=(len(corpus.texts), 16)).astype(np.float32)
    options = cell(training=settings, stopping=control)
    log: list[dict[str, Any]] = []
    outcome = Trainer(options, corpus, FrozenFeatures(noise), CPU).run(log.append)
    assert outcome.reason == "the gap between train and dev accuracy has grown for 1 epochs"
    grown = [after["gap"] > before["gap"] + 1e-12 for before, after in itertools.pairwise(log)]
    warned = [any("warning: the gap" in event for event in record["events"]) for record in log]
    assert warned == [False, *grown]
    assert grown == [False] * (len(grown) - 1) + [True]


def test_a_loss_that_is_no_number_ends_the_cell_as_diverged(corpus: Corpus) -> None:
    options = cell(training={"epochs": 5, "batch_size": 4, "learning_rate": 1e30}, stopping=NO_STOP)
    trainer, log, outcome = train(options, corpus)
    assert outcome.status == "diverged"
    assert "epoch 0" in outcome.reason
    assert log[-1]["events"] == ["stop: the loss is not a number"]
    assert log[-1]["accuracy"] == {}
    assert "loss nan" in epoch_line(log[-1])
    weights = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
    assert torch.isfinite(weights).all()


def test_weights_lost_in_the_last_step_are_never_the_best(corpus: Corpus) -> None:
    """One step an epoch: its loss is still finite, what it leaves is not."""
    settings = {"epochs": 5, "batch_size": 36, "learning_rate": 1e30}
    trainer, log, outcome = train(cell(training=settings, stopping=NO_STOP), corpus)
    assert np.isfinite(log[0]["losses"]["train"]["total"])
    assert outcome.status == "diverged"
    assert (outcome.epochs, outcome.best_epoch) == (1, -1)
    weights = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
    assert torch.isfinite(weights).all()


def test_held_out_losses_are_those_of_their_triples(corpus: Corpus) -> None:
    """Against the formula of the method, one triple after the other."""
    trainer, log, _ = train(cell(stopping=NO_STOP), corpus)
    vectors = trainer.embed(("train", "dev", "test"))["query"]
    hinge, positive = [], []
    for point, counter, negative in trainer.data.held_out["dev"].T:
        near, far = (
            float((vectors.e[point] - vectors.e[other]).norm()) for other in (counter, negative)
        )
        hinge.append(max(0.0, near - far + 1.0))
        positive.append(near)
    last = trainer._held_out_losses("dev", trainer.embed(("train", "dev", "test")))
    assert float(last[0][0]) == pytest.approx(np.mean(hinge), rel=1e-5)
    assert float(last[1][0].double().mean()) == pytest.approx(np.mean(positive), rel=1e-5)
    assert log[-1]["distances"]["dev"]["positive"]["std"] > 0


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
    trainer, log, _ = train(cell(**values), corpus)
    assert all(np.isfinite(record["losses"]["train"]["total"]) for record in log)
    length = trainer.embed(("dev",))["query"].e.norm(dim=1)
    used = torch.from_numpy(trainer.data.texts(("dev",)))
    if values.get("retrieval_loss") == "infonce":
        torch.testing.assert_close(length[used], torch.ones(len(used)))


def test_retrieval_alone_records_the_first_ten_and_reorders_none(corpus: Corpus) -> None:
    options = cell(classifier_loss={"weight": 0}, evaluation={"rerank": 1})
    # Vectors of chance, so that a gold among the first ten is seldom the first.
    x = np.random.default_rng(8).normal(size=(len(corpus.texts), 16)).astype(np.float32)
    trainer = Trainer(options, corpus, FrozenFeatures(x), CPU)
    log: list[dict[str, Any]] = []
    trainer.run(log.append)
    for record in log:
        for figures in record["accuracy"]["dev"].values():
            assert figures["reranked"] == figures["retrieval"] <= figures["recall@10"]
    assert any(
        record["accuracy"]["dev"]["clean"]["recall@10"]
        > record["accuracy"]["dev"]["clean"]["retrieval"]
        for record in log
    )
    (found, *_) = [each for each in trainer.records()["dev"][1] if each.task == "epa"]
    assert found.nearest.shape[1] == 10
    assert found.reranked is not None
    np.testing.assert_array_equal(found.reranked, found.rank)


def test_the_classifier_alone_leaves_no_gradient_in_an_unused_projection(corpus: Corpus) -> None:
    options = cell(fusion="cls", retrieval_loss={"weight": 0}, training={"epochs": 1, "batch_size": 4})
    trainer = Trainer(options, corpus, FrozenFeatures(features(corpus)), CPU)
    before = trainer.model.projections["query"].weight.clone()
    trainer.run(lambda record: None)
    assert torch.equal(before, trainer.model.projections["query"].weight)


def test_a_batch_larger_than_the_split_is_an_input_error(corpus: Corpus) -> None:
    with pytest.raises(InputError, match=r"training\.batch_size: 99 is more than the 36"):
        Data(corpus, cell(training={"batch_size": 99}))


def test_a_dev_split_without_unseen_queries_is_an_input_error(corpus: Corpus) -> None:
    roles = {"train": "training", "dev": "training", "test": "test"}
    seen = Corpus(corpus.arguments, roles, corpus.bare_debates)
    with pytest.raises(InputError, match="no query unseen in training"):
        Data(seen, cell())


@pytest.mark.parametrize("trainable", ["all", 1])
@pytest.mark.parametrize("roles", ["shared", "separate"])
def test_a_live_encoder_learns(
    corpus: Corpus, tiny_bert: Path, trainable: object, roles: str
) -> None:
    encoder = {"name": str(tiny_bert), "max_tokens": 24, "trainable": trainable, "towers": roles}
    settings = {"epochs": 3, "batch_size": 4, "learning_rate": 1e-3}
    options = cell(encoder=encoder, training=settings, stopping=NO_STOP)
    live = LiveEncoder(options.encoder, tokenise(corpus, options.encoder))
    before = {name: p.clone() for name, p in live.named_parameters()}
    trainer = Trainer(options, corpus, live, CPU)
    log: list[dict[str, Any]] = []
    trainer.run(log.append)
    assert log[-1]["losses"]["train"]["total"] < log[0]["losses"]["train"]["total"]
    changed = {name for name, p in live.named_parameters() if not torch.equal(p, before[name])}
    learning = {name for name, p in live.named_parameters() if p.requires_grad}
    assert changed <= learning
    assert {"models.query.encoder.layer.1.output.dense.weight"} <= changed
    if roles == "separate":
        assert {"models.candidate.encoder.layer.1.output.dense.weight"} <= changed


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
    live = LiveEncoder(options.encoder, tokenise(corpus, options.encoder))
    trainer = Trainer(options, corpus, live, CPU)
    pairs = trainer.data.pairs
    negatives = np.roll(pairs.counter, 1)
    triples = torch.from_numpy(np.stack([pairs.point, pairs.counter, negatives])[:, :8])
    trainer.model.train()
    trainer._learn(triples, 0)
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
        assert trainer.model.projections["query"].weight.shape == (width, 32)
    seen = {"embedding": 0, "cls": 32, "concat": 32}[options.fusion]
    if options.fusion != "cls":
        seen += 32 if width == "none" else width
    assert trainer.model.head[0].weight.shape[-1] == 3 * seen


def test_a_frozen_live_encoder_and_its_features_give_the_same_cell(
    corpus: Corpus, tiny_bert: Path
) -> None:
    """The slow path that encodes each batch, and the fast one on features computed before."""
    # Dropout of a frozen encoder is off where its outputs are computed once.
    encoder = {"name": str(tiny_bert), "max_tokens": 24, "dropout": 0.0}
    options = cell(encoder=encoder, training={"batch_sampler": "plain"})
    tokens = tokenise(corpus, options.encoder)
    live = LiveEncoder(options.encoder, tokens)
    n = len(corpus.texts)
    x = gathered(live.eval().embed(torch.arange(n), "query"), n).detach().numpy()
    logs: list[list[dict[str, Any]]] = [[], []]
    for module, log in zip((FrozenFeatures(x), live), logs, strict=True):
        trainer = Trainer(options, corpus, module, CPU)
        trainer.run(log.append)
    for fast, slow in zip(*logs, strict=True):
        assert fast["losses"]["train"]["total"] == pytest.approx(
            slow["losses"]["train"]["total"], rel=1e-4
        )
        assert fast["negatives"] == slow["negatives"]


@pytest.fixture
def inputs(corpus: Corpus, tmp_path: Path) -> dict[str, Any]:
    write_arguments(corpus, tmp_path / "arguments.parquet")
    write_features(features(corpus), corpus, tmp_path / "features.safetensors")
    return {
        "arguments": tmp_path / "arguments.parquet",
        "features": tmp_path / "features.safetensors",
        "tokens": None,
        "threads": 1,
        "jobs_per_gpu": 1,
        "state": tmp_path / "state",
        "out": tmp_path / "out",
    }


def test_a_job_leaves_all_its_files_and_is_the_same_byte_for_byte(inputs: dict[str, Any]) -> None:
    again = {key: inputs[key] for key in inputs} | {
        key: inputs[key].with_name(f"another-{key}") for key in ("state", "out")
    }
    Job(options=cell(), **inputs).run()
    Job(options=cell(), **again).run()
    assert sorted(path.name for path in inputs["out"].iterdir()) == sorted(RESULTS)
    for name in RESULTS:
        if name != "seconds.json":
            assert (inputs["out"] / name).read_bytes() == (again["out"] / name).read_bytes(), name
    log = epoch_log.read(inputs["out"] / "epochs.jsonl")
    assert len(log) == json.loads((inputs["out"] / "outcome.json").read_text())["epochs"]
    assert "epoch   0" in epoch_line(log[0])
    # The state keeps them, for when Snakemake never hears that the job has ended.
    (state,) = (path for path in inputs["state"].iterdir() if path.name != "lock")
    assert sorted(path.name for path in state.iterdir()) == sorted([*RESULTS, "identity.json"])


def test_results_that_were_deleted_are_put_back_without_training(
    inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    Job(options=cell(), **inputs).run()
    expected = {name: (inputs["out"] / name).read_bytes() for name in RESULTS}
    shutil.rmtree(inputs["out"])

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("trains")

    monkeypatch.setattr(Trainer, "run", refuse)
    Job(options=cell(), **inputs).run()
    assert {name: (inputs["out"] / name).read_bytes() for name in RESULTS} == expected


def test_without_a_trained_classifier_nothing_is_re_ranked(corpus: Corpus) -> None:
    options = cell(classifier_loss={"weight": 0.0}, stopping=NO_STOP)
    log: list[dict[str, Any]] = []
    module = FrozenFeatures(features(corpus))
    Trainer(options, corpus, module, torch.device("cpu")).run(log.append)
    for record in log:
        for figures in record["accuracy"]["dev"].values():
            assert figures["reranked"] == figures["retrieval"]


@pytest.mark.parametrize("loss", ["triplet", "infonce"])
@pytest.mark.parametrize("roles", ["shared", "separate"])
def test_one_encoder_sees_each_text_once_whatever_the_projections(
    corpus: Corpus, tiny_bert: Path, roles: str, loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = {"name": str(tiny_bert), "max_tokens": 24, "trainable": "all", "towers": roles}
    options = cell(
        encoder=encoder,
        projection={"towers": "separate", "width": 8},
        retrieval_loss={"kind": loss},
        training={"epochs": 1, "batch_size": 4},
    )
    module = LiveEncoder(options.encoder, tokenise(corpus, options.encoder))
    trainer = Trainer(options, corpus, module, torch.device("cpu"))
    passes: list[list[int]] = []
    embed, forward = LiveEncoder.embed, LiveEncoder.forward
    monkeypatch.setattr(
        LiveEncoder,
        "embed",
        lambda self, texts, role: passes.append(texts.tolist()) or embed(self, texts, role),
    )
    trainer.embed(("train",))
    assert len(passes) == (1 if roles == "shared" else 2)
    steps: list[int] = []
    monkeypatch.setattr(
        LiveEncoder,
        "forward",
        lambda self, texts, role: steps.append(len(texts)) or forward(self, texts, role),
    )
    triples = torch.from_numpy(trainer.data.held_out["dev"][:, :3])
    trainer._losses(triples)
    others = 9 if loss == "infonce" else 6
    assert steps == ([9] if roles == "shared" else [3, others])


def test_a_lack_of_memory_beyond_the_encoder_is_an_input_error(
    inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nMore.")

    monkeypatch.setattr(Trainer, "_accuracy", full)
    with pytest.raises(InputError, match=r"jobs_per_gpu.*\(CUDA out of memory\.\)"):
        Job(options=cell(), **inputs).run()


def test_vectors_that_are_not_numbers_are_an_input_error(corpus: Corpus) -> None:
    x = features(corpus)
    x[:, 3] = np.nan
    with pytest.raises(InputError, match=r"encoder\.name 'all-MiniLM-L6-v2'.*finite"):
        Trainer(cell(), corpus, FrozenFeatures(x), CPU).run(lambda _: None)


def test_a_stage_within_another_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.0, 4.0, 6.0])
    clock = SimpleNamespace(perf_counter=lambda: next(now))
    monkeypatch.setattr("counterpoint.training.trainer.time", clock)
    watch = Stopwatch()
    with watch("train"), watch("save"):
        pass
    assert watch.seconds == {"save": 3.0, "train": 3.0}


@pytest.mark.parametrize("changes", [{"max_tokens": 16}, {"pooling": "cls"}], ids=str)
def test_features_made_with_other_options_are_refused(
    corpus: Corpus, inputs: dict[str, Any], changes: dict[str, Any]
) -> None:
    made = cell(encoder={"max_tokens": 24}).encoder
    write_features(features(corpus), corpus, inputs["features"], made)
    Job(options=cell(encoder={"max_tokens": 24}), **inputs).run()
    other = cell(encoder={"max_tokens": 24, **changes})
    with pytest.raises(
        InputError, match=rf"features\.safetensors: made with.*{next(iter(changes))}"
    ):
        Job(options=other, **inputs).run()


def test_a_failed_job_leaves_its_reason_and_no_result(inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"training\.batch_size"):
        Job(options=cell(training={"batch_size": 99}), **inputs).run()
    failure = json.loads((inputs["state"] / "failure.json").read_text())
    assert "training.batch_size: 99" in failure["reason"]
    assert not inputs["out"].exists()
    Job(options=cell(), **inputs).run()
    assert not (inputs["state"] / "failure.json").exists()


def test_a_second_trainer_of_the_same_cell_is_refused(
    inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from filelock import FileLock

    monkeypatch.setattr("counterpoint.runs.job.LOCK_SECONDS", 0)
    inputs["state"].mkdir()
    with (
        FileLock(inputs["state"] / "lock"),
        pytest.raises(InputError, match="another process is training this cell"),
    ):
        Job(options=cell(), **inputs).run()


def test_frozen_needs_features_and_live_needs_tokens(
    inputs: dict[str, Any], corpus: Corpus, tiny_bert: Path, tmp_path: Path
) -> None:
    encoder = {"name": str(tiny_bert), "max_tokens": 24, "trainable": "all"}
    options = cell(encoder=encoder, training={"epochs": 1, "batch_size": 4})
    with pytest.raises(InputError, match="needs --tokens"):
        Job(options=options, **inputs).run()
    write_tokens(tokenise(corpus, options.encoder), corpus, tmp_path / "tokens.safetensors")
    live = {**inputs, "features": None, "tokens": tmp_path / "tokens.safetensors"}
    Job(options=options, **live).run()
    assert (inputs["out"] / "model.safetensors").stat().st_size > 1_000_000


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("live", [False, True])
def test_a_gpu_trains_the_same_cell_to_rounding(
    corpus: Corpus, tiny_bert: Path, live: bool
) -> None:
    encoder = {"name": str(tiny_bert), "max_tokens": 24, "trainable": "all" if live else "none"}
    alike = {"dropout": 0.0, "precision": "float32"}
    options = cell(encoder=encoder | alike, stopping=NO_STOP)
    logs: list[list[dict[str, Any]]] = [[], []]
    for device, log in zip(("cpu", "cuda"), logs, strict=True):
        module: FrozenFeatures | LiveEncoder = FrozenFeatures(features(corpus))
        if live:
            module = LiveEncoder(options.encoder, tokenise(corpus, options.encoder))
        trainer = Trainer(options, corpus, module, torch.device(device))
        trainer.run(log.append)
        assert trainer.records()["dev"][1]
    for here, there in zip(*logs, strict=True):
        assert here["losses"]["train"]["total"] == pytest.approx(
            there["losses"]["train"]["total"], rel=1e-3
        )
        assert here["negatives"]["random"] == there["negatives"]["random"]


# Decontaminated training


def contaminated(corpus: Corpus) -> tuple[Corpus, set[str]]:
    """Three training pairs share a text with dev or test; the ids of their points."""
    given = {split: corpus.split(split) for split in ROLES.values()}
    points = [each for each in given["training"] if each.kind == "point"]
    counters = {each.id: each for each in given["training"] if each.kind == "counter"}
    text_of = {
        points[2].id: given["validation"][0],
        counters[points[5].id[:-1] + "b"].id: given["test"][3],
        points[9].id: given["test"][1],
    }
    arguments = [
        replace(each, text=f" {text_of[each.id].text}", text_hash=text_of[each.id].text_hash)
        if each.id in text_of
        else each
        for each in corpus.arguments
    ]
    shared = Corpus(arguments, corpus.roles, corpus.bare_debates)
    return shared, {points[place].id for place in (2, 5, 9)}


def asked(found: dict[str, tuple[CandidateSets, list[QueryResults]]], role: str) -> set[str]:
    sets, several = found[role]
    return {sets.ids[sets.pairs + query] for each in several for query in each.queries}


def test_training_drops_exactly_the_pairs_that_share_a_text(corpus: Corpus) -> None:
    shared, dropped = contaminated(corpus)
    clean = replace(shared, decontaminate="train")
    before, after = (Data(each, cell()) for each in (shared, clean))
    assert (len(before.pairs), len(after.pairs)) == (36, 33)
    sets = after.sets("train")
    assert {sets.ids[sets.pairs + row] for row in before.trained} - {
        sets.ids[sets.pairs + row] for row in after.trained
    } == dropped
    held_out = set(after.texts(("dev", "test")).tolist())
    for texts in (after.pairs.point, after.pairs.counter, after.negatives.texts):
        assert held_out.isdisjoint(texts.tolist())
    assert held_out & set(before.pairs.point.tolist())
    # Dev and test are asked as before, unseen or not.
    for role in ("dev", "test"):
        np.testing.assert_array_equal(before.sets(role).unseen, after.sets(role).unseen)
        assert not after.sets(role).unseen.all()
        np.testing.assert_array_equal(before.held_out[role], after.held_out[role])


@pytest.mark.parametrize("sample", [1000, 5])
def test_the_train_sample_is_of_kept_pairs(corpus: Corpus, sample: int) -> None:
    shared, dropped = contaminated(corpus)
    options = cell(evaluation={"train_sample": sample}, training={"epochs": 1, "batch_size": 4})
    trainer, _, _ = train(options, replace(shared, decontaminate="train"))
    found = trainer.records()
    assert len(asked(found, "train")) == min(sample, 33)
    assert not asked(found, "train") & dropped
    assert (len(asked(found, "dev")), len(asked(found, "test"))) == (12, 12)
    if sample == 1000:
        assert asked(train(options, shared)[0].records(), "train") > dropped


def test_a_job_trains_on_what_the_table_of_arguments_says(
    corpus: Corpus, inputs: dict[str, Any]
) -> None:
    shared, dropped = contaminated(corpus)
    write_features(features(shared), shared, inputs["features"])
    queries = {}
    for value in ("none", "train"):
        write_arguments(replace(shared, decontaminate=value), inputs["arguments"])
        out = inputs["out"].with_name(value)
        Job(options=cell(), **{**inputs, "out": out}).run()
        table = pd.read_parquet(out / "records.parquet", columns=["split", "query"])
        queries[value] = set(table[table.split == "train"]["query"])
        facts = epoch_log.read(out / "epochs.jsonl")[0]["negatives"]
        drawn = facts["random"] + facts["hard_point"] + facts["hard_counter"]
        assert drawn == len(queries[value])
    assert queries["none"] - queries["train"] == dropped


def test_nothing_left_to_train_on_is_an_input_error(corpus: Corpus) -> None:
    """Validation with every text of training."""
    copies = [
        replace(each, split="validation", id=each.id.replace("training", "validation"))
        for each in corpus.split("training")
    ]
    new = [replace(each, debate=f"{each.debate}-new") for each in corpus.split("validation")]
    new = [replace(each, id=f"validation/new/{each.id.split('/', 1)[1]}") for each in new]
    arguments = [*corpus.split("training"), *copies, *new, *corpus.split("test")]
    whole = Corpus(arguments, corpus.roles, corpus.bare_debates, "train")
    with pytest.raises(InputError, match="every training pair shares a text"):
        Data(whole, cell())
