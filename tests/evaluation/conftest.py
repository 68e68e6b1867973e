"""A run of tiny cells, trained once."""

from pathlib import Path

import pytest

from tests.support.trained import Trained, make_run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Trained:
    """Never to be written into: a copy is."""
    return make_run(tmp_path_factory.mktemp("trained"), tiny_bert)
