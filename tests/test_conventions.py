"""What no linter checks: nothing dangerous moves in, and tests share by `tests/support` alone."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "counterpoint"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def test_every_module_opens_with_a_docstring() -> None:
    for path in [*MODULES, *TESTS]:
        text = path.read_text(encoding="utf-8")
        assert not text or ast.get_docstring(ast.parse(text)), path


def test_nothing_unpickles_or_runs_remote_code() -> None:
    # That code is refused, and what transformers then says, may stand there.
    refusal = r'trust_remote_code(?!=False,|" in str\(error\))'
    words = re.compile(rf"import pickle|{refusal}|torch\.load|allow_pickle=True|except:")
    for path in [*MODULES, *(ROOT / "benchmarks").glob("*.py")]:
        assert not words.search(path.read_text(encoding="utf-8")), path


def test_nothing_relies_on_the_developers_shared_folder() -> None:
    folders = [PACKAGE, ROOT / "workflow", ROOT / "config", ROOT / "benchmarks"]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    for path in [*files, ROOT / "Snakefile", ROOT / "Makefile"]:
        if path.suffix in {".py", ".smk", ".yaml", ".json", ".sh", ""}:
            assert "../shared" not in path.read_text(encoding="utf-8"), path


def test_no_test_imports_from_another_one() -> None:
    sibling = re.compile(r"^\s*(?:from|import) (tests\.(?!support\b)[\w.]+)", re.MULTILINE)
    found = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in TESTS
        for name in sibling.findall(path.read_text(encoding="utf-8"))
    }
    assert found == set()


def test_every_package_of_tests_is_one_of_the_program() -> None:
    folders = {path.parent.relative_to(ROOT / "tests").parts[:1] for path in TESTS}
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {name for (name,) in folders - {()}} - {"support", "workflow"} <= packages


def test_tests_of_a_group_run_in_one_process(request: pytest.FixtureRequest) -> None:
    if not hasattr(request.config, "workerinput"):
        pytest.skip("all tests run in one process")
    grouped = [item for item in request.session.items if item.get_closest_marker("xdist_group")]
    # pytest-xdist tells groups apart by what it adds to these names; some releases of pytest
    # ignore it, and the fixtures of a group are then made once a process.
    assert all(item.nodeid.endswith("@workflow") for item in grouped)
