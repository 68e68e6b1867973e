"""A built wheel holds every file of the package: modules, the report's page, the sample corpus."""

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "counterpoint"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a wheel that is built without the network."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling, which builds the wheel, is not installed; `pip install hatchling`")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--wheel-dir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_what_the_package_folder_does(wheel: set[str]) -> None:
    expected = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in wheel if name.startswith("counterpoint/")} == expected


def test_the_wheel_holds_the_page_the_sample_and_the_mark_of_types(wheel: set[str]) -> None:
    """By name, because a file that is gone from the folder too would be missed by no one."""
    for name in (
        "page.html",
        "page.css",
        "base.js",
        "charts.js",
        "epochs.js",
        "start.js",
        "table.js",
    ):
        assert f"counterpoint/reporting/page/{name}" in wheel
    assert "counterpoint/py.typed" in wheel
    sample = "counterpoint/corpus/sample/02-extracted-arguments/test/cities/close-city-zoos"
    assert f"{sample}/pro/pro01a-point.txt" in wheel
    assert f"{sample}/con/con01b-counter.txt" in wheel
