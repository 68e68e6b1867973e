"""In which precision a transformer computes, and where it is refused."""

from pathlib import Path

import pytest
import torch

from counterpoint.config.options import EncoderOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.precision import check_precision, uses_bfloat16
from counterpoint.encoders.tower import Tower
from counterpoint.errors import InputError
from tests.support.encoders import live_encoder

HALF = {"trainable": "all", "precision": "bfloat16", "dropout": 0.0}
CUDA = torch.device("cuda")


def test_bfloat16_is_refused_where_the_cpu_has_no_instructions(
    small: Corpus, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    with pytest.raises(InputError, match="AVX512-BF16"):
        live_encoder(tiny_bert, small, **HALF)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"bf16": True})  # ARM's
    live_encoder(tiny_bert, small, **HALF)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    x = live_encoder(tiny_bert, small, **HALF).eval()(torch.arange(4), "query")
    exact = live_encoder(tiny_bert, small).eval()(torch.arange(4), "query")
    assert x.dtype == torch.float32
    assert 0 < (x - exact).abs().max() < 0.1


@pytest.mark.parametrize("has", [True, False])
def test_a_gpu_without_bfloat16_computes_in_float32(
    small: Corpus, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch, has: bool
) -> None:
    encoder = live_encoder(tiny_bert, small)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: has)
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: True)
    assert uses_bfloat16(EncoderOptions(), CUDA) is has
    # Flash attention, which takes texts in a row, takes half precision alone.
    monkeypatch.setattr(Tower, "device", CUDA)
    assert encoder.packs is has
    half = EncoderOptions.model_validate(HALF)
    if has:
        check_precision(half)
    else:
        with pytest.raises(InputError, match=r"encoder\.precision: 'bfloat16' on a GPU"):
            check_precision(half)
