"""The public Python interface: what a notebook imports."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import counterpoint
from counterpoint.corpus.arguments import Corpus


def test_every_public_name_is_there_and_documented() -> None:
    for name in counterpoint.__all__:
        assert getattr(counterpoint, name).__doc__, name
    assert set(counterpoint.__all__) < set(dir(counterpoint))
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        counterpoint.no_such_name  # type: ignore[attr-defined]  # noqa: B018  as it is not there


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, counterpoint; print(*(m for m in sys.modules if 'counterpoint' in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "counterpoint.api" not in done.stdout
    assert "counterpoint.corpus" not in done.stdout


def test_the_sample_is_opened_by_default(sample: Corpus) -> None:
    assert counterpoint.open_corpus() == sample
    dropped = counterpoint.open_corpus(decontaminate="train")
    assert dropped.decontaminate == "train"
    same = counterpoint.open_corpus("sample", splits={"test": "validation"})
    assert same.roles == {"train": "training", "dev": "validation", "test": "validation"}


def test_a_corpus_that_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(counterpoint.InputError, match="nowhere"):
        counterpoint.open_corpus(tmp_path / "nowhere")
    with pytest.raises(counterpoint.InputError, match="splits"):
        counterpoint.open_corpus(splits={"trian": "training"})


def test_texts_are_encoded_as_the_untrained_encoder_does(tiny_bert: Path) -> None:
    options = {"name": str(tiny_bert), "max_tokens": 16}
    texts = ["Cars pollute.", "Cars bring freedom.", " Cars  pollute. "]
    vectors = counterpoint.encode_texts(texts, encoder=options)
    assert vectors.shape == (3, 32)
    assert vectors.dtype == np.float32
    # White space makes no other text, and other texts in the call change no vector.
    np.testing.assert_array_equal(vectors[0], vectors[2])
    alone = counterpoint.encode_texts(texts[1:2], encoder=options)
    np.testing.assert_allclose(alone[0], vectors[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("texts", "said"), [([], "at least one"), (["a", " \n"], "text 1")])
def test_no_text_and_an_empty_one_are_refused(texts: list[str], said: str) -> None:
    with pytest.raises(counterpoint.InputError, match=said):
        counterpoint.encode_texts(texts)
