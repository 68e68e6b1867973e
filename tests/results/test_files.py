"""The JSON files of a cell: what is written is read, and what is no such file is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from counterpoint.errors import InputError
from counterpoint.results.files import Failure, JsonFile, Outcome, Provenance, Seconds
from counterpoint.runs.folder import CellFolder
from tests.support.runs import write_files

OUTCOME = Outcome("stopped", "no better", 7, 3, {"projection": 4, "head": 2})
SECONDS = Seconds("2026-01-01T00:00:00+00:00", "2026-01-01T00:01:00+00:00", 60.0, {"train": 50.5})


@pytest.mark.parametrize("value", [OUTCOME, SECONDS, Failure("InputError: no\nmore")])
def test_what_is_written_is_read(tmp_path: Path, value: JsonFile) -> None:
    value.write(tmp_path / "file.json")
    assert type(value).read(tmp_path / "file.json") == value


def test_provenance_comes_back(tmp_path: Path) -> None:
    folder = CellFolder(tmp_path)
    write_files(folder)
    read = Provenance.read(folder.provenance)
    assert (read.code, read.processors, read.packages) == ("a", None, {"torch": "9.9"})


def test_stages_stand_beside_the_total_in_the_file(tmp_path: Path) -> None:
    SECONDS.write(tmp_path / "seconds.json")
    values = json.loads((tmp_path / "seconds.json").read_text())
    assert list(values) == ["started", "ended", "train", "total"]


def test_keys_of_a_newer_version_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "outcome.json"
    path.write_text(json.dumps({**OUTCOME.to_json(), "mood": "good"}))
    assert Outcome.read(path) == OUTCOME


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[]", b"{}", json.dumps({**OUTCOME.to_json(), "status": "?"}).encode()],
)
@pytest.mark.parametrize("kind", [Outcome, Seconds])
def test_what_is_no_such_file_is_named(tmp_path: Path, content: bytes, kind: Any) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"file\.json: not what this version writes"):
        kind.read(path)
