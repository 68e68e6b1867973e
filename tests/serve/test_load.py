"""The load of `benchmarks.serve`: real requests, and a table of what they saw."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks import serve
from counterpoint.errors import InputError
from counterpoint.serve.app import Settings
from tests.support.commands import Captured
from tests.support.serving import StandIn, listening

PRINTED = """Running 2s test @ http://127.0.0.1:8000
  100 requests in 2.00s, 1.00MB read
RESULT {"seconds": 2.0, "median": 5.25, "p99": 20, "longest": 31.06, "broken": 1, "statuses": \
{"200": 90, "503": 8, "500": 2}}
"""


def test_a_row_by_hand() -> None:
    assert serve.row(serve.load_of(8, PRINTED)) == {
        "clients": 8,
        "answers a second": "45.0",
        "median (ms)": "5.2",
        "99th percentile (ms)": "20.0",
        "longest (ms)": "31.1",
        "200": "90",
        "503": "8",
        "other statuses": "2",
        "broken": "1",
    }


def test_it_asks_the_points_of_a_corpus_each_once() -> None:
    bodies = [json.loads(body) for body in serve.questions("sample", 3)]
    assert len(bodies) > 100
    assert len({body["text"] for body in bodies}) == len(bodies)
    assert {body["k"] for body in bodies} == {3}


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_a_running_server_under_load(tmp_path: Path, capsys: Captured) -> None:
    asker = StandIn()
    (tmp_path / "token").write_text("correct-horse-battery")
    with listening(asker, Settings(token="correct-horse-battery")) as url:
        given = ["--url", url, "--seconds", "1", "--clients", "1", "4"]
        serve.main([*given, "--token-file", str(tmp_path / "token"), "--markdown",
                    str(tmp_path / "load.md")])  # fmt: skip
    printed = capsys.readouterr().out
    assert (tmp_path / "load.md").read_text() == printed
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines()[2:]]
    assert [row[0] for row in rows] == ["1", "4"]
    for row in rows:
        assert int(row[5].replace(",", "")) > 0
        assert row[6:] == ["0", "0", "0"]
    # Of what was asked, nothing but the corpus's points.
    points = {json.loads(body)["text"] for body in serve.questions("sample", 10)}
    assert {text for call in asker.calls for text in call} <= points


def test_without_wrk_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="apt-get install wrk"):
        serve.measure("http://127.0.0.1:9", tmp_path, 1, 1, None)
