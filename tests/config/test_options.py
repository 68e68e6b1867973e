"""The configuration: the commented file, overrides, shorthands, and what is refused."""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from snakemake.utils import update_config

from counterpoint.config.loading import dump, known_paths, load, load_options, parse
from counterpoint.config.matrix import base_options, expand
from counterpoint.config.options import (
    PRESETS,
    CellOptions,
    CorpusOptions,
    EncoderOptions,
    MiningOptions,
    PlotOptions,
    ResourceOptions,
    RunConfig,
    Section,
    TableOptions,
)
from counterpoint.config.schema import json_schema
from counterpoint.errors import InputError
from counterpoint.io.text import rate_text

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.json"
CHECKSUM = "0123456789abcdef" * 4


def read_yaml(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8"))
    return values


def on_top(*names: str) -> dict[str, Any]:
    """config.yaml with further files on top, merged as snakemake merges them."""
    values = read_yaml("config.yaml")
    for name in names:
        update_config(values, read_yaml(name))
    return values


def run(**values: Any) -> RunConfig:
    return load({"run": "x", **values}, "test.yaml")


def refusal(values: Any) -> str:
    with pytest.raises(InputError) as caught:
        load(values, "test.yaml")
    return str(caught.value)


def paths_in(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from paths_in(value, f"{prefix}{key}.")


# ---- the files ----


def test_the_commented_file_holds_the_defaults_of_a_cell() -> None:
    assert base_options(load(read_yaml("config.yaml"), "config.yaml")) == CellOptions()


def test_the_commented_file_holds_the_defaults_of_a_run() -> None:
    config = load(read_yaml("config.yaml"), "config.yaml")
    assert config.corpus == CorpusOptions()
    assert config.resources == ResourceOptions()
    assert config.tables == TableOptions()
    assert config.plots == PlotOptions()
    assert config.baselines == RunConfig.model_fields["baselines"].default


def test_the_commented_file_holds_every_key() -> None:
    assert set(known_paths(RunConfig)) <= set(paths_in(read_yaml("config.yaml")))


def test_known_paths_reach_every_depth() -> None:
    paths = set(known_paths(RunConfig))
    assert {"run", "head", "head.hidden", "corpus.splits", "corpus.splits.dev"} <= paths


@pytest.mark.parametrize(
    "name", sorted(path.name for path in (ROOT / "config").glob("*.yaml") if path.stem != "config")
)
def test_overrides_hold_only_what_differs(name: str) -> None:
    base = read_yaml("config.yaml")
    # Axes are options by any of their names; `expand` knows them.
    own = {path for path in paths_in(read_yaml(name)) if not path.startswith("matrix.axes.")}
    assert own <= set(paths_in(base))
    assert on_top(name) != base
    assert expand(load(on_top(name), name), name)


def test_the_real_corpus_changes_no_option_of_a_cell() -> None:
    config = load(on_top("arguana.yaml"), "arguana.yaml")
    assert config.run == "arguana"
    assert config.corpus.path == "$COUNTERPOINT_ARGUANA"
    assert base_options(config) == CellOptions()


def test_the_recipe_is_one_cell_of_retrieval_alone() -> None:
    config = load(on_top("recipe.yaml"), "recipe.yaml")
    cells = expand(config, "recipe.yaml")
    assert len(cells) == 1
    assert cells[0].options == base_options(config)
    assert config.encoder.trainable == "all"
    assert config.rerank == 1


def test_finetune_is_the_seeds_own_run() -> None:
    config = load(on_top("finetune.yaml"), "finetune.yaml")
    assert config.encoder.name == "bert-base-uncased"
    assert config.encoder.pooling == "pooler"
    assert config.encoder.max_tokens == 512
    assert config.encoder.trainable == "all"
    assert config.training.learning_rate == 3e-6
    assert config.training.batch_size == 8
    assert config.training.epochs == 200
    assert config.retrieval_loss.kind == "triplet"
    assert config.retrieval_loss.margin == 1.0
    assert config.projection.width == 128


def test_one_override_goes_on_top_of_another() -> None:
    config = load(on_top("arguana.yaml", "finetune.yaml"), "both")
    assert config.run == "finetune"
    assert config.corpus.path == "$COUNTERPOINT_ARGUANA"


def test_the_defaults_are_those_of_the_design() -> None:
    options = CellOptions()
    assert (options.retrieval_loss.weight, options.classifier_loss.weight) == (1, 1)
    assert (options.retrieval_loss.margin, options.retrieval_loss.temperature) == (1, 0.05)
    assert (options.training.batch_size, options.training.learning_rate) == (8, 1e-4)
    assert (options.projection.width, options.head.hidden) == (128, 256)
    assert (options.evaluation.rerank, options.evaluation.train_sample) == (10, 1000)
    assert options.stopping.model_dump() == {
        "halve_after": 3,
        "patience": 5,
        "dev_loss_rises": 3,
        "gap_warning": 5,
        "gap_stop": None,
    }


# ---- shorthands, presets, numbers ----


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({"head": "relu"}, {"head": {"kind": "relu"}}),
        ({"encoder": "bert-base-uncased"}, {"encoder": {"name": "bert-base-uncased"}}),
        ({"projection": "separate"}, {"projection": {"towers": "separate"}}),
        ({"retrieval_loss": "infonce"}, {"retrieval_loss": {"kind": "infonce"}}),
        ({"classifier_loss": 2}, {"classifier_loss": {"weight": 2.0}}),
    ],
)
def test_a_value_alone_stands_for_a_sections_main_key(
    short: dict[str, Any], long: dict[str, Any]
) -> None:
    assert run(**short) == run(**long)
    assert run(**short) != run()


def test_a_shorthand_on_top_of_the_file_resets_the_rest_of_its_section() -> None:
    values = read_yaml("config.yaml")
    values["head"]["hidden"] = 64
    update_config(values, {"head": "relu"})
    head = load(values, "test.yaml").head
    assert (head.kind, head.hidden) == ("relu", 256)


@pytest.mark.parametrize(
    ("preset", "rates"),
    [("easy", (0.65, 0.04)), ("medium", (0.75, 0.015)), ("hard", (0.85, 0.0075))],
)
def test_a_preset_sets_both_rates(preset: str, rates: tuple[float, float]) -> None:
    mining = run(mining={"preset": preset, "top_m": 4}).mining
    assert (mining.initial_random_rate, mining.decrease_rate) == rates
    assert mining.top_m == 4
    assert PRESETS[preset] == rates


def test_no_preset_leaves_the_rates_alone() -> None:
    mining = run(mining={"preset": None, "initial_random_rate": 0.8, "decrease_rate": 0.02}).mining
    assert (mining.initial_random_rate, mining.decrease_rate) == (0.8, 0.02)


@pytest.mark.parametrize(
    ("text", "number"), [("3e-6", 3e-6), ("1E-4", 1e-4), ("2.5e+0", 2.5), ("1e1", 10.0)]
)
def test_text_with_an_exponent_is_a_number(text: str, number: float) -> None:
    assert run(training={"learning_rate": text}).training.learning_rate == number
    assert run(training=yaml.safe_load(f"learning_rate: {text}")).training.learning_rate == number


def test_a_whole_number_does_for_a_real_one() -> None:
    margin = run(retrieval_loss={"margin": 2}).retrieval_loss.margin
    assert margin == 2.0
    assert isinstance(margin, float)


@pytest.mark.parametrize("value", ["all", "none", 1, 12])
def test_trainable_is_a_word_or_a_number_of_layers(value: str | int) -> None:
    assert run(encoder={"trainable": value}).encoder.trainable == value


def test_no_projection_is_a_width_of_none() -> None:
    assert run(projection={"width": "none"}).projection.width == "none"


@pytest.mark.parametrize(
    "key", ["halve_after", "patience", "dev_loss_rises", "gap_warning", "gap_stop"]
)
def test_null_switches_a_control_off(key: str) -> None:
    assert getattr(run(stopping={key: None}).stopping, key) is None


def test_a_url_with_its_checksum_takes_the_place_of_the_sample() -> None:
    corpus = run(corpus={"url": "https://example.org/a.zip", "sha256": CHECKSUM}).corpus
    assert corpus.url == "https://example.org/a.zip"


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


# ---- frozen, dumped, read again ----


def test_a_configuration_is_frozen() -> None:
    config = run()
    with pytest.raises(ValidationError):
        config.seed = 2  # type: ignore[misc]
    with pytest.raises(ValidationError):
        config.head.hidden = 2  # type: ignore[misc]


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
    assert keys == sorted(CellOptions.model_fields)


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


@pytest.mark.parametrize(
    ("rate", "text"),
    [(1.0, "1"), (0.0, "0"), (0.8, "0.8"), (0.005, "0.005"), (3e-6, "3e-06"), (0.0075, "0.0075")],
)
def test_a_rate_is_written_short(rate: float, text: str) -> None:
    assert rate_text(rate) == text


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), -float("inf")])
def test_a_rate_that_is_no_number_is_not_written(rate: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        rate_text(rate)


# ---- the JSON schema ----


def schema_problems(values: Any) -> list[str]:
    schema = json.loads(json_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    return [error.message for error in validator.iter_errors(values)]


def test_the_committed_schema_is_that_of_the_classes() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == json_schema()


@pytest.mark.parametrize("names", [(), ("arguana.yaml",), ("finetune.yaml",)])
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
        {"training": {"epochs": 1.5}},
        {"run": "a/b"},
    ],
)
def test_the_schema_refuses_what_we_refuse(values: dict[str, Any]) -> None:
    assert schema_problems({"run": "x", **values}) != []
    refusal({"run": "x", **values})


def test_the_schema_wants_a_run() -> None:
    assert any("'run' is a required property" in message for message in schema_problems({}))


@pytest.mark.parametrize("kind", [RunConfig, *Section.__subclasses__()])
def test_every_key_has_a_description(kind: type[Section]) -> None:
    assert [name for name, field in kind.model_fields.items() if not field.description] == []


def test_every_main_key_is_a_key_of_its_section() -> None:
    mains = {kind: kind.main for kind in Section.__subclasses__() if kind.main is not None}
    assert EncoderOptions in mains
    assert all(main in kind.model_fields for kind, main in mains.items())


# ---- decontaminated training ----


def test_decontaminating_is_an_option_of_the_corpus() -> None:
    assert run().corpus.decontaminate == "none"
    config = run(corpus={"decontaminate": "train"})
    assert config.corpus.decontaminate == "train"
    assert load_options(RunConfig, dump(config)) == config
    # It is of the corpus: no option of a cell differs.
    assert base_options(config) == base_options(run())


@pytest.mark.parametrize(
    "splits",
    [
        {"dev": "training"},
        {"test": "training"},
        {"train": "validation"},
        {"train": "all", "dev": "all", "test": "all"},
    ],
    ids=str,
)
def test_decontaminating_needs_a_training_folder_of_its_own(splits: dict[str, str]) -> None:
    message = refusal({"run": "x", "corpus": {"decontaminate": "train", "splits": splits}})
    assert "corpus.decontaminate train would leave nothing" in message
    assert f"'{splits.get('train', 'training')}'" in message
    assert "give training a folder of its own" in message
    load({"run": "x", "corpus": {"splits": splits}}, "test.yaml")


def test_decontaminating_takes_a_folder_that_is_dev_and_test() -> None:
    values = {"decontaminate": "train", "splits": {"dev": "validation", "test": "validation"}}
    assert run(corpus=values).corpus.decontaminate == "train"


def test_decontaminating_anything_but_training_is_refused() -> None:
    message = refusal({"run": "x", "corpus": {"decontaminate": "dev"}})
    assert "corpus.decontaminate" in message
    assert '"dev"' in message


def test_the_decontaminated_run_has_cells_of_arguanas() -> None:
    """`counterpoint leak` lays a cell beside the one of the same name."""
    config = load(on_top("arguana.yaml", "decontaminated.yaml"), "decontaminated.yaml")
    assert config.run == "arguana-decontaminated"
    assert config.corpus.decontaminate == "train"
    arguana = load(on_top("arguana.yaml"), "arguana.yaml")
    assert config.corpus.model_copy(update={"decontaminate": "none"}) == arguana.corpus
    theirs = {one.name: one.options for one in expand(arguana, "arguana.yaml")}
    cells = expand(config, "decontaminated.yaml")
    assert len(cells) > 0
    assert all(theirs[one.name] == one.options for one in cells)
