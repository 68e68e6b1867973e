"""The tables as a person reads them: every protocol named for what it is, every gap a dash."""

from pathlib import Path

import pandas as pd
import pytest

from counterpoint.cli.main import main
from counterpoint.evaluation.records import QueryResults, write_records
from counterpoint.io.atomic import write_text
from counterpoint.reporting import markdown, plots
from counterpoint.reporting.curves import curves
from counterpoint.reporting.scores import write_scores
from counterpoint.reporting.tables import write_comparisons
from counterpoint.results.files import Ties
from counterpoint.runs.folder import RunFolder, read_run
from counterpoint.tasks.candidates import CandidateSets
from tests.support.old_logs import lines_of, text_of
from tests.support.runs import THREE_SEEDS, fail, finish, plan, query_results, seeded

LEAKS = "## legacy (leaks the answer; nothing is ranked by it)"
SUBSET = "## legacy-subset (the first ⌈N/16⌉ queries; leaks the answer; nothing is ranked by it)"


def write(run: Path, decimals: int = 1) -> str:
    planned = read_run(run)
    write_comparisons(planned, write_scores(planned), decimals, intervals=False)
    return (run / "tables" / "summary.txt").read_text(encoding="utf-8")


def sections(run: Path, name: str) -> dict[str, str]:
    """Heading to text of a table's sections."""
    text = (run / "tables" / name).read_text()
    return {part.split("\n")[0]: part for part in text.split("\n## ")[1:]}


def tasks_of_test(run: Path, protocol: str) -> str:
    """The rows of the test split in the table of tasks."""
    return sections(run, "tasks.md")[protocol].split("### test")[1]


def with_legacy(sets: CandidateSets, reranked: list[int]) -> list[QueryResults]:
    return [*query_results(sets, [1, 2], reranked), *query_results(sets, [2, 3], [1], ["legacy"])]


@pytest.fixture
def leaking(run: Path, sets: CandidateSets) -> Path:
    """The run, whose best cell has scores under `legacy` too."""
    both = with_legacy(sets, [1, 1, 2, 2])
    path = RunFolder(run).cell(pd.read_csv(run / "matrix.csv").cell[1]).records
    write_records({"dev": (sets, both), "test": (sets, both)}, path)
    return run


def test_the_summary_names_the_best_the_failed_and_the_missing(run: Path) -> None:
    text = write(run)
    assert "3 of 5 cells trained" in text
    assert "Best cell on dev: fusion~cls/head~relu/initial_random_rate~1/decrease_rate~0.01" in text
    assert "1 cells failed:" in text
    assert "InputError: no" in text
    assert "1 cells missing:" in text
    assert "5 min 00 s in all, 1 min 40 s from the first start" in text
    assert "Warning" not in text
    assert text == (run / "tables" / "summary.txt").read_text()


def test_comparison_marks_the_best_and_leaves_gaps_for_what_is_missing(run: Path) -> None:
    write(run)
    text = (run / "tables" / "comparison.md").read_text()
    assert "| cls | relu | 25.0 / 100.0 | **50.0 / 100.0** |" in text
    assert "| concat | relu | 0.0 / 100.0 | – (failed) |" in text
    rows = pd.read_csv(run / "tables" / "comparison.csv")
    assert rows[rows.best]["dev_reranked"].tolist() == [0.5]
    assert set(rows.kind) == {"cell", "baseline"}


def test_what_is_missing_has_its_row_with_the_reason(run: Path) -> None:
    """Of five cells one failed and one is missing, alone at its margin; random is missing."""
    write(run)
    found = sections(run, "comparison.md")
    clean, official, legacy, _ = found.values()
    none = "– (missing)"
    assert f"| cls | relu | 0 | 0.01 | 0.8 | {none} | – | {none} | – |" in clean
    assert f"| cls | relu | 0 | 0.01 | 0.8 | {none} | {none} |" in official
    none = "– (not evaluated yet)"
    assert f"| random | {none} | – | {none} | – |" in clean
    assert f"| random | {none} | {none} |" in official
    assert "| random | – (no second stage) | – (no second stage) |" in legacy
    strategies, *_ = sections(run, "strategies.md").values()
    assert "| hard only | 0 | 0.01 | – (missing) |" in strategies
    second = "– (no second stage)"
    assert (
        f"| baseline/random | accuracy@1, retrieval | {none} | {none} | {second} | {second} "
        f"| {none} | {none} | {second} | {second} |"
        in (run / "tables" / "protocols.md").read_text()
    )
    assert f"| baseline/random |{f' {none} |' * 8}" in tasks_of_test(run, "clean")
    # The table that programs read has what there is.
    rows = pd.read_csv(run / "tables" / "comparison.csv")
    assert (rows.kind == "cell").sum() == 3
    assert (rows.kind == "baseline").sum() == 1


def test_recipes_without_results_have_their_row_with_the_reason(
    tmp_path: Path, sets: CandidateSets
) -> None:
    values = {
        "baselines": [],
        "recipes": {"lost": {"head": "relu"}, "broken": {"head": "linear"}},
        "matrix": {"axes": {"fusion": ["cls"]}},
    }
    (cell,) = plan(tmp_path, values, sets.ids)
    finish(RunFolder(tmp_path).cell(cell.name), sets, [1, 2])
    fail(RunFolder(tmp_path), "recipe/broken", "InputError: no")
    text = write(tmp_path)
    clean, *_ = sections(tmp_path, "comparison.md").values()
    assert "| lost | – (missing) | – | – (missing) | – |" in clean
    assert "| broken | – (failed) | – | – (failed) | – |" in clean
    latex = (tmp_path / "tables" / "baselines.tex").read_text()
    assert f"lost (recipe){' & -- (missing)' * 8} " in latex
    assert f"broken (recipe){' & -- (failed)' * 8} " in latex
    assert "\n  broken (recipe)            – (failed)\n" in text


def test_a_place_that_the_matrix_has_no_cell_for_is_not_planned(
    tmp_path: Path, sets: CandidateSets
) -> None:
    values = {
        "baselines": [],
        "matrix": {
            "axes": {"fusion": ["cls", "concat"], "decrease_rate": [0, 0.01]},
            "exclude": [{"fusion": "concat", "decrease_rate": 0}],
        },
    }
    for cell in plan(tmp_path, values, sets.ids):
        finish(RunFolder(tmp_path).cell(cell.name), sets, [1, 2])
    write(tmp_path, 0)
    text = (tmp_path / "tables" / "comparison.md").read_text()
    assert "| concat | layernorm_relu | – (not planned) | 50 / 100 |" in text
    latex = (tmp_path / "tables" / "comparison-dev.tex").read_text()
    assert r"concat & layernorm\_relu & -- (not planned) & \textbf{50}" in latex
    assert "| – (not planned) |" in (tmp_path / "tables" / "strategies.md").read_text()


def test_a_baseline_that_ties_everywhere_has_that_reason(run: Path) -> None:
    Ties(16, 16).write(RunFolder(run).baseline_ties("tfidf"))
    write(run)
    clean, *_ = sections(run, "comparison.md").values()
    none = "– (every text ties)"
    assert f"| tfidf | {none} |" in clean
    assert f"| baseline/tfidf |{f' {none} |' * 8}" in tasks_of_test(run, "clean")
    assert (
        f"| baseline/tfidf | accuracy@1, retrieval | {none} | {none} |"
        in (run / "tables" / "protocols.md").read_text()
    )
    assert "tfidf & -- (every text ties) & " in (run / "tables" / "baselines.tex").read_text()


def test_every_protocol_has_its_grids_and_the_leaking_one_is_named(leaking: Path) -> None:
    write(leaking)
    found = sections(leaking, "comparison.md")
    clean, official, legacy, subset = found
    assert clean == (
        "clean: accuracy@1 after re-ranking / recall@10 of the first stage, the ceiling of "
        "re-ranking 10"
    )
    assert (official, f"## {legacy}", f"## {subset}") == ("official", LEAKS, SUBSET)
    assert found[clean].count("| cls | relu | 25.0 / 100.0 | **50.0 / 100.0** |") == 2
    assert found[official].count("| cls | relu | 25.0 | 50.0 |") == 2
    assert found[legacy].count("| cls | relu | – (not evaluated) | 100.0 |") == 2
    assert "| tfidf | 75.0 | 100.0 | 75.0 | 100.0 |" in found[clean]
    assert "| tfidf | 75.0 | 75.0 |" in found[official]
    none = "– (no second stage)"
    assert f"| tfidf | {none} | {none} |" in found[legacy]
    assert f"| tfidf | {none} | {none} |" in found[subset]
    none = "– (not evaluated)"
    assert found[subset].count(f"| cls | relu | {none} | {none} |") == 2


def test_further_cells_have_their_ceiling_as_a_column(leaking: Path, sets: CandidateSets) -> None:
    name = pd.read_csv(leaking / "matrix.csv").cell[4]
    finish(RunFolder(leaking).cell(name), sets, [3])
    write(leaking, 0)
    clean = next(iter(sections(leaking, "comparison.md").values()))
    assert "| δ | retrieval_loss.margin | dev | dev recall@10 | test | test recall@10 |" in clean
    assert "| 0.8 | 0 | 100 | 0 | 100 |" in clean


def test_strategies_have_every_protocol(leaking: Path) -> None:
    write(leaking)
    clean, official, legacy, _ = sections(leaking, "strategies.md").values()
    for text, scores in (
        (clean, "| 50.0 / 50.0 | – (failed) |"),
        (official, "| 50.0 / 50.0 | – (failed) |"),
        (legacy, "| 100.0 / 100.0 | – (failed) |"),
    ):
        assert f"| decreasing | 1 | 0.01 {scores}" in text
    assert f"## {legacy.splitlines()[0]}" == LEAKS


def test_protocols_stand_side_by_side_with_their_queries(leaking: Path) -> None:
    write(leaking, 0)
    lines = (leaking / "tables" / "protocols.md").read_text().splitlines()
    assert [line for line in lines if line.startswith("| system")] == [
        "| system | score | dev official | dev clean | dev legacy (leaks) "
        "| dev legacy-subset (leaks) | test official | test clean | test legacy (leaks) "
        "| test legacy-subset (leaks) |"
    ]
    name = pd.read_csv(leaking / "matrix.csv").cell[1]
    row = next(line for line in lines if "accuracy@1, reranked" in line)
    assert row.startswith(f"| {name} |")
    assert [part.split(" (")[0].strip() for part in row.strip("| ").split("|")[2:]] == [
        "50", "50", "100", "–"
    ] * 2  # fmt: skip
    never, none = "– (not evaluated)", "– (no second stage)"
    assert f"| {name} | queries (n) | 8 | 8 | 8 | {never} | 8 | 8 | 8 | {never} |" in lines
    halves = " | ".join([f"8 | 8 | {none} | {none}"] * 2)
    assert f"| baseline/tfidf | queries (n) | {halves} |" in lines
    assert any(line.startswith("| baseline/tfidf | accuracy@1, retrieval | 75 (") for line in lines)


def test_the_summary_has_every_protocol_that_asks_many(leaking: Path) -> None:
    lines = write(leaking).splitlines()
    head = lines.index(next(line for line in lines if line.startswith("accuracy@1")))
    assert lines[head].split() == [
        "accuracy@1", "in", "%,", "epa", "clean", "official", "legacy", "(leaks)",
    ]  # fmt: skip
    assert lines[head + 1].split() == ["dev", "test"] * 3
    scores = {line[:28].strip(): line[28:].split() for line in lines[head + 2 : head + 6]}
    assert scores == {
        "best cell, re-ranked": ["50.0", "50.0", "50.0", "50.0", "100.0", "100.0"],
        "best cell, first stage": ["50.0", "50.0", "50.0", "50.0", "–", "–"],
        "tfidf (baseline)": ["75.0", "75.0", "75.0", "75.0", "–", "–"],
        "random (baseline)": ["–", "(not", "evaluated", "yet)"],
    }


def test_the_tasks_stand_side_by_side(leaking: Path) -> None:
    text = write(leaking)
    name = pd.read_csv(leaking / "matrix.csv").cell[1]
    found = sections(leaking, "tasks.md")
    assert list(found) == ["clean", "official"]
    for section in found.values():
        assert [part.split("\n")[0] for part in section.split("### ")[1:]] == ["dev", "test"]
        rows = {line.split(" | ")[0]: line.split(" | ")[1:] for line in section.splitlines()}
        assert rows["| system"] == ["sdoc", "sdc", "sdoa", "sda", "stc", "sta", "epc", "epa |"]
        # Re-ranked 1, 1, 2, 2 on the one task that these records have.
        assert rows[f"| {name}"][:7] == ["–"] * 7
        assert rows[f"| {name}"][7].startswith("50.0 (")
        assert rows["| baseline/tfidf"][7].startswith("75.0 (")
    lines = text.splitlines()
    head = lines.index(next(line for line in lines if line.startswith("accuracy@1 in %, dev")))
    assert lines[head].split()[5:] == [*rows["| system"][:7], "epa"]
    assert lines[head + 1].split() == ["best", "cell,", "re-ranked", *"–" * 7, "50.0"]
    assert lines[head + 2].split() == ["tfidf", "(baseline)", *"–" * 7, "75.0"]


def test_where_every_query_was_seen_there_is_no_clean_score(run: Path, sets: CandidateSets) -> None:
    """The test role's folder has no unseen query: a dash, and a sentence, in every table."""
    for path in run.glob("**/records.parquet"):
        reranked = None if "baselines" in str(path) else [1, 2]
        dev = query_results(sets, [1], reranked)
        write_records({"dev": (sets, dev), "test": (sets, dev[:1])}, path)
    text = write(run)
    sentence = "no unseen query in test: no clean score\n"
    assert sentence in text
    for name in ("comparison.md", "strategies.md", "protocols.md", "tasks.md"):
        assert (run / "tables" / name).read_text().count(sentence) == 1
    clean, official, *_ = sections(run, "comparison.md").values()
    grid = clean.split("### test")[1]
    none = "– (no unseen query)"
    assert f"| cls | relu | {none} | **{none}** |" in grid or (
        f"| cls | relu | **{none}** | {none} |" in grid
    )
    for test_tasks in (tasks_of_test(run, "clean"), (run / "tables" / "baselines.tex").read_text()):
        assert "(no unseen query)" in test_tasks
    assert "| cls | relu | 50.0 | 50.0 |" in official.split("### test")[1]
    assert pd.read_csv(run / "tables" / "comparison.csv")["test_reranked"].isna().all()


def test_few_unseen_queries_are_told_beside_every_score(run: Path) -> None:
    """The miniature's splits have eight unseen queries each."""
    text = write(run)
    for folder in ("validation", "test"):
        sentence = (
            f"only 8 unseen queries in {folder}: a clean score over fewer than 30 says little"
        )
        assert sentence in text
        for name in ("comparison.md", "strategies.md", "protocols.md", "tasks.md"):
            assert (run / "tables" / name).read_text().count(sentence) == 1


def test_seeds_have_a_table_of_their_own(tmp_path: Path, sets: CandidateSets) -> None:
    run = seeded(tmp_path / "seeded", sets, THREE_SEEDS, [1, 2, 3])
    write(run)
    clean, official, legacy, _ = sections(run, "seeds.md").values()
    # 4.30265 × 25 / √3 = 62.1 to either side of 75
    half = "75.0 ± 25.0 | 12.9 to 137.1 | 50.0 (seed 1) | 100.0 (seed 3)"
    assert f"| cls | relu | 1 | 0 | 3 | {half} | {half} |" in clean
    assert f"| cls | relu | 1 | 0 | 3 | {half} | {half} |" in official
    none = "– (not evaluated) | – | – | –"
    assert f"| cls | relu | 1 | 0 | 3 | {none} | {none} |" in legacy
    assert "linear" not in clean


def test_seeds_that_are_missing_leave_dashes(tmp_path: Path, sets: CandidateSets) -> None:
    run = seeded(tmp_path / "seeded", sets, {1: [1, 2], 3: [1]}, [1, 2, 3])
    write(run)
    text = (run / "tables" / "seeds.md").read_text()
    none = "– (1 missing of 3 seeds)"
    assert f"| cls | relu | 1 | 0 | 2 of 3 | {none} | – | – | – | {none} | – | – | – |" in text
    comparison = (run / "tables" / "comparison.md").read_text()
    assert f"| cls | relu | 1 | 0 | **{none}** | – | **{none}** | – |" in comparison


def test_where_every_setting_has_one_seed_the_table_says_so(run: Path) -> None:
    write(run)
    assert (run / "tables" / "seeds.md").read_text() == "# Seeds\n\nEvery setting has one seed.\n"


def test_diverged_cells_and_differing_code_are_told(run: Path, sets: CandidateSets) -> None:
    names = pd.read_csv(run / "matrix.csv").cell.tolist()
    finish(RunFolder(run).cell(names[4]), sets, [2], status="diverged", code="b")
    text = write(run)
    assert "1 cells diverged:" in text
    assert "trained by 2 different states of the code" in text


def test_a_run_without_any_record_still_has_tables(run: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    for name in ("matrix.csv", "config.json"):
        write_text(empty / name, (run / name).read_text())
    text = write(empty)
    assert "0 of 5 cells trained" in text
    assert "5 cells missing" in text
    assert plots.draw_curves(curves(read_run(empty)), empty / "plots", "png", 60) == []


def test_imported_logs_have_a_table_that_names_the_leak(run: Path, imported: Path) -> None:
    write(imported)
    lines = (run / "tables" / "imported.md").read_text().splitlines()
    assert (
        "shows the classifier the answer (protocol `legacy-subset`): nothing is ranked" in lines[2]
    )
    # Of one half and one quarter four is the smallest n: 2 of 4 and 1 of 4, with Wilson's ends.
    half, quarter = "50.0 (15.0–85.0)", "25.0 (4.6–69.9)"
    assert lines[4:] == [
        "| log | protocol | axes | epochs | train n | train best | train last | dev n | dev best "
        "| dev last | test n | test best | test last |",
        "| --- | --- | --- | ---: | ---: | --- | --- | ---: | --- | --- | --- | --- | --- |",
        f"| a | legacy-subset (leaks) | – | 2 | 4 | {half} (epoch 0) | {quarter} "
        f"| 4 | {half} (epoch 0) | {quarter} | 4 | {half} (epoch 0) | {quarter} |",
        f"| b | legacy-subset (leaks) | – | 2 | 4 | {half} (epoch 0) | {quarter} "
        f"| 4 | {half} (epoch 0) | {quarter} | – | – | – |",
    ]
    rows = pd.read_csv(run / "tables" / "imported.csv", dtype={"dev_best_epoch": "Int64"})
    assert rows[["log", "protocol", "epochs"]].to_numpy().tolist() == [
        ["a", "legacy-subset", 2],
        ["b", "legacy-subset", 2],
    ]
    assert rows["dev_best"].tolist() == [0.5, 0.5]
    assert rows["dev_n"].tolist() == [4, 4]
    assert rows["dev_best_low"].tolist() == pytest.approx([0.15, 0.15], abs=1e-3)
    assert rows["dev_best_epoch"].tolist() == [0, 0]
    assert rows["test_last"].isna().tolist() == [False, True]


def test_imported_logs_with_axes_stand_in_the_comparison_marked(
    leaking: Path, imported: Path, tmp_path: Path
) -> None:
    """The epoch that is best on dev, which on test is not the best."""
    epochs = [(0.5, 60 / 81, 80 / 88), (0.5, 71 / 81, 70 / 88), (0.5, 68 / 81, 79 / 88)]
    (tmp_path / "c.log").write_text(text_of(lines_of(epochs)))
    out = ["--out", str(leaking.parent / "imported")]
    axes = ["--axis", "fusion=cls", "--axis", "decrease_rate=0.01", "--axis", "batch_size=16"]
    assert main(["import-log", str(tmp_path / "c.log"), *out, *axes]) == 0
    summary = write(leaking)
    found = list(sections(leaking, "comparison.md").values())
    assert ["### Imported logs" in text for text in found] == [False, False, False, True]
    assert found[3].endswith(
        "| imported log | fusion | decrease_rate | further axes | dev | dev n | test | test n |\n"
        "| --- | --- | ---: | --- | --- | ---: | --- | ---: |\n"
        "| c | cls | 0.01 | training.batch_size 16 | 87.7 (78.7–93.2) | 81 "
        "| 79.5 (70.0–86.7) | 88 |\n"
    )
    rows = pd.read_csv(leaking / "tables" / "comparison.csv")
    (own,) = rows[rows.kind == "imported"].to_dict("records")
    assert (own["system"], own["fusion"], own["decrease_rate"]) == ("imported/c", "cls", 0.01)
    assert (own["dev_legacy-subset_reranked"], own["test_legacy-subset_reranked"]) == (
        pytest.approx(71 / 81),
        pytest.approx(70 / 88),
    )
    # It has no score by which anything is ranked, and is not the best.
    assert pd.isna(own["dev_reranked"])
    assert not own["best"]
    assert "imported" not in summary
    assert "imported" not in (leaking / "tables" / "cells.csv").read_text()


def test_without_imported_logs_there_is_no_table_of_them(run: Path) -> None:
    write(run)
    assert list((run / "tables").glob("imported*")) == []


@pytest.mark.parametrize(
    ("initial", "decrease", "name"),
    [
        (0.0, 0.0, "hard only"),
        (0.8, 0.0, "fixed"),
        (0.8, 0.02, "decreasing"),
        (1.0, 0.0, "purely random"),
        (1.0, 0.05, "decreasing"),
    ],
)
def test_strategies_have_their_names(initial: float, decrease: float, name: str) -> None:
    assert markdown.strategy_name(initial, decrease) == name
