"""Outputs of a frozen encoder: computed, written, read again, used."""

from pathlib import Path

import numpy as np
import pytest
import torch

from counterpoint.config.options import EncoderOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.features import (
    FrozenFeatures,
    read_features,
    same_outputs,
    write_features,
)
from counterpoint.encoders.live import frozen_features
from counterpoint.encoders.names import resolve
from counterpoint.encoders.tokens import tokenise
from counterpoint.errors import InputError
from tests.support.encoders import encoder_options

CPU = torch.device("cpu")


def test_the_bundled_encoder_agrees_with_sentence_transformers(small: Corpus) -> None:
    from sentence_transformers import SentenceTransformer

    name = EncoderOptions()
    found = frozen_features(small, tokenise(small, name), name, CPU).candidate
    theirs = SentenceTransformer(resolve(name.name)).encode(
        small.texts, normalize_embeddings=False, convert_to_numpy=True
    )
    ours = found / np.linalg.norm(found, axis=1, keepdims=True)
    theirs = theirs / np.linalg.norm(theirs, axis=1, keepdims=True)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_features_of_another_corpus_are_refused(
    small: Corpus, sample: Corpus, tmp_path: Path
) -> None:
    x = np.zeros((len(small.texts), 4), dtype=np.float32)
    write_features(same_outputs(x), small, tmp_path / "features.safetensors")
    read = read_features(tmp_path / "features.safetensors", small)
    assert not read.differ
    np.testing.assert_array_equal(read.candidate, x)
    with pytest.raises(InputError, match=r"features\.safetensors: made from another corpus"):
        read_features(tmp_path / "features.safetensors", sample)


@pytest.mark.parametrize("pooling", ["pooler", "cls", "mean"])
def test_vectors_do_not_depend_on_the_batches(small: Corpus, tiny_bert: Path, pooling: str) -> None:
    found = []
    for budget in (64, 4096):
        setting = encoder_options(tiny_bert, pooling=pooling, batch_tokens=budget)
        found.append(frozen_features(small, tokenise(small, setting), setting, CPU).candidate)
    assert found[0].shape == (len(small.texts), 32)
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    assert np.abs(found[0][0] - found[0][1]).max() > 1e-4


def test_frozen_features_are_no_part_of_the_saved_weights() -> None:
    frozen = FrozenFeatures(same_outputs(np.ones((3, 2), dtype=np.float32)))
    assert frozen.state_dict() == {}
    assert frozen(torch.tensor([2]), "query").tolist() == [[1.0, 1.0]]
