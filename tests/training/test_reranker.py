"""A cross-encoder at work: it learns, goes on where it was, and never loses to its first stage."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import AutoTokenizer

from counterpoint.config.options import CellOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.features import FrozenFeatures, same_outputs
from counterpoint.encoders.pairs import PairEncoder, PairTemplate, PairTokens
from counterpoint.encoders.tokens import tokenise
from counterpoint.errors import InputError
from counterpoint.evaluation.baselines import lexical, search_of
from counterpoint.evaluation.evaluate import Evaluation, query_results
from counterpoint.evaluation.hybrid import by_ranks, by_scores, choose_weight, standardised
from counterpoint.evaluation.system import TrainedSystem
from counterpoint.models.cell_model import CellModel
from counterpoint.tasks.protocols import WITH_TASKS
from counterpoint.training.data import CorpusData
from counterpoint.training.epochs import CheckpointDue, Ended, EpochEnded, Evaluated, StepTaken
from counterpoint.training.reranker import RerankerTrainer
from tests.support.training import CPU, NO_STOP, cell, features


def options(tiny_bert: Path, first_stage: str = "dense", **training: object) -> CellOptions:
    return cell(
        stopping=NO_STOP,
        projection={"width": "none"},
        evaluation={"rerank": 4, "train_sample": 6, "first_stage": first_stage},
        reranker={
            "kind": "cross_encoder",
            "encoder": {"name": str(tiny_bert), "max_tokens": 24, "dropout": 0.1},
            "mining": {"negatives": 2, "top_m": 3},
            "training": {"epochs": 2, "batch_size": 4, "encoder_learning_rate": 1e-3, **training},
        },
    )


def trainer(
    corpus: Corpus, tiny_bert: Path, first_stage: str = "dense", **training: object
) -> RerankerTrainer:
    chosen = options(tiny_bert, first_stage, **training)
    encoder = chosen.reranker.encoder
    template = PairTemplate.of(AutoTokenizer.from_pretrained(tiny_bert))
    pairs = PairEncoder(encoder, PairTokens(tokenise(corpus, encoder).candidate, template))
    with torch.random.fork_rng():
        torch.manual_seed(3)
        first = CellModel(chosen.first_stage(), FrozenFeatures(same_outputs(features(corpus))))
    return RerankerTrainer(chosen, CorpusData(corpus), first.eval(), pairs, CPU)


def test_it_learns_and_is_evaluated_on_all_tasks(corpus: Corpus, tiny_bert: Path) -> None:
    made = trainer(corpus, tiny_bert, epochs=4)
    events = list(made.events())
    log = [event.record for event in events if isinstance(event, EpochEnded)]
    losses = [record.losses["train"].total for record in log]
    assert len(log) == 4
    assert losses[-1] is not None
    assert losses[0] is not None
    assert losses[-1] < losses[0]
    steps = [event for event in events if isinstance(event, StepTaken)]
    assert len(steps) == 4 * (len(made.data.pairs) // 4)
    for record in log:
        dev = record.accuracy["dev"]["clean"]
        assert dev.retrieval is not None
        assert dev.reranked is not None
        # With a share of 1 the first stage's order stays, so dev cannot lose.
        assert dev.reranked >= dev.retrieval
        assert record.losses["dev"].total is not None
        assert any(event.startswith("the first stage's score counts") for event in record.events)
    assert record.negatives.random == 0
    assert record.negatives.hard_point + record.negatives.hard_counter == 2 * len(made.data.pairs)
    (last,) = (event.results for event in events if isinstance(event, Evaluated))
    for _, of_split in last.values():
        assert {each.protocol for each in of_split} > {"official", "legacy"}
        for each in of_split:
            # The original study's protocols show a classifier the gold's vector.
            assert each.reordered is not None
            if each.protocol not in WITH_TASKS:
                assert (each.reordered == each.nearest).all()
    ended = next(event for event in events if isinstance(event, Ended))
    assert ended.outcome.epochs == 4
    assert ended.outcome.parameters["head"] == 33


@pytest.mark.parametrize("first_stage", ["dense", "zscores"])
def test_its_results_are_those_of_a_slow_loop(
    corpus: Corpus, tiny_bert: Path, first_stage: str
) -> None:
    made = trainer(corpus, tiny_bert, first_stage, epochs=1)
    *_, last = made.events()
    assert isinstance(last, Evaluated)
    sets, results = last.results["dev"]
    mix = made.model.mix.numpy()
    query, candidate = (made.vectors.vectors[role].e for role in ("query", "candidate"))
    asked = next(each for each in results if (each.protocol, each.task) == ("clean", "epa"))
    assert asked.reordered is not None
    for row, of_query in enumerate(asked.queries):
        point = int(sets.text[sets.pairs + of_query])
        near = asked.nearest[row, :4]
        scores = []
        for other in sets.text[near]:
            with torch.no_grad():
                made.model.eval()
                (logit,) = made.model(torch.tensor([point]), torch.tensor([int(other)]))
            distance = float((query[point] - candidate[other]).double().square().sum())
            scores.append(mix[0] * float(logit) - mix[1] * distance / 2)
        best = near[int(np.argmax(scores))]
        assert best == asked.reordered[row, 0]


@pytest.mark.parametrize("first_stage", ["rrf", "zscores"])
def test_it_takes_its_candidates_from_the_fused_order(
    corpus: Corpus, tiny_bert: Path, first_stage: str
) -> None:
    made = trainer(corpus, tiny_bert, first_stage, epochs=1)
    events = list(made.events())
    (last,) = (event for event in events if isinstance(event, Evaluated))
    (record,) = (event.record for event in events if isinstance(event, EpochEnded))
    sets, results = last.results["dev"]
    dense = TrainedSystem(made.vectors.model, made.vectors.vectors, 1).costs_of(sets)
    folder = corpus.roles["dev"]
    words = lexical(search_of(corpus.split(folder), sets, folder))
    if first_stage == "rrf":
        assert last.weight is None
        costs = by_ranks(dense, words)
    else:
        assert last.weight == choose_weight(sets, standardised(dense, words))
        costs = by_scores(standardised(dense, words), last.weight.bm25_weight)
    for of_task in results:
        if of_task.protocol in WITH_TASKS:
            asked = Evaluation(tasks=(of_task.task,), protocols=(of_task.protocol,))
            (expected,) = query_results(sets, costs, None, asked)
            np.testing.assert_array_equal(of_task.ranks, expected.ranks)
            np.testing.assert_array_equal(of_task.nearest, expected.nearest)
            if (of_task.protocol, of_task.task) == ("clean", "epa"):
                first = float((expected.ranks[:, 0] == 1).mean())
                assert record.accuracy["dev"]["clean"].retrieval == first


def test_a_step_is_a_softmax_over_the_counter_and_the_negatives(
    corpus: Corpus, tiny_bert: Path
) -> None:
    made = trainer(corpus, tiny_bert)
    next(event for event in made.events() if isinstance(event, StepTaken))
    pairs, negatives = made.data.pairs, made.negatives()
    assert negatives.text.shape == (2, len(pairs))
    own = np.stack([pairs.point, pairs.counter])
    assert not (negatives.text[:, None] == own[None]).any()
    groups = np.concatenate([own, negatives.text])[:, :4]
    loss = made.gradients(groups, seed=11)
    torch.manual_seed(11)
    made.model.train()
    asked = [(int(p), int(c)) for p, *others in groups.T for c in others]
    logits = made.model(*(torch.tensor(part) for part in zip(*asked, strict=True)))
    expected = functional.cross_entropy(logits.reshape(4, 3), torch.zeros(4, dtype=torch.long))
    assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-4)


def test_a_job_that_was_stopped_anywhere_goes_on_to_the_same_end(
    corpus: Corpus, tiny_bert: Path
) -> None:
    whole = trainer(corpus, tiny_bert)
    log = [event.record for event in whole.events() if isinstance(event, EpochEnded)]
    stops = sum(
        isinstance(event, StepTaken | CheckpointDue)
        for event in trainer(corpus, tiny_bert).events()
    )
    for stop in range(0, stops, 3):
        begun = trainer(corpus, tiny_bert)
        told = []
        safe = (event for event in begun.events() if not isinstance(event, Ended | Evaluated))
        count = itertools.count()
        for event in safe:
            if isinstance(event, EpochEnded):
                told.append(event.record)
            if isinstance(event, StepTaken | CheckpointDue) and next(count) == stop:
                break
        goes_on = trainer(corpus, tiny_bert)
        goes_on.restore(begun.checkpoint())
        told += [event.record for event in goes_on.events() if isinstance(event, EpochEnded)]
        assert told == log
        for name, value in whole.model.state_dict().items():
            assert torch.equal(value, goes_on.model.state_dict()[name]), name


def test_a_batch_that_is_too_large_is_told_by_its_own_name(corpus: Corpus, tiny_bert: Path) -> None:
    with pytest.raises(InputError, match=r"reranker\.training\.batch_size: 4000 is more"):
        trainer(corpus, tiny_bert, batch_size=4000)
