"""Which changes of the code make a checkpoint another one's, and which do not."""

import shutil
from pathlib import Path

import pytest

from counterpoint.runs import provenance
from counterpoint.runs.provenance import code_hash, is_of_this_code, parsed, running_code
from counterpoint.versions import TRAINING_VERSION
from tests.support.training import an_identity

MODULE = '''"""About rates."""

RATE = 0.5
"""Half."""


class Rates:
    """Several."""

    def at(self, epoch: int) -> float:
        """In an epoch."""
        # Falls.
        return RATE / (1 + epoch)
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the program's code."""
    return Path(
        shutil.copytree(
            provenance.PACKAGE, tmp_path / "counterpoint", ignore=shutil.ignore_patterns("sample")
        )
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# Falls.", "# Falls with time, as in the study."),
        ("About rates.", "About the rates of a cell."),
        ('"""Half."""\n', ""),
        ('    """Several."""\n', ""),
        ('"""In an epoch."""', '"""In an epoch, from 0."""'),
        ("1 + epoch", "1\n            + epoch"),
    ],
)
def test_comments_docstrings_and_line_breaks_are_no_other_code(old: str, new: str) -> None:
    assert old in MODULE
    assert parsed(MODULE.replace(old, new)) == parsed(MODULE)


@pytest.mark.parametrize(
    ("old", "new"),
    [("1 + epoch", "2 + epoch"), ("RATE = 0.5", "RATE = 0.25"), ("class Rates", "class Rate")],
)
def test_anything_else_is_other_code(old: str, new: str) -> None:
    assert parsed(MODULE.replace(old, new)) != parsed(MODULE)


@pytest.mark.parametrize("part", provenance.COMPUTED_WITH)
def test_an_edited_comment_orphans_no_checkpoint_and_an_edited_line_does(
    package: Path, part: str
) -> None:
    before = code_hash(package)
    path = package / part
    module = next(path.rglob("[a-z]*.py")) if path.is_dir() else path
    text = module.read_text(encoding="utf-8")
    module.write_text(f"{text}\n# A remark.\n", encoding="utf-8")
    assert code_hash(package) == before
    module.write_text(f"{text}\nNEW = 1\n", encoding="utf-8")
    assert code_hash(package) != before


@pytest.mark.parametrize("part", ["cli", "reporting", "runs", "study"])
def test_what_no_cell_computes_with_does_not_count(package: Path, part: str) -> None:
    before = code_hash(package)
    (package / part / "more.py").write_text("NEW = 1\n", encoding="utf-8")
    assert code_hash(package) == before


def test_a_checkpoint_is_of_this_code_by_hash_and_version() -> None:
    ours = an_identity(training_version=TRAINING_VERSION, code=running_code())
    assert is_of_this_code(ours)
    assert not is_of_this_code(an_identity(training_version=TRAINING_VERSION, code="0"))
    assert not is_of_this_code(an_identity(training_version=0, code=running_code()))
