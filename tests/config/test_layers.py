"""Layers of configuration: what is merged, what is replaced, and where each option came from."""

from copy import deepcopy
from typing import Any

import pytest

from counterpoint.config.layers import Layer, merge
from counterpoint.config.loading import load
from counterpoint.config.matrix import expand
from counterpoint.config.origins import Origins, origin
from tests.support.configuration import read_yaml


def merged(*values: dict[str, Any]) -> dict[str, Any]:
    return merge([Layer(str(number), each) for number, each in enumerate(values)])[0]


def cells_with(**command_line: Any) -> list[Any]:
    values, origins = merge(
        [Layer("config.yaml", read_yaml("config.yaml")), Layer("--config", command_line)]
    )
    return [cell.options for cell in expand(load(values, origins), origins)]


# ---- sections ----


def test_a_section_is_merged_option_by_option() -> None:
    below = {"corpus": {"path": "a", "splits": {"train": "x", "dev": "y"}}, "seed": 1}
    above = {"corpus": {"splits": {"dev": "z"}}}
    assert merged(below, above) == {
        "corpus": {"path": "a", "splits": {"train": "x", "dev": "z"}},
        "seed": 1,
    }


@pytest.mark.parametrize(
    ("section", "value", "key"),
    [
        ("corpus", "pairs.csv", "path"),
        ("encoder", "bert-base-uncased", "name"),
        ("projection", "separate", "towers"),
        ("head", "relu", "kind"),
        ("retrieval_loss", "infonce", "kind"),
        ("classifier_loss", 0.5, "weight"),
    ],
)
def test_one_value_for_a_section_sets_its_main_option_alone(
    section: str, value: Any, key: str
) -> None:
    base = read_yaml("config.yaml")
    found = merged(base, {section: value})
    assert found[section] == {**base[section], key: value}
    assert found == {**base, section: found[section]}


def test_one_value_below_is_kept_beside_other_options_above() -> None:
    assert merged({"head": "relu"}, {"head": {"hidden": 8}})["head"] == {
        "kind": "relu",
        "hidden": 8,
    }


def test_what_is_no_section_is_replaced() -> None:
    assert merged({"baselines": ["bm25"]}, {"baselines": []}) == {"baselines": []}
    assert merged({"head": {"hidden": 8}}, {"head": None}) == {"head": None}
    assert merged({"training": {"epochs": 3}}, {"training": 3}) == {"training": 3}
    assert merged({"training": 3}, {"training": {"epochs": 4}}) == {"training": {"epochs": 4}}


def test_merging_leaves_what_it_was_given_alone() -> None:
    layers = [{"corpus": {"splits": {"dev": "a"}}}, {"corpus": {"splits": {"dev": "b"}}}]
    before = deepcopy(layers)
    merged(*layers)
    assert layers == before


# ---- the matrix ----


def test_a_matrix_replaces_the_one_below() -> None:
    below = {"matrix": {"axes": {"seed": [1, 2]}, "include": [{"seed": 9}], "exclude": [{}]}}
    for above in ({"axes": {"fusion": ["cls"]}}, {"include": [{"seed": 3}]}, {}):
        assert merged(below, {"matrix": above}) == {"matrix": above}


def test_one_axis_on_the_command_line_is_one_cell_a_value() -> None:
    found = cells_with(matrix={"axes": {"fusion": ["embedding", "cls"]}})
    assert [options.fusion for options in found] == ["embedding", "cls"]
    assert {options.head.kind for options in found} == {"layernorm_relu"}
    assert {options.mining.decrease_rate for options in found} == {0.01}


def test_an_empty_matrix_is_the_base_cell() -> None:
    assert len(cells_with(matrix={})) == 1
    assert len(cells_with()) == 105


# ---- origins ----


def test_an_option_comes_from_the_last_layer_that_gives_it() -> None:
    _, origins = merge(
        [
            Layer("base", {"run": "x", "head": {"kind": "relu", "hidden": 8}, "seed": 1}),
            Layer("file", {"head": "linear", "matrix": {"axes": {"seed": [1]}}, "stopping": {}}),
            Layer("--config", {"seed": 2}),
        ]
    )
    assert origins.of("run") == "base"
    assert origins.of("head.kind") == "file"
    assert origins.of("head.hidden") == "base"
    assert origins.of("head") == "file"
    assert origins.of("seed") == "--config"
    assert origins.of("matrix.axes.seed") == "file"
    assert origins.of("stopping.patience") == "file"


def test_what_nobody_gives_comes_from_all_of_them() -> None:
    _, origins = merge([Layer("base", {"seed": 1}), Layer("file", {"seed": 2})])
    assert origins.of("run") == origins.of("") == str(origins) == "base + file"


def test_a_name_alone_is_the_origin_of_everything() -> None:
    assert origin("test.yaml", "head.kind") == "test.yaml"
    assert origin(Origins([("a", frozenset({"seed"}))]), "seed") == "a"


def test_a_path_is_no_part_of_a_longer_word() -> None:
    origins = Origins([("a", frozenset({"head"})), ("b", frozenset({"header.kind"}))])
    assert origins.of("head.kind") == "a"
