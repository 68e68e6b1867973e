"""`counterpoint convert`: what it prints and writes, and that it knows every format."""

import subprocess
from pathlib import Path

import pytest

from counterpoint.cli import main
from counterpoint.corpus.converters.formats import FORMATS
from tests.support.commands import CONSOLE, Captured, refused

EXPORT = """Discussion Title: Should zoos be closed?

1. Zoos should be closed.
1.1. Con: They save some species.
1.1.1. Con: Few were ever released.
1.2. Pro: Animals suffer in them.
1.2.1. Con: -> See 7.
"""


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "zoos.txt"
    path.write_text(EXPORT)
    return path


def test_it_prints_what_it_found_and_what_it_left_out(
    export: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "new" / "pairs.jsonl"
    assert main.main(["convert", "kialo", str(export), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "read: 1 discussions, 5 claims",
        f"{out}: 2 pairs of 2 points in 1 debates",
        "left out:",
        "  1 theses and other claims that are neither pro nor con",
        "  1 pros, which counter nothing",
        f"  1 cons that are, or are below, a link to no claim of the export (first: {export}:7)",
    ]
    assert printed.err == ""
    assert len(out.read_text().splitlines()) == 2
    assert main.main(["tasks", "--corpus", str(out), "--split", "all"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["queries", "2"]


def test_it_refuses_as_other_commands_do(export: Path, tmp_path: Path, capsys: Captured) -> None:
    message = refused(["convert", "kialo", export], tmp_path, capsys)
    assert "ends in .jsonl" in message
    out = tmp_path / "pairs.jsonl"
    out.write_text("keep")
    command = ["convert", "kialo", str(export), "--out", str(out)]
    assert main.main(command) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_text() == "keep"
    assert main.main([*command, "--overwrite"]) == 0
    assert out.read_text() != "keep"


def test_a_bad_file_ends_the_command_with_status_2_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"arguments": [')
    command = [CONSOLE, "convert", "argsme", "bad.json", "--out", "pairs.jsonl"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("counterpoint: bad.json: not JSON")
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad.json"]


def test_help_and_the_page_name_every_format(capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        main.main(["convert", "--help"])
    text = capsys.readouterr().out
    page = (Path(__file__).parents[2] / "docs" / "convert.md").read_text(encoding="utf-8")
    assert [name for name in FORMATS if name not in text or f"`{name}`" not in page] == []
