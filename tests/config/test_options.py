"""The options: the commented files, defaults, shorthands, presets and numbers given as text."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from snakemake.utils import update_config

from counterpoint.config.corpus_options import CorpusOptions
from counterpoint.config.loading import dump, known_paths, load, load_options, parse
from counterpoint.config.matrix import base_options, expand
from counterpoint.config.options import CellOptions, EncoderOptions
from counterpoint.config.presets import PRESETS
from counterpoint.config.run_options import PlotOptions, ResourceOptions, RunConfig, TableOptions
from counterpoint.config.section import Section, leaves
from counterpoint.errors import InputError
from tests.support.configuration import ROOT, on_top, read_yaml

CHECKSUM = "0123456789abcdef" * 4


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


def test_every_option_of_the_commented_file_has_a_comment() -> None:
    text = (ROOT / "config" / "config.yaml").read_text(encoding="utf-8")
    # The options of the demo's recipe are those of the sections above.
    above, _, recipe = text.partition("\nrecipes:")
    text = above + recipe.partition("\n\n")[2]
    bare = [line for line in text.splitlines() if re.match(r" *\w+: +\S", line) and "#" not in line]
    # The axes of the default matrix are values of the option above them.
    assert [line.split(":")[0].strip() for line in bare] == [
        "fusion",
        "head",
        "decrease_rate",
        "seed",
    ]


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


def test_open_encoders_differ_in_what_their_cards_say_alone() -> None:
    config = load(on_top("encoders.yaml"), "encoders.yaml")
    cells = expand(config, "encoders.yaml")
    encoders = {cell.options.encoder.name: cell.options.encoder for cell in cells}
    assert len(encoders) == len(cells) == 8
    bge, e5 = encoders["BAAI/bge-base-en-v1.5"], encoders["intfloat/e5-small-v2"]
    assert (bge.pooling, bge.prompts.candidate) == ("cls", "")
    assert (e5.pooling, e5.prompts.query, e5.prompts.candidate) == ("mean", "query: ", "passage: ")
    for cell in cells:
        changed = {
            "encoder": cell.options.encoder.model_copy(
                update={
                    name: getattr(config.encoder, name) for name in ("name", "pooling", "prompts")
                }
            ),
            "projection": cell.options.projection.model_copy(update={"width": 384}),
        }
        assert cell.options.model_copy(update=changed) == base_options(config)
        # Nothing is asked of the hub.
        assert None not in (
            cell.options.encoder.prompts.query,
            cell.options.encoder.prompts.candidate,
        )
    recipe = load(on_top("recipe.yaml"), "recipe.yaml")
    assert (config.training, config.mining) == (recipe.training, recipe.mining)


def test_the_study_has_the_original_studys_own_settings() -> None:
    config = load(on_top("study.yaml"), "study.yaml")
    assert config.encoder.name == "bert-base-uncased"
    assert config.encoder.pooling == "pooler"
    assert config.encoder.max_tokens == 512
    assert config.encoder.trainable == "all"
    assert (config.encoder.towers, config.projection.towers) == ("shared", "shared")
    training = config.training
    assert (training.learning_rate, training.batch_size, training.epochs) == (3e-6, 8, 200)
    assert (training.schedule, training.weight_decay) == ("constant", 0)
    assert not training.scale_rate
    assert training.batch_sampler == "plain"
    assert (config.retrieval_loss.kind, config.retrieval_loss.margin) == ("triplet", 1.0)
    assert (config.retrieval_loss.weight, config.classifier_loss.weight) == (1, 1)
    assert (config.projection.width, config.evaluation.rerank) == (128, 10)
    stopping = config.stopping
    assert (stopping.halve_after, stopping.patience, stopping.dev_loss_rises) == (3, 5, 1)
    assert stopping.gap_stop is None


def test_the_studys_cells_have_its_heads_of_one_layer_and_its_strategies() -> None:
    cells = expand(load(on_top("study.yaml"), "study.yaml"), "study.yaml")
    assert {cell.options.head.hidden for cell in cells} == {0}
    found: dict[str, set[tuple[float, float]]] = {"linear": set(), "layernorm": set()}
    for cell in cells:
        mining = cell.options.mining
        rates = mining.initial_random_rate, mining.decrease_rate
        found[cell.options.head.kind].add(rates)
    sweep = {(1.0, rate) for rate in (0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05)}
    assert found == {"linear": sweep | {(0.8, 0), (0.8, 0.02)}, "layernorm": {(0.8, 0.02)}}
    assert len(cells) == 3 * (8 + 2 + 1)


def test_every_setting_of_the_study_says_whose_reading_it_is() -> None:
    text = (ROOT / "config" / "study.yaml").read_text(encoding="utf-8")
    _, _, own = text.partition("\nencoder:")
    own, _, _ = own.partition("\nresources:")
    unread = []
    for section in own.split("\n\n"):
        whole = re.match(r"\w+: +#.*\[(both|prose|scripts)\]", section)
        lines = [] if whole else section.splitlines()
        unread += [
            line
            for line in lines
            if re.match(r" +\w+: +[^\[{\s]", line) and not re.search(r"# \[\w+\]", line)
        ]
    assert unread == []


def test_one_override_goes_on_top_of_another() -> None:
    config = load(on_top("arguana.yaml", "study.yaml"), "both")
    assert config.run == "study"
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
    assert tuple(PRESETS[preset].middle.values()) == rates


@pytest.mark.parametrize("preset", PRESETS)
def test_the_middle_of_a_preset_is_half_way_between_its_ends(preset: str) -> None:
    for low, middle, high in (
        PRESETS[preset].initial_random_rate,
        PRESETS[preset].decrease_rate,
    ):
        assert low < middle < high
        assert middle == pytest.approx((low + high) / 2, rel=1e-12)


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


@pytest.mark.parametrize(
    ("values", "path", "value"),
    [
        ({"training": {"epochs": "3"}}, "training.epochs", 3),
        ({"evaluation": {"test_every_epoch": "false"}}, "evaluation.test_every_epoch", False),
        ({"stopping": {"patience": "null"}}, "stopping.patience", None),
        ({"encoder": {"trainable": "2"}}, "encoder.trainable", 2),
        ({"projection": {"width": "64"}}, "projection.width", 64),
        ({"classifier_loss": "0.5"}, "classifier_loss.weight", 0.5),
        ({"encoder": {"name": "12"}}, "encoder.name", "12"),
        ({"encoder": "12"}, "encoder.name", "12"),
        ({"encoder": {"trainable": "none"}}, "encoder.trainable", "none"),
    ],
)
def test_text_is_read_where_an_option_takes_none(
    values: dict[str, Any], path: str, value: Any
) -> None:
    """As `--config` gives all that is nested."""
    section, key = path.split(".")
    assert getattr(getattr(run(**values), section), key) == value


def test_a_url_with_its_checksum_takes_the_place_of_the_sample() -> None:
    corpus = run(corpus={"url": "https://example.org/a.zip", "sha256": CHECKSUM}).corpus
    assert corpus.url == "https://example.org/a.zip"


@pytest.mark.parametrize("kind", [RunConfig, *Section.__subclasses__()])
def test_every_key_has_a_description(kind: type[Section]) -> None:
    assert [name for name, field in kind.model_fields.items() if not field.description] == []


def test_every_main_key_is_a_key_of_its_section() -> None:
    mains = {kind: kind.main for kind in Section.__subclasses__() if kind.main is not None}
    assert EncoderOptions in mains
    assert all(main in kind.model_fields for kind, main in mains.items())


def test_every_younger_option_is_one_of_its_section_and_not_written_by_default() -> None:
    for kind in Section.__subclasses__():
        assert set(kind.younger) <= kind.model_fields.keys()
    assert not {"revision", "prompts"} & EncoderOptions().model_dump().keys()


def test_a_cell_of_defaults_has_the_identity_of_results_from_before_the_younger_options() -> None:
    digest = hashlib.sha256(dump(CellOptions()).encode()).hexdigest()
    assert digest[:16] == "e2cfde7afb429c67"


def test_leaves_are_all_options_also_those_that_are_not_written() -> None:
    options = CellOptions(encoder=EncoderOptions(max_tokens=64))
    found = dict(leaves(options))
    assert found["encoder.max_tokens"] == 64
    assert found["encoder.prompts.query"] is None
    assert found["evaluation.top_k"] == [1]
    paths = set(known_paths(CellOptions))
    sections = {path.rpartition(".")[0] for path in paths} - {""}
    assert found.keys() | sections == paths


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


def test_numbers_of_a_list_may_be_spelt_as_text() -> None:
    # Snakemake's --config reads all that is nested as text.
    values = {"evaluation": {"top_k": ["1", "3"], "epoch_tasks": ["sdoc"]}}
    options = parse(CellOptions, values, "here")
    assert options.evaluation.top_k == (1, 3)
    assert options.evaluation.epoch_tasks == ("sdoc",)


@pytest.mark.parametrize(
    ("language", "expected"),
    [("cn", "did you mean 'zh'?"), ("english", "ISO 639-1"), ("DE", "ISO 639-1"), ("xx", "'xx'")],
)
def test_a_language_is_a_code_of_iso_639(language: str, expected: str) -> None:
    message = refusal({"run": "x", "corpus": {"language": language}})
    assert "corpus.language" in message
    assert expected in message


def test_norwegian_is_no_truth() -> None:
    assert run(corpus={"language": yaml.safe_load("no")}).corpus.language == "no"


def test_a_cross_encoder_is_read_as_it_was_written() -> None:
    given = {"kind": "cross_encoder", "mining": {"negatives": 1}, "training": {"epochs": 60}}
    options = parse(CellOptions, {"reranker": given}, "test")
    assert options.reranker.mining.negatives == 1
    assert options.reranker.mining.top_m == 20
    assert options.reranker.encoder.max_tokens == 96
    assert options.reranker.training.epochs == 60
    assert parse(CellOptions, options.model_dump(mode="json"), "test") == options
    assert "reranker" not in options.first_stage().model_dump(mode="json")
    idle = parse(CellOptions, {"reranker": {"training": {"epochs": 9}}}, "test")
    assert idle.settled() == CellOptions()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"encoder": {"trainable": 2}}, "reranker.encoder.trainable must be all"),
        ({"encoder": {"towers": "separate"}}, "reranker.encoder.towers must be shared"),
        ({"training": {"batch_sampler": "debates"}}, "reranker.training.batch_sampler must be"),
        ({"kind": "crossencoder"}, "reranker.kind"),
    ],
)
def test_what_no_cross_encoder_can_do_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        parse(CellOptions, {"reranker": {"kind": "cross_encoder", **given}}, "test")
