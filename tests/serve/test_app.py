"""The interface with an asker that is none: what it answers, and what it refuses."""

import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from starlette.testclient import TestClient

from counterpoint.serve.app import Described, Settings
from counterpoint.serve.limits import BODY, CHARACTERS
from tests.support.serving import DESCRIBED, EVIL, StandIn, client, listening, tell

JSON = {"Content-Type": "application/json"}
TOKEN = "correct horse battery"


@pytest.fixture
def asker() -> StandIn:
    return StandIn()


@pytest.fixture
def asked(asker: StandIn) -> Iterator[TestClient]:
    with client(asker) as made:
        yield made


@pytest.fixture
def locked(asker: StandIn) -> Iterator[TestClient]:
    with client(asker, Settings(token=TOKEN)) as made:
        yield made


def test_answers_come_with_all_that_is_known(asked: TestClient) -> None:
    found = asked.post("/search", json={"text": "Zoos are cruel.", "k": 1})
    assert found.status_code == 200
    told = found.json()
    assert told.pop("seconds") >= 0
    known = {"side": "con", "debate": "cars in the city", "theme": "traffic"}
    answer = {
        "rank": 1,
        "text": "Electric cars hardly pollute.",
        "source": "made/up/1",
        "metadata": known,
        "distance": 0.125,
        "similarity": 0.875,
        "probability": 0.5,
        "first_stage_rank": 3,
    }
    assert told == {"answers": [answer], "system": "a cell"}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, 3),
        ({"where": {"theme": "animals"}}, 1),
        ({"where": {"theme": "animals", "side": "con"}}, 0),
        ({"not_side": "con"}, 1),
    ],
)
def test_filters_filter(asked: TestClient, filters: dict[str, object], expected: int) -> None:
    found = asked.post("/search", json={"text": "a", **filters})
    assert len(found.json()["answers"]) == expected


def test_the_index_is_described(asked: TestClient) -> None:
    told = asked.get("/index").json()
    assert (told["system"], told["size"]) == ("a cell", 3)
    side = {"value": "con", "texts": 2}, {"value": "pro", "texts": 1}
    assert told["columns"][0] == {"name": "side", "distinct": 2, "values": [*side]}


def test_of_many_values_the_first_are_listed_and_all_may_be_asked_for(asker: StandIn) -> None:
    values = {f"debate {number}": 1 for number in range(600)}
    with client(asker, described=Described("a cell", 600, {"debate": values})) as asked:
        [column] = asked.get("/index").json()["columns"]
        assert (column["distinct"], len(column["values"])) == (600, 500)
        last = {"text": "a", "where": {"debate": "debate 599"}}
        assert asked.post("/search", json=last).status_code == 200


BAD: dict[str, tuple[bytes, int, str]] = {
    "broken JSON": (b'{"text": ', 400, "no JSON: Expecting value at character 9"),
    "broken UTF-8": (b'{"text": "\xff"}', 400, "no JSON in UTF-8"),
    "deep JSON": (b"[" * 100_000, 400, "no JSON in UTF-8"),
    "no object": (b"[]", 422, "body: input should be a valid dictionary"),
    "no body": (b"", 422, "body: field required"),
    "no text": (b"{}", 422, "text: field required"),
    "empty text": (tell({"text": ""}), 422, "at least 1 character, found ''"),
    "blank text": (tell({"text": " \n"}), 422, "text: an empty text"),
    "NUL": (tell({"text": "ab\0c"}), 422, "text: NUL at character 2"),
    "half a character": (tell({"text": "\ud800"}), 422, "found '\\ud800'"),
    "number": (tell({"text": 5}), 422, "text: input should be a valid string, found 5"),
    "long text": (tell({"text": "x" * 20_001}), 422, "at most 20000 characters, found 20,001"),
    "1 MB": (tell({"text": "x" * 1_000_000}), 413, f"larger than {BODY:,} bytes"),
    "k of 0": (tell({"text": "a", "k": 0}), 422, "k: input should be greater than or equal to 1"),
    "huge k": (tell({"text": "a", "k": 10**9}), 422, "equal to 100, found 1000000000"),
    "k as text": (tell({"text": "a", "k": "5"}), 422, "k: input should be a valid integer"),
    "column": (tell({"text": "a", "where": {"x": "y"}}), 422, "where.x: the index has no such"),
    "value": (tell({"text": "a", "where": {"side": "y"}}), 422, "the value 'y'; its values are: c"),
    "side": (tell({"text": "a", "not_side": "y"}), 422, "not_side: no text of the index has"),
    "field": (tell({"text": "a", "wher": 1}), 422, "wher: extra inputs are not permitted"),
    "refused by the index": (tell({"text": "refuse"}), 422, "it refuses"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_requests_are_told_what_is_wrong(asked: TestClient, name: str) -> None:
    body, status, message = BAD[name]
    found = asked.post("/search", content=body, headers=JSON)
    assert found.status_code == status
    assert [*found.json()] == ["error"]
    assert message in found.json()["error"]
    assert len(found.json()["error"]) < 300
    # And the server goes on.
    assert asked.post("/search", json={"text": "a"}).status_code == 200


def test_a_body_that_hides_its_size_is_cut(asked: TestClient) -> None:
    found = asked.post("/search", content=iter([b"x" * 1000] * 500), headers=JSON)
    assert found.status_code == 413


def test_the_longest_text_fits_into_a_body(asked: TestClient) -> None:
    # JSON writes each of these characters as twelve.
    body = tell({"text": "\U0001f600" * CHARACTERS})
    assert len(body) > 12 * CHARACTERS
    assert asked.post("/search", content=body, headers=JSON).status_code == 200


def test_a_form_of_another_page_is_no_question(asked: TestClient, asker: StandIn) -> None:
    found = asked.post(
        "/search", content=tell({"text": "a"}), headers={"Content-Type": "text/plain"}
    )
    assert found.status_code == 415
    assert "Content-Type: application/json" in found.json()["error"]
    assert asker.calls == []


def test_addresses_that_there_are_not_are_refused_in_json(asked: TestClient) -> None:
    assert asked.get("/nowhere").json() == {"error": "Not Found"}
    assert asked.get("/search").status_code == 405


def test_concurrent_requests_share_a_call(asked: TestClient, asker: StandIn) -> None:
    asker.let.clear()
    with ThreadPoolExecutor(4) as pool:
        ask = lambda text: asked.post("/search", json={"text": text})  # noqa: E731
        running = [pool.submit(ask, "first")]
        assert asker.asked.wait(60)
        running += [pool.submit(ask, text) for text in "abc"]
        wait_for(asked, "counterpoint_waiting_questions 3.0")
        asker.let.set()
        assert [each.result(60).status_code for each in running] == [200] * 4
    assert [sorted(call) for call in asker.calls] == [["first"], ["a", "b", "c"]]


def wait_for(asked: httpx2.Client, line: str) -> None:
    """Until the counters say so."""
    while line not in asked.get("/metrics").text:
        time.sleep(0.01)


def test_a_full_queue_answers_503_and_when_to_come_again(asker: StandIn) -> None:
    asker.let.clear()
    with client(asker, Settings(queue=1)) as asked, ThreadPoolExecutor(2) as pool:
        ask = lambda text: asked.post("/search", json={"text": text})  # noqa: E731
        first = pool.submit(ask, "first")
        assert asker.asked.wait(60)
        second = pool.submit(ask, "second")
        wait_for(asked, "counterpoint_waiting_questions 1.0")
        third = ask("third")
        assert third.status_code == 503
        assert third.headers["Retry-After"] == "1"
        assert "too many questions wait" in third.json()["error"]
        asker.let.set()
        assert (first.result(60).status_code, second.result(60).status_code) == (200, 200)
        wait_for(asked, 'counterpoint_requests_total{route="/search",status="503"} 1.0')


def test_who_does_not_wait_is_not_asked_for(asker: StandIn) -> None:
    asker.let.clear()
    body = tell({"text": "gone"})
    lines = ["POST /search HTTP/1.1", "Host: x", f"Content-Length: {len(body)}",
             "Content-Type: application/json", "", ""]  # fmt: skip
    with (
        listening(asker) as url,
        httpx2.Client(base_url=url) as asked,
        ThreadPoolExecutor(2) as pool,
    ):
        first = pool.submit(asked.post, "/search", json={"text": "first"})
        assert asker.asked.wait(60)
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as leaver:
            leaver.sendall("\r\n".join(lines).encode() + body)
            wait_for(asked, "counterpoint_waiting_questions 1.0")
        wait_for(asked, 'counterpoint_requests_total{route="/search",status="499"} 1.0')
        asker.let.set()
        assert first.result(60).status_code == 200
        assert asked.post("/search", json={"text": "last"}).status_code == 200
    assert asker.calls == [["first"], ["last"]]


def test_a_failure_is_told_without_its_inside(asked: TestClient) -> None:
    found = asked.post("/search", json={"text": "fail"})
    assert found.status_code == 500
    assert found.json() == {"error": "the server failed; its output says why"}
    assert 'route="/search",status="500"} 1.0' in asked.get("/metrics").text


@pytest.mark.parametrize("given", [None, "Bearer wrong", f"Basic {TOKEN}", "Bearer", "Bearer \xe9"])
def test_who_lacks_the_token_is_refused(locked: TestClient, given: str | None) -> None:
    headers = [] if given is None else [(b"Authorization", given.encode("latin-1"))]
    for found in (
        locked.post("/search", json={"text": "a"}, headers=headers),
        locked.get("/index", headers=headers),
        locked.get("/metrics", headers=headers),
    ):
        assert found.status_code == 401
        assert found.headers["WWW-Authenticate"] == "Bearer"
        assert "Authorization: Bearer" in found.json()["error"]


def test_who_has_the_token_is_answered(locked: TestClient) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert locked.post("/search", json={"text": "a"}, headers=headers).status_code == 200
    assert locked.get("/index", headers=headers).status_code == 200
    # What tells nothing of the index is open.
    for path in ("/healthz", "/", "/docs", "/openapi.json"):
        assert locked.get(path).status_code == 200


def test_a_page_under_another_name_may_not_ask(asker: StandIn) -> None:
    """A name that somebody makes lead to this machine: DNS rebinding."""
    with client(asker, Settings(hosts=("127.0.0.1", "localhost", "[::1]"))) as asked:
        for host in ("localhost", "127.0.0.1:8000", "[::1]:8000"):
            assert asked.get("/index", headers={"Host": host}).status_code == 200
        for host in ("evil.example", "127.0.0.1.evil.example:8000", ""):
            assert asked.get("/index", headers={"Host": host}).status_code == 400


def test_the_page_may_load_nothing_and_its_nonce_is_never_the_same(asked: TestClient) -> None:
    nonces = set()
    for path in ("/", "/", "/docs"):
        found = asked.get(path)
        policy = found.headers["Content-Security-Policy"]
        [nonce] = set(re.findall(r"'nonce-([^']+)'", policy))
        nonces.add(nonce)
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert re.findall(r"<(?:style|script)[^>]*>", found.text) == [
            f'<{name} nonce="{nonce}">' for name in ("style", "script") if f"<{name}" in found.text
        ]
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//|@import|url\(", found.text)
        assert found.headers["X-Content-Type-Options"] == "nosniff"
    assert len(nonces) == 3


def test_the_page_puts_no_text_into_markup(asked: TestClient) -> None:
    page = asked.get("/").text
    assert "innerHTML" not in page
    assert "insertAdjacentHTML" not in page
    assert EVIL not in page


def test_the_interface_is_described_without_a_network(locked: TestClient) -> None:
    schema = locked.get("/openapi.json").json()
    search = schema["paths"]["/search"]["post"]
    assert set(search["responses"]) == {"200", "400", "401", "413", "415", "422", "503"}
    assert search["security"] == [{"HTTPBearer": []}]
    page = locked.get("/docs").text
    for told in ("POST /search", "GET /index", "GET /healthz", "SearchRequest", "maxLength"):
        assert told in page


def test_health_is_what_it_says(asker: StandIn) -> None:
    with client(asker) as asked:
        assert asked.get("/healthz").json() == {"status": "ok"}
    # The thread has ended with the server.
    assert asked.get("/healthz").status_code == 503


def test_no_counter_holds_a_text_or_an_address_that_somebody_made_up(asked: TestClient) -> None:
    asked.post("/search", json={"text": "a secret"})
    asked.get("/secret")
    counters = asked.get("/metrics").text
    assert 'counterpoint_requests_total{route="other",status="404"} 1.0' in counters
    assert f"counterpoint_index_texts {DESCRIBED.size}.0" in counters
    assert "secret" not in counters
