"""The report: what it says of a run, and that it works in a browser, whatever the run has."""

import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from counterpoint.cli.main import main
from counterpoint.corpus.arguana import read_corpus
from counterpoint.corpus.arguments import Corpus, write_arguments
from counterpoint.corpus.sources import open_source
from counterpoint.evaluation.records import QueryResults, write_records
from counterpoint.io import atomic
from counterpoint.io import text as text_module
from counterpoint.reporting import scores
from counterpoint.reporting.page import build, charts, sections
from counterpoint.reporting.page import queries as queries_module
from counterpoint.reporting.page.answer import answer
from counterpoint.reporting.page.contents import Contents
from counterpoint.reporting.page.names import labels_of
from counterpoint.results.epoch_log import EpochRecord, EpochScores, Losses, NegativeCounts
from counterpoint.runs.folder import RunFolder, read_run
from counterpoint.study.old_log import OldEpoch
from counterpoint.tasks.candidates import CandidateSets, candidate_sets
from tests.support import runs
from tests.support.debates import ROLES, debate

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

GRID: dict[str, Any] = {
    "axes": {
        "fusion": ["embedding", "cls", "concat"],
        "head": ["linear", "layernorm", "relu", "layernorm_relu"],
        "decrease_rate": [0, 0.02],
    }
}
EVIL = '</script><script>document.title = "broken"</script> & <b>bold</b>'


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Three splits, each with six debates of four pairs; one test point is malicious markup."""
    root = tmp_path_factory.mktemp("corpus")
    for split in ROLES.values():
        for number in range(6):
            for path, text in debate(split, "law", f"d{number}", {"pro": 2, "con": 2}).items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                evil = EVIL if path.startswith("test/law/d0/pro/pro01a") else ""
                (root / path).write_text(text + evil, encoding="utf-8")
    return read_corpus(open_source(str(root)), ROLES)[0]


def query_results(
    sets: CandidateSets,
    first: Sequence[int],
    reranked: Sequence[int] | None,
    protocols: Sequence[str],
) -> list[QueryResults]:
    """Ranks, repeated over the queries; what is chosen is the gold or the next query's."""
    n = sets.pairs
    own = np.arange(n)
    after = None if reranked is None else np.resize(reranked, n)
    wrong = np.stack([(own + 1) % n, own], axis=1)
    order = None if after is None else np.where((after == 1)[:, None], wrong[:, ::-1], wrong)
    plain = runs.query_results(sets, first, reranked, protocols)
    return [dataclasses.replace(part, nearest=wrong, reordered=order) for part in plain]


def epoch(number: int) -> EpochRecord:
    scores = EpochScores(retrieval=0.5, reranked=0.25 + number / 100, recall_at_10=1.0)
    losses = Losses(retrieval=0.5, counter=0.6, negative=0.1 + number / 10, total=1.0)
    both = {"official": scores, "clean": scores}
    return runs.epoch_record(
        number,
        random_rate=1 - number / 50,
        losses=dict.fromkeys(("train", "dev", "test"), losses),
        accuracy={"train": {"official": scores}, "dev": both, "test": both},
        negatives=NegativeCounts(random=10, hard_point=4, hard_counter=number, same_debate=3),
    )


class Maker:
    """Leaves what a run leaves."""

    def __init__(self, folder: Path, corpus: Corpus) -> None:
        self.run = RunFolder(folder)
        self.corpus = corpus
        self.protocols: tuple[str, ...] = ("official", "clean", "legacy")
        self.splits = ROLES

    def plan(self, values: dict[str, Any], baselines: Sequence[str] = ()) -> list[str]:
        """Plan a matrix; the names of its cells."""
        options = {"matrix": values, "baselines": list(baselines)}
        cells = runs.plan(self.run.path, options, splits=self.splits)
        write_arguments(self.corpus, self.run.arguments)
        audit = [{"split": "training", "roles": "train", "pairs": 1234, "tasks_left_out": ""}]
        atomic.write_text(self.run.audit, text_module.csv_text(audit))
        return [cell.name for cell in cells]

    def _write(self, path: Path, first: Sequence[int], reranked: Sequence[int] | None) -> None:
        by_split = {}
        for role in ("dev", "test"):
            sets = candidate_sets(self.corpus, self.splits[role])
            by_split[role] = (sets, query_results(sets, first, reranked, self.protocols))
        write_records(by_split, path)

    def finish(self, name: str, ranks: Sequence[int], status: str = "finished") -> None:
        """Leave a trained cell, half of whose golds rank first before re-ranking."""
        own = self.run.cell(name)
        self._write(own.records, [1, 2], ranks)
        runs.write_files(own, status=status)
        runs.write_epochs(own, [epoch(number) for number in range(3)])

    def fail(self, name: str) -> None:
        """Leave a failed cell, and its log."""
        runs.fail(self.run, name, "RuntimeError: <i>no</i> memory")
        atomic.write_text(self.run.cell_log(name), "…\n")

    def baseline(self, name: str, ranks: Sequence[int]) -> None:
        self._write(self.run.baseline(name), ranks, None)

    def report(self, *options: str) -> Path:
        """Make it by the command, tables and all."""
        assert main(["report", "--run", str(self.run.path), *options]) == 0
        return self.run.report


@pytest.fixture
def maker(tmp_path: Path, corpus: Corpus) -> Maker:
    return Maker(tmp_path / "results" / "mini", corpus)


@pytest.fixture(scope="module")
def partial(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus) -> Path:
    """24 planned cells, of which ten are missing, two failed and one diverged; two baselines."""
    made = Maker(tmp_path_factory.mktemp("partial") / "results" / "mini", corpus)
    names = made.plan(GRID, ["random", "tfidf"])
    made.baseline("random", [9])
    made.baseline("tfidf", [1, 2, 2, 2])
    for place, name in enumerate(names[:12]):
        # Of four queries one is answered, by one cell two.
        made.finish(name, [1, 1, 2, 2] if place == 5 else [1, 2, 2, 2],
                    status="diverged" if place == 7 else "finished")  # fmt: skip
    for name in names[12:14]:
        made.fail(name)
    made.report()
    return made.run.path


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
    for share, embedded_as in zip(shares, charts._scaled(shares), strict=True):
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
    curve = charts._of_cell([record])
    assert curve["columns"] == {"rate": [10000000], "accuracy/dev/official": [5000000]}


def test_queries_show_what_was_chosen_instead(partial: Path) -> None:
    queries = queries_module.queries(contents_of(partial))
    # The best cell answers the first two of each four queries: the con side, being sorted.
    assert {query.point.side for query in queries["answers"]} == {"con"}
    assert len(queries["answers"]) == len(queries["fails"]) == queries_module.QUERIES_SHOWN
    for query in queries["answers"]:
        assert query.chosen == query.gold
    for query in queries["fails"]:
        assert query.chosen != query.gold
        assert query.reranked == 2
    same = next(query for query in queries["fails"] if query.point.number == 1)
    assert same.relation == "a counter of the same debate, on the opposing side"


def test_markup_in_texts_is_text(partial: Path, corpus: Corpus) -> None:
    contents = contents_of(partial)
    evil = next(argument for argument in corpus.arguments if EVIL in argument.text)
    query = queries_module.Query(evil, evil, evil, 1, 1, 9)
    drawn = {"answers": [query], "fails": []}
    assert EVIL not in build.embedded({"text": EVIL})
    assert json.loads(build.embedded({"text": EVIL})) == {"text": EVIL}
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
    # Of a cell: 60 epochs, and nine figures of some five digits in each of 43 places (eight tasks
    # and two protocols, `legacy`; dev and test, and train without `clean`).
    curve = charts._of_cell([epoch(number) for number in range(60)])
    a_cell = len(build.embedded(curve)) + 43 * 9 * 6
    assert page.stat().st_size + 105 * a_cell < 8 * 2**20


def test_tables_are_made_again_where_records_are_newer(maker: Maker) -> None:
    first, second = maker.plan({"axes": {"fusion": ["cls", "concat"]}})
    maker.finish(first, [1, 2])
    maker.report()
    assert scores.is_current(read_run(maker.run.path), "claims.csv")
    maker.finish(second, [1])
    assert not scores.is_current(read_run(maker.run.path), "claims.csv")
    assert sum(value is not None for value in embedded(maker.report())["scores"]["value"][0]) == 2
    atomic.write_json(maker.run.path.parent / "imported" / "old" / "source.json", {})
    assert not scores.is_current(read_run(maker.run.path), "claims.csv")


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
    # Clean, official, legacy and the ceiling, of dev and of test.
    assert [[text == "–" for text in row.scores] for row in rows] == [
        [False, False, True, False] * 2
    ] * 2


# --- in a browser ---

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not Path(CHROMIUM).is_file():
        pytest.skip("there is no chromium; `apt-get install chromium`")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Open]:
    """Open a page; afterwards nothing may have been complained of, or asked of the network."""
    complaints: list[str] = []
    contexts = []

    def go(path: Path, **options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(("file:", "data:", "blob:"))
                else complaints.append(request.url)
            ),
        )
        page.goto(path.absolute().as_uri())
        return page

    yield go
    for context in contexts:
        context.close()
    assert complaints == []


def column(page: Any, number: int) -> list[str]:
    """The texts of one column of the comparison."""
    texts: list[str] = page.locator(f"#table tbody tr > :nth-child({number})").all_text_contents()
    return texts


def wait_until(page: Any, expression: str) -> None:
    """Until a JavaScript expression is true.

    Playwright's own `wait_for_function`, where it has to ask twice, evaluates it inside the page,
    which the page's policy against scripts from text forbids.
    """
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never came true: {expression}")


def test_the_table_sorts_by_mouse_and_keyboard(partial: Path, visit: Open) -> None:
    page = visit(partial / "report" / "index.html")
    heads = page.locator("#table thead th")
    names = heads.all_text_contents()
    assert names[:4] == ["fusion or baseline", "head", "δ", "accuracy@1"]
    accuracy = heads.nth(3)
    assert accuracy.get_attribute("aria-sort") == "descending"
    assert column(page, 4) == ["50.0", *["25.0"] * 12, "0.0"]
    accuracy.get_by_role("button").click()
    assert accuracy.get_attribute("aria-sort") == "ascending"
    assert column(page, 4) == ["0.0", *["25.0"] * 12, "50.0"]
    heads.nth(1).get_by_role("button").press("Enter")
    assert heads.nth(1).get_attribute("aria-sort") == "ascending"
    assert accuracy.get_attribute("aria-sort") == "none"
    cells = column(page, 2)[:12]
    assert cells == sorted(cells)
    assert column(page, 2)[12:] == ["–", "–"]


def test_the_filters_filter(partial: Path, visit: Open) -> None:
    page = visit(partial / "report" / "index.html")
    filters = page.locator("#table-controls")
    filters.get_by_label("head").select_option("relu")
    # Embedding is trained at both rates; the baselines stay.
    assert column(page, 2) == ["relu", "relu", "–", "–"]
    filters.get_by_label("systems").select_option("all planned cells")
    assert column(page, 4) == ["50.0", "25.0", *["– (failed)"] * 2, *["– (missing)"] * 2]
    filters.get_by_label("systems").select_option("baselines")
    assert column(page, 1) == ["tfidf", "random"]
    filters.get_by_label("protocol").select_option("legacy (leaks the answer)")
    assert "legacy (leaks the answer)" in page.locator("#table-says").inner_text()


def test_every_chart_draws_and_is_told_in_words(partial: Path, visit: Open) -> None:
    page = visit(partial / "report" / "index.html")
    charts = page.locator(".chart")
    assert charts.count() == 7
    for place in range(charts.count()):
        chart = charts.nth(place)
        assert chart.get_attribute("role") == "img"
        assert len(chart.get_attribute("aria-label")) > 20
        assert chart.locator("svg.main-svg").count() > 0
    lines = page.locator("#accuracy .scatterlayer .trace path.js-line")
    assert lines.count() == 4  # train, dev, test, and the random rate
    assert page.locator("#heat").get_attribute("aria-label").startswith("δ 0.02, r0 1; test")


def test_a_chart_has_a_table_and_follows_its_selects(partial: Path, visit: Open) -> None:
    page = visit(partial / "report" / "index.html")
    page.locator("#accuracy-data summary").click()
    rows = page.locator("#accuracy-data tbody tr")
    assert rows.all_text_contents() == [
        "025.025.025.01.000",
        "126.026.026.00.980",
        "227.027.027.00.960",
    ]
    page.locator("#epoch-controls").get_by_label("cell").select_option(index=7)
    assert "(diverged)" in page.locator("#accuracy-says").inner_text()
    page.locator("#heat-controls").get_by_label("rate").select_option("δ 0, r0 1")
    page.locator("#heat-data summary").click()
    from playwright import sync_api

    cells = page.locator("#heat-data tbody tr").first.locator("td")
    sync_api.expect(cells).to_have_text(["25.0"] * 4)
    assert "–" in page.locator("#heat-data tbody").inner_text()


def test_nothing_scrolls_sideways_at_400_pixels(partial: Path, visit: Open) -> None:
    page = visit(partial / "report" / "index.html", viewport={"width": 400, "height": 800})
    for details in page.locator("details").all():
        details.locator("summary").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 400


def test_light_and_dark_differ_and_follow_the_system(partial: Path, visit: Open) -> None:
    page = visit(partial / "report" / "index.html", color_scheme="light")

    def colours() -> tuple[str, str]:
        body = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return body, page.evaluate("document.querySelector('#rate path.js-line').style.stroke")

    light = colours()
    page.emulate_media(color_scheme="dark")
    wait_until(page, f"getComputedStyle(document.body).backgroundColor != '{light[0]}'")
    dark = colours()
    assert light[0] != dark[0]
    assert light[1] != dark[1]


def test_print_hides_what_only_a_screen_can_do(partial: Path, visit: Open) -> None:
    page = visit(partial / "report" / "index.html", color_scheme="dark")
    controls = page.locator("nav, .controls:not(:empty), .chart + details, .on-screen")
    shown = controls.count()
    assert shown > 10
    for place in range(shown):
        assert controls.nth(place).is_visible()
    page.locator("#accuracy-data summary").click()
    page.locator(".query summary").first.click()
    page.emulate_media(media="print", color_scheme="dark")
    assert [
        controls.nth(place).get_attribute("id")
        for place in range(shown)
        if controls.nth(place).is_visible()
    ] == ["accuracy-data"]
    assert page.locator("#accuracy-data tbody tr").count() == 3
    assert page.locator(".query blockquote").first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    arrow = "getComputedStyle(document.querySelector('#table th button'), '::after').content"
    assert page.evaluate(arrow) == "none"


def test_nothing_is_wider_than_the_paper(partial: Path, visit: Open) -> None:
    """A4 between margins of 15 mm: 180 mm, 680 pixels."""
    page = visit(partial / "report" / "index.html", color_scheme="dark")
    width = "document.querySelector('#accuracy svg.main-svg').getBoundingClientRect().width"
    before = page.evaluate(width)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 680, "height": 1000})
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(width) == 680
    assert page.evaluate("document.documentElement.scrollWidth") == 680
    for table in page.locator("table:visible").all():
        assert table.bounding_box()["width"] <= 680
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": 1280, "height": 720})
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    wait_until(page, f"{width} === {before}")


@pytest.mark.parametrize("cells", [0, 1])
def test_a_run_of_one_cell_and_of_none_opens(maker: Maker, visit: Open, cells: int) -> None:
    names = maker.plan({"axes": {"fusion": ["cls"]}})
    for name in names[:cells]:
        maker.finish(name, [1, 2])
    page = visit(maker.report())
    assert page.locator("#table tbody tr").count() == cells
    assert (page.locator(".chart svg.main-svg").count() > 0) == bool(cells)


def test_seeds_and_further_axes_open(maker: Maker, visit: Open) -> None:
    axes = {"fusion": ["cls"], "seed": [1, 2, 3], "margin": [0.8, 1.0], "decrease_rate": [0, 0.02]}
    names = maker.plan({"axes": axes})
    for name in names[1:]:
        maker.finish(name, [1, 2])
    page = visit(maker.report())
    page.locator("#table-controls").get_by_label("seeds").select_option("their mean")
    heads = page.locator("#table thead th").all_text_contents()
    assert heads[3:5] == ["seed", "retrieval_loss.margin"]
    values = column(page, 1 + heads.index("accuracy@1"))
    # Four settings, of which one lacks a seed: no mean.
    assert values == ["50.0", "50.0", "50.0", "– (missing)"]


def test_an_imported_log_is_a_curve_that_leaks(maker: Maker) -> None:
    maker.plan({"axes": {"fusion": ["cls"]}})
    log = maker.run.path.parent / "imported" / "old"
    atomic.write_json(log / "source.json", {})
    record = OldEpoch(0, None, {"dev": 0.8}).to_json()
    atomic.write_text(log / "epochs.jsonl", json.dumps(record) + "\n")
    (curve,) = embedded(maker.report())["curves"]
    assert curve["label"] == "imported/old (legacy, leaks the answer)"
    assert curve["columns"] == {"accuracy/dev/legacy": [8000000]}


PAGES = sorted(Path(__file__).parents[2].glob("results/*/report/index.html"))
"""Of the runs that lie in this checkout: the demo, the real corpus."""


@pytest.mark.parametrize("path", PAGES or [None], ids=lambda path: path and path.parts[-3])
def test_the_pages_of_finished_runs(path: Path | None, visit: Open) -> None:
    if path is None:
        pytest.skip("no run with a report in results/; make demo")
    page = visit(path, viewport={"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    assert page.locator(".js-plotly-plot .trace, .js-plotly-plot .hm").count() > 0
    shown = len(column(page, 1))
    by_name = page.locator("#table thead th").first
    by_name.get_by_role("button").click()
    assert by_name.get_attribute("aria-sort") in ("ascending", "descending")
    names = column(page, 1)
    assert len(names) == shown > 1
    page.locator("#table-controls").get_by_label("fusion").select_option("cls")
    assert 0 < len(column(page, 1)) < shown
    assert "embedding" not in column(page, 1)
