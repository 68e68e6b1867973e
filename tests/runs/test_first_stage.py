"""A cell whose final evaluation ranks by its distances and BM25 together."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from counterpoint.corpus.arguments import Corpus
from counterpoint.errors import InputError
from counterpoint.evaluation.baselines import bm25, lexical, search_of
from counterpoint.evaluation.hybrid import CandidateRanking, standardised
from counterpoint.evaluation.system import TrainedSystem
from counterpoint.results.files import HybridWeight
from counterpoint.runs.external import ExternalEvaluation
from counterpoint.runs.folder import CellFolder, read_run, result_files
from counterpoint.runs.job import Job
from counterpoint.runs.trained import ranking_of
from counterpoint.search.distances import Costs
from counterpoint.search.fused import weighted
from counterpoint.tasks.candidates import CandidateSets, candidate_sets
from counterpoint.training.trainer import Trainer
from tests.support.trained import Trained, rows
from tests.support.training import JobInputs, cell, embedded, frozen_trainer

KINDS = ["dense", "rrf", "zscores"]


def job_of(inputs: JobInputs, kind: str, **changes: Any) -> Path:
    """Run a job with a first stage; where its results are."""
    out = inputs["out"].with_name(kind)
    paths = {"state": out.with_name(f"{kind}-state"), "out": out, **changes}
    Job(options=cell(evaluation={"first_stage": kind}), **{**inputs, **paths}).run()
    return paths["out"]


def test_training_and_epochs_do_not_see_the_first_stage(inputs: JobInputs) -> None:
    folders = {kind: job_of(inputs, kind) for kind in KINDS}
    for name in ("epochs.jsonl", "model.safetensors", "outcome.json"):
        assert len({(out / name).read_bytes() for out in folders.values()}) == 1, name
    records = {(out / "records.parquet").read_bytes() for out in folders.values()}
    assert len(records) == len(KINDS)
    for kind, out in folders.items():
        options = json.loads((out / "options.json").read_text())["evaluation"]
        # Results that are older than the option have the same identity.
        assert options.get("first_stage", "not written") == (
            "not written" if kind == "dense" else kind
        )
        assert {path.name for path in out.iterdir()} == set(
            result_files(cell(evaluation={"first_stage": kind}))
        )
        assert (out / "hybrid.json").exists() == (kind == "zscores")


def both_costs(corpus: Corpus, trainer: Trainer, role: str) -> tuple[CandidateSets, Costs, Costs]:
    """The candidate sets of a split, the trained cell's distances there, and BM25."""
    sets = candidate_sets(corpus, corpus.roles[role])
    search = search_of(corpus.split(corpus.roles[role]), sets, corpus.roles[role])
    system = TrainedSystem(trainer.model, embedded(trainer, "train", "dev", "test"), rerank=10)
    return sets, system.costs_of(sets), bm25(search)


def slow_ranks(sets: CandidateSets, score: Any, task: str) -> list[int]:
    """Of each query's gold, official, ties against it."""
    ranks = []
    for query in range(sets.points):
        mask = sets.candidates(task, "official", np.array([query]))[0]
        gold = int(sets.golds[query, 0])
        mask[gold] = False
        ranks.append(1 + int((score[query][mask] >= score[query][gold]).sum()))
    return ranks


@pytest.mark.parametrize("kind", ["rrf", "zscores"])
def test_the_first_stage_is_that_of_slow_loops_and_the_classifier_reorders_it(
    inputs: JobInputs, corpus: Corpus, kind: str
) -> None:
    out = job_of(inputs, kind)
    trainer = frozen_trainer(cell(evaluation={"first_stage": kind}), corpus)
    *_, last = trainer.events()
    table = pq.read_table(out / "records.parquet").to_pandas()
    for role in ("dev", "test"):
        sets, dense, words = both_costs(corpus, trainer, role)
        every = torch.arange(sets.points)
        both = [costs.exact(every).numpy() for costs in (dense, words)]
        own = sets.text[None, :] != sets.text[sets.pairs :, None]
        score = np.zeros_like(both[0])
        for query in range(sets.points):
            parts = []
            for costs in both:
                values = costs[query][own[query]]
                if kind == "rrf":
                    parts.append([60 + (values <= cost).sum() for cost in costs[query]])
                else:
                    parts.append((values.mean() - costs[query]) / values.std())
            a, b = np.array(parts)
            if kind == "rrf":
                score[query] = (a + b) / (a * b)
            else:
                weight = last.weight.bm25_weight
                score[query] = (1 - weight) * a + weight * b
        for task in ("sdoc", "epa"):
            of_task = table[
                (table.split == role) & (table.task == task) & (table.protocol == "official")
            ]
            assert of_task["rank"].tolist() == slow_ranks(sets, score, task)
    # The classifier moves the first ten of the fused order, and nobody into them.
    nearest, reordered = (np.stack(of_task[name]) for name in ("nearest", "reordered"))
    assert (np.sort(nearest, axis=1) == np.sort(reordered, axis=1)).all()
    assert (nearest != reordered).any()


def test_the_weight_is_that_of_dev_and_is_written(inputs: JobInputs, corpus: Corpus) -> None:
    out = job_of(inputs, "zscores")
    weight = HybridWeight.read(CellFolder(out).hybrid_weight)
    table = pq.read_table(out / "records.parquet").to_pandas()
    dev = table[(table.split == "dev") & (table.task == "epa") & (table.protocol == "clean")]
    assert weight.queries == len(dev) > 0
    first = float((dev["rank"] == 1).mean())
    assert weight.accuracy_at_1[str(weight.bm25_weight)] == first
    assert first == max(weight.accuracy_at_1.values())
    assert ranking_of(CellFolder(out)) == CandidateRanking("zscores", weight)
    # By hand at one weight that was not chosen.
    trainer = frozen_trainer(cell(evaluation={"first_stage": "zscores"}), corpus)
    list(trainer.events())
    sets, dense, _ = both_costs(corpus, trainer, "dev")
    folder = corpus.roles["dev"]
    words = lexical(search_of(corpus.split(folder), sets, folder))
    score = weighted(0.9)(*standardised(dense, words).of(np.arange(sets.points)))
    right = 0
    for query in sets.queries("clean"):
        mask = sets.candidates("epa", "clean", np.array([query]))[0]
        gold = int(sets.golds[query, 0])
        mask[gold] = False
        right += bool((score[query][mask] < score[query][gold]).all())
    assert weight.accuracy_at_1["0.9"] == right / weight.queries


def test_results_with_another_first_stage_leave_no_weight_behind(inputs: JobInputs) -> None:
    out = job_of(inputs, "zscores")
    assert (out / "hybrid.json").exists()
    job_of(inputs, "rrf", out=out)
    assert not (out / "hybrid.json").exists()


def test_a_weight_that_is_lost_is_put_back_without_training(
    inputs: JobInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = job_of(inputs, "zscores")
    expected = (out / "hybrid.json").read_bytes()
    (out / "hybrid.json").unlink()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("trains")

    monkeypatch.setattr(Trainer, "events", refuse)
    assert job_of(inputs, "zscores") == out
    assert (out / "hybrid.json").read_bytes() == expected


def test_texts_without_words_are_told_before_anything_is_trained(corpus: Corpus) -> None:
    signs = [replace(one, text="!?") for one in corpus.arguments]
    with pytest.raises(InputError, match="bm25: training: no text has a word"):
        frozen_trainer(cell(evaluation={"first_stage": "rrf"}), replace(corpus, arguments=signs))


@pytest.mark.parametrize("kind", ["rrf", "zscores"])
def test_an_evaluation_of_its_own_corpus_again_is_the_same(
    trained: Trained, tmp_path: Path, kind: str
) -> None:
    options = json.loads((trained.folder / "cells" / trained.frozen / "options.json").read_text())
    options["evaluation"]["first_stage"] = kind
    run = read_run(trained.folder)
    (features,) = (trained.folder / "encoder").glob("*/features.safetensors")
    Job(
        options=cell(**options),
        arguments=run.folder.arguments,
        features=features,
        tokens=None,
        threads=1,
        jobs_per_gpu=1,
        state=tmp_path / "state",
        out=tmp_path / "out",
    ).run()
    evaluated = ExternalEvaluation(
        system="the cell",
        cell=CellFolder(tmp_path / "out"),
        run=run,
        corpus=None,
        splits=[],
        device=torch.device("cpu"),
        out=tmp_path / "again",
        export=False,
    ).write()
    folder_of = {"dev": "validation", "test": "test"}
    expected = [
        {**row, "split": folder_of[row["split"]]}
        for row in rows(tmp_path / "out" / "records.parquet")
        if row["split"] != "train"
    ]
    assert rows(tmp_path / "again" / "records.parquet") == expected
    told = [note for note in evaluated.notes if "BM25 weighs" in note]
    assert len(told) == (kind == "zscores")
