"""The page works in a browser: it sorts, filters, draws, fits and prints."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import chromium
from tests.support.pages import Maker

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


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
    filters.get_by_label("systems").select_option("recipes and baselines")
    assert column(page, 1) == ["tfidf", "random"]
    filters.get_by_label("protocol").select_option("legacy (leaks the answer)")
    assert "legacy (leaks the answer)" in page.locator("#table-says").inner_text()


def test_an_imported_log_stands_in_its_protocol_marked(maker: Maker, visit: Open) -> None:
    for name in maker.plan({"axes": {"fusion": ["cls", "concat"], "decrease_rate": [0, 0.03]}}):
        maker.finish(name, [1, 2])
    maker.import_log("fusion=concat", "decrease_rate=0.03", "margin=2")
    page = visit(maker.report())
    filters = page.locator("#table-controls")
    assert not [text for text in column(page, 1) if "imported" in text]
    filters.get_by_label("split").select_option("dev")
    filters.get_by_label("protocol").select_option("legacy-subset (leaks the answer)")
    log = "imported/old (concat, retrieval_loss.margin 2, n 81)"
    assert column(page, 1)[0] == log
    assert [column(page, number)[0] for number in (2, 3, 4)] == ["–", "0.03", "87.7"]
    filters.get_by_label("δ").select_option("0.03")
    assert log in column(page, 1)
    filters.get_by_label("fusion").select_option("cls")
    assert log not in column(page, 1)
    page.locator("#epoch-controls").get_by_label("cell").select_option(
        "imported/old (legacy-subset (leaks))"
    )
    assert "dev (legacy-subset, leaks)" in page.locator("#accuracy-says").inner_text()


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

    shown = (
        "getComputedStyle(document.body).backgroundColor",
        "document.querySelector('#rate path.js-line').style.stroke",
    )
    light = [page.evaluate(colour) for colour in shown]
    page.emulate_media(color_scheme="dark")
    for colour, before in zip(shown, light, strict=True):
        wait_until(page, f"{colour} != '{before}'")


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
    assert len(names) == shown >= 1
    page.locator("#table-controls").get_by_label("fusion").select_option("cls")
    assert 0 < len(column(page, 1)) < shown
    assert "embedding" not in column(page, 1)
