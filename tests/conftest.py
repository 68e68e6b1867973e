"""What several tests share: little corpora, the sample, and the real one where it is at hand."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from counterpoint.corpus.arguana import read_corpus
from counterpoint.corpus.arguments import Corpus
from counterpoint.corpus.sources import open_source
from tests.support.debates import ROLES, small_debates

# Imported where they are used: they load torch, which most tests can do without.
if TYPE_CHECKING:
    from tests.support.trained import Trained
    from tests.support.training import JobInputs


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that open a browser, whose fixture is called `browser`."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


@pytest.fixture(scope="session")
def sample() -> Corpus:
    """The corpus that the package ships."""
    return read_corpus(open_source("sample"), ROLES)[0]


@pytest.fixture(scope="session")
def arguana() -> str:
    """The path of the real corpus; tests that want it are skipped where it is not given."""
    path = os.environ.get("COUNTERPOINT_ARGUANA")
    if not path:
        pytest.skip("COUNTERPOINT_ARGUANA does not name the real corpus")
    return path


@pytest.fixture(scope="session")
def real(arguana: str) -> Corpus:
    """The real training and validation splits, validation in the test role too."""
    roles = {"train": "training", "dev": "validation", "test": "validation"}
    return read_corpus(open_source(arguana), roles)[0]


@pytest.fixture
def write_tree(tmp_path: Path) -> Callable[[Mapping[str, str | bytes]], Path]:
    """Write files below a new folder: {"training/law/x/pro/pro01a-point.txt": "text", …}."""

    def write(files: Mapping[str, str | bytes], name: str = "corpus") -> Path:
        root = tmp_path / name
        for path, content in files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            data = content.encode("utf-8") if isinstance(content, str) else content
            target.write_bytes(data)
        return root

    return write


@pytest.fixture
def small_tree() -> dict[str, str]:
    """Three splits, two debates each, two themes: 24 pairs."""
    return small_debates()


@pytest.fixture
def small(small_tree: dict[str, str], write_tree: Callable[[Mapping[str, str]], Path]) -> Corpus:
    """`small_tree` as a corpus."""
    return read_corpus(open_source(str(write_tree(small_tree))), ROLES)[0]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A made-up corpus in which training finds something."""
    from tests.support.training import planted_corpus

    return planted_corpus(tmp_path_factory.mktemp("planted") / "corpus")


@pytest.fixture
def inputs(corpus: Corpus, tmp_path: Path) -> "JobInputs":
    """What a job on it is given."""
    from tests.support.training import features, job_inputs

    return job_inputs(corpus, features(corpus), tmp_path)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261123)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers and 32 dimensions with random weights, as `save_pretrained` writes it.

    Its tokenizer is the bundled encoder's.
    """
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    from counterpoint.encoders.names import resolve

    folder = tmp_path_factory.mktemp("tiny-bert")
    with torch.random.fork_rng():
        torch.manual_seed(7)
        config = BertConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
        )
        BertModel(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(resolve("all-MiniLM-L6-v2")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> "Trained":
    """A run of tiny cells, trained once. Never to be written into: a copy is."""
    from tests.support.trained import make_run

    return make_run(tmp_path_factory.mktemp("trained"), tiny_bert)
