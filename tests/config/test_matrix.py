"""The matrix: which cells there are, what they are called, and what is refused."""

import itertools
import re
from pathlib import PurePosixPath
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from snakemake.utils import Paramspace

from counterpoint.config.axes import option_path
from counterpoint.config.layers import Layer, merge
from counterpoint.config.loading import load
from counterpoint.config.matrix import (
    COLUMNS,
    Cell,
    base_options,
    expand,
    make_cell,
    rows,
)
from counterpoint.config.options import CellOptions
from counterpoint.errors import InputError
from tests.support.configuration import read_yaml

FUSIONS = ("embedding", "cls", "concat")
HEADS = ("linear", "layernorm", "relu", "layernorm_relu")
DECREASE_RATES = (0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05)


def cells_of(matrix: dict[str, Any], **base: Any) -> list[Cell]:
    return expand(load({"run": "x", "matrix": matrix, **base}, "test.yaml"), "test.yaml")


def refusal(matrix: dict[str, Any], **base: Any) -> str:
    config = load({"run": "x", "matrix": matrix, **base}, "test.yaml")
    with pytest.raises(InputError) as caught:
        expand(config, "test.yaml")
    return str(caught.value)


def default_cells(**axes: list[Any]) -> list[Cell]:
    values = read_yaml("config.yaml")
    values["matrix"]["axes"].update(axes)
    return expand(load(values, "config.yaml"), "config.yaml")


def coordinates(cell: Cell) -> tuple[Any, ...]:
    options = cell.options
    return (
        options.fusion,
        options.head.kind,
        options.mining.initial_random_rate,
        options.mining.decrease_rate,
    )


def is_safe(name: str) -> bool:
    parts = name.split("/")
    return (
        len(parts) == len(COLUMNS)
        and not {"", ".", ".."} & set(parts)
        and not PurePosixPath(name).is_absolute()
        and all(re.fullmatch(r"[A-Za-z0-9._~=+%-]+", part) for part in parts)
    )


# ---- which cells ----


def test_the_default_matrix_is_the_105_cells_of_the_design() -> None:
    grid = set(itertools.product(FUSIONS, HEADS, [1.0], DECREASE_RATES))
    strategies = [(0.8, 0.0), (0.8, 0.02), (0.0, 0.0)]
    included = {(f, "layernorm_relu", r0, delta) for f in FUSIONS for r0, delta in strategies}
    assert (len(grid), len(included)) == (96, 9)
    cells = default_cells()
    assert len(cells) == 105
    assert {coordinates(cell) for cell in cells} == grid | included


def test_the_default_cells_differ_in_nothing_else() -> None:
    for cell in default_cells():
        same = cell.options.model_dump()
        base = CellOptions().model_dump()
        same["fusion"] = base["fusion"]
        same["head"]["kind"] = base["head"]["kind"]
        same["mining"] |= {
            key: base["mining"][key] for key in ("initial_random_rate", "decrease_rate")
        }
        assert same == base
        assert cell.extra == {}


def test_each_seed_has_all_cells_of_the_grid() -> None:
    cells = default_cells(seed=[1, 2, 3])
    assert len(cells) == 3 * 96 + 9
    assert {cell.options.seed for cell in cells} == {1, 2, 3}


def test_no_matrix_is_one_cell_of_the_base_options() -> None:
    (cell,) = cells_of({}, fusion="cls", seed=7)
    assert cell.options == CellOptions(fusion="cls", seed=7)
    assert cell.columns["options"] == "base"


def test_the_grid_is_in_the_order_of_the_axes() -> None:
    cells = cells_of({"axes": {"fusion": ["cls", "concat"], "seed": [5, 2]}})
    assert [(cell.options.fusion, cell.options.seed) for cell in cells] == [
        ("cls", 5),
        ("cls", 2),
        ("concat", 5),
        ("concat", 2),
    ]


def test_include_multiplies_its_lists_and_starts_from_the_base() -> None:
    cells = cells_of(
        {"axes": {"fusion": ["cls"]}, "include": [{"margin": [0.8, 1.2], "seed": [1, 2]}]}
    )
    found = [(c.options.fusion, c.options.retrieval_loss.margin, c.options.seed) for c in cells]
    assert found == [
        ("cls", 1.0, 1),
        ("concat", 0.8, 1),
        ("concat", 0.8, 2),
        ("concat", 1.2, 1),
        ("concat", 1.2, 2),
    ]


def test_exclude_drops_what_agrees_in_all_that_it_names() -> None:
    axes = {"fusion": ["cls", "concat"], "head": ["relu", "linear"]}
    cells = cells_of({"axes": axes, "exclude": [{"fusion": "cls", "head": "relu"}]})
    assert [(cell.options.fusion, cell.options.head.kind) for cell in cells] == [
        ("cls", "linear"),
        ("concat", "relu"),
        ("concat", "linear"),
    ]


def test_exclude_takes_a_list_as_any_of_them() -> None:
    cells = cells_of({"axes": {"seed": [1, 2, 3, 4]}, "exclude": [{"seed": [2, 4]}]})
    assert [cell.options.seed for cell in cells] == [1, 3]


def test_exclude_may_name_an_option_that_is_no_axis() -> None:
    matrix = {"axes": {"seed": [1, 2]}, "exclude": [{"fusion": "cls", "seed": 2}]}
    assert len(cells_of(matrix, fusion="concat")) == 2
    assert len(cells_of(matrix, fusion="cls")) == 1


def test_exclude_leaves_included_cells() -> None:
    matrix = {
        "axes": {"seed": [1, 2]},
        "exclude": [{"seed": 2}],
        "include": [{"seed": 2, "fusion": "cls"}],
    }
    assert [(c.options.seed, c.options.fusion) for c in cells_of(matrix)] == [
        (1, "concat"),
        (2, "cls"),
    ]


def test_exclude_makes_a_grid_of_heads_and_widths_legal() -> None:
    axes = {"head": list(HEADS), "hidden": [0, 256]}
    exclude = [{"head": ["relu", "layernorm_relu"], "hidden": 0}]
    assert len(cells_of({"axes": axes, "exclude": exclude})) == 6


def test_exclude_reads_numbers_as_the_cells_do() -> None:
    # YAML reads 3e-6 as text and 3.0e-6 as a number; both name the same learning rate.
    matrix = {"axes": {"learning_rate": ["3e-6", 1e-4]}, "exclude": [{"learning_rate": 3e-6}]}
    assert [cell.options.training.learning_rate for cell in cells_of(matrix)] == [1e-4]


def test_nothing_left_is_refused() -> None:
    assert "no cell is left" in refusal({"axes": {"seed": [1]}, "exclude": [{"seed": 1}]})


def test_a_cell_met_twice_is_there_once() -> None:
    matrix = {
        "axes": {"margin": [1, 1.0, "1e0", 1.2]},
        "include": [{"margin": 1.2}, {"retrieval_loss.margin": [1.2, 1.0]}],
    }
    assert [cell.options.retrieval_loss.margin for cell in cells_of(matrix)] == [1.0, 1.2]


# ---- axis names ----


@pytest.mark.parametrize("name", ["margin", "retrieval_loss.margin"])
def test_short_and_dotted_names_mean_the_same_option(name: str) -> None:
    assert [c.options.retrieval_loss.margin for c in cells_of({"axes": {name: [0.8, 1.2]}})] == [
        0.8,
        1.2,
    ]


@pytest.mark.parametrize(
    ("section", "values", "path"),
    [
        ("head", ["relu", "linear"], ("head", "kind")),
        ("encoder", ["a", "b"], ("encoder", "name")),
        ("projection", ["shared", "separate"], ("projection", "towers")),
        ("retrieval_loss", ["triplet", "infonce"], ("retrieval_loss", "kind")),
        ("classifier_loss", [0.0, 2.0], ("classifier_loss", "weight")),
    ],
)
def test_a_section_stands_for_its_main_key(
    section: str, values: list[Any], path: tuple[str, str]
) -> None:
    cells = cells_of({"axes": {section: values}})
    assert [getattr(getattr(cell.options, path[0]), path[1]) for cell in cells] == values


@pytest.mark.parametrize("section", ["mining", "training", "stopping", "evaluation"])
def test_a_section_without_a_main_key_is_refused(section: str) -> None:
    message = refusal({"axes": {section: [1]}})
    assert f"{section!r} is a section" in message


@pytest.mark.parametrize(
    ("name", "meanings"),
    [
        ("weight", ["retrieval_loss.weight", "classifier_loss.weight"]),
        ("kind", ["head.kind", "retrieval_loss.kind"]),
        ("towers", ["encoder.towers", "projection.towers"]),
    ],
)
def test_an_ambiguous_name_is_refused_with_its_meanings(name: str, meanings: list[str]) -> None:
    for matrix in ({"axes": {name: [1]}}, {"include": [{name: 1}]}, {"exclude": [{name: 1}]}):
        message = refusal(matrix)
        assert "test.yaml" in message
        assert repr(name) in message
        for meaning in meanings:
            assert meaning in message


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("mergin", "'retrieval_loss.margin'"), ("head.hiden", "'head.hidden'"), ("zzzzzz", "config")],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, nearest: str) -> None:
    for matrix in ({"axes": {name: [1]}}, {"include": [{name: 1}]}, {"exclude": [{name: 1}]}):
        message = refusal(matrix)
        assert f"{name!r} is no option of a cell" in message
        assert nearest in message


@pytest.mark.parametrize("name", ["run", "corpus.path", "threads", "matrix", "dpi"])
def test_what_is_no_option_of_a_cell_is_no_axis(name: str) -> None:
    assert "is no option of a cell" in refusal({"axes": {name: [1]}})


# ---- validation ----


def test_every_bad_cell_is_named_at_once() -> None:
    message = refusal({"axes": {"head": list(HEADS), "hidden": [0, 256]}})
    assert message.startswith("test.yaml: ")
    assert 'head.kind="relu", head.hidden=0' in message
    assert 'head.kind="layernorm_relu", head.hidden=0' in message
    assert message.count("ReLU") == 2
    assert 'head.kind="linear"' not in message
    assert "head.hidden=256" not in message


def test_bad_cells_of_grid_and_include_are_named_together() -> None:
    matrix = {"axes": {"fusion": ["sum", "cls"]}, "include": [{"decrease_rate": [0, 3]}]}
    message = refusal(matrix)
    assert 'fusion="sum"' in message
    assert "mining.decrease_rate=3" in message
    assert 'fusion="cls"' not in message


def test_a_bad_value_is_told_once_in_however_many_cells() -> None:
    axes = {"fusion": ["cls", "sum"], "head": list(HEADS), "seed": [1, 2, 3], "margin": [1, -1]}
    assert refusal({"axes": axes}).splitlines() == [
        "test.yaml: matrix: values that are not valid",
        "  retrieval_loss.margin=-1: Input should be greater than 0 (found -1)",
        "  fusion=\"sum\": Input should be 'embedding', 'cls' or 'concat' (found \"sum\")",
    ]


def test_values_that_do_not_go_together_are_told_once_without_the_others() -> None:
    axes = {"fusion": list(FUSIONS), "seed": [1, 2], "head": ["relu", "linear"], "hidden": [0, 8]}
    message = refusal({"axes": axes})
    (line,) = message.splitlines()[1:]
    assert line.startswith('  head.kind="relu", head.hidden=0: head.hidden 0 leaves no layer')
    assert "fusion" not in message


def test_values_with_one_and_the_same_problem_share_a_line() -> None:
    message = refusal({"axes": {"preset": ["easy"], "decrease_rate": [0, 0.1, 0.2]}})
    (line,) = message.splitlines()[1:]
    assert line.startswith('  mining.preset="easy", mining.decrease_rate=0 and 2 more: ')
    assert "mining.preset 'easy' sets both rates" in line


def test_a_bad_value_names_its_source_and_a_bad_pair_all_of_them() -> None:
    axes = {"head": ["relu", "gelu"], "seed": [1, 2]}
    values, origins = merge(
        [
            Layer("mine.yaml", {"run": "x", "head": {"kind": "linear", "hidden": 0}}),
            Layer("--config", {"matrix": {"axes": axes}}),
        ]
    )
    with pytest.raises(InputError) as caught:
        expand(load(values, origins), origins)
    together, pair, alone, value = str(caught.value).splitlines()
    assert together == "mine.yaml + --config: matrix: values that are not valid"
    assert 'head.kind="relu": head.hidden 0 leaves' in pair
    assert alone == "--config: matrix: values that are not valid"
    assert 'head.kind="gelu": Input should be' in value


def test_options_that_do_not_go_together_are_a_bad_cell() -> None:
    message = refusal({"axes": {"projection": ["shared", "separate"], "width": [128, "none"]}})
    assert 'projection.towers="separate", projection.width="none"' in message
    assert message.count("needs a width") == 1


# ---- presets ----


def test_a_preset_as_an_axis_is_the_grid_of_its_range() -> None:
    cells = cells_of({"axes": {"preset": ["easy", None]}})
    assert [coordinates(cell)[2:] for cell in cells] == [
        *itertools.product((0.6, 0.65, 0.7), (0.03, 0.04, 0.05)),
        (1.0, 0.01),
    ]
    # Their rates are all that they have: the base options plus two rates are the same cell.
    assert all(cell.options.mining.preset is None for cell in cells)
    assert all(cell.columns["options"] == "base" for cell in cells)
    assert cells[1].columns["initial_random_rate"] == "0.6"
    assert cells[1].columns["decrease_rate"] == "0.04"
    assert list(rows(cells)[0]) == ["cell", *COLUMNS]


def test_a_cell_at_the_end_of_two_presets_is_one() -> None:
    pairs = [coordinates(c)[2:] for c in cells_of({"axes": {"preset": ["medium", "hard"]}})]
    assert len(pairs) == len(set(pairs)) == 9 + 9 - 1
    assert (0.8, 0.01) in pairs


def test_included_presets_are_grids_too() -> None:
    matrix = {
        "axes": {"fusion": ["cls"]},
        "include": [{"preset": ["easy", "hard"], "fusion": "concat"}],
    }
    cells = cells_of(matrix)
    assert len(cells) == 1 + 2 * 9
    assert {cell.options.fusion for cell in cells[1:]} == {"concat"}


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        ({"preset": "hard"}, 9),  # the shared cell is medium's too
        ({"preset": "medium", "decrease_rate": 0.02}, 17 - 3),
        ({"initial_random_rate": 0.7}, 17 - 3),
        ({"preset": ["medium", "hard"], "initial_random_rate": [0.7, 0.75, 0.8, 0.85, 0.9]}, 0),
    ],
)
def test_what_is_excluded_of_a_presets_grid(exclude: dict[str, Any], left: int) -> None:
    matrix = {
        "axes": {"preset": ["medium", "hard"]},
        "exclude": [exclude],
        "include": [{"fusion": "cls"}],
    }
    assert len(cells_of(matrix)) == left + 1


def test_a_preset_of_the_base_options_is_the_middle_and_an_axis_of_presets_takes_its_place() -> (
    None
):
    (alone,) = cells_of({}, mining={"preset": "medium"})
    assert coordinates(alone)[2:] == (0.75, 0.015)
    cells = cells_of({"axes": {"preset": ["easy"]}}, mining={"preset": "medium"})
    assert [coordinates(cell)[2:] for cell in cells] == list(
        itertools.product((0.6, 0.65, 0.7), (0.03, 0.04, 0.05))
    )
    free = {"preset": None, "decrease_rate": [0, 0.02]}
    cells = cells_of({"axes": {"fusion": ["cls"]}, "include": [free]}, mining={"preset": "hard"})
    assert [cell.options.mining.decrease_rate for cell in cells] == [0.0075, 0, 0.02]
    axes = {"preset": [None], "decrease_rate": [0, 0.02]}
    (left,) = cells_of({"axes": axes, "exclude": [{"decrease_rate": 0}]}, mining={"preset": "hard"})
    assert left.options.mining.decrease_rate == 0.02


def test_a_preset_over_the_default_matrix_gets_one_message_that_keeps_the_preset() -> None:
    below = read_yaml("config.yaml")
    values, origins = merge(
        [Layer("config.yaml", below), Layer("--config", {"mining": {"preset": "easy"}})]
    )
    with pytest.raises(InputError) as caught:
        expand(load(values, origins), origins)
    (message,) = str(caught.value).splitlines()
    assert message.startswith("--config: mining.preset 'easy' sets both rates, which the matrix")
    assert "(config.yaml) sets too: mining.initial_random_rate, mining.decrease_rate;" in message
    assert "null" not in message
    proposed = yaml.safe_load(message.partition("matrix='")[2].removesuffix("'"))
    assert proposed == {
        "axes": {"fusion": list(FUSIONS), "head": list(HEADS), "seed": [1]},
    }
    cells = cells_of(proposed, mining={"preset": "easy"})
    assert {coordinates(cell)[2:] for cell in cells} == {(0.65, 0.04)}


# ---- names ----


def test_a_cells_name_is_its_columns() -> None:
    (cell,) = cells_of({}, fusion="cls", head="relu", mining={"decrease_rate": 0.005}, seed=3)
    assert cell.name == (
        "fusion~cls/head~relu/initial_random_rate~1/decrease_rate~0.005/seed~3/options~base"
    )


def test_a_further_axis_renames_no_cell_with_the_base_value() -> None:
    before = {cell.name for cell in default_cells()}
    cells = default_cells(margin=[0.8, 1.0, 1.2])
    assert len(cells) == 3 * 96 + 9
    kept = {cell.name for cell in cells if cell.options.retrieval_loss.margin == 1.0}
    assert kept == before


def test_default_names_are_unique_and_safe() -> None:
    cells = default_cells(margin=[0.8, 1.0], width=[32, "none"], halve_after=[None, 3])
    names = [cell.name for cell in cells]
    assert len(set(names)) == len(names)
    assert all(is_safe(name) for name in names)


def test_names_are_those_of_a_paramspace() -> None:
    cells = default_cells(margin=[0.8, 1.0], encoder=["all-MiniLM-L6-v2", "a/b c"])
    frame = pd.DataFrame([dict(cell.columns) for cell in cells], columns=list(COLUMNS))
    space = Paramspace(frame)
    assert list(space.instance_patterns) == [cell.name for cell in cells]
    assert all(space.wildcard_pattern.format(**cell.columns) == cell.name for cell in cells)


@pytest.mark.parametrize(
    "encoder",
    ["sentence-transformers/all-mpnet-base-v2", "/data/my models/bert", "../bert", "~/b+e=r~t%"],
)
def test_an_encoder_with_slashes_makes_a_safe_name(encoder: str) -> None:
    cells = cells_of({"axes": {"encoder": ["all-MiniLM-L6-v2", encoder]}})
    assert [cell.options.encoder.name for cell in cells] == ["all-MiniLM-L6-v2", encoder]
    assert all(is_safe(cell.name) for cell in cells)
    assert cells[0].columns["options"] == "base"
    assert "encoder.name=" in cells[1].columns["options"]


def test_a_cell_of_many_options_has_a_name_that_a_file_system_takes() -> None:
    # 255 bytes is the most for one part of a path on ext4, XFS, Lustre and APFS.
    bert = {
        "encoder": "/data/models/bert-base-uncased",
        "pooling": "pooler",
        "max_tokens": 512,
        "trainable": "all",
        "projection": "separate",
        "width": 768,
        "init": "identity",
        "retrieval_loss": "infonce",
        "temperature": 0.02,
        "epochs": 200,
        "learning_rate": 3e-6,
    }
    cells = cells_of({"include": [bert, {**bert, "temperature": 0.01}]})
    assert len({cell.name for cell in cells}) == 2
    assert max(len(part.encode()) for cell in cells for part in cell.name.split("/")) <= 255


names = st.text(st.sampled_from("ab/.+= %~é{}_-,"), min_size=1, max_size=8)
thousandths = st.integers(1, 1000).map(lambda number: number / 1000)
some_settings = st.fixed_dictionaries(
    {},
    optional={
        "fusion": st.sampled_from(FUSIONS),
        "head.kind": st.sampled_from(HEADS),
        "head.hidden": st.integers(1, 3),
        "projection.width": st.sampled_from([1, 12, 128, "none"]),
        "encoder.name": names,
        "encoder.trainable": st.sampled_from(["none", "all", 1, 2]),
        "mining.initial_random_rate": thousandths,
        "mining.decrease_rate": thousandths,
        "mining.preset": st.sampled_from([None, "easy", "hard"]),
        "retrieval_loss.margin": thousandths,
        "stopping.patience": st.sampled_from([None, 5, 6]),
        "evaluation.test_every_epoch": st.booleans(),
        "seed": st.integers(0, 3),
    },
).filter(
    lambda setting: (
        not setting.get("mining.preset")
        or not setting.keys() & {"mining.initial_random_rate", "mining.decrease_rate"}
    )
)


def test_a_preset_beside_an_axis_of_a_rate_it_sets_is_refused() -> None:
    values = {"run": "x", "mining": {"preset": "easy"}, "matrix": {"axes": {"decrease_rate": [0]}}}
    with pytest.raises(InputError, match="'easy' sets both rates"):
        expand(load(values, "test"), "test")


def test_a_cell_in_which_nothing_learns_is_refused_and_no_other() -> None:
    base = {"projection": {"width": "none"}, "classifier_loss": 0}
    assert len(cells_of({"axes": {"trainable": ["all", 2]}}, **base)) == 2
    text = refusal({"axes": {"trainable": ["all", "none"]}}, **base)
    assert 'encoder.trainable="none"' in text
    assert "leave nothing to train" in text


def test_two_names_of_one_option_are_refused() -> None:
    axes = {"margin": [1.0], "retrieval_loss.margin": [0.8]}
    with pytest.raises(InputError, match=r"given twice, by two names of retrieval_loss\.margin"):
        expand(load({"run": "x", "matrix": {"axes": axes}}, "test"), "test")


@pytest.mark.parametrize(
    ("axis", "words"),
    [("mergin", "did you mean 'retrieval_loss.margin'"), ("training", "is a section"), ("run", "")],
)
def test_the_axis_of_the_tables_is_an_option_of_a_cell(axis: str, words: str) -> None:
    message = refusal({}, tables={"axis": axis})
    assert message.startswith(f"test.yaml: tables.axis: {axis!r} ")
    assert words in message
    assert option_path("margin", "x") == "retrieval_loss.margin"
    assert len(cells_of({}, tables={"axis": "margin"})) == 1


@settings(max_examples=50, deadline=None)
@given(left=some_settings, right=some_settings)
def test_names_differ_whenever_options_do(left: dict[str, Any], right: dict[str, Any]) -> None:
    base = CellOptions()
    first, second = make_cell(base, left), make_cell(base, right)
    assert (first.name == second.name) == (first.options == second.options)
    assert is_safe(first.name)


@settings(max_examples=50, deadline=None)
@given(setting=some_settings)
def test_a_name_does_not_depend_on_the_order_of_the_axes(setting: dict[str, Any]) -> None:
    base = CellOptions()
    turned = dict(reversed(setting.items()))
    assert make_cell(base, setting) == make_cell(base, turned)


def test_every_option_that_departs_alone_changes_the_name() -> None:
    base = CellOptions()
    changes: dict[str, Any] = {
        "encoder.towers": "separate",
        "encoder.batch_tokens": 64,
        "projection.init": "identity",
        "retrieval_loss.temperature": 0.1,
        "classifier_loss.weight": 0,
        "mining.top_m": 2,
        "mining.backend": "balltree",
        "training.batch_size": 16,
        "stopping.gap_stop": 4,
        "evaluation.rerank": 5,
        "seed": 2,
    }
    cells = [make_cell(base, {path: value}) for path, value in changes.items()]
    assert len({cell.name for cell in cells} | {make_cell(base, {}).name}) == len(changes) + 1


# ---- matrix.csv ----


def test_rows_have_a_column_for_each_further_option() -> None:
    cells = cells_of(
        {"axes": {"margin": [0.8, 1.0]}, "include": [{"width": 64}, {"projection.width": "none"}]}
    )
    found = rows(cells)
    assert [row["cell"] for row in found] == [cell.name for cell in cells]
    assert list(found[0]) == ["cell", *COLUMNS, "retrieval_loss.margin", "projection.width"]
    assert all(list(row) == list(found[0]) for row in found)
    assert [(row["retrieval_loss.margin"], row["projection.width"]) for row in found] == [
        (0.8, 128),
        (1.0, 128),
        (1.0, 64),
        (1.0, "none"),
    ]


def test_rows_of_the_default_matrix_have_no_further_column() -> None:
    found = rows(default_cells())
    assert len(found) == 105
    assert all(list(row) == ["cell", *COLUMNS] for row in found)


def test_base_options_are_the_cells_part_of_a_run() -> None:
    config = load({"run": "x", "head": "relu", "seed": 9, "corpus": {"path": "a.zip"}}, "test")
    base = base_options(config)
    assert type(base) is CellOptions
    assert (base.head.kind, base.seed) == ("relu", 9)


def test_without_axes_there_is_the_base_cell_or_what_include_names() -> None:
    alone = expand(load({"run": "x"}, "test"), "test")
    assert [cell.options for cell in alone] == [CellOptions()]
    values = {"run": "x", "matrix": {"include": [{"fusion": "cls"}]}}
    named = expand(load(values, "test"), "test")
    assert [cell.options.fusion for cell in named] == ["cls"]
