"""What an epoch is worth, and the records at the end."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.features import FrozenFeatures, same_outputs
from counterpoint.evaluation.evaluate import query_results
from counterpoint.evaluation.records import QueryResults
from counterpoint.tasks.protocols import PROTOCOLS
from counterpoint.training.data import CorpusData
from counterpoint.training.split_scores import Results
from counterpoint.training.trainer import Trainer
from tests.support.training import (
    CPU,
    NO_STOP,
    cell,
    contaminated,
    embedded,
    frozen_trainer,
    results_by_key,
    results_of,
    train,
)


def test_held_out_losses_are_those_of_their_triples(corpus: Corpus) -> None:
    """Against the formula of the method, one triple after the other."""
    trainer = frozen_trainer(cell(stopping=NO_STOP), corpus)
    log, _ = train(trainer)
    by_role = embedded(trainer, "train", "dev", "test")
    vectors = by_role["query"]
    hinge, positive = [], []
    for point, counter, negative in trainer.data.held_out["dev"].T:
        near, far = (
            float((vectors.e[point] - vectors.e[other]).norm()) for other in (counter, negative)
        )
        hinge.append(max(0.0, near - far + 1.0))
        positive.append(near)
    last = trainer.evaluation.held_out_losses("dev", by_role)
    assert float(last.losses[0]) == pytest.approx(np.mean(hinge), rel=1e-5)
    assert float(last.distances[0].double().mean()) == pytest.approx(np.mean(positive), rel=1e-5)
    assert log[-1].distances["dev"].positive.std > 0


def test_an_epoch_has_the_share_of_active_triplets_and_the_quantiles_of_distances(
    corpus: Corpus,
) -> None:
    """Against the formulas, for the weights at the end; 12 dev triples."""
    options = cell(retrieval_loss={"margin": 6.0}, stopping=NO_STOP)
    trainer = frozen_trainer(options, corpus)
    log, _ = train(trainer)
    vectors = embedded(trainer, "train", "dev", "test")
    e = vectors["query"].e.double().numpy()
    point, counter, _ = trainer.data.held_out["dev"]
    near = np.sort(np.linalg.norm(e[point] - e[counter], axis=1))
    measured = trainer.evaluation.held_out_losses("dev", vectors)
    _, found = trainer.evaluation.summary(measured)
    positive, far = measured.distances.double().numpy()
    active = sum(n - f + 6.0 > 0 for n, f in zip(positive, far, strict=True))
    assert 0 < active < len(point) == 12
    assert found.active == active / 12
    # Quantiles at q lie at place 11 q, between two of the sorted distances.
    by_hand = [near[int(11 * q)] + 11 * q % 1 * (near[int(11 * q) + 1] - near[int(11 * q)])
               for q in (0.05, 0.25, 0.5, 0.75, 0.95)]  # fmt: skip
    assert found.positive.quantiles is not None
    assert list(vars(found.positive.quantiles).values()) == pytest.approx(by_hand, rel=1e-5)
    for record in log:
        for distances in record.distances.values():
            assert distances.active is not None
            for spread in (distances.positive, distances.negative):
                assert spread.quantiles is not None
                values = list(vars(spread.quantiles).values())
                assert values == sorted(values)
        # The mean loss is above 0 just where a triplet is active.
        for role, losses in record.losses.items():
            assert (losses.retrieval > 0) == (record.distances[role].active > 0)


def test_a_margin_beyond_all_distances_leaves_every_triplet_active(corpus: Corpus) -> None:
    log = train(frozen_trainer(cell(retrieval_loss={"margin": 1e3}), corpus)).log
    assert {d.active for record in log for d in record.distances.values()} == {1.0}


def test_a_loss_without_a_margin_has_quantiles_and_no_active_triplets(corpus: Corpus) -> None:
    log = train(frozen_trainer(cell(retrieval_loss="infonce"), corpus)).log
    for record in log:
        for distances in record.distances.values():
            assert distances.active is None
            assert distances.positive.quantiles is not None


def test_retrieval_alone_records_the_first_ten_and_reorders_none(corpus: Corpus) -> None:
    options = cell(classifier_loss={"weight": 0}, evaluation={"rerank": 1})
    # Vectors of chance, so that a gold among the first ten is seldom the first.
    x = np.random.default_rng(8).normal(size=(len(corpus.texts), 16)).astype(np.float32)
    trainer = Trainer(options, CorpusData(corpus), FrozenFeatures(same_outputs(x)), CPU)
    log, _ = train(trainer)
    for record in log:
        for scores in record.accuracy["dev"].values():
            assert scores.reranked == scores.retrieval <= scores.recall_at_10
    assert any(
        record.accuracy["dev"]["clean"].recall_at_10 > record.accuracy["dev"]["clean"].retrieval
        for record in log
    )
    results = results_by_key(trainer, "dev")["official", "epa"]
    assert results.nearest.shape[1] == 10
    assert results.reranked is not None
    np.testing.assert_array_equal(results.reranked, results.rank)


def test_an_epoch_is_scored_at_the_k_and_on_the_tasks_asked_for(corpus: Corpus) -> None:
    asked = {"top_k": [1, 3, 12], "epoch_tasks": ["epc", "sdoc"]}
    trainer = frozen_trainer(cell(evaluation=asked), corpus)
    log, _ = train(trainer)
    best = log[trainer.state.controls.memory.best_epoch]
    final = results_by_key(trainer, "dev")
    assert list(best.tasks) == ["sdoc", "epc"]
    for task, scores in {"epa": best.accuracy, **best.tasks}.items():
        assert scores.keys() == {"train", "dev", "test"}
        for protocol in ("official", "clean"):
            found, results = scores["dev"][protocol], final[protocol, task]
            assert found.retrieval == (results.rank == 1).mean()
            assert found.reranked == (results.reranked == 1).mean()
            assert found.at_k == {
                f"{stage}@{k}": (ranks <= k).mean()
                for k in (3, 12)
                for stage, ranks in (("retrieval", results.rank), ("reranked", results.reranked))
            }
    assert final["clean", "epa"].nearest.shape[1] == 12
    plain, _ = train(frozen_trainer(cell(), corpus))
    assert all(not record.tasks for record in plain)


def test_without_a_trained_classifier_nothing_is_re_ranked(corpus: Corpus) -> None:
    options = cell(classifier_loss={"weight": 0.0}, stopping=NO_STOP)
    for record in train(frozen_trainer(options, corpus)).log:
        for scores in record.accuracy["dev"].values():
            assert scores.reranked == scores.retrieval


def test_a_folder_in_two_roles_is_evaluated_once(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def counted(*arguments: Any) -> list[QueryResults]:
        calls.append(1)
        return query_results(*arguments)

    monkeypatch.setattr("counterpoint.training.split_scores.query_results", counted)
    for test, times in (("test", 3), ("validation", 2)):
        calls.clear()
        here = replace(corpus, roles={**corpus.roles, "test": test})
        results = results_of(frozen_trainer(cell(stopping=NO_STOP), here))
        assert len(calls) == times
        assert (results["test"][1] is results["dev"][1]) == (test == "validation")
        assert (asked(results, "test") == asked(results, "dev")) == (test == "validation")


def asked(results: Results, split: str) -> set[str]:
    """The ids of the points of a split that were asked, where a protocol asks all that it can."""
    sets, several = results[split]
    return {
        sets.ids[sets.pairs + query]
        for each in several
        if not PROTOCOLS[each.protocol].asks_few
        for query in each.queries
    }


@pytest.mark.parametrize("sample", [1000, 5])
def test_the_train_sample_is_of_kept_pairs(corpus: Corpus, sample: int) -> None:
    shared, dropped = contaminated(corpus)
    options = cell(evaluation={"train_sample": sample}, training={"epochs": 1, "batch_size": 4})
    found = results_of(frozen_trainer(options, replace(shared, decontaminate="train")))
    assert len(asked(found, "train")) == min(sample, 33)
    assert not asked(found, "train") & dropped
    assert (len(asked(found, "dev")), len(asked(found, "test"))) == (12, 12)
    if sample == 1000:
        assert asked(results_of(frozen_trainer(options, shared)), "train") > dropped


def test_who_asks_few_asks_them_whatever_the_sample(corpus: Corpus) -> None:
    options = cell(evaluation={"train_sample": 5}, training={"epochs": 1, "batch_size": 4})
    sets, several = results_of(frozen_trainer(options, corpus))["train"]
    asked_by = {each.protocol: each.queries.tolist() for each in several}
    assert asked_by["legacy-subset"] == list(range(-(-sets.pairs // 16)))
    assert len(asked_by["legacy"]) == 5
