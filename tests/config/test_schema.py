"""The JSON schema: it is that of the classes, and accepts and refuses what they do."""

import json
from typing import Any

import jsonschema
import pytest

from counterpoint.config.loading import load
from counterpoint.config.schema import json_schema
from counterpoint.errors import InputError
from tests.support.configuration import ROOT, on_top

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.json"


def schema_problems(values: Any) -> list[str]:
    schema = json.loads(json_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    return [error.message for error in validator.iter_errors(values)]


def test_the_committed_schema_is_that_of_the_classes() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == json_schema()


@pytest.mark.parametrize("names", [(), ("arguana.yaml",), ("study.yaml",)])
def test_the_schema_accepts_our_files(names: tuple[str, ...]) -> None:
    assert schema_problems(on_top(*names)) == []


@pytest.mark.parametrize(
    "values",
    [
        {"head": "relu"},
        {"encoder": "bert-base-uncased"},
        {"projection": "separate"},
        {"retrieval_loss": "infonce"},
        {"classifier_loss": 0.5},
        {"corpus": "pairs.csv"},
        {"head": {"kind": "relu", "hidden": 8}},
    ],
)
def test_the_schema_accepts_shorthands(values: dict[str, Any]) -> None:
    assert schema_problems({"run": "x", **values}) == []


@pytest.mark.parametrize(
    "values",
    [
        {"fusoin": "cls"},
        {"head": {"hiden": 8}},
        {"corpus": {"splits": {"trian": "a"}}},
        {"matrix": {"axis": {}}},
        {"resources": {"cpus": 2}},
        {"head": "gelu"},
        {"training": "8"},
        {"corpus": None},
        {"mining": 0.5},
        {"matrix": {"axes": {"fusion": None}}},
        {"training": {"epochs": 1.5}},
        {"run": "a/b"},
    ],
)
def test_the_schema_refuses_what_we_refuse(values: dict[str, Any]) -> None:
    assert schema_problems({"run": "x", **values}) != []
    with pytest.raises(InputError):
        load({"run": "x", **values}, "test.yaml")


def test_the_schema_wants_a_run() -> None:
    assert any("'run' is a required property" in message for message in schema_problems({}))
