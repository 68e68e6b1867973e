"""Options that have a new name: refused in what a user gives, read in what the program wrote."""

import json
from pathlib import Path
from typing import Any

import pytest

from counterpoint.config.loading import dump, known_paths, load, load_options, load_written
from counterpoint.config.matrix import expand
from counterpoint.config.options import CellOptions, EncoderOptions
from counterpoint.config.renames import RENAMED, new_path
from counterpoint.config.run_options import RunConfig
from counterpoint.errors import InputError

VALUES: dict[str, Any] = {
    "encoder.roles": "separate",
    "projection.kind": "separate",
    "projection.start": "identity",
    "mining.pool": 3,
    "training.batch": 16,
    "training.warmup": 0.1,
    "training.order": "debates",
}


def nested(path: str, value: Any) -> dict[str, Any]:
    section, key = path.split(".")
    return {section: {key: value}}


def refusal(values: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        expand(load({"run": "x", **values}, "test.yaml"), "test.yaml")
    return str(caught.value)


def test_the_table_leads_from_keys_that_are_gone_to_keys_of_the_same_section() -> None:
    paths = set(known_paths(CellOptions))
    assert set(VALUES) == set(RENAMED)
    for old, new in RENAMED.items():
        assert old not in paths
        assert new in paths
        assert old.split(".")[0] == new.split(".")[0]


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_key_is_refused_with_its_new_name(old: str) -> None:
    assert f"  {old}: is called {RENAMED[old]} now" in refusal(nested(old, VALUES[old]))


def test_an_old_key_of_a_section_alone_is_refused_too() -> None:
    with pytest.raises(InputError, match="roles: is called towers now"):
        load_options(EncoderOptions, '{"roles": "shared"}')


@pytest.mark.parametrize(
    ("name", "new"),
    # By its last part too, but for `kind`, which is the name of several options, then and now.
    [
        *RENAMED.items(),
        *((old.split(".")[1], new) for old, new in RENAMED.items() if old != "projection.kind"),
    ],
)
def test_an_old_name_of_an_axis_is_refused_with_its_new_name(name: str, new: str) -> None:
    for matrix in ({"axes": {name: [1]}}, {"include": [{name: 1}]}, {"exclude": [{name: 1}]}):
        message = refusal({"matrix": matrix})
        assert message == f"test.yaml: matrix: {name!r} is called {new} now"


def test_a_name_that_is_not_old_has_no_new_one() -> None:
    assert [new_path(name) for name in ("kind", "head.kind", "margin", "batch_size")] == [None] * 4


@pytest.mark.parametrize("old", RENAMED)
def test_options_that_a_cell_left_are_read_by_their_old_keys(old: str, tmp_path: Path) -> None:
    path = tmp_path / "options.json"
    path.write_text(json.dumps(nested(old, VALUES[old])))
    section, key = RENAMED[old].split(".")
    assert getattr(getattr(load_written(CellOptions, path), section), key) == VALUES[old]
    with pytest.raises(InputError, match=r"options\.json: the configuration is not valid"):
        load_options(CellOptions, str(path))


def test_a_runs_old_configuration_is_read_with_its_axes(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    matrix = {
        "axes": {"batch": [4, 8], "mining.pool": [1, 2], "fusion": None},
        "include": [{"warmup": [0.1, 0.2]}],
        "exclude": [{"training.batch": 4, "pool": 2}],
    }
    path.write_text(json.dumps({"run": "old", "training": {"batch": 4}, "matrix": matrix}))
    config = load_written(RunConfig, path)
    assert config.training.batch_size == 4
    cells = [cell.options for cell in expand(config, "test")]
    assert [(c.training.batch_size, c.mining.top_m, c.training.warmup_ratio) for c in cells] == [
        (4, 1, 0),
        (8, 1, 0),
        (8, 2, 0),
        (4, 1, 0.1),
        (4, 1, 0.2),
    ]


def test_what_this_version_writes_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    config = load({"run": "x", "matrix": {"axes": {"batch_size": [4]}}}, "test")
    path.write_text(dump(config))
    assert load_written(RunConfig, path) == config


@pytest.mark.parametrize("text", ["[1]", "run: x", '{"run": "x", "fusoin": 1}'])
def test_a_file_that_was_never_written_so_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"config\.json: "):
        load_written(RunConfig, path)
