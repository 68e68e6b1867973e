"""Scores of many pairs at once."""

import numpy as np
import pytest
import torch

from counterpoint.models import scoring
from counterpoint.models.fusion import Vectors
from tests.support.models import (
    SHAPES,
    build,
    embedded,
    every_model,
    options_of,
    shake,
)


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
        monkeypatch.setitem(scoring.PAIRS, "cpu", size)
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
