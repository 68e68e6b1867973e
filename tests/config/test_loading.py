"""Reading options: what is refused and how it is told, and that what is written reads the same."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from counterpoint.config.layers import Layer, merge
from counterpoint.config.loading import InvalidOptions, dump, load, load_options, parse
from counterpoint.config.options import CellOptions, MiningOptions
from counterpoint.config.run_options import RunConfig
from counterpoint.errors import InputError

CHECKSUM = "0123456789abcdef" * 4


def run(**values: Any) -> RunConfig:
    return load({"run": "x", **values}, "test.yaml")


def refusal(values: Any) -> str:
    with pytest.raises(InputError) as caught:
        load(values, "test.yaml")
    return str(caught.value)


# ---- what is refused ----

BAD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "unknown key": ({"fusoin": "cls"}, ["fusoin: unknown key", "'fusion'"]),
    "unknown nested key": ({"head": {"hiden": 8}}, ["head.hiden: unknown", "'head.hidden'"]),
    "unknown key two deep": (
        {"corpus": {"splits": {"trian": "a"}}},
        ["corpus.splits.trian: unknown", "'corpus.splits.train'"],
    ),
    "key of a section at the top": (
        {"learning_rate": 1},
        ["learning_rate: unknown", "'training.learning_rate'"],
    ),
    "key like no other": ({"zzzzzz": 1}, ["zzzzzz: unknown key", "config/config.yaml"]),
    "wrong type": ({"training": {"epochs": "ten"}}, ["training.epochs", "integer", '"ten"']),
    "yes for a number": ({"retrieval_loss": {"margin": True}}, ["retrieval_loss.margin", "number"]),
    "number for yes": (
        {"evaluation": {"test_every_epoch": 1}},
        ["evaluation.test_every_epoch", "boolean"],
    ),
    "fractional epochs": ({"training": {"epochs": 1.5}}, ["training.epochs", "integer", "1.5"]),
    "rate above 1": ({"mining": {"decrease_rate": 2}}, ["mining.decrease_rate", "1", "found 2"]),
    "rate below 0": (
        {"mining": {"initial_random_rate": -0.1}},
        ["mining.initial_random_rate", "0", "found -0.1"],
    ),
    "no epochs": ({"training": {"epochs": 0}}, ["training.epochs", "1", "found 0"]),
    "no learning rate": ({"training": {"learning_rate": 0}}, ["training.learning_rate", "found 0"]),
    "infinite": ({"retrieval_loss": {"margin": float("inf")}}, ["retrieval_loss.margin", "finite"]),
    "not a number": ({"retrieval_loss": {"margin": float("nan")}}, ["margin", "finite"]),
    "negative seed": ({"seed": -1}, ["seed", "found -1"]),
    "few tokens": ({"encoder": {"max_tokens": 2}}, ["encoder.max_tokens", "8", "found 2"]),
    "no layers": ({"encoder": {"trainable": 0}}, ["encoder.trainable", "1", "found 0"]),
    "unknown trainable": ({"encoder": {"trainable": "some"}}, ["encoder.trainable", "'all'"]),
    "unknown fusion": ({"fusion": "sum"}, ["fusion:", "'embedding'", "'concat'", '"sum"']),
    "unknown head": ({"head": "gelu"}, ["head.kind", "'layernorm_relu'", '"gelu"']),
    "unknown pooling": ({"encoder": {"pooling": "max"}}, ["encoder.pooling", "'mean'", '"max"']),
    "unknown loss": ({"retrieval_loss": "hinge"}, ["retrieval_loss.kind", "'infonce'", '"hinge"']),
    "unknown preset": ({"mining": {"preset": "odd"}}, ["mining.preset", "'medium'", '"odd"']),
    "preset that is a list": ({"mining": {"preset": ["easy"]}}, ["mining.preset", "'medium'"]),
    "unknown baseline": ({"baselines": ["bm52"]}, ["baselines.0", "'tfidf'", '"bm52"']),
    "ReLU without a hidden layer": (
        {"head": {"kind": "relu", "hidden": 0}},
        ["head.hidden 0", "ReLU", "'relu'"],
    ),
    "LayerNorm and ReLU without a hidden layer": (
        {"head": {"kind": "layernorm_relu", "hidden": 0}},
        ["head.hidden 0", "'layernorm_relu'"],
    ),
    "default head without a hidden layer": ({"head": {"hidden": 0}}, ["head.hidden 0", "ReLU"]),
    "separate projections without width": (
        {"projection": {"towers": "separate", "width": "none"}},
        ["projection.towers separate", "width"],
    ),
    "url without checksum": (
        {"corpus": {"url": "https://example.org/a.zip"}},
        ["corpus.url", "corpus.sha256"],
    ),
    "path and url": (
        {"corpus": {"url": "https://example.org", "sha256": CHECKSUM, "path": "a.zip"}},
        ["corpus.path or corpus.url", "not both"],
    ),
    "neither path nor url": ({"corpus": {"path": None}}, ["corpus.path or corpus.url"]),
    "short checksum": ({"corpus": {"url": "u", "sha256": "abc"}}, ["corpus.sha256", '"abc"']),
    "checksum in capitals": (
        {"corpus": {"url": "u", "sha256": CHECKSUM.upper()}},
        ["corpus.sha256", CHECKSUM.upper()],
    ),
    "run name with a slash": ({"run": "a/b"}, ["run:", '"a/b"']),
    "run name that climbs": ({"run": ".."}, ["run:", '".."']),
    "empty run name": ({"run": ""}, ["run:"]),
    "section that is a list": ({"training": [8]}, ["training:", "object", "[8]"]),
    "empty section": ({"training": None}, ["training:", "object"]),
    "nothing to train": (
        {"retrieval_loss": {"weight": 0}, "classifier_loss": 0},
        ["retrieval_loss.weight", "classifier_loss.weight", "both 0"],
    ),
    "one value for a section of several": (
        {"mining": 0.5},
        ["mining: name its options", "--config mining='{initial_random_rate: …}'"],
    ),
    "text for a section of several": ({"training": "x"}, ["training: name its options"]),
    "option written with its dots": (
        {"training.epochs": 3},
        ["training.epochs: an option is given inside its section: training: {epochs: 3}"],
    ),
    "option without its section": (
        {"epochs": 3},
        ["epochs: unknown key; did you mean 'training.epochs'?", "--config training='{epochs: 3}'"],
    ),
    "axis that is null": (
        {"matrix": {"axes": {"margin": None}}},
        ["matrix.axes.margin", "expected a list", "has its base value"],
    ),
    "axis without values": ({"matrix": {"axes": {"margin": []}}}, ["matrix.axes.margin", "1 item"]),
}


@pytest.mark.parametrize(("values", "words"), BAD.values(), ids=BAD)
def test_a_bad_configuration_is_named(values: dict[str, Any], words: list[str]) -> None:
    message = refusal({"run": "x", **values})
    assert message.startswith("test.yaml: ")
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("values", "meant"),
    [
        ({"training": {"margin": 1}}, "retrieval_loss.margin"),
        ({"training": {"patience": 3}}, "stopping.patience"),
        ({"evaluation": {"epochs": 3}}, "training.epochs"),
        ({"head": {"margin": 1}}, "retrieval_loss.margin"),
        ({"resources": {"batch_size": 8}}, "training.batch_size"),
        ({"projection": {"hidden": 8}}, "head.hidden"),
        ({"threads": 2}, "resources.threads"),
    ],
)
def test_a_key_in_the_wrong_section_is_shown_the_right_one(
    values: dict[str, Any], meant: str
) -> None:
    assert f"did you mean {meant!r}" in refusal({"run": "x", **values})


def test_a_message_shows_what_was_given_and_no_step_of_validation() -> None:
    assert refusal({"run": "x", "encoder": {"trainable": "some"}}).splitlines()[1:] == [
        "  encoder.trainable: Input should be 'all' or 'none' (found \"some\")",
        '  encoder.trainable: Input should be a valid integer (found "some")',
    ]
    assert "  matrix.include.0.fusion: " in refusal(
        {"run": "x", "matrix": {"include": [{"fusion": {"a": 1}}]}}
    )
    assert "  fusoin: unknown key" in refusal({"run": "x", "fusoin": None})
    assert "  3: unknown key" in refusal({"run": "x", 3: 1})


def test_a_missing_run_is_named() -> None:
    assert "run: missing" in refusal({"seed": 1})


@pytest.mark.parametrize("values", [[1], "run: x", None, 3])
def test_what_is_no_mapping_is_refused(values: Any) -> None:
    message = refusal(values)
    assert "test.yaml: expected a mapping" in message
    assert repr(values) in message


def test_everything_wrong_is_named_at_once() -> None:
    message = refusal({"fusoin": 1, "head": "gelu", "training": {"epochs": 0}})
    for word in ("fusoin", "head.kind", "training.epochs", "run: missing"):
        assert word in message


def test_each_problem_is_told_with_the_source_of_its_option() -> None:
    values, origins = merge(
        [
            Layer("config/config.yaml", {"run": "x", "head": {"kind": "relu", "hidden": 8}}),
            Layer("mine.yaml", {"training": {"epochs": 0}, "corpus": {"splits": {"dev": 3}}}),
            Layer("--config", {"head": {"hidden": 0}, "fusoin": "cls"}),
        ]
    )
    with pytest.raises(InvalidOptions) as caught:
        load(values, origins)
    assert str(caught.value).splitlines() == [
        "--config: the configuration is not valid",
        "  head: head.hidden 0 leaves no layer for the ReLU of 'relu'; use linear or layernorm, or "
        "a positive width",
        "  fusoin: unknown key; did you mean 'fusion'?",
        "mine.yaml: the configuration is not valid",
        "  training.epochs: Input should be greater than or equal to 1 (found 0)",
        "  corpus.splits.dev: Input should be a valid string (found 3)",
    ]


# ---- frozen, dumped, read again ----


def test_a_configuration_is_frozen() -> None:
    config = run()
    with pytest.raises(ValidationError):
        config.seed = 2
    with pytest.raises(ValidationError):
        config.head.hidden = 2


def test_validation_leaves_what_it_was_given_alone() -> None:
    values = {"run": "x", "mining": {"preset": "easy"}, "head": "relu"}
    before = deepcopy(values)
    load(values, "test.yaml")
    assert values == before


def test_a_dump_is_one_line_the_same_for_the_same_options() -> None:
    left = parse(CellOptions, {"head": "relu", "seed": 3}, "left")
    right = parse(CellOptions, {"seed": 3, "head": {"hidden": 256, "kind": "relu"}}, "right")
    assert dump(left) == dump(right)
    assert "\n" not in dump(left)
    keys = list(json.loads(dump(left)))
    assert keys == sorted(CellOptions.model_fields.keys() - set(CellOptions.younger))


@settings(max_examples=50, deadline=None)
@given(
    width=st.one_of(st.just("none"), st.integers(1, 4096)),
    margin=st.floats(1e-9, 1e9),
    rates=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    name=st.text(min_size=1),
    patience=st.one_of(st.none(), st.integers(1, 99)),
)
def test_a_dump_read_again_is_the_same(
    width: int | str,
    margin: float,
    rates: tuple[float, float],
    name: str,
    patience: int | None,
) -> None:
    options = parse(
        CellOptions,
        {
            "encoder": name,
            "projection": {"width": width},
            "retrieval_loss": {"margin": margin},
            "mining": {"initial_random_rate": rates[0], "decrease_rate": rates[1]},
            "stopping": {"patience": patience},
        },
        "test",
    )
    again = load_options(CellOptions, dump(options))
    assert again == options
    assert dump(again) == dump(options)


def test_options_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "options.json"
    path.write_text(dump(parse(CellOptions, {"fusion": "cls"}, "test")), encoding="utf-8")
    assert load_options(CellOptions, str(path)).fusion == "cls"


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "options.json"
    path.write_text("fusion: cls", encoding="utf-8")
    with pytest.raises(InputError, match=r"options\.json: expected a JSON object"):
        load_options(CellOptions, str(path))


def test_options_with_a_preset_read_again_are_the_same() -> None:
    options = parse(MiningOptions, {"preset": "hard"}, "test")
    assert load_options(MiningOptions, dump(options)) == options
