"""Projections: shared, separate or none, and what they start from."""

import numpy as np
import pytest
import torch

from counterpoint.config.options import ProjectionOptions
from counterpoint.models.projection import make_projection
from tests.support.models import (
    H,
    build,
    features_of,
    options_of,
)


def test_a_shared_projection_is_one_module() -> None:
    model = build(options_of())
    assert model.projections["query"] is model.projections["candidate"]
    assert not model.roles_differ


def test_separate_projections_are_two_and_start_apart() -> None:
    model = build(options_of(projection="separate"))
    query, candidate = model.projections["query"], model.projections["candidate"]
    assert query is not candidate
    assert not torch.equal(*(part.get_parameter("weight") for part in (query, candidate)))
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
    weight = first.get_parameter("weight")
    assert torch.equal(weight, again.get_parameter("weight"))
    assert not torch.allclose(weight, torch.eye(5), atol=0.1)
    assert first.bias is not None
