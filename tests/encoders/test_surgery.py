"""Inner parts of torch and transformers: used with the versions tested with them alone."""

import warnings
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders import surgery
from counterpoint.encoders.dropout import Dropout
from tests.support.encoders import embedded, live_encoder, other_versions

LOCK = Path(__file__).parents[2] / "requirements.lock"


def test_the_versions_tested_are_those_of_the_lock() -> None:
    pinned = dict(line.split("==") for line in LOCK.read_text().splitlines() if "==" in line)
    for package, tested in surgery.TESTED.items():
        assert pinned[package].split(".")[:2] == tested.split(".")


@pytest.fixture
def forgetful() -> None:
    """As at the start of a process."""
    surgery.is_tested.cache_clear()


@pytest.mark.parametrize("tested", ["0.1", "2.1", "2.1300"])
@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_another_version_is_told_once(
    package: str, tested: str, forgetful: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(surgery.TESTED, package, tested)
    with pytest.warns(UserWarning, match=rf"{package} {version(package)[:3]}.*tested: {tested}\)"):
        assert not surgery.is_tested()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not surgery.is_tested()
    surgery.is_tested.cache_clear()


def test_the_versions_tested_are_not_told(forgetful: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surgery, "TESTED", {"torch": ".".join(version("torch").split(".")[:2])})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert surgery.is_tested()
    surgery.is_tested.cache_clear()


def test_with_another_version_a_model_is_left_as_it_comes(small: Corpus, tiny_bert: Path) -> None:
    with other_versions():
        encoder = live_encoder(tiny_bert, small, trainable=1, dropout=0.0)
        whole = live_encoder(tiny_bert, small, trainable=1, dropout=None)
    assert not encoder.packs
    assert not encoder.computes_lower_layers_once
    assert not [module for module in encoder.modules() if isinstance(module, Dropout)]
    assert {m.p for m in encoder.modules() if isinstance(m, torch.nn.Dropout)} == {0.0}
    assert {m.p for m in whole.modules() if isinstance(m, torch.nn.Dropout)} == {0.1}
    ours = live_encoder(tiny_bert, small, trainable=1, dropout=0.0)
    assert ours.packs
    assert ours.computes_lower_layers_once
    torch.testing.assert_close(embedded(encoder, 9), embedded(ours, 9), rtol=1e-4, atol=1e-5)
