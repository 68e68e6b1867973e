"""The page in a browser: it asks, filters, steps, copies, and shows a text as text."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from counterpoint.serve.app import Settings
from tests.support.browser import chromium
from tests.support.serving import DOCUMENTS, EVIL, StandIn, listening

TOKEN = "correct horse battery"

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def asker() -> StandIn:
    return StandIn()


@pytest.fixture
def visit(browser: Any) -> Iterator[Open]:
    """Open a page; afterwards nothing may have been complained of, or asked of other hosts."""
    complaints: list[str] = []
    contexts = []

    def go(url: str, expected: str = "no such complaint", **options: Any) -> Any:
        context = browser.new_context(permissions=["clipboard-read", "clipboard-write"], **options)
        contexts.append(context)
        page = context.new_page()

        def complain(text: str) -> None:
            if expected not in text:
                complaints.append(text)

        page.on("console", lambda message: complain(message.text))
        page.on("pageerror", lambda error: complain(str(error)))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith((url, "data:")) else complain(request.url)
            ),
        )
        page.goto(url)
        return page

    yield go
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def url(asker: StandIn) -> Iterator[str]:
    with listening(asker) as address:
        yield address


def expect(locator: Any) -> Any:
    from playwright import sync_api

    return sync_api.expect(locator)


def ask(page: Any, text: str = "Cars pollute the air.") -> Any:
    """Ask by keyboard; the answers."""
    page.get_by_label("Your argument").fill(text)
    page.get_by_label("Your argument").press("Control+Enter")
    answers = page.locator("#answers > li")
    expect(page.get_by_role("status")).to_contain_text("counter")
    return answers


def current(page: Any) -> str:
    """The text of the answer that one has stepped to."""
    text: str = page.locator("#answers > li[aria-current=true] blockquote").text_content()
    return text


def test_an_argument_is_answered_with_side_debate_and_source(visit: Open, url: str) -> None:
    page = visit(url)
    expect(page.locator("#system")).to_have_text("Counterpoint · a cell · 3 texts")
    answers = ask(page)
    expect(answers).to_have_count(3)
    expect(page.get_by_role("status")).to_contain_text("3 counters in")
    for place, (text, side, debate, theme) in enumerate(DOCUMENTS):
        answer = answers.nth(place)
        assert answer.locator("blockquote").text_content() == text
        head = answer.locator("h3").locator("span").all_text_contents()
        assert head == [f"{place + 1}.", side, debate]
        known = answer.locator("dl").first.locator("div").all_text_contents()
        assert known == [f"sourcemade/up/{place + 1}", f"theme{theme}"]
    scores = answers.first.locator(".foot dl div").all_text_contents()
    assert scores == ["probability50.0 %", "similarity0.875", "rank before re-ranking3"]


def test_a_text_is_shown_as_text(visit: Open, url: str) -> None:
    page = visit(url)
    answers = ask(page)
    assert EVIL in answers.nth(1).locator("blockquote").text_content()
    assert answers.locator("script, img, b").count() == 0
    assert page.title() == "Counterpoint: find the counterargument"


def test_filters_ask_again(visit: Open, url: str, asker: StandIn) -> None:
    page = visit(url)
    answers = ask(page)
    filters = page.locator("#filters")
    filters.get_by_label("theme").select_option("animals")
    expect(answers).to_have_count(1)
    assert current(page) == DOCUMENTS[2][0]
    filters.get_by_label("theme").select_option("all")
    expect(answers).to_have_count(3)
    filters.get_by_label("leave out the side").select_option("con")
    expect(answers).to_have_count(1)
    filters.get_by_label("side", exact=True).select_option("con")
    expect(page.get_by_role("status")).to_contain_text("Nothing was found")
    expect(page.locator("#found")).to_be_hidden()
    filters.get_by_label("leave out the side").select_option("none")
    filters.get_by_label("How many").fill("1")
    ask(page)
    expect(answers).to_have_count(1)
    assert asker.depths[-1] == 1


def test_one_steps_and_copies_by_keyboard(visit: Open, url: str) -> None:
    page = visit(url)
    ask(page)
    assert current(page) == DOCUMENTS[0][0]
    for key, place in [("ArrowDown", 1), ("ArrowDown", 2), ("ArrowDown", 2), ("ArrowUp", 1),
                       ("End", 2), ("Home", 0), ("ArrowDown", 1)]:  # fmt: skip
        page.keyboard.press(key)
        assert current(page) == DOCUMENTS[place][0]
        assert page.evaluate("document.activeElement.className") == "answer"
    expect(page.locator("#place")).to_have_text("2 of 3")
    page.keyboard.press("c")
    expect(page.get_by_role("status")).to_have_text("Copied counter 2.")
    assert page.evaluate("navigator.clipboard.readText()") == DOCUMENTS[1][0]
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "text"


def test_buttons_step_and_copy_too(visit: Open, url: str) -> None:
    page = visit(url)
    ask(page)
    expect(page.get_by_role("button", name="Previous")).to_be_disabled()
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Next").click()
    assert current(page) == DOCUMENTS[2][0]
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    page.get_by_role("button", name="Copy counter 1").click()
    expect(page.get_by_role("status")).to_have_text("Copied counter 1.")
    assert page.evaluate("navigator.clipboard.readText()") == DOCUMENTS[0][0]
    assert current(page) == DOCUMENTS[0][0]


def test_it_copies_where_the_browser_lends_no_clipboard(visit: Open, url: str) -> None:
    page = visit(url)
    ask(page)
    page.evaluate("delete Navigator.prototype.clipboard")
    page.keyboard.press("c")
    expect(page.get_by_role("status")).to_have_text("Copied counter 1.")
    assert page.evaluate("document.activeElement.className") == "answer"


def test_everything_has_a_name_and_changes_are_announced(visit: Open, url: str) -> None:
    page = visit(url)
    ask(page)
    for control in page.locator("input:visible, select, textarea, button:visible").all():
        name = control.evaluate("e => e.labels?.[0]?.textContent || e.ariaLabel || e.textContent")
        assert name
    assert page.locator("#status").get_attribute("aria-live") == "polite"
    assert page.locator("#problem").get_attribute("role") == "alert"
    assert page.locator("html").get_attribute("lang") == "en"


def test_the_page_asks_for_the_token_and_keeps_it_in_memory(visit: Open, asker: StandIn) -> None:
    with listening(asker, Settings(token=TOKEN)) as url:
        # The browser says of each refusal that it was one.
        page = visit(url, expected="status of 401")
        field = page.get_by_label("Token of this server")
        field.fill("wrong")
        field.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("This is not the server's token.")
        field.fill(TOKEN)
        field.press("Enter")
        expect(page.locator("#system")).to_contain_text("3 texts")
        expect(field).to_be_hidden()
        expect(ask(page)).to_have_count(3)
        kept = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
        assert page.evaluate(kept) == '[{},{},""]'
        page.reload()
        expect(field).to_be_visible()


def test_what_the_server_refuses_is_told(visit: Open, url: str) -> None:
    page = visit(url, expected="status of")
    for text, told in [("refuse", "it refuses"), ("fail", "the server failed")]:
        page.get_by_label("Your argument").fill(text)
        page.get_by_role("button", name="Find counters").click()
        expect(page.get_by_role("alert")).to_contain_text(told)
    expect(ask(page)).to_have_count(3)
    expect(page.locator("#problem")).to_be_hidden()


def test_a_server_that_is_gone_is_told(visit: Open, asker: StandIn) -> None:
    with listening(asker) as url:
        page = visit(url, expected="ERR_CONNECTION_REFUSED")
        expect(page.locator("#system")).to_contain_text("3 texts")
    page.get_by_label("Your argument").fill("Is anyone there?")
    page.get_by_role("button", name="Find counters").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_nothing_scrolls_sideways_at_400_pixels(visit: Open, url: str, path: str) -> None:
    page = visit(url, viewport={"width": 400, "height": 800})
    page.goto(url + path)
    if path == "/":
        ask(page, "word" * 100)
    assert page.evaluate("document.documentElement.scrollWidth") == 400


def test_light_and_dark_follow_the_system(visit: Open, url: str) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    shown = {
        scheme: visit(url, color_scheme=scheme).evaluate(colour) for scheme in ("light", "dark")
    }
    assert shown["light"] == "rgb(255, 255, 255)"
    assert shown["dark"] != shown["light"]
