"""The documents' claims: planted differences get the verdicts that they were planted for."""

import itertools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from counterpoint.errors import InputError
from counterpoint.io.atomic import write_text
from counterpoint.io.text import csv_text
from counterpoint.results.epoch_log import EpochScores
from counterpoint.runs.folder import CellFolder, RunFolder, read_run
from counterpoint.study import verdicts
from counterpoint.study.claims import read_verdicts, write_claims
from counterpoint.study.clauses import CLAUSES, HEADS
from counterpoint.study.verdicts import Verdict
from tests.support import runs
from tests.support.configuration import on_top

FUSIONS = ("embedding", "cls", "concat")
DEBATES, EACH = 6, 40
"""One query of each debate is 2.5 points."""

CONFIG = {
    "baselines": [],
    "corpus": {"path": "sample"},
    "encoder": {"name": "mini", "pooling": "mean"},
    "training": {"epochs": 5},
}
CURVE = [0.1, 0.2, 0.3, 0.4, 0.4]

ENOUGH = verdicts.LEAST_SETTINGS


@pytest.fixture(autouse=True)
def _three_settings_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what is worked out by hand stays small."""
    monkeypatch.setattr(verdicts, "LEAST_SETTINGS", 3)


def hits(*each: int) -> list[int]:
    """1 for so many of the queries of each debate; one number stands for all debates."""
    counts = each if len(each) > 1 else each * DEBATES
    return [int(place < count) for count in counts for place in range(EACH)]


def axes(fusion: str = "cls", head: str = "linear", **others: Any) -> dict[str, Any]:
    """The axes of a cell."""
    own = {"initial_random_rate": 1.0, "decrease_rate": 0.01, "seed": 1}
    return {"fusion": fusion, "head": head, **own, **others}


def name(cell: dict[str, Any]) -> str:
    return "/".join(f"{axis}~{value}" for axis, value in cell.items())


def plan(folder: Path, cells: Iterable[dict[str, Any]]) -> None:
    runs.plan(folder, CONFIG, [query(number) for number in range(DEBATES * EACH)])
    rows = [{"cell": name(cell), **cell, "options": "base"} for cell in cells]
    write_text(RunFolder(folder).matrix, csv_text(rows))


def query(number: int) -> str:
    """The id of one of the queries, forty a debate."""
    return f"validation/law/d{number // EACH}/pro{number % EACH:02d}a"


def finish(
    folder: Path,
    cell: dict[str, Any],
    right: Sequence[int] | None = None,
    *,
    curve: Sequence[float] = CURVE,
    gap: Sequence[float] | None = None,
    legacy: Sequence[int] | None = None,
    parameters: int = 10,
    seconds: float = 5.0,
    status: str = "finished",
) -> CellFolder:
    """Leave what a finished cell leaves."""
    own = RunFolder(folder).cell(name(cell))
    right = hits(10) if right is None else right
    queries = [query(number) for number in range(len(right))]
    parts = [
        pd.DataFrame(
            {
                "split": split,
                "protocol": protocol,
                "task": task,
                "query": queries,
                "rank": 2,
                "reranked": 2 - np.array(values),
                # Each query has one gold.
                "further_ranks": None,
                "further_reranked": None,
            }
        )
        for split, protocol, task, values in (
            ("dev", "clean", "epa", right),
            ("dev", "legacy", "epa", right if legacy is None else legacy),
            # What must not be read: all right in every cell.
            ("dev", "official", "epa", [1] * len(right)),
            ("dev", "clean", "sdoc", [1] * len(right)),
            ("test", "clean", "epa", [1] * len(right)),
        )
    ]
    own.path.mkdir(parents=True)
    pd.concat(parts).to_parquet(own.records)
    counts = {"encoder": 0, "projection": 4, "head": parameters - 4}
    runs.write_files(own, status=status, epochs=len(curve), parameters=counts, train=seconds)
    records = []
    for number, value in enumerate(curve):
        accuracy = {"dev": {"clean": EpochScores(value, value, 1.0)}}
        wide = 0.0 if gap is None else gap[number]
        records.append(runs.epoch_record(number, accuracy=accuracy, gap=wide))
    runs.write_epochs(own, records)
    return own


def answers(folder: Path, claim: str) -> dict[str, Verdict]:
    """The verdicts of a claim by clause."""
    found = verdicts.answer(read_run(folder))
    return {verdict.clause: verdict for verdict in found if verdict.claim == claim}


def fusions(folder: Path, concat: Sequence[int], embedding: Sequence[int]) -> Verdict:
    """The verdict on `concat beats embedding`, one cell each."""
    plan(folder, [axes("concat"), axes("embedding")])
    finish(folder, axes("concat"), concat)
    finish(folder, axes("embedding"), embedding)
    return answers(folder, "C1")["concat beats embedding"]


def test_a_difference_that_every_debate_shows_decides(tmp_path: Path) -> None:
    above = fusions(tmp_path / "above", hits(14), hits(10))
    assert (above.value, above.low, above.high) == (10, 10, 10)
    assert (above.verdict, above.settings, above.planned) == ("supported", 1, 1)
    below = fusions(tmp_path / "below", hits(9), hits(10))
    assert (below.value, below.verdict) == (-2.5, "contradicted")


def test_what_some_debates_deny_is_undecided_and_so_is_nothing(tmp_path: Path) -> None:
    mixed = fusions(tmp_path / "mixed", hits(20, 20, 20, 10, 10, 10), hits(14))
    assert mixed.value == 2.5
    assert mixed.low is not None
    assert mixed.high is not None
    assert mixed.low < 0 < mixed.high
    assert (mixed.verdict, mixed.why) == ("undecided", "the interval allows both")
    same = fusions(tmp_path / "same", hits(14), hits(14))
    assert (same.value, same.low, same.high, same.verdict) == (0, 0, 0, "undecided")


def test_queries_are_matched_by_name_and_not_by_place(tmp_path: Path) -> None:
    verdict = fusions(tmp_path, hits(14, 0, 0, 0, 0, 0), hits(10, 0, 0, 0, 0, 0))
    path = RunFolder(tmp_path).cell(name(axes("concat"))).records
    pd.read_parquet(path).iloc[::-1].to_parquet(path)
    assert answers(tmp_path, "C1")["concat beats embedding"] == verdict


def test_legacy_is_shown_and_decides_nothing(tmp_path: Path) -> None:
    plan(tmp_path, [axes("concat"), axes("embedding")])
    finish(tmp_path, axes("concat"), hits(10), legacy=hits(30))
    finish(tmp_path, axes("embedding"), hits(14), legacy=hits(10))
    verdict = answers(tmp_path, "C1")["concat beats embedding"]
    assert (verdict.value, verdict.verdict) == (-10, "contradicted")
    assert (verdict.legacy, verdict.legacy_low, verdict.legacy_high) == (50, 50, 50)


def three_seeds(folder: Path, right: Sequence[int], settings: int = 1) -> Verdict:
    """`concat beats embedding` where concat gets these and embedding 10 of 40, a seed each."""
    heads = HEADS[:settings]
    cells = [
        axes(fusion, head, seed=seed)
        for fusion, head, seed in itertools.product(("concat", "embedding"), heads, (1, 2, 3))
    ]
    plan(folder, cells)
    for cell in cells:
        own = right[cell["seed"] - 1] if cell["fusion"] == "concat" else 10
        finish(folder, cell, hits(own))
    return answers(folder, "C1")["concat beats embedding"]


def test_seeds_that_agree_leave_the_verdict(tmp_path: Path) -> None:
    verdict = three_seeds(tmp_path, (14, 14, 14), settings=2)
    assert (verdict.settings, verdict.verdict) == (6, "supported")
    assert (verdict.seeds, verdict.seeds_low, verdict.seeds_high) == (3, 10, 10)


def test_seeds_that_do_not_agree_take_the_verdict_back(tmp_path: Path) -> None:
    verdict = three_seeds(tmp_path, (22, 22, 2))
    # Seeds differ by 30, 30 and -20, alike in every debate.
    assert verdict.value == verdict.low == verdict.high == pytest.approx(40 / 3)
    # Sample deviation √(2500/3), so the error is √(2500/9) = 50/3; t with 2 degrees is 4.302653.
    assert verdict.seeds_value == pytest.approx(40 / 3)
    assert verdict.seeds_low == pytest.approx(40 / 3 - 4.302653 * 50 / 3, abs=1e-4)
    assert verdict.seeds_high == pytest.approx(40 / 3 + 4.302653 * 50 / 3, abs=1e-4)
    assert verdict.verdict == "undecided"
    assert verdict.why == "the interval over seeds does not bear it out"


def test_seeds_are_compared_in_the_settings_that_all_have(tmp_path: Path) -> None:
    both = ("concat", "embedding")
    cells = [axes(fusion, seed=seed) for fusion in both for seed in (1, 2, 3)]
    cells += [axes(fusion, "relu", seed=1) for fusion in both]
    plan(tmp_path, cells)
    for cell in cells:
        better = 8 if cell["head"] == "relu" else 2
        finish(tmp_path, cell, hits(10 + better if cell["fusion"] == "concat" else 10))
    verdict = answers(tmp_path, "C1")["concat beats embedding"]
    # 5 points with one head, 20 with the other: over settings, however many seeds each has, 12.5.
    assert (verdict.value, verdict.settings) == (12.5, 4)
    assert (verdict.seeds, verdict.seeds_value) == (3, 5)


def test_only_matched_settings_are_compared(tmp_path: Path) -> None:
    cells = [axes("concat", "relu"), axes("embedding", "linear")]
    cells += [axes("concat", seed=2), axes("embedding", seed=3)]
    plan(tmp_path, cells)
    for cell in cells:
        finish(tmp_path, cell, hits(30 if cell["fusion"] == "concat" else 0))
    verdict = answers(tmp_path, "C1")["concat beats embedding"]
    assert (verdict.value, verdict.settings, verdict.planned) == (None, 0, 0)
    assert (verdict.verdict, verdict.why) == ("undecided", "not in this matrix")


def test_cells_match_on_further_axes_too_empty_ones_among_them(tmp_path: Path) -> None:
    both = ("concat", "embedding")
    cells = [axes(fusion, margin=margin, preset=None) for fusion in both for margin in (0.8, 1.0)]
    plan(tmp_path, cells[:3])
    for cell in cells[:3]:
        finish(tmp_path, cell, hits(30 if cell["margin"] == 1.0 else 12))
    verdict = answers(tmp_path, "C1")["concat beats embedding"]
    assert (verdict.value, verdict.settings, verdict.planned) == (0, 1, 1)


@pytest.mark.parametrize(
    ("better", "verdict"),
    [
        (hits(11), "supported"),
        (hits(14), "contradicted"),
        (hits(10), "contradicted"),
        (hits(10, 10, 10, 12, 12, 12), "undecided"),
    ],
)
def test_two_to_three_points(tmp_path: Path, better: list[int], verdict: str) -> None:
    plan(tmp_path, [axes(head="layernorm_relu"), axes(head="linear")])
    finish(tmp_path, axes(head="layernorm_relu"), better)
    finish(tmp_path, axes(head="linear"), hits(10))
    assert answers(tmp_path, "C2")["by 2 to 3 points"].verdict == verdict


def reaching(epoch: int) -> list[float]:
    """Ten epochs that come to their best in this one, counted from 1."""
    return [0.1] * (epoch - 1) + [0.5] * (11 - epoch)


def test_epochs_to_95_percent_of_its_own_best(tmp_path: Path) -> None:
    cells = [axes(fusion, head) for fusion in FUSIONS for head in ("layernorm_relu", "linear")]
    plan(tmp_path, cells)
    for cell in cells:
        # 0.38 is 95 % of 0.4, reached in the third epoch; the best is in the fourth.
        curve = [0.1, 0.2, 0.38, 0.4, 0.3] if cell["head"] == "layernorm_relu" else reaching(4)
        finish(tmp_path, cell, curve=curve)
    found = answers(tmp_path, "C3")
    faster = found["LayerNorm + ReLU converges faster than neither"]
    assert (faster.value, faster.low, faster.high, faster.verdict) == (25, 25, 25, "supported")
    assert found["by about 30 % (20 to 40)"].verdict == "supported"


def test_the_share_saved_is_of_the_means_over_settings(tmp_path: Path) -> None:
    cells = [axes(fusion, head) for fusion in FUSIONS for head in ("layernorm_relu", "linear")]
    plan(tmp_path, cells)
    epochs = dict(zip(map(name, cells), (2, 10, 2, 4, 2, 4), strict=True))
    for cell in cells:
        finish(tmp_path, cell, curve=reaching(epochs[name(cell)]))
    found = answers(tmp_path, "C3")
    # 2 against (10 + 4 + 4) / 3 = 6; a resample of one setting alone gives 50 or 80.
    faster = found["LayerNorm + ReLU converges faster than neither"]
    assert faster.value == pytest.approx(100 * 2 / 3)
    assert (faster.low, faster.high) == (50, 80)
    assert faster.verdict == "supported"
    assert found["by about 30 % (20 to 40)"].verdict == "contradicted"


def test_so_many_settings_rarely_agree_by_chance() -> None:
    assert 2 * 0.5**ENOUGH <= 0.05 < 2 * 0.5 ** (ENOUGH - 1)


def test_curves_of_two_settings_have_no_interval(tmp_path: Path) -> None:
    both = ("cls", "concat")
    cells = [axes(fusion, head) for fusion in both for head in ("layernorm_relu", "linear")]
    plan(tmp_path, cells)
    for cell in cells:
        finish(tmp_path, cell, curve=reaching(2 if cell["head"] == "layernorm_relu" else 8))
    faster = answers(tmp_path, "C3")["LayerNorm + ReLU converges faster than neither"]
    assert (faster.value, faster.low, faster.high) == (75, None, None)
    assert (faster.verdict, faster.why) == ("undecided", "fewer than 3 settings")


def test_unsteadiness_is_the_deviation_of_the_changes(tmp_path: Path) -> None:
    cells = [axes(fusion, head) for fusion in FUSIONS for head in HEADS]
    plan(tmp_path, cells)
    # Changes of +20 and -20 in turn: 20 points. Of +10 and -10: 10. Always +10: none.
    curves = {
        "relu": [0.1, 0.3, 0.1, 0.3, 0.1],
        "linear": [0.1, 0.2, 0.1, 0.2, 0.1],
        "layernorm_relu": [0.1, 0.2, 0.1, 0.2, 0.1],
        "layernorm": [0.1, 0.2, 0.3, 0.4, 0.5],
    }
    for cell in cells:
        finish(tmp_path, cell, curve=curves[cell["head"]])
    relu = answers(tmp_path, "C4")["ReLU alone is unsteady"]
    assert relu.value == pytest.approx(20 - (10 + 10 + 0) / 3)
    assert relu.verdict == "supported"
    layernorm = answers(tmp_path, "C9")
    assert layernorm["LayerNorm alone is steady"].value == pytest.approx(-40 / 3)
    assert layernorm["LayerNorm alone is steady"].verdict == "supported"
    # Its best is in the fifth epoch, that of the other in the second.
    assert layernorm["but slower than LayerNorm + ReLU"].value == 3


def test_the_gap_is_of_the_last_ten_epochs(tmp_path: Path) -> None:
    cells = [axes(fusion, head) for fusion in FUSIONS for head in ("linear", "relu", "layernorm")]
    plan(tmp_path, cells)
    for cell in cells:
        wide = 0.3 if cell["fusion"] == "concat" else 0.1
        finish(tmp_path, cell, curve=[0.4] * 12, gap=[9.0, 9.0, *[0.0, 2 * wide] * 5])
    found = answers(tmp_path, "C7")
    assert found["concat over-fits more than cls"].value == pytest.approx(20)
    assert found["concat over-fits more than cls"].verdict == "supported"
    assert found["concat converges faster than cls"].verdict == "undecided"


def rates(folder: Path, missing: float | None = None) -> dict[float, dict[str, Any]]:
    planned = (0.0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05)
    cells = {rate: axes(decrease_rate=rate) for rate in planned}
    plan(folder, cells.values())
    for rate, cell in cells.items():
        if rate != missing:
            # 2.5 points more for each hundredth.
            finish(folder, cell, hits(10 + math.floor(rate * 100)))
    return cells


def test_an_arm_of_several_rates_is_their_mean(tmp_path: Path) -> None:
    rates(tmp_path)
    found = answers(tmp_path, "C5")
    # 11, 11 and 12 right of 40 against 10, in every debate: 4/3 of 2.5 points.
    middle = found["slow ends lower: middle beats slow"]
    assert middle.value == pytest.approx(2.5 * 4 / 3)
    assert middle.verdict == "supported"
    assert "mean of δ 0.01, 0.015, 0.02 − δ 0.005, r0 1" in middle.quantity
    # 13, 14 and 15 against these.
    fast = found["middle is the balance: it beats fast"]
    assert fast.value == pytest.approx(2.5 * (4 / 3 - 4))
    assert fast.verdict == "contradicted"
    # (0 + 1 + 1 + 2 + 3 + 4 + 5) / 7 against 0.
    random = answers(tmp_path, "C6")["decreasing beats purely random"]
    assert random.value == pytest.approx(2.5 * 16 / 7)


def test_an_arm_that_lacks_a_rate_is_missing_and_never_a_mean_over_fewer(tmp_path: Path) -> None:
    cells = rates(tmp_path, missing=0.015)
    found = answers(tmp_path, "C5")
    middle = found["slow ends lower: middle beats slow"]
    assert (middle.value, middle.settings, middle.planned) == (None, 0, 1)
    assert (middle.verdict, middle.why) == ("undecided", "no setting at hand")
    assert middle.missing == (name(cells[0.015]),)
    assert found["slow is steadier than fast"].missing == ()


def test_decreasing_against_fixed_is_of_one_head_and_one_start(tmp_path: Path) -> None:
    cells = [
        axes(head=head, initial_random_rate=start, decrease_rate=rate)
        for head in ("layernorm_relu", "linear")
        for start in (0.8, 1.0)
        for rate in (0.0, 0.02)
    ]
    plan(tmp_path, cells)
    for cell in cells:
        chosen = cell["head"] == "layernorm_relu" and cell["initial_random_rate"] == 0.8
        finish(tmp_path, cell, hits(14 if chosen and cell["decrease_rate"] else 10))
    found = answers(tmp_path, "C6")
    fixed = found["decreasing beats fixed"]
    assert (fixed.value, fixed.planned, fixed.verdict) == (10, 1, "supported")
    assert found["decreasing beats purely random"].value == 0


def test_parameters_are_decided_by_their_sign_and_seconds_by_settings(tmp_path: Path) -> None:
    cells = [axes(fusion, head) for fusion in FUSIONS for head in ("linear", "relu", "layernorm")]
    plan(tmp_path, cells)
    size = {"cls": 23, "embedding": 4, "concat": 27}
    for cell in cells:
        # Five epochs: 1 second each for cls, 3 for the others.
        seconds = 5.0 if cell["fusion"] == "cls" else 15.0
        finish(tmp_path, cell, parameters=size[cell["fusion"]], seconds=seconds)
    found = answers(tmp_path, "C8")
    larger, smaller = (found[f"cls is smaller than {other}"] for other in ("embedding", "concat"))
    assert (larger.value, larger.low, larger.verdict) == (19, None, "contradicted")
    assert (smaller.value, smaller.low, smaller.verdict) == (-4, None, "supported")
    faster = found["cls trains faster than concat"]
    assert (faster.value, faster.high, faster.verdict) == (-2, -2, "supported")


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    """Three fusions, two heads, two seeds: one cell diverged, one stopped, one missing."""
    cells = [
        axes(fusion, head, seed=seed)
        for fusion, head, seed in itertools.product(FUSIONS, ("layernorm_relu", "linear"), (1, 2))
    ]
    plan(tmp_path, cells)
    status = {0: "diverged", 1: "stopped"}
    for place, cell in enumerate(cells[:-1]):
        finish(tmp_path, cell, status=status.get(place, "finished"))
    return tmp_path


def test_a_diverged_cell_counts_for_accuracy_and_not_for_curves(partial: Path) -> None:
    cells = read_run(partial).cells
    accuracy = answers(partial, "C2")["LayerNorm + ReLU beats neither"]
    assert (accuracy.settings, accuracy.planned) == (5, 6)
    assert accuracy.missing == (cells[-1].name,)
    curves = answers(partial, "C3")["LayerNorm + ReLU converges faster than neither"]
    assert (curves.settings, curves.planned) == (4, 6)
    assert curves.missing == (cells[0].name, cells[-1].name)


def test_the_page_names_what_is_not_as_planned(partial: Path) -> None:
    run = read_run(partial)
    write_claims(run, run.folder.tables, 1)
    text = (partial / "tables" / "claims.md").read_text(encoding="utf-8")
    assert "dev split `validation` of `sample`; encoder `mini`, pooling `mean`" in text
    assert "epochs planned: `5`; 11 of 12 cells trained" in text
    assert "1 of 10 cells stopped before the planned last epoch" in text
    diverged, missing = text.split("Diverged; count")[1].split("Missing, and left out")
    assert diverged.count("- `") == missing.count("- `") == 1
    assert f"- `{run.cells[0].name}`" in diverged
    assert f"- `{run.cells[-1].name}`" in missing
    row = next(line for line in text.splitlines() if "LayerNorm + ReLU beats neither" in line)
    assert row == (
        "| C2 | LayerNorm + ReLU beats neither (accuracy@1, points: layernorm_relu − linear) | "
        "0.87 > 0.84 | n = 81: 7.4 points or more (6 queries); claimed 3 points, about 2 queries | "
        "+0.0 (+0.0 to +0.0) | – | +0.0 (+0.0 to +0.0) | 5 of 6 | "
        "**undecided**: the interval allows both |"
    )


def test_each_row_says_what_the_documents_own_queries_could_have_shown(partial: Path) -> None:
    told = {
        verdict.clause: verdicts.could_have_shown(verdict)
        for verdict in verdicts.answer(read_run(partial))
    }
    # 6 of 81 queries are 7.4 points, one is 1.2; 4 points are 3.24 queries.
    least = "n = 81: 7.4 points or more (6 queries)"
    assert told["embedding beats cls"] == f"{least}; claimed 4 points, about 3 queries"
    assert told["decreasing beats fixed"] == least
    assert told["ReLU alone is unsteady"] == "n = 81: steps of 1.2 points"
    assert told["cls is smaller than concat"] == told["cls trains faster than concat"] == ""


def test_the_page_names_ten_missing_cells_and_counts_the_others(tmp_path: Path) -> None:
    cells = [axes(fusion, seed=seed) for fusion in FUSIONS for seed in range(1, 6)]
    plan(tmp_path, cells)
    write_claims(read_run(tmp_path), tmp_path / "tables", 1)
    text = (tmp_path / "tables" / "claims.md").read_text(encoding="utf-8")
    assert text.count("\n- `") == 10
    assert "- … and 5 more" in text


def test_the_csv_has_every_clause_and_nothing_that_is_not_a_number(partial: Path) -> None:
    write_claims(read_run(partial), partial / "tables", 1)
    path = partial / "tables" / "claims.csv"
    assert "nan" not in path.read_text(encoding="utf-8").lower()
    rows = pd.read_csv(path, keep_default_na=False)
    assert len(rows) == len(CLAUSES)
    assert set(rows.claim) == {f"C{number}" for number in range(1, 10)}
    row = rows[rows.clause == "LayerNorm + ReLU converges faster than neither"].iloc[0]
    cells = read_run(partial).cells
    assert row.missing.split(" ") == [cells[0].name, cells[-1].name]
    assert (row.value, row.seeds, row.verdict) == ("0.0", "", "undecided")
    assert (row.claimed, row.study_queries, row.study_least) == ("", "81", "")


def test_other_queries_are_an_error_that_names_both(tmp_path: Path) -> None:
    plan(tmp_path, [axes("concat"), axes("embedding")])
    whole = finish(tmp_path, axes("concat"), hits(14))
    less = finish(tmp_path, axes("embedding"), hits(10)[:-1])
    with pytest.raises(InputError) as error:
        verdicts.answer(read_run(tmp_path))
    assert str(whole.records) in str(error.value)
    assert str(less.records) in str(error.value)
    assert "240 and 239, of which 239 in both" in str(error.value)
    assert "train the one that departs again" in str(error.value)


def test_the_shipped_configuration_has_cells_for_every_clause(tmp_path: Path) -> None:
    runs.plan(tmp_path, on_top("claims.yaml"))
    answered = verdicts.answer(read_run(tmp_path))
    # 24 or 32 cells of a grid without one axis, three further strategies, two more seeds of two
    # heads, whose comparison in three fusions these are six more of.
    planned = {(verdict.claim, verdict.planned) for verdict in answered}
    grid = {("C2", 24), ("C2", 30), ("C3", 30), ("C4", 24), ("C5", 12), ("C9", 24)}
    assert planned == {("C1", 39), ("C7", 39), ("C8", 39), ("C6", 3), ("C6", 12)} | grid
    assert {verdict.why for verdict in answered} == {"no setting at hand"}


def test_no_two_clauses_have_the_same_words() -> None:
    words = [clause.words for clause in CLAUSES]
    assert len(set(words)) == len(words)


def test_what_is_written_is_read_back(partial: Path) -> None:
    run = read_run(partial)
    write_claims(run, run.folder.tables, 1)
    assert read_verdicts(run.folder.tables / "claims.csv") == verdicts.answer(run)


def test_a_table_of_another_version_is_named(tmp_path: Path) -> None:
    path = tmp_path / "claims.csv"
    path.write_text("claim,missing\nC1,\n")
    with pytest.raises(InputError, match=r"claims\.csv: not the verdicts of this version"):
        read_verdicts(path)
