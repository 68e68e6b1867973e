"""Cells averaged over seeds, and the columns of the tables of settings."""

from pathlib import Path

import pandas as pd
import pytest

from counterpoint.evaluation.records import write_records
from counterpoint.reporting.overview import Overview
from counterpoint.reporting.scores import all_scores
from counterpoint.reporting.settings import CLEAN_SCORES
from counterpoint.runs.folder import RunFolder, read_run
from counterpoint.tasks.candidates import CandidateSets
from tests.support.runs import THREE_SEEDS, query_results, seeded


def overview(folder: Path) -> Overview:
    run = read_run(folder)
    return Overview(run, all_scores(run))


def test_seeds_have_mean_spread_and_interval(tmp_path: Path, sets: CandidateSets) -> None:
    run = seeded(tmp_path / "seeded", sets, THREE_SEEDS, [1, 2, 3])
    rows = overview(run).comparison().set_index("head")
    assert rows.loc["relu", ["seeds", "seeds_planned"]].tolist() == [3, 3]
    assert rows.loc["relu", "dev_reranked"] == 0.75
    assert rows.loc["relu", "dev_reranked_sd"] == 0.25
    # t with two degrees of freedom has its 97.5 % point at 4.30265, by any table.
    reach = 4.30265 * 0.25 / 3**0.5
    assert rows.loc["relu", "dev_reranked_low"] == pytest.approx(0.75 - reach, abs=1e-5)
    assert rows.loc["relu", "dev_reranked_high"] == pytest.approx(0.75 + reach, abs=1e-5)
    assert rows.loc["relu", "dev_retrieval"] == 0.5
    assert rows.loc["relu", "dev_retrieval_sd"] == 0
    assert rows.loc["linear", "dev_reranked"] == 0
    assert rows.loc["linear", ["dev_reranked_sd", "dev_reranked_low"]].isna().all()


def test_two_seeds_have_a_spread_and_no_interval(tmp_path: Path, sets: CandidateSets) -> None:
    run = seeded(tmp_path / "seeded", sets, {1: [1, 2], 2: [1]}, [1, 2])
    rows = overview(run).comparison().set_index("head")
    assert rows.loc["relu", "dev_reranked_sd"] == pytest.approx(0.5 / 2**0.5)
    assert rows.loc["relu", ["dev_reranked_low", "dev_reranked_high"]].isna().all()


def test_a_missing_seed_is_no_silent_mean(tmp_path: Path, sets: CandidateSets) -> None:
    run = seeded(tmp_path / "seeded", sets, {1: [1, 2], 3: [1]}, [1, 2, 3])
    rows = overview(run).comparison().set_index("head")
    assert rows.loc["relu", ["seeds", "seeds_planned"]].tolist() == [2, 3]
    assert rows.loc["relu", [*CLEAN_SCORES, "dev_reranked_sd"]].isna().all()
    assert rows.loc["linear", ["seeds", "seeds_planned"]].tolist() == [1, 1]


def test_comparison_csv_has_every_protocol_and_the_ceiling(run: Path, sets: CandidateSets) -> None:
    name = pd.read_csv(run / "matrix.csv").cell[0]
    both = query_results(sets, [1, 12], [1, 12]) + query_results(
        sets, [11], [11, 11, 11, 1], ["legacy"]
    )
    write_records({"dev": (sets, both), "test": (sets, both)}, RunFolder(run).cell(name).records)
    rows = overview(run).comparison()
    first = rows.iloc[0]
    assert first[["dev_reranked", "dev_ceiling", "test_ceiling"]].tolist() == [0.5] * 3
    assert first["dev_official_reranked"] == 0.5
    assert first[["dev_legacy_reranked", "dev_legacy_retrieval"]].tolist() == [0.25, 0]
    baseline = rows[rows.kind == "baseline"].iloc[0]
    assert baseline["dev_official_retrieval"] == 0.75
    assert baseline[["dev_reranked", "dev_official_reranked"]].isna().all()
    assert list(rows.columns[:12]) == [
        "kind", "system", "fusion", "head", "decrease_rate", "initial_random_rate",
        "retrieval_loss.margin", *CLEAN_SCORES, "seeds",
    ]  # fmt: skip
