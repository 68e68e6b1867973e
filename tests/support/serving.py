"""What tests of the server share: an asker that is none, and the server as a process."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from starlette.testclient import TestClient

from counterpoint.errors import InputError
from counterpoint.retrieval.asking import Answer, Question
from counterpoint.serve import server
from counterpoint.serve.app import Described, Settings, make_app

COLUMNS: Mapping[str, Mapping[str, int]] = {
    "side": {"con": 2, "pro": 1},
    "debate": {"cars in the city": 2, "zoos": 1},
    "theme": {"traffic": 2, "animals": 1},
}
DESCRIBED = Described("a cell", 3, COLUMNS)

EVIL = '<script>document.title = "broken"</script><img src=x onerror="document.title=1"> & <b>b</b>'

DOCUMENTS = [
    ("Electric cars hardly pollute.", "con", "cars in the city", "traffic"),
    (f"Cars give freedom.\n\n{EVIL}", "con", "cars in the city", "traffic"),
    ("Zoos save species from extinction.", "pro", "zoos", "animals"),
]


def answers_to(question: Question) -> list[Answer]:
    """All documents that fit, in their order."""
    fitting = [
        (text, {"side": side, "debate": debate, "theme": theme})
        for text, side, debate, theme in DOCUMENTS
        if side != question.not_side
        and question.where.items() <= {"side": side, "debate": debate, "theme": theme}.items()
    ]
    return [
        Answer(rank, text, f"made/up/{rank}", known, rank / 8, 1 - rank / 8, 0.5 / rank, 4 - rank)
        for rank, (text, known) in enumerate(fitting, start=1)
    ]


class StandIn:
    """Answers at once, or when it is let; the text `fail` breaks it, and `refuse` is refused."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.depths: list[int] = []
        self.asked = threading.Event()
        """Somebody asks."""
        self.let = threading.Event()
        """They may have their answers."""
        self.let.set()

    def ask(self, questions: Sequence[Question], k: int) -> list[list[Answer]]:
        self.calls.append([question.text for question in questions])
        self.depths.append(k)
        self.asked.set()
        assert self.let.wait(60)
        texts = [question.text for question in questions]
        if "fail" in texts:
            raise RuntimeError("it failed")
        if "refuse" in texts:
            raise InputError("it refuses")
        return [answers_to(question)[:k] for question in questions]


@contextmanager
def client(
    asker: StandIn, settings: Settings | None = None, described: Described = DESCRIBED
) -> Iterator[TestClient]:
    """A client of a server with a stand-in."""
    app = make_app(asker, described, settings or Settings())
    with TestClient(app, raise_server_exceptions=False) as made:
        yield made


@contextmanager
def listening(
    asker: StandIn, settings: Settings | None = None, described: Described = DESCRIBED
) -> Iterator[str]:
    """A server with a stand-in at an address, in a thread."""
    bound = server.bind("127.0.0.1", 0)
    running = server.server_of(make_app(asker, described, settings or Settings()))
    bound.listen()
    thread = threading.Thread(target=running.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        yield server.url_of(bound)
    finally:
        running.should_exit = True
        thread.join()


@contextmanager
def served(index: Path, *options: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """`counterpoint serve` in a process of its own, and its address."""
    command = [sys.executable, "-m", "counterpoint", "serve", str(index), "--port", "0", *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("counterpoint: http"), line
            yield process, line.split()[1]
        finally:
            process.kill()


def tell(value: object) -> bytes:
    """As JSON."""
    return json.dumps(value).encode()
