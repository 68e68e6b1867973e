"""The command line itself: its help, its refusals of arguments, and what it loads."""

import argparse
import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import counterpoint
from counterpoint.cli import main
from counterpoint.versions import program_version
from tests.support.commands import CONSOLE, Captured


def subcommands() -> dict[str, argparse.ArgumentParser]:
    actions = main.make_parser()._actions
    return next(a for a in actions if isinstance(a, argparse._SubParsersAction)).choices


def test_help_lists_every_command(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as exit_:
        main.main(["--help"])
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    listed = set(re.findall(r"^ {4}([a-z-]+)", out, flags=re.MULTILINE))
    assert set(subcommands()) == listed >= {"corpus", "tasks", "train", "tables", "plots"}


@pytest.mark.parametrize("name", sorted(subcommands()))
def test_the_help_of_a_command_mentions_all_its_options(name: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as exit_:
        main.main([name, "--help"])
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    for action in subcommands()[name]._actions:
        for option in action.option_strings:
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", out.split("options:")[1])


def test_the_version_is_the_packages(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as exit_:
        main.main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"counterpoint {program_version()}\n"


def test_no_message_names_a_command_that_does_not_exist() -> None:
    folder = Path(counterpoint.__file__).parent
    strings = [
        node.value
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    named = {name for text in strings for name in re.findall(r"`counterpoint ([a-z]+)", text)}
    assert named - set(subcommands()) == set()
    assert "corpus" in named


@pytest.mark.parametrize(
    "arguments",
    [
        ["synthesize", "--pairs", "0", "--out", "x"],
        ["synthesize", "--pairs", "many", "--out", "x"],
        ["corpus", "--bad-files", "keep"],
        ["corps", "--out", "x"],
        [],
    ],
    ids=" ".join,
)
def test_arguments_that_do_not_parse_end_with_status_2(
    arguments: list[str], capsys: Captured
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main.main(arguments)
    assert exit_.value.code == 2
    assert "usage: counterpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["synthesize", "--pairs", "10", "--out", "x", "--seed", "-1"],
        ["synthesize", "--pairs", "none", "--out", "x"],
        ["tables", "--run", "x", "--decimals", "-1"],
    ],
    ids=" ".join,
)
def test_numbers_out_of_range_are_refused_with_the_value(
    arguments: list[str], capsys: Captured
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main.main(arguments)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert "expected a whole number of at least" in message
    assert repr(arguments[-1]) in message or repr(arguments[2]) in message


def loaded(code: str) -> set[str]:
    """The modules, among those that take long, that some code loads."""
    slow = [
        "torch",
        "transformers",
        "numpy",
        "pandas",
        "pydantic",
        "sklearn",
        "pyarrow",
        "matplotlib",
        "snakemake",
        "fastapi",
        "uvicorn",
        "prometheus_client",
    ]
    script = f"{code}\nimport sys\nprint(*(m for m in {slow} if m in sys.modules), file=sys.stderr)"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(result.stderr.split())


def test_importing_the_command_line_loads_nothing_slow() -> None:
    assert loaded("import counterpoint.cli.main") == set()


def test_help_loads_nothing_slow() -> None:
    code = "import counterpoint.cli.main as c\ntry: c.main(['--help'])\nexcept SystemExit: pass"
    assert loaded(code) == set()


def test_a_training_job_loads_torch_but_neither_transformers_pandas_nor_sklearn() -> None:
    found = loaded("import counterpoint.runs.job")
    assert "torch" in found
    assert not found & {"transformers", "pandas", "sklearn"}


def test_the_console_command_ends_with_the_status_of_main() -> None:
    command = [CONSOLE, "tasks", "--split", "exam"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("counterpoint: corpus ")
    assert result.stdout == ""
