"""The report: what it says of a run, whatever the run has."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from counterpoint.corpus.arguments import Corpus
from counterpoint.reporting import scores
from counterpoint.reporting.page import build, charts, sections
from counterpoint.reporting.page import queries as queries_module
from counterpoint.reporting.page.answer import answer
from counterpoint.reporting.page.contents import Contents
from counterpoint.reporting.page.names import labels_of
from counterpoint.results.epoch_log import EpochScores
from counterpoint.runs.folder import read_run
from tests.support import runs
from tests.support.debates import ROLES
from tests.support.pages import EVIL, GRID, Maker, epoch


def embedded(page: Path) -> dict[str, Any]:
    """The page's data."""
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    values: dict[str, Any] = json.loads(found[1])
    return values


def contents_of(folder: Path) -> Contents:
    return build.contents_of(read_run(folder), 1)


# --- what it says ---


def test_the_answer_names_the_best_its_score_and_the_difference(partial: Path) -> None:
    # The best cell answers the first two of each four queries, the baseline the first. All debates
    # have the same four queries, so every resample gives the same.
    assert answer(contents_of(partial)) == (
        "Best on dev, of the 12 cells of 24 trained so far: embedding, relu, δ 0.02. On 24 unseen "
        "test queries it finds the counterargument first in 50.0 % (50.0–50.0); the best baseline, "
        "tfidf, in 25.0 %; difference +25.0 points (+25.0 to +25.0): above the baseline by more "
        "than noise."
    )


@pytest.mark.parametrize(
    ("ranks", "baseline", "ending"),
    [
        # Five of 24 each, but not the same ones, so debates differ.
        ([1, 2, 2, 2, 2], [2, 1, 2, 2, 2], r"\+0\.0 points \(−\S+ to \+\S+\): within noise\."),
        ([1, 2, 2, 2], [1, 2, 2, 2], r"\+0\.0 points \(\+0\.0 to \+0\.0\): within noise\."),
        ([2], [1, 2, 2, 2], r"\(−25\.0 to −25\.0\): below the baseline by more than noise\."),
    ],
)
def test_the_answer_claims_no_more_than_the_interval(
    maker: Maker, ranks: list[int], baseline: list[int], ending: str
) -> None:
    (name,) = maker.plan({"axes": {"fusion": ["cls"]}}, ["tfidf"])
    maker.finish(name, ranks)
    maker.baseline("tfidf", baseline)
    maker.report()
    assert re.search(f"{ending}$", answer(contents_of(maker.run.path)))


def test_without_any_cell_the_page_says_so(maker: Maker) -> None:
    maker.plan(GRID)
    page = maker.report().read_text(encoding="utf-8")
    assert "No cell has been trained yet (0 of 24)." in page
    assert "No baseline has been evaluated yet." in page


def test_a_baseline_alone_is_shown(maker: Maker) -> None:
    maker.plan(GRID, ["tfidf"])
    maker.baseline("tfidf", [1, 2, 2, 2])
    page = maker.report()
    assert '<th scope="row">tfidf' in page.read_text(encoding="utf-8")
    data = embedded(page)
    assert data["best"] is None
    assert data["systems"][data["baseline"]]["label"] == "tfidf"


def test_without_unseen_queries_nothing_is_called_best(maker: Maker) -> None:
    maker.protocols = ("official",)
    (name,) = maker.plan({"axes": {"fusion": ["cls"]}})
    maker.finish(name, [1])
    text = maker.report().read_text(encoding="utf-8")
    assert "none can be chosen: no dev query is unseen" in text


def test_where_test_is_dev_the_answer_says_that_it_was_chosen_by_it(maker: Maker) -> None:
    maker.splits = {**ROLES, "test": "validation"}
    (name,) = maker.plan({"axes": {"fusion": ["cls"]}})
    maker.finish(name, [1, 2])
    maker.report()
    text = answer(contents_of(maker.run.path))
    assert "On 24 unseen dev queries it finds" in text
    assert text.endswith(
        "no baseline has been evaluated yet. It was chosen by these very queries, which flatters "
        "it."
    )


def test_labels_name_what_tells_cells_apart(maker: Maker) -> None:
    maker.plan(
        {
            "axes": {"fusion": ["cls"], "head": ["relu"], "decrease_rate": [0.01], "seed": [1, 2]},
            "include": [{"fusion": "cls", "margin": 0.8, "seed": 1}],
        }
    )
    found = list(labels_of(read_run(maker.run.path)).values())
    assert found == [
        "cls, relu, δ 0.01, seed 1, retrieval_loss.margin 1",
        "cls, relu, δ 0.01, seed 2, retrieval_loss.margin 1",
        "cls, layernorm_relu, δ 0.01, seed 1, retrieval_loss.margin 0.8",
    ]


# --- what it holds ---


def test_few_unseen_queries_are_told_below_the_answer(partial: Path) -> None:
    head = (partial / "report" / "index.html").read_text(encoding="utf-8").split("</header>")[0]
    for folder in ("validation", "test"):
        assert f'<p class="note">Only 24 unseen queries in {folder}: a clean score over' in head


def test_failed_and_missing_cells_stand_with_reason_and_log(partial: Path) -> None:
    text = (partial / "report" / "index.html").read_text(encoding="utf-8")
    listing = text.split("Cells that are not done", 1)[1]
    assert "(13)" in listing[:8]
    assert listing.count("<td>failed</td>") == 2
    assert listing.count("<td>missing</td>") == 10
    assert listing.count("<td>diverged</td>") == 1
    assert listing.count("&lt;i&gt;no&lt;/i&gt; memory") == 2
    assert listing.count("options~base.log</td>") == 2


def test_the_scores_are_those_of_the_tables(partial: Path) -> None:
    data = embedded(partial / "report" / "index.html")
    table = pd.read_csv(partial / "tables" / "cells.csv")
    table = table[(table.task == "epa") & (table.metric == "accuracy@1")]
    assert data["where"][0] == ["dev", "clean", "epa"]
    for place, (split, protocol, _) in enumerate(data["where"]):
        here = table[(table.split == split) & (table.protocol == protocol)]
        last = here[(here.stage == "reranked") | (here.kind == "baseline")].set_index("cell")
        names = [cell.name for cell in read_run(partial).cells]
        values = last["value"].reindex([*names, "baseline/random", "baseline/tfidf"])
        if protocol == "legacy":
            values.iloc[-2:] = None
        expected = [None if pd.isna(value) else round(charts.SCALE * value) for value in values]
        assert data["scores"]["value"][place] == expected
        assert data["n"][place] == 24


def test_an_embedded_score_rounds_to_what_the_tables_have() -> None:
    shares = [right / n for n in (713, 783, 1287, 1401) for right in range(n + 1)]
    for share, embedded_as in zip(shares, charts.scaled(shares), strict=True):
        assert embedded_as is not None
        assert f"{100 * embedded_as / charts.SCALE:.1f}" == f"{100 * share:.1f}"


def test_a_curve_has_the_log_in_columns(partial: Path) -> None:
    data = embedded(partial / "report" / "index.html")
    assert len(data["curves"]) == 12
    curve = data["curves"][0]
    assert (curve["epochs"], curve["best"], curve["system"]) == ([0, 1, 2], 1, 0)
    assert curve["columns"]["accuracy/dev/clean"] == [2500000, 2600000, 2700000]
    assert curve["columns"]["loss/dev/negative"] == [1000000, 2000000, 3000000]
    assert curve["columns"]["rate"] == [10000000, 9800000, 9600000]
    assert curve["negatives"]["hard_counter"] == [0, 1, 2]


def test_columns_without_any_number_are_left_out() -> None:
    nothing = EpochScores(None, None, None)
    accuracy = {"dev": {"clean": nothing, "official": EpochScores(0.5, 0.5, 0.5)}}
    record = runs.epoch_record(0, accuracy=accuracy, losses={})
    curve = charts.curve_of([record])
    assert curve["columns"] == {"rate": [10000000], "accuracy/dev/official": [5000000]}


def test_queries_show_what_was_chosen_instead(partial: Path) -> None:
    queries = queries_module.queries(contents_of(partial))
    # The best cell answers the first two of each four queries: the con side, being sorted.
    assert {query.point.side for query in queries["answers"]} == {"con"}
    assert len(queries["answers"]) == len(queries["fails"]) == queries_module.QUERIES_SHOWN
    for query in queries["answers"]:
        assert query.chosen in query.golds
    for query in queries["fails"]:
        assert query.chosen not in query.golds
        assert query.reranked == 2
    same = next(query for query in queries["fails"] if query.point.number == 1)
    assert same.relation == "a counter of the same debate, on the opposing side"


def test_markup_in_texts_is_text(partial: Path, corpus: Corpus) -> None:
    contents = contents_of(partial)
    evil = next(argument for argument in corpus.arguments if EVIL in argument.text)
    query = queries_module.Query(evil, (evil,), evil, 1, 1, 9)
    drawn = {"answers": [query], "fails": []}
    assert EVIL not in charts.embedded({"text": EVIL})
    assert json.loads(charts.embedded({"text": EVIL})) == {"text": EVIL}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "queries", lambda contents: drawn)
        page = build.page(contents)
    assert EVIL not in page
    assert "&lt;/script&gt;&lt;script&gt;" in page


def test_the_page_is_alone_and_small(partial: Path) -> None:
    page = partial / "report" / "index.html"
    text = page.read_text(encoding="utf-8")
    own = text.replace(text.split("<script>")[1], "")
    assert not re.search(r"(src|href)=[\"'](?!#)", own)
    assert not re.search(r"<[a-z][^>]* on[a-z]+=", own)
    assert page.stat().st_size < 8 * 2**20
    # Of a cell: 60 epochs, and nine figures of some five digits in each of 46 places (eight tasks
    # and two protocols, the two that leak; dev and test, and train without `clean`).
    curve = charts.curve_of([epoch(number) for number in range(60)])
    a_cell = len(charts.embedded(curve)) + 46 * 9 * 6
    assert page.stat().st_size + 105 * a_cell < 8 * 2**20


def test_tables_are_made_again_where_records_are_newer(maker: Maker) -> None:
    first, second = maker.plan({"axes": {"fusion": ["cls", "concat"]}})
    maker.finish(first, [1, 2])
    maker.report()
    assert scores.is_current(read_run(maker.run.path))
    maker.finish(second, [1])
    assert not scores.is_current(read_run(maker.run.path))
    assert sum(value is not None for value in embedded(maker.report())["scores"]["value"][0]) == 2


def test_tables_that_the_page_has_made_are_as_configured(maker: Maker) -> None:
    """Not with the defaults of `counterpoint tables`."""
    (only,) = maker.plan({"axes": {"fusion": ["cls"]}})
    maker.finish(only, [1, 2])
    maker.report("--decimals", "2", "--intervals")
    text = (maker.run.path / "tables" / "baselines.tex").read_text()
    assert re.search(r"50\.00\}*\\textsubscript\{", text)


def test_over_three_seeds_the_interval_is_a_t_interval(maker: Maker) -> None:
    names = maker.plan({"axes": {"fusion": ["cls"], "seed": [1, 2, 3]}})
    for name, ranks in zip(names, ([1], [1, 2], [2, 1]), strict=True):
        maker.finish(name, ranks)
    data = embedded(maker.report())
    assert data["settings"] == [[0, 1, 2]]
    place = data["where"].index(["dev", "clean", "epa"])
    # 1, 1/2 and 1/2: 4.3027 from a table of Student's t with two degrees of freedom.
    reach = 4.30265 * (1 / 12) ** 0.5 / 3**0.5
    for name, value in (("value", 2 / 3), ("low", 2 / 3 - reach), ("high", 2 / 3 + reach)):
        assert data["means"][name][place][0] / data["scale"] == pytest.approx(value, abs=1e-5)
    assert data["means"]["first"][place] == [data["scale"] // 2]


def test_a_mean_over_seeds_lacks_no_seed_and_needs_three_for_an_interval(maker: Maker) -> None:
    axes = {"fusion": ["cls", "concat"], "seed": [1, 2]}
    for name in maker.plan({"axes": axes})[1:]:
        maker.finish(name, [1, 2])
    means = embedded(maker.report())["means"]
    assert means["value"][0] == [None, 5000000]
    assert means["low"][0] == means["high"][0] == [None, None]


def test_what_leaks_has_no_score_without_a_second_stage(partial: Path) -> None:
    data = embedded(partial / "report" / "index.html")
    place = data["where"].index(["dev", "legacy", "epa"])
    assert data["scores"]["value"][place][0] is not None
    assert set(data["scores"]["first"][place]) == {None}
    for name in ("value", "ceiling", "mrr"):
        assert data["scores"][name][place][-2:] == [None, None]
    rows = sections.baseline_rows(contents_of(partial))
    # Clean, official, the two that leak and the ceiling, of dev and of test.
    assert [[text == "–" for text in row.scores] for row in rows] == [
        [False, False, True, True, False] * 2
    ] * 2


def test_an_imported_log_is_a_curve_that_leaks(maker: Maker) -> None:
    maker.plan({"axes": {"fusion": ["cls"]}})
    maker.import_log()
    data = embedded(maker.report())
    (curve,) = data["curves"]
    assert curve["label"] == "imported/old (legacy-subset (leaks))"
    assert curve["columns"]["accuracy/dev/legacy-subset"] == [7407407, 8765432, 8395062]
    # Without axes it does not stand beside cells.
    assert [system["status"] for system in data["systems"]] == ["missing"]


def test_an_imported_log_with_axes_stands_beside_cells_in_its_protocol_alone(maker: Maker) -> None:
    (name,) = maker.plan({"axes": {"fusion": ["cls"]}}, ["tfidf"])
    maker.finish(name, [1])
    maker.baseline("tfidf", [1])
    maker.import_log("fusion=concat", "decrease_rate=0.03", "margin=2")
    data = embedded(maker.report())
    cell, baseline, log = data["systems"]
    assert (cell["status"], baseline["status"]) == ("done", "baseline")
    assert log == {
        "label": "imported/old",
        "status": "imported",
        "axes": {"fusion": "concat", "decrease_rate": 0.03},
        "further": "retrieval_loss.margin 2",
        "asked": {"train legacy-subset": 4, "dev legacy-subset": 81},
    }
    assert data["best"] == 0
    for place, where in enumerate(data["where"]):
        values = [data["scores"][score][place][2] for score in ("value", "first", "mrr")]
        if where == ["dev", "legacy-subset", "epa"]:
            assert values == [8765432, None, None]
            assert data["scores"]["low"][place][2] < 8765432 < data["scores"]["high"][place][2]
            assert data["n"][place] == 81
        elif where != ["train", "legacy-subset", "epa"]:
            assert values == [None] * 3
