"""What is computed of a pair, against the formulas."""

import numpy as np
import numpy.typing as npt
import pytest
import torch

from counterpoint.encoders.features import FrozenFeatures, same_outputs
from counterpoint.models.cell_model import CellModel
from counterpoint.models.fusion import FUSIONS, Vectors
from tests.support.models import (
    NORMALISES,
    PROJECTIONS,
    build,
    embedded,
    every_model,
    features_of,
    input_width,
    options_of,
    shake,
)

Floats = npt.NDArray[np.float64]


def project_by_hand(model: CellModel, role: str, x: Floats, projection: str) -> Floats:
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


def classify_by_hand(model: CellModel, kind: str, hidden: int, features: Floats) -> Floats:
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
    model = CellModel(options, FrozenFeatures(same_outputs(np.zeros((2, 4), dtype=np.float32))))
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
