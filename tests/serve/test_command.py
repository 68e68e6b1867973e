"""`counterpoint serve`: a real index in a process of its own, and what it refuses to serve."""

import importlib.util
import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from counterpoint.cli.main import main
from counterpoint.retrieval.asking import Asker, Question
from counterpoint.retrieval.collection import Document
from counterpoint.retrieval.index import Index
from counterpoint.retrieval.indexing import build
from counterpoint.serve import server
from tests.support.commands import Captured
from tests.support.retrieval import COUNTERS, POINTS, retriever
from tests.support.serving import served

TOKEN = "correct-horse-battery"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Path:
    """Five counters, their sides in turn, and a cell that re-ranks."""
    path = tmp_path_factory.mktemp("index") / "index"
    sides = ["pro", "con", "pro", "con", "pro"]
    documents = [
        Document(text, f"made/up/{number}", {"side": side})
        for number, (text, side) in enumerate(zip(COUNTERS, sides, strict=True))
    ]
    build(path, documents, retriever(tiny_bert))
    return path


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return path


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that is."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        yield held.getsockname()[1]


def test_it_answers_as_the_index_does_and_ends_when_asked_to(index: Path) -> None:
    opened = Index.open(index)
    expected = Asker(opened, opened.retriever()).ask([Question(POINTS[0], {"side": "pro"})], 2)
    body = json.dumps({"text": POINTS[0], "k": 2, "where": {"side": "pro"}}).encode()
    with served(index) as (process, url):
        told = httpx2.get(f"{url}/index").json()
        assert (told["system"], told["size"]) == ("a cell", 5)
        assert httpx2.get(f"{url}/index", headers={"Host": "evil.example"}).status_code == 400
        found = httpx2.post(f"{url}/search", json=json.loads(body))
        assert [answer["text"] for answer in found.json()["answers"]] == [
            answer.text for answer in expected[0]
        ]
        for answer, wanted in zip(found.json()["answers"], expected[0], strict=True):
            assert answer["distance"] == pytest.approx(wanted.distance, abs=1e-5)
            assert answer["probability"] == pytest.approx(wanted.probability, abs=1e-5)
        # A request that runs when the server is asked to end is answered.
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as running:
            running.sendall(request_head(len(body)))
            assert running.recv(1000).startswith(b"HTTP/1.1 100")
            process.send_signal(signal.SIGTERM)
            while accepts(host, int(port)):
                pass
            running.sendall(body)
            answer = received(running)
        assert answer.startswith(b"HTTP/1.1 200")
        assert expected[0][0].text.encode() in answer
        assert process.wait(60) == 0


def request_head(length: int) -> bytes:
    """Of a request whose sender waits until the server has begun to read it."""
    lines = ["POST /search HTTP/1.1", "Host: localhost", "Content-Type: application/json",
             f"Content-Length: {length}", "Expect: 100-continue", "", ""]  # fmt: skip
    return "\r\n".join(lines).encode()


def accepts(host: str, port: int) -> bool:
    """Whether anyone listens there."""
    try:
        socket.create_connection((host, port)).close()
    except ConnectionRefusedError:
        return False
    return True


def received(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_beyond_this_machine_it_asks_for_the_token(index: Path, token_file: Path) -> None:
    with served(index, "--host", "0.0.0.0", "--token-file", str(token_file)) as (process, address):
        url = address.replace("0.0.0.0", "127.0.0.1")
        question: dict[str, Any] = {"json": {"text": POINTS[0]}}
        assert httpx2.get(f"{url}/healthz").status_code == 200
        assert httpx2.post(f"{url}/search", **question).status_code == 401
        headers = {"Authorization": f"Bearer {TOKEN}", "Host": "our.name.example"}
        assert httpx2.post(f"{url}/search", **question, headers=headers).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def refusal(arguments: list[object], capsys: Captured) -> str:
    assert main(["serve", *map(str, arguments)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    return printed.err


def test_everybody_may_ask_nowhere_but_here(index: Path, capsys: Captured) -> None:
    for host in ("0.0.0.0", "::"):
        message = refusal([index, "--host", host], capsys)
        assert f"--host {host}: others could ask" in message
        assert "give --token-file" in message


@pytest.mark.parametrize("token", ["", "short", "two lines of\na token", "ünsichtbarer token"])
def test_a_token_that_cannot_be_one_is_refused(
    index: Path, token_file: Path, token: str, capsys: Captured
) -> None:
    token_file.write_text(token)
    message = refusal([index, "--token-file", token_file], capsys)
    assert f"{token_file}: expected a token of at least 16" in message
    assert "secrets.token_urlsafe()" in message
    assert not token or token not in message


def test_a_token_file_that_is_not_there_is_told(index: Path, tmp_path: Path, capsys) -> None:
    assert "none: No such file" in refusal([index, "--token-file", tmp_path / "none"], capsys)


def test_an_address_that_cannot_be_had_is_told(index: Path, taken: int, capsys) -> None:
    assert f"127.0.0.1:{taken}: Address already in use" in refusal([index, "--port", taken], capsys)
    assert "--port 70000: expected at most 65535" in refusal([index, "--port", 70000], capsys)
    assert "--host no.such.invalid: there is no such host" in refusal(
        [index, "--host", "no.such.invalid"], capsys
    )


def test_what_is_no_index_is_told(tmp_path: Path, capsys: Captured) -> None:
    assert str(tmp_path) in refusal([tmp_path, "--port", "0"], capsys)


def test_a_missing_extra_is_told(index: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "uvicorn" else find(name)
    )
    message = refusal([index], capsys)
    assert "serve needs uvicorn, which is not installed; run pip install '.[serve]'" in message


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("192.0.2.1", False), ("2001:db8::1", False)],
)  # fmt: skip
def test_which_addresses_are_this_machine_alone(host: str, alone: bool) -> None:
    assert server.is_loopback(host) == alone


def test_addresses_are_written_as_browsers_take_them() -> None:
    assert server.hosts_of("127.0.0.1")[-1] == "127.0.0.1"
    assert server.hosts_of("::1")[-1] == "[::1]"
    with server.bind("127.0.0.1", 0) as bound:
        assert server.url_of(bound) == f"http://127.0.0.1:{bound.getsockname()[1]}"
