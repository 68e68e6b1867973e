"""The tidy table of scores: what is there is counted, what is missing is named."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from counterpoint.config.run_options import RunConfig
from counterpoint.corpus.arguments import read_debates
from counterpoint.errors import InputError
from counterpoint.evaluation import metrics, statistics
from counterpoint.evaluation.records import read_records, write_records
from counterpoint.evaluation.scoring import select
from counterpoint.reporting import scores as scores_module
from counterpoint.reporting.overview import Overview
from counterpoint.reporting.scores import (
    all_scores,
    awaited_scores,
    best_of_run,
    ceiling_k,
    current_scores,
    without_parts,
    write_scores,
)
from counterpoint.reporting.tables import write_tables
from counterpoint.runs.folder import CellFolder, PlannedCell, Run, RunFolder, read_run
from counterpoint.tasks.candidates import CandidateSets
from tests.support.runs import finish, plan, query_results, short


def test_cells_csv_has_its_columns_and_the_scores_of_the_records(run: Path) -> None:
    write_tables(read_run(run), 1, intervals=False)
    table = pd.read_csv(run / "tables" / "cells.csv")
    assert list(table.columns) == [
        "kind", "cell", "fusion", "head", "decrease_rate", "initial_random_rate", "seed",
        "retrieval_loss.margin", "split", "protocol", "task", "stage", "metric", "value", "low",
        "high", "n",
    ]  # fmt: skip
    chosen = table[(table.metric == "accuracy@1") & (table.split == "dev")]
    chosen = chosen[chosen.protocol == "clean"]
    second = chosen[(chosen.fusion == "cls") & (chosen.decrease_rate == 0.01)]
    second = second[second.initial_random_rate == 1]
    assert dict(zip(second.stage, second.value, strict=True)) == {
        "retrieval": 0.5,
        "reranked": 0.5,
    }
    assert set(second.n) == {8}
    assert set(second.seed) == {1}
    baseline = chosen[chosen.kind == "baseline"]
    assert baseline.cell.tolist() == ["baseline/tfidf"]
    assert baseline.stage.tolist() == ["retrieval"]
    assert baseline.value.tolist() == [0.75]
    assert baseline[["fusion", "head", "decrease_rate", "seed"]].isna().all(axis=None)
    reciprocal = table[(table.metric == "mrr") & (table.stage == "reranked")]
    # 1, 1/2, 1/3, 1/4 over the first cell's eight queries, twice each
    assert reciprocal.value.iloc[0] == pytest.approx(25 / 48)


@pytest.mark.parametrize("system", ["random", "tfidf"], ids=["second", "first"])
def test_records_that_miss_a_query_stop_the_tables(
    tmp_path: Path, sets: CandidateSets, system: str
) -> None:
    """Also where it is the first system that misses it."""
    bare = RunFolder(tmp_path / "bare")
    plan(bare.path, {"baselines": ["random", "tfidf"]}, sets.ids)
    for name in ("random", "tfidf"):
        part = short(sets) if name == system else query_results(sets, [1], None)
        write_records({"dev": (sets, part)}, bare.baseline(name))
    with pytest.raises(InputError) as caught:
        all_scores(read_run(bare.path))
    message = str(caught.value)
    first, second = ("random", "tfidf") if system == "random" else ("tfidf", "random")
    assert f"{first}/records.parquet: misses 1 of the 8 queries that" in message
    assert f"{second}/records.parquet answers (dev, official, epa)" in message
    assert f"such as {sets.ids[sets.pairs]}" in message
    assert "run snakemake again" in message


def test_the_best_is_not_chosen_from_records_that_miss_a_query(
    run: Path, sets: CandidateSets
) -> None:
    name = pd.read_csv(run / "matrix.csv").cell[0]
    write_records({"dev": (sets, short(sets))}, RunFolder(run).cell(name).records)
    with pytest.raises(InputError, match=r"misses 1 of the 8 .* \(dev, clean, epa\)"):
        best_of_run(read_run(run))


def test_a_query_twice_stops_the_tables(run: Path, sets: CandidateSets) -> None:
    twice = query_results(sets, [1], None)[:1] * 2
    write_records({"test": (sets, twice)}, RunFolder(run).baseline("tfidf"))
    with pytest.raises(InputError, match=r"tfidf/records.parquet: test, official, epa: .* twice"):
        all_scores(read_run(run))


def test_train_may_have_other_queries_for_each_seed(run: Path, sets: CandidateSets) -> None:
    names = pd.read_csv(run / "matrix.csv").cell
    for name, part in ((names[0], short(sets)), (names[1], query_results(sets, [1], None))):
        write_records({"train": (sets, part)}, RunFolder(run).cell(name).records)
    scores = all_scores(read_run(run))
    assert set(scores[scores.split == "train"].n) == {7, 8}


def test_written_scores_that_are_behind_are_computed_anew(run: Path) -> None:
    scores = all_scores(read_run(run))
    written = run / "tables" / "cells.csv"
    written.parent.mkdir(exist_ok=True)
    scores[scores["kind"] == "baseline"].to_csv(written, index=False)
    read = current_scores(read_run(run))
    pd.testing.assert_frame_equal(read, scores, check_dtype=False)


def test_scores_that_are_being_written_are_waited_for(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables and plots are made at the same time, and the scores once."""
    read, computing, go_on = read_run(run), threading.Event(), threading.Event()
    computed = []

    def slowly(of: Run) -> pd.DataFrame:
        computing.set()
        assert go_on.wait(60)
        computed.append(of)
        return all_scores(of)

    monkeypatch.setattr(scores_module, "all_scores", slowly)
    with ThreadPoolExecutor() as threads:
        written = threads.submit(write_scores, read)
        assert computing.wait(60)
        awaited = threads.submit(awaited_scores, read)
        with pytest.raises(TimeoutError):
            awaited.result(0.2)
        go_on.set()
        pd.testing.assert_frame_equal(awaited.result(), written.result(), check_dtype=False)
    assert computed == [read]


def test_a_setting_without_all_its_seeds_is_not_averaged() -> None:
    cells = [
        PlannedCell(
            f"{fusion}-{seed}", {"fusion": fusion, "seed": seed}, CellFolder(Path()), "done"
        )
        for fusion in ("cls", "concat")
        for seed in (1, 2)
    ]
    run = Run(RunFolder(Path()), RunConfig(run="mini"), cells)
    there = pd.DataFrame({"cell": ["cls-1", "cls-2", "concat-2", "baseline/bm25"]})
    kept = without_parts(run, there)["cell"].tolist()
    assert kept == ["cls-1", "cls-2", "baseline/bm25"]


def test_all_tasks_at_once_give_what_each_gives_alone(run: Path, sets: CandidateSets) -> None:
    """Scoring bootstraps all tasks with the same queries together."""
    table = all_scores(read_run(run))
    name = table.cell[0]
    alone = read_records(RunFolder(run).cell(name).records)
    debates = read_debates(RunFolder(run).arguments)
    for (split, protocol), part in alone.groupby(["split", "protocol"]):
        bootstrap = statistics.Bootstrap([debates[query] for query in part["query"]])
        values = metrics.reciprocal_rank(part["reranked"].to_numpy())[:, None]
        low, high = bootstrap.interval(values)
        where = {"cell": name, "split": split, "protocol": protocol, "stage": "reranked"}
        score = select(table, metric="mrr", **where).iloc[0]
        assert (score.low, score.high) == pytest.approx((low[0], high[0]), rel=1e-12)


def test_the_ceiling_of_re_ranking_k_is_recall_at_k(tmp_path: Path, sets: CandidateSets) -> None:
    """Ranks 1, 2, 3 and 20 of the first stage: three, two and four of four within 10, 2 and 20."""
    folder = RunFolder(tmp_path)
    values = {"baselines": ["tfidf"], "matrix": {"axes": {"rerank": [10, 2, 20]}}}
    for cell in plan(folder.path, values, sets.ids):
        finish(folder.cell(cell.name), sets, [1])
        part = query_results(sets, [1, 2, 3, 20], [1])
        write_records({"dev": (sets, part)}, folder.cell(cell.name).records)
    write_records({"dev": (sets, query_results(sets, [20, 1], None))}, folder.baseline("tfidf"))
    run = read_run(folder.path)
    overview = Overview(run, all_scores(run))
    assert overview.systems["dev_ceiling"].tolist() == [0.75, 0.5, 1.0, 0.5]
    assert (ceiling_k(run), overview.ceiling_name) == (None, "recall@k")
    text = write_tables(run, 1, intervals=False)
    assert "3 of 3 cells trained" in text
    comparison = (folder.tables / "comparison.md").read_text()
    assert "/ recall@k of the first stage, the ceiling of re-ranking k, the cell's" in comparison
    assert "| dev | dev recall@k |" in comparison


def test_a_run_that_re_ranks_five_says_so(tmp_path: Path, sets: CandidateSets) -> None:
    folder = RunFolder(tmp_path)
    (cell,) = plan(folder.path, {"evaluation": {"rerank": 5}, "baselines": []}, sets.ids)
    finish(folder.cell(cell.name), sets, [1])
    run = read_run(folder.path)
    write_tables(run, 1, intervals=False)
    comparison = (folder.tables / "comparison.md").read_text()
    assert "recall@5 of the first stage, the ceiling of re-ranking 5\n" in comparison


def test_what_trains_no_classifier_re_ranks_one(tmp_path: Path) -> None:
    plan(tmp_path, {"classifier_loss": {"weight": 0}, "baselines": []})
    assert ceiling_k(read_run(tmp_path)) == 1


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ({}, True),
        ({"classifier_loss": {"weight": 0}}, False),
        ({"reranker": "none"}, False),
        ({"reranker": "cross_encoder"}, False),
    ],
)
def test_a_protocol_that_leaks_has_no_score_of_a_second_stage_that_it_does_not_ask(
    tmp_path: Path, sets: CandidateSets, values: dict[str, object], asked: bool
) -> None:
    folder = RunFolder(tmp_path)
    (cell,) = plan(folder.path, {**values, "baselines": []}, sets.ids)
    finish(folder.cell(cell.name), sets, [1])
    both = query_results(sets, [1, 2], [1], ["official", "legacy"])
    write_records({"dev": (sets, both)}, folder.cell(cell.name).records)
    table = all_scores(read_run(folder.path))
    table = table[(table["cell"] == cell.name) & (table["stage"] == "reranked")]
    assert table[table["protocol"] == "official"]["value"].notna().all()
    legacy = table[table["protocol"] == "legacy"]["value"]
    assert len(legacy)
    assert legacy.notna().all() == asked
    assert legacy.isna().all() != asked
