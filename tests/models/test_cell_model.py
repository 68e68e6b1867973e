"""The model built is the model named: every fusion × head × hidden width × projection."""

from typing import Any, get_args

import pytest
import torch
from torch import nn

from counterpoint.config.options import (
    CellOptions,
    HeadOptions,
    MiningOptions,
    RetrievalLossOptions,
)
from counterpoint.config.run_options import RunConfig
from counterpoint.errors import InputError
from counterpoint.evaluation.baselines import BASELINES
from counterpoint.models.fusion import FUSIONS
from counterpoint.models.heads import HEADS
from counterpoint.models.losses import RETRIEVAL_LOSSES
from counterpoint.training.hard import BACKENDS
from tests.support.models import (
    BETWEEN,
    NORMALISES,
    WIDTHS,
    build,
    every_model,
    input_width,
    options_of,
)


def test_every_fusion_head_and_loss_is_covered_here() -> None:
    assert set(FUSIONS) == set(WIDTHS)
    assert set(HEADS) == set(BETWEEN)
    assert set(RETRIEVAL_LOSSES) == set(NORMALISES)
    assert {name: loss.unit_length for name, loss in RETRIEVAL_LOSSES.items()} == NORMALISES


@pytest.mark.parametrize(
    ("annotation", "table"),
    [
        (CellOptions.model_fields["fusion"].annotation, FUSIONS),
        (HeadOptions.model_fields["kind"].annotation, HEADS),
        (RetrievalLossOptions.model_fields["kind"].annotation, RETRIEVAL_LOSSES),
        (MiningOptions.model_fields["backend"].annotation, BACKENDS),
        (get_args(RunConfig.model_fields["baselines"].annotation)[0], BASELINES),
    ],
    ids=["fusion", "head", "retrieval_loss", "backend", "baselines"],
)
def test_the_choices_of_the_configuration_are_the_keys_of_the_tables(
    annotation: Any, table: dict[str, Any]
) -> None:
    assert get_args(annotation) == tuple(table)


@pytest.mark.parametrize(("fusion", "width"), [("embedding", 384), ("cls", 2304), ("concat", 2688)])
def test_the_classifiers_input_is_as_wide_as_the_design_says(fusion: str, width: int) -> None:
    model = build(options_of(fusion))
    assert model.head[0].in_features == width
    vectors = model(torch.arange(4), "query")
    assert model.fuse(vectors, vectors).shape == (4, width)


@every_model
def test_the_head_built_is_the_head_named(
    fusion: str, kind: str, hidden: int, projection: str
) -> None:
    model = build(options_of(fusion, kind, hidden, projection))
    f = input_width(fusion, projection)
    first = [] if hidden == 0 else [nn.Linear]
    assert [type(layer) for layer in model.head] == [*first, *BETWEEN[kind], nn.Linear]

    shapes = [tuple(parameter.shape) for parameter in model.head.parameters()]
    expected = [(hidden, f), (hidden,)] if hidden else []
    inner = hidden or f
    expected += [(inner,), (inner,)] if "layernorm" in kind else []
    assert shapes == [*expected, (2, inner), (2,)]

    found = [type(module) for module in model.modules()]
    assert found.count(nn.LayerNorm) == ("layernorm" in kind)
    assert found.count(nn.ReLU) == ("relu" in kind)


@every_model
def test_the_number_of_parameters_is_that_worked_by_hand(
    fusion: str, kind: str, hidden: int, projection: str
) -> None:
    model = build(options_of(fusion, kind, hidden, projection))
    f = input_width(fusion, projection)
    inner = hidden or f
    head = (f * hidden + hidden if hidden else 0) + (2 * inner + 2)
    head += 2 * inner if "layernorm" in kind else 0
    # 768 · 128 + 128 = 98432
    layers = {"shared": 98432, "separate": 196864, "none": 0}[projection]
    assert model.parameter_count() == {"encoder": 0, "projection": layers, "head": head}
    assert sum(parameter.numel() for parameter in model.parameters()) == layers + head


def test_three_counts_in_figures() -> None:
    # concat: 2688 · 256 + 256 = 688384, LayerNorm 512, 256 · 2 + 2 = 514; together 689410.
    # cls: 2304 · 256 + 256 + 514 = 590594. embedding in one layer: 384 · 2 + 2 = 770.
    assert build(options_of("concat")).parameter_count()["head"] == 689410
    assert build(options_of("cls", "relu")).parameter_count()["head"] == 590594
    assert build(options_of("embedding", "linear", 0)).parameter_count()["head"] == 770


@pytest.mark.parametrize("kind", ["relu", "layernorm_relu"])
def test_relu_without_a_hidden_layer_is_refused(kind: str) -> None:
    with pytest.raises(InputError, match="ReLU"):
        options_of("concat", kind, 0)
