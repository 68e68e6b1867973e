"""The model built is the model named: every fusion × head × hidden width × projection."""

import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from counterpoint.config.loading import parse
from counterpoint.config.options import (
    CellOptions,
    HeadOptions,
    MiningOptions,
    ProjectionOptions,
    RetrievalLossOptions,
    RunConfig,
)
from counterpoint.encoders.features import FrozenFeatures
from counterpoint.errors import InputError
from counterpoint.evaluation.baselines import BASELINES
from counterpoint.evaluation.system import embed
from counterpoint.models.fusion import FUSIONS, Vectors
from counterpoint.models.heads import HEADS
from counterpoint.models.losses import NORMALISED, RETRIEVAL_LOSSES, classifier, distance
from counterpoint.models.retriever import Retriever, make_projection
from counterpoint.models.weights import load_weights, save_weights
from counterpoint.training.mining import BACKENDS

Floats = npt.NDArray[np.float64]

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


def options_of(
    fusion: str = "concat",
    kind: str = "layernorm_relu",
    hidden: int = 256,
    projection: str = "shared",
    *,
    width: int = D,
    **more: Any,
) -> CellOptions:
    layer = {"width": "none"} if projection == "none" else {"towers": projection, "width": width}
    values = {
        "fusion": fusion,
        "head": {"kind": kind, "hidden": hidden},
        "projection": {**layer, **more.pop("projection_more", {})},
        **more,
    }
    return parse(CellOptions, values, "test")


def features_of(texts: int, size: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(5).normal(size=(texts, size)).astype(np.float32)


def build(options: CellOptions, size: int = H, texts: int = 9, seed: int = 1) -> Retriever:
    torch.manual_seed(seed)
    return Retriever(options, FrozenFeatures(features_of(texts, size)))


def embedded(model: Retriever, texts: torch.Tensor, role: str = "query") -> Vectors:
    return embed(model, texts, len(texts))[role]


def shake(model: Retriever) -> Retriever:
    """Give every parameter a value of its own, LayerNorm's ones and zeros too."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.5 * torch.randn(parameter.shape, generator=generator)
    return model


def input_width(fusion: str, projection: str, size: int = H, width: int = D) -> int:
    of_e, of_x = WIDTHS[fusion]
    return of_e * (size if projection == "none" else width) + of_x * size


# ---- nothing is left out ----


def test_every_fusion_head_and_loss_is_covered_here() -> None:
    assert set(FUSIONS) == set(WIDTHS)
    assert set(HEADS) == set(BETWEEN)
    assert set(RETRIEVAL_LOSSES) == set(NORMALISES)
    assert {name for name, normalises in NORMALISES.items() if normalises} == NORMALISED


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


# ---- shapes, layers, numbers of parameters ----


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


# ---- projections ----


def test_a_shared_projection_is_one_module() -> None:
    model = build(options_of())
    assert model.projections["query"] is model.projections["candidate"]
    assert not model.roles_differ


def test_separate_projections_are_two_and_start_apart() -> None:
    model = build(options_of(projection="separate"))
    query, candidate = model.projections["query"], model.projections["candidate"]
    assert query is not candidate
    assert not torch.equal(query.weight, candidate.weight)
    assert model.roles_differ
    texts = torch.arange(3)
    assert not torch.equal(model(texts, "query").e, model(texts, "candidate").e)
    assert torch.equal(model(texts, "query").x, model(texts, "candidate").x)


def test_no_projection_is_e_equal_to_x() -> None:
    model = build(options_of(projection="none"))
    vectors = model(torch.tensor([4, 2]), "query")
    assert torch.equal(vectors.e, vectors.x)
    assert vectors.x.numpy().tolist() == features_of(9, H)[[4, 2]].tolist()
    assert not model.roles_differ


@pytest.mark.parametrize("kind", ["shared", "separate"])
@pytest.mark.parametrize(("size", "width"), [(6, 6), (6, 4), (4, 6)])
def test_an_identity_start_leaves_x_as_it_is(kind: str, size: int, width: int) -> None:
    more = {"init": "identity"}
    model = build(options_of(projection=kind, width=width, projection_more=more), size)
    x = features_of(9, size)
    expected = np.zeros((9, width), dtype=np.float32)
    expected[:, : min(size, width)] = x[:, : min(size, width)]
    for role in ("query", "candidate"):
        assert model(torch.arange(9), role).e.tolist() == expected.tolist()


def test_a_random_start_is_not_the_identity_and_follows_the_seed() -> None:
    options = ProjectionOptions(width=5)
    torch.manual_seed(1)
    first = make_projection(options, 5)
    torch.manual_seed(1)
    again = make_projection(options, 5)
    assert torch.equal(first.weight, again.weight)
    assert not torch.allclose(first.weight, torch.eye(5), atol=0.1)
    assert first.bias is not None


# ---- what is computed ----


def project_by_hand(model: Retriever, role: str, x: Floats, projection: str) -> Floats:
    if projection == "none":
        return x
    layer = model.projections[role]
    result: Floats = (
        x @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()
    )
    return result


def fuse_by_hand(fusion: str, xp: Floats, ep: Floats, xc: Floats, ec: Floats) -> Floats:
    p = {"embedding": [ep], "cls": [xp], "concat": [ep, xp]}[fusion]
    c = {"embedding": [ec], "cls": [xc], "concat": [ec, xc]}[fusion]
    return np.concatenate([*p, *c, *(np.abs(a - b) for a, b in zip(p, c, strict=True))], axis=1)


def classify_by_hand(model: Retriever, kind: str, hidden: int, features: Floats) -> Floats:
    weights = [parameter.detach().double().numpy() for parameter in model.head.parameters()]
    values = features
    if hidden:
        values = values @ weights.pop(0).T + weights.pop(0)
    if kind in ("layernorm", "layernorm_relu"):
        mean = values.mean(axis=1, keepdims=True)
        variance = ((values - mean) ** 2).mean(axis=1, keepdims=True)
        values = (values - mean) / np.sqrt(variance + 1e-5) * weights.pop(0) + weights.pop(0)
    if kind in ("relu", "layernorm_relu"):
        values = np.where(values > 0, values, 0)
    last, bias = weights
    result: Floats = values @ last.T + bias
    return result


@every_model
def test_the_logits_are_those_of_the_formula(
    fusion: str, kind: str, hidden: int, projection: str
) -> None:
    size, width = 6, 4
    options = options_of(fusion, kind, min(hidden, 5), projection, width=width)
    model = shake(build(options, size))
    x = features_of(9, size).astype(np.float64)
    points, candidates = [0, 3, 5, 5], [1, 1, 8, 5]
    p = model(torch.tensor(points), "query")
    c = model(torch.tensor(candidates), "candidate")
    ep = project_by_hand(model, "query", x[points], projection)
    ec = project_by_hand(model, "candidate", x[candidates], projection)
    np.testing.assert_allclose(p.e.detach().numpy(), ep, atol=1e-5)
    np.testing.assert_allclose(c.e.detach().numpy(), ec, atol=1e-5)

    features = fuse_by_hand(fusion, x[points], ep, x[candidates], ec)
    assert features.shape[1] == input_width(fusion, projection, size, width)
    np.testing.assert_allclose(model.fuse(p, c).detach().numpy(), features, atol=1e-5)

    logits = classify_by_hand(model, kind, min(hidden, 5), features)
    np.testing.assert_allclose(model.logits(p, c).detach().numpy(), logits, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("fusion", "expected"),
    [
        # e_p = (1, 5), e_c = (4, 3); x_p = (2, 0, −1), x_c = (0, 0, 1)
        ("embedding", [1, 5, 4, 3, 3, 2]),
        ("cls", [2, 0, -1, 0, 0, 1, 2, 0, 2]),
        ("concat", [1, 5, 2, 0, -1, 4, 3, 0, 0, 1, 3, 2, 2, 0, 2]),
    ],
)
def test_features_by_hand(fusion: str, expected: list[float]) -> None:
    p = Vectors(torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([[1.0, 5.0]]))
    c = Vectors(torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[4.0, 3.0]]))
    assert FUSIONS[fusion](p, c).tolist() == [expected]


@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize("loss", NORMALISES)
def test_e_has_length_one_under_infonce_alone(loss: str, projection: str) -> None:
    model = build(options_of(projection=projection, width=4, retrieval_loss=loss), 6)
    x = features_of(9, 6).astype(np.float64)
    texts = torch.arange(9)
    for role in ("query", "candidate"):
        expected = project_by_hand(model, role, x, projection)
        if NORMALISES[loss]:
            expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
        for vectors in (model(texts, role), embedded(model, texts, role)):
            np.testing.assert_allclose(vectors.e.detach().numpy(), expected, atol=1e-6)
            np.testing.assert_array_equal(vectors.x.numpy(), features_of(9, 6))
    lengths = embedded(model, texts, "query").e.norm(dim=1)
    assert torch.allclose(lengths, torch.ones(9)) == NORMALISES[loss]


def test_a_vector_of_zeros_stays_finite_under_infonce() -> None:
    options = options_of(projection="none", retrieval_loss="infonce")
    model = Retriever(options, FrozenFeatures(np.zeros((2, 4), dtype=np.float32)))
    assert torch.isfinite(embedded(model, torch.arange(2), "query").e).all()


@pytest.mark.parametrize("training", [True, False])
def test_embedding_has_no_gradients_and_leaves_the_mode_alone(training: bool) -> None:
    model = build(options_of(width=4), 6)
    model.train(training)
    vectors = embedded(model, torch.arange(9), "query")
    assert model.training is training
    assert model.head.training is training
    assert not vectors.e.requires_grad
    assert torch.equal(vectors.e, model(torch.arange(9), "query").e)


def test_vectors_are_cut_together() -> None:
    vectors = embedded(build(options_of(width=4), 6), torch.arange(9))
    some = vectors.rows(torch.tensor([3, 0]))
    assert torch.equal(some.x, vectors.x[[3, 0]])
    assert torch.equal(some.e, vectors.e[[3, 0]])
    assert vectors.rows(slice(2, 5)).e.shape == (3, 4)


# ---- scores ----


@pytest.mark.parametrize(("kind", "hidden"), SHAPES)
def test_scores_are_ordered_as_the_probability_of_class_1(kind: str, hidden: int) -> None:
    model = shake(build(options_of("concat", kind, hidden, width=4), 6, texts=60))
    p = embedded(model, torch.zeros(60, dtype=torch.int64), "query")
    c = embedded(model, torch.arange(60), "candidate")
    with torch.no_grad():
        logits = model.logits(p, c).double().numpy()
        scores = model.score(p, c, torch.arange(60), torch.arange(60))
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability = odds[:, 1] / odds.sum(axis=1)
    assert scores.dtype == torch.float32
    ordered = probability[np.argsort(scores.numpy(), kind="stable")]
    assert (np.diff(ordered) >= -1e-7).all()


@every_model
def test_scores_are_the_logits_difference_whatever_pairs_share_a_text(
    fusion: str, kind: str, hidden: int, projection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = shake(build(options_of(fusion, kind, min(hidden, 5), projection, width=4), 6))
    p, c = (embedded(model, torch.arange(9), role) for role in ("query", "candidate"))
    points = torch.tensor([5, 0, 5, 5, 8, 0, 2])
    candidates = torch.tensor([1, 1, 7, 5, 8, 0, 1])
    with torch.no_grad():
        logits = model.logits(p.rows(points), c.rows(candidates))
    expected = (logits[:, 1] - logits[:, 0]).numpy()
    for size in (2, 2048):
        monkeypatch.setattr("counterpoint.models.retriever.PAIRS", size)
        scores = model.score(p, c, points, candidates).numpy()
        np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-5)


def test_a_point_goes_with_several_candidates() -> None:
    model = shake(build(options_of(hidden=5, width=4), 6))
    vectors = embedded(model, torch.arange(9), "query")
    p, c = vectors.rows(slice(0, 3)), vectors.rows(slice(3, 9))
    each = [model.logits(p, c.rows(half)) for half in (slice(0, 3), slice(3, 6))]
    torch.testing.assert_close(model.logits(p, c.split(2)), torch.stack(each))


def test_scores_still_differ_where_the_probability_is_one_in_float32() -> None:
    model = build(options_of("cls", "linear", 0, "none"), 2, texts=2)
    with torch.no_grad():
        model.head[0].weight.zero_()
        model.head[0].weight[1, 2] = 1.0  # the logit of class 1 is x_c's first number
        model.head[0].bias.zero_()
    p = Vectors(torch.zeros(2, 2), torch.zeros(2, 2))
    c = Vectors(torch.tensor([[40.0, 0.0], [30.0, 0.0]]), torch.zeros(2, 2))
    assert torch.softmax(model.logits(p, c), dim=1)[:, 1].tolist() == [1.0, 1.0]
    assert model.score(p, c, *2 * [torch.arange(2)]).tolist() == [40.0, 30.0]


# ---- gradients ----


def parts_with_gradient(model: Retriever, loss: torch.Tensor) -> set[str]:
    model.zero_grad()
    loss.backward()
    return {
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().sum() > 0
    }


def layer_names(model: Retriever, *prefixes: str) -> set[str]:
    return {name for name, _ in model.named_parameters() if name.startswith(prefixes)}


@every_model
def test_gradients_reach_what_should_learn_and_nothing_else(
    fusion: str, kind: str, hidden: int, projection: str
) -> None:
    model = build(options_of(fusion, kind, min(hidden, 16), projection, width=4), 6)
    head = layer_names(model, "head.")
    layers = layer_names(model, "projections.")
    assert head | layers == {name for name, _ in model.named_parameters()}

    def triple() -> tuple[Vectors, Vectors, Vectors]:
        p = model(torch.tensor([0, 1, 2]), "query")
        c = model(torch.tensor([3, 4, 5]), "candidate")
        n = model(torch.tensor([6, 7, 8]), "candidate")
        return p, c, n

    # The classifier teaches the head, and the projection only where it sees e.
    p, c, n = triple()
    loss = classifier(torch.stack([model.logits(p, c), model.logits(p, n)])).sum()
    sees_e = fusion != "cls"
    assert parts_with_gradient(model, loss) == head | (layers if sees_e else set())

    # The distances teach the projection alone. The bias of a shared one cancels in e_p − e_c.
    if projection != "none":
        p, c, n = triple()
        found = parts_with_gradient(model, (distance(p.e, c.e) - 2 * distance(p.e, n.e)).mean())
        weights = {name for name in layers if name.endswith("weight")}
        assert weights <= found <= layers
        assert head.isdisjoint(found)


def test_frozen_features_neither_learn_nor_are_saved() -> None:
    model = build(options_of())
    before = model.encoder.features.clone()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    p, c = model(torch.arange(4), "query"), model(torch.arange(4, 8), "candidate")
    (model.logits(p, c).mean() + distance(p.e, c.e).mean()).backward()
    optimiser.step()
    assert torch.equal(model.encoder.features, before)
    assert not model.encoder.features.requires_grad
    assert not [name for name in model.state_dict() if name.startswith("encoder")]


def test_each_role_teaches_its_own_projection() -> None:
    model = build(options_of("embedding", projection="separate", width=4), 6)
    query = layer_names(model, "projections.query.")
    candidate = layer_names(model, "projections.candidate.")
    texts = torch.arange(4)
    assert parts_with_gradient(model, model(texts, "query").e.pow(2).sum()) == query
    assert parts_with_gradient(model, model(texts, "candidate").e.pow(2).sum()) == candidate


@pytest.mark.parametrize("kind", BETWEEN)
def test_a_head_learns_to_tell_a_counter_from_a_negative(kind: str) -> None:
    model = build(options_of("concat", kind, 16, width=4), 6)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)

    def loss_now() -> torch.Tensor:
        p = model(torch.tensor([0, 1, 2]), "query")
        c = model(torch.tensor([3, 4, 5]), "candidate")
        n = model(torch.tensor([6, 7, 8]), "candidate")
        return classifier(torch.stack([model.logits(p, c), model.logits(p, n)])).sum()

    first = loss_now().item()
    for _ in range(60):
        optimiser.zero_grad()
        loss_now().backward()
        optimiser.step()
    assert first == pytest.approx(2 * math.log(2), abs=1.0)
    assert loss_now().item() < 0.2 * first


# ---- weights ----


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_weights_read_again_are_the_same_model(projection: str, tmp_path: Path) -> None:
    options = options_of(projection=projection, hidden=5, width=4)
    model, other = shake(build(options, 6)), build(options, 6, seed=2)
    save_weights(model, tmp_path / "model.safetensors")
    load_weights(other, tmp_path / "model.safetensors")
    for role in ("query", "candidate"):
        expected, found = (embedded(each, torch.arange(9), role) for each in (model, other))
        assert torch.equal(found.e, expected.e)
        pairs = torch.arange(9), torch.arange(9).flip(0)
        scores = other.score(found, found, *pairs), model.score(expected, expected, *pairs)
        assert torch.equal(*scores)
    assert other.roles_differ == model.roles_differ


def test_the_same_weights_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_weights(build(options_of(hidden=5, width=4), 6), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("other", "word"),
    [
        ({"hidden": 6}, "head.0.weight"),
        ({"projection": "separate"}, "projections.candidate.weight"),
        ({"kind": "relu"}, "head.1.weight"),
        ({"projection": "none"}, "projections.query.weight"),
    ],
)
def test_weights_of_another_model_are_refused(
    other: dict[str, Any], word: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    save_weights(build(options_of(hidden=5, width=4), 6), path)
    model = build(options_of(**{"hidden": 5, "width": 4, **other}), 6)
    with pytest.raises(InputError) as caught:
        load_weights(model, path)
    assert str(path) in str(caught.value)
    assert word in str(caught.value)


def test_damaged_weights_are_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model = build(options_of(hidden=5, width=4), 6)
    save_weights(model, path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(
        InputError, match=r"model\.safetensors: not weights .* train the cell again"
    ):
        load_weights(model, path)
