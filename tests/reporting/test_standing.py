"""Who wins a run, in words: chosen on dev, measured on test, held against the best other."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from counterpoint.evaluation.records import write_records
from counterpoint.reporting.overview import Overview, recipe_label
from counterpoint.reporting.page.build import contents_of, page
from counterpoint.reporting.page.names import typographic
from counterpoint.reporting.scores import all_scores, records_of
from counterpoint.reporting.standing import loses_to, who_wins
from counterpoint.reporting.tables import write_tables
from counterpoint.results.files import HybridWeight, Ties
from counterpoint.runs import status
from counterpoint.runs.folder import RunFolder, read_run, weight_beside
from counterpoint.tasks.candidates import CandidateSets
from tests.support.runs import FIVE_CELLS, finish, plan, query_results, write_epochs, write_files

TUNED = "recipe/tuned"


@pytest.fixture
def folder(tmp_path: Path, sets: CandidateSets) -> RunFolder:
    """Five planned cells of which one is trained (half right), TF-IDF (6 of 8), and a recipe."""
    folder = RunFolder(tmp_path / "results" / "mini")
    cells = plan(
        folder.path,
        {**FIVE_CELLS, "recipes": {"tuned": {"encoder": {"trainable": "all"}}}},
        sets.ids,
    )
    finish(folder.cell(cells[0].name), sets, [1, 2])
    results = (sets, query_results(sets, [1, 1, 1, 2], None))
    write_records({"dev": results, "test": results}, folder.baseline("tfidf"))
    return folder


def overview(folder: RunFolder) -> Overview:
    run = read_run(folder.path)
    return Overview(run, all_scores(run))


def train_recipe(
    folder: RunFolder, sets: CandidateSets, dev: Sequence[int], test: Sequence[int]
) -> None:
    """With ranks of its own on dev and test."""
    cell = folder.cell(TUNED)
    by_split = {
        split: (sets, query_results(sets, ranks, ranks))
        for split, ranks in (("dev", dev), ("test", test))
    }
    write_records(by_split, cell.records)
    write_files(cell)
    write_epochs(cell, [])


def test_the_winner_is_told_with_its_margin_and_all_others(
    folder: RunFolder, sets: CandidateSets
) -> None:
    ranks = [1] * 7 + [2]
    train_recipe(folder, sets, ranks, ranks)
    text = who_wins(overview(folder), 1)
    assert text.startswith("The recipe tuned wins: it answers 87.5 % (")
    assert "of 8 unseen test queries; TF-IDF 75.0 %, the best of 5 cells 50.0 %. " in text
    assert "To TF-IDF that is +12.5 points (" in text
    assert text.endswith("within noise.")


def test_a_winner_on_dev_that_loses_on_test_is_not_said_to_win(
    folder: RunFolder, sets: CandidateSets
) -> None:
    train_recipe(folder, sets, [1], [2])
    text = who_wins(overview(folder), 1)
    assert text.startswith(
        "The recipe tuned is best on dev and does not win on test: it answers 0.0 %"
    )
    assert "To TF-IDF that is -75.0 points" in text
    assert text.endswith("less than it, by more than noise.")


def test_without_a_second_system_nobody_wins(tmp_path: Path, sets: CandidateSets) -> None:
    folder = RunFolder(tmp_path / "results" / "mini")
    cells = plan(folder.path, FIVE_CELLS, sets.ids)
    assert who_wins(overview(folder), 1) == ""
    finish(folder.cell(cells[0].name), sets, [1, 2])
    assert who_wins(overview(folder), 1) == ""
    assert loses_to(overview(folder)) == ""


def test_a_best_cell_that_loses_to_a_baseline_is_called_so_wherever_it_is_named(
    folder: RunFolder,
) -> None:
    run = read_run(folder.path)
    words = ", which loses to TF-IDF on test"
    assert loses_to(overview(folder)) == words
    summary = write_tables(run, 1, intervals=False)
    best = overview(folder).best
    assert f"Best cell on dev: {best}{words}\n" in summary
    for name in ("comparison.md", "protocols.md", "tasks.md"):
        assert words in (folder.tables / name).read_text(), name
    assert words in page(contents_of(run, 1))


def test_a_baseline_that_ties_everywhere_is_told_and_compared_with_nothing(
    folder: RunFolder, sets: CandidateSets
) -> None:
    before = write_tables(read_run(folder.path), 1, intervals=False)
    assert "TF-IDF" in who_wins(overview(folder), 1)
    assert "every text ties" not in before
    Ties(16, 16).write(folder.baseline_ties("tfidf"))
    run = read_run(folder.path)
    assert overview(folder).best_baseline is None
    assert who_wins(overview(folder), 1) == loses_to(overview(folder)) == ""
    told = "aseline/tfidf: every text ties for 16 of 16 queries, so its scores say nothing"
    # Ties alone are a reason to make tables and page again.
    summary = write_tables(run, 1, intervals=False)
    assert told in " ".join(summary.split())
    [line] = [line for line in summary.splitlines() if line.startswith("  tfidf")][:1]
    assert line.split()[2:] == ["–"] * 6
    assert told in (folder.tables / "comparison.md").read_text()
    scores = pd.read_csv(folder.scores)
    assert scores[scores.cell == "baseline/tfidf"]["value"].isna().all()
    assert scores[scores.kind == "cell"]["value"].notna().all()
    html = page(contents_of(run, 1))
    assert told in html
    assert "no baseline has scores" in html
    assert "more than noise" not in html


def test_a_recipe_stands_in_every_table_of_systems(folder: RunFolder, sets: CandidateSets) -> None:
    assert "recipe/tuned  ." in status.text(read_run(folder.path))
    ranks = [1] * 7 + [2]
    train_recipe(folder, sets, ranks, ranks)
    run = read_run(folder.path)
    summary = write_tables(run, 1, intervals=False)
    assert "1 of 5 cells and 1 of 1 recipes trained." in summary
    assert [line.split() for line in summary.splitlines() if line.startswith("  tuned")] == [
        ["tuned", "(recipe)", "87.5", "87.5", "87.5", "87.5", "–", "–"],
        ["tuned", "(recipe)", *["–"] * 7, "87.5"],
    ]
    scores = pd.read_csv(folder.scores)
    assert set(scores[scores.cell == TUNED].kind) == {"recipe"}
    comparison = pd.read_csv(folder.tables / "comparison.csv")
    assert comparison[comparison.kind == "recipe"].system.tolist() == [TUNED]
    assert comparison[comparison.kind == "recipe"].dev_reranked.tolist() == [0.875]
    for name in ("comparison.md", "protocols.md", "tasks.md"):
        assert "tuned" in (folder.tables / name).read_text(), name
    assert "tuned (recipe)" in (folder.tables / "baselines.tex").read_text()
    text = page(contents_of(run, 1))
    assert "The recipe tuned wins" in text
    assert "Recipes and baselines" in text
    assert records_of(run, TUNED) == (TUNED, folder.cell(TUNED).records)
    # The matrix is as it was: five cells, and a best one of them.
    assert overview(folder).best != TUNED
    assert len(run.cells) == 5


@pytest.mark.parametrize(("weight", "stage"), [(0, "retrieval"), (0.5, "reranked")])
def test_a_recipe_without_a_classifier_has_its_first_stage_shown(
    weight: float, stage: str, tmp_path: Path, sets: CandidateSets
) -> None:
    folder = RunFolder(tmp_path / "results" / "mini")
    recipes = {"tuned": {"classifier_loss": weight}}
    plan(folder.path, {**FIVE_CELLS, "recipes": recipes}, sets.ids)
    train_recipe(folder, sets, [1] * 8, [1] * 8)
    (listed,) = (system for system in overview(folder).listed if system.name == TUNED)
    assert listed.stage == stage
    write_tables(read_run(folder.path), 1, intervals=False)
    protocols = (folder.tables / "protocols.md").read_text()
    assert (f"| {TUNED} | accuracy@1, reranked |" in protocols) == (stage == "reranked")


def test_a_recipe_says_that_it_is_one_once() -> None:
    assert recipe_label("recipe/recipe") == "recipe"
    assert recipe_label("recipe/tuned") == "tuned (recipe)"


def test_only_a_number_gets_a_minus() -> None:
    assert typographic("TF-IDF: -2.5 (-7.5 to +0.0)") == "TF-IDF: −2.5 (−7.5 to +0.0)"


def test_what_bm25_weighs_in_a_system_is_told_below_the_tables(folder: RunFolder) -> None:
    weight = HybridWeight(0.3, 1234, {"0.3": 0.5})
    told = "baseline/tfidf: BM25 weighs 0.3, chosen by accuracy@1 of 1,234 unseen dev queries"
    assert "BM25 weighs" not in write_tables(read_run(folder.path), 1, intervals=False)
    weight.write(weight_beside(folder.baseline("tfidf")))
    run = read_run(folder.path)
    # It is a reason to make tables and page again.
    assert told[1:] in " ".join(write_tables(run, 1, intervals=False).split())
    assert told in (folder.tables / "comparison.md").read_text()
    assert told in page(contents_of(run, 1))
    best = overview(folder).best
    assert best is not None
    weight.write(folder.cell(best).hybrid_weight)
    assert weight.told(best) in overview(folder).notes
