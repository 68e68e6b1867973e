"""What tests of the commands are given."""

from pathlib import Path

import pytest

from counterpoint.corpus.arguments import Corpus
from tests.support.commands import Inputs


@pytest.fixture
def inputs(tmp_path: Path, small_tree: dict[str, str], small: Corpus) -> Inputs:
    (tmp_path / "inputs").mkdir()
    return Inputs(tmp_path / "inputs", small_tree, small)
