"""Models of every variant, and what each variant's name stands for, independently of the code."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from counterpoint.config.loading import parse
from counterpoint.config.options import CellOptions
from counterpoint.encoders.encoder import gathered
from counterpoint.encoders.features import FrozenFeatures, same_outputs
from counterpoint.models.cell_model import CellModel
from counterpoint.models.fusion import Vectors

H, D = 768, 128

# What each name stands for, once more and independently of the code.
WIDTHS = {"embedding": (3, 0), "cls": (0, 3), "concat": (3, 3)}
"""How many times d and how many times H a fusion is wide."""
BETWEEN = {
    "linear": [],
    "layernorm": [nn.LayerNorm],
    "relu": [nn.ReLU],
    "layernorm_relu": [nn.LayerNorm, nn.ReLU],
}
NORMALISES = {"triplet": False, "infonce": True}
PROJECTIONS = ("shared", "separate", "none")

SHAPES = [(kind, 256) for kind in BETWEEN] + [("linear", 0), ("layernorm", 0)]
CASES = [
    (fusion, kind, hidden, projection)
    for fusion in WIDTHS
    for kind, hidden in SHAPES
    for projection in PROJECTIONS
]
every_model = pytest.mark.parametrize(("fusion", "kind", "hidden", "projection"), CASES)
"""Every fusion × head × hidden width × projection."""


def options_of(
    fusion: str = "concat",
    kind: str = "layernorm_relu",
    hidden: int = 256,
    projection: str = "shared",
    *,
    width: int = D,
    **more: Any,
) -> CellOptions:
    """Options of a cell that differs from the others in what is named."""
    layer = {"width": "none"} if projection == "none" else {"towers": projection, "width": width}
    values = {
        "fusion": fusion,
        "head": {"kind": kind, "hidden": hidden},
        "projection": {**layer, **more.pop("projection_more", {})},
        **more,
    }
    return parse(CellOptions, values, "test")


def features_of(texts: int, size: int) -> npt.NDArray[np.float32]:
    """(texts, size), the same in every call."""
    return np.random.default_rng(5).normal(size=(texts, size)).astype(np.float32)


def build(options: CellOptions, size: int = H, texts: int = 9, seed: int = 1) -> CellModel:
    """A model of random weights over random features of some texts."""
    torch.manual_seed(seed)
    return CellModel(options, FrozenFeatures(same_outputs(features_of(texts, size))))


@torch.no_grad()
def embedded(model: CellModel, texts: torch.Tensor, role: str = "query") -> Vectors:
    """Vectors of some texts in a role, as an embedding pass gives them."""
    return model.project(gathered(model.encode(texts, role), len(texts)), role)


def shake(model: CellModel) -> CellModel:
    """Give every parameter a value of its own, LayerNorm's ones and zeros too."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator))
    return model


def input_width(fusion: str, projection: str, size: int = H, width: int = D) -> int:
    """Features of a pair, by hand."""
    of_e, of_x = WIDTHS[fusion]
    return of_e * (size if projection == "none" else width) + of_x * size
