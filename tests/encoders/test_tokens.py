"""Tokens of a corpus: cut, written, read again, refused."""

from pathlib import Path

import numpy as np
import pytest

from counterpoint.config.options import EncoderOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.tokens import read_tokens, tokenise, write_tokens
from counterpoint.errors import InputError
from tests.support.encoders import encoder_options


def test_tokens_made_with_other_options_are_refused(
    small: Corpus, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, path = encoder_options(tiny_bert, max_tokens=8), tmp_path / "tokens.safetensors"
    write_tokens(tokenise(small, made), small, path, made)
    # What tokens do not depend on may differ, and so may the way that the encoder is named.
    monkeypatch.chdir(tiny_bert.parent)
    read_tokens(path, small, EncoderOptions(name=tiny_bert.name, max_tokens=8))
    read_tokens(path, small, encoder_options(tiny_bert, max_tokens=8, pooling="cls"))
    with pytest.raises(
        InputError, match=r"tokens\.safetensors: made with .*max_tokens: 8, and not"
    ):
        read_tokens(path, small, encoder_options(tiny_bert, max_tokens=9))


def test_tokens_are_cut_and_survive_a_round_trip(
    small: Corpus, tiny_bert: Path, tmp_path: Path
) -> None:
    tokens = tokenise(small, encoder_options(tiny_bert, max_tokens=8))
    made = tokens.candidate
    assert made.lengths(np.arange(len(small.texts))).max() == 8
    write_tokens(tokens, small, tmp_path / "tokens.safetensors")
    read = read_tokens(tmp_path / "tokens.safetensors", small).candidate
    np.testing.assert_array_equal(read.ids, made.ids)
    np.testing.assert_array_equal(read.starts, made.starts)
    assert read.pad == made.pad == 0
