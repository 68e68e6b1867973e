"""Weights: written, read again, refused."""

from pathlib import Path
from typing import Any

import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.models.weights import load_weights, save_weights
from tests.support.models import (
    PROJECTIONS,
    build,
    embedded,
    options_of,
    shake,
)


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
