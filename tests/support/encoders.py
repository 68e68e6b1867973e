"""Live encoders, and what they make of a few texts."""

import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from counterpoint.config.options import EncoderOptions
from counterpoint.corpus.arguments import Texts
from counterpoint.encoders import surgery
from counterpoint.encoders.encoder import Encoder, gathered
from counterpoint.encoders.live import LiveEncoder
from counterpoint.encoders.tokens import tokenise


def encoder_options(folder: Path, **changes: object) -> EncoderOptions:
    """Options of the model in a folder, of 32 tokens."""
    return EncoderOptions.model_validate({"name": str(folder), "max_tokens": 32, **changes})


def live_encoder(folder: Path, corpus: Texts, **changes: object) -> LiveEncoder:
    """A live encoder of the model in a folder, over a corpus's texts."""
    options = encoder_options(folder, **changes)
    return LiveEncoder(options, tokenise(corpus, options))


@torch.no_grad()
def embedded(encoder: Encoder, n: int, role: str = "query") -> torch.Tensor:
    """(n, H): an embedding pass over the first n texts."""
    return gathered(encoder.embed(torch.arange(n), role), n)


def gradients(encoder: Encoder) -> dict[str, torch.Tensor]:
    """Copies of the gradients that there are, by their weights' names."""
    return {
        name: weights.grad.clone()
        for name, weights in encoder.named_parameters()
        if weights.grad is not None
    }


@contextmanager
def other_versions() -> Iterator[None]:
    """As if nothing had been tested with the installed torch: the libraries' own ways are taken."""
    surgery.is_tested.cache_clear()
    try:
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            patch.setitem(surgery.TESTED, "torch", "0.1")
            surgery.is_tested()
            yield
    finally:
        surgery.is_tested.cache_clear()


def model_with_prompts(folder: Path, to: Path, prompts: object, default: str | None = None) -> Path:
    """A copy of a model that names prompts, as sentence-transformers saves them."""
    shutil.copytree(folder, to)
    settings = {"prompts": prompts, "default_prompt_name": default}
    (to / "config_sentence_transformers.json").write_text(json.dumps(settings))
    return to
