"""Cells outside the matrix, by names of their own."""

from typing import Any

import pytest

from counterpoint.config.loading import load
from counterpoint.config.matrix import all_cells, base_options, expand, recipes
from counterpoint.config.run_options import RunConfig
from counterpoint.errors import InputError


def run(**values: Any) -> RunConfig:
    """A run of two cells."""
    return load({"run": "x", "matrix": {"axes": {"fusion": ["cls", "concat"]}}, **values}, "x.yaml")


def test_a_recipe_is_the_base_options_but_for_what_it_names() -> None:
    changes = {"encoder": {"trainable": 2, "max_tokens": 64}, "head": "relu", "seed": 7}
    config = run(head={"hidden": 8}, encoder={"dropout": 0.0}, recipes={"tuned": changes})
    (cell,) = recipes(config, "x.yaml")
    assert cell.name == "recipe/tuned"
    assert (cell.options.encoder.trainable, cell.options.encoder.max_tokens) == (2, 64)
    assert (cell.options.head.kind, cell.options.head.hidden) == ("relu", 8)
    assert cell.options.encoder.dropout == 0.0
    assert cell.options.seed == 7
    assert cell.options.training == base_options(config).training


def test_recipes_come_after_the_cells_of_the_matrix_and_change_none() -> None:
    with_recipe = run(recipes={"a": {"seed": 2}, "b": {"seed": 3}})
    assert [cell.name for cell in all_cells(with_recipe, "x")][2:] == ["recipe/a", "recipe/b"]
    assert expand(with_recipe, "x") == expand(run(), "x")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoder": {"trainabel": 2}}, ["encoder.trainabel: unknown key", "'encoder.trainable'"]),
        ({"training": {"epochs": 0}}, ["training.epochs", "found 0"]),
        ({"learning_rate": 1}, ["learning_rate: unknown key", "'training.learning_rate'"]),
        ({"projection": {"width": "none"}, "classifier_loss": 0}, ["nothing to train"]),
    ],
)
def test_what_cannot_be_used_names_the_recipe(changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        recipes(run(recipes={"tuned": changes}), "x.yaml")
    for word in ["x.yaml: recipes.tuned", *words]:
        assert word in str(caught.value)


def test_a_name_is_one_that_may_be_a_folder() -> None:
    with pytest.raises(InputError, match="recipes"):
        run(recipes={"../up": {}})
