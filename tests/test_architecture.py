"""The house stays one-way, and nothing dangerous moves in."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "counterpoint"


def rows_of_table() -> list[str]:
    """The modules in the order of the table in docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.split("| module | holds |\n|---|---|\n")[1].split("\n\n")[0]
    return [
        name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[1])
    ]


def imports(path: Path) -> set[str]:
    """The package's modules that a module imports, at the top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "counterpoint":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("counterpoint."):
            found.add(str(node.module).split(".")[1])
    return found & {path.stem for path in PACKAGE.glob("*.py")}


def test_every_module_has_its_place_in_the_table() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert sorted(rows_of_table()) == sorted(modules)


def test_a_module_imports_only_from_those_above_it() -> None:
    places = {name: place for place, name in enumerate(rows_of_table())}
    wrong = [
        f"{path.stem} imports {name}"
        for path in PACKAGE.glob("*.py")
        if path.stem != "__init__"
        for name in imports(path)
        if places[name] >= places[path.stem]
    ]
    assert wrong == []


def test_every_module_opens_with_a_docstring() -> None:
    for path in PACKAGE.glob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


def test_nothing_unpickles_or_runs_remote_code() -> None:
    words = re.compile(r"import pickle|trust_remote_code|torch\.load|allow_pickle=True|except:")
    for path in [*PACKAGE.glob("*.py"), *(ROOT / "benchmarks").glob("*.py")]:
        assert not words.search(path.read_text(encoding="utf-8")), path


def test_nothing_relies_on_the_developers_shared_folder() -> None:
    folders = [PACKAGE, ROOT / "workflow", ROOT / "config", ROOT / "benchmarks"]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    for path in [*files, ROOT / "Snakefile", ROOT / "Makefile"]:
        if path.suffix in {".py", ".smk", ".yaml", ".json", ".sh", ""}:
            assert "../shared" not in path.read_text(encoding="utf-8"), path
