"""A run whose model names prompts, from its tokens to a cell that is loaded again."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from counterpoint import Retriever, api
from counterpoint.cli.main import main
from counterpoint.config import cache_keys, loading, matrix
from counterpoint.config.options import EncoderOptions
from counterpoint.config.run_options import RunConfig
from counterpoint.corpus.arguments import Corpus, read_arguments, write_arguments
from counterpoint.corpus.texts import number_texts
from counterpoint.encoders.features import read_features
from counterpoint.encoders.roles import ROLES, ByRole
from counterpoint.errors import InputError
from counterpoint.evaluation.baselines import evaluate_baseline
from counterpoint.results.files import Provenance
from counterpoint.runs.batch import Batch
from counterpoint.runs.folder import CellFolder, RunFolder
from counterpoint.runs.trained import StoredTexts, encoder_outputs, load_cell, tokens_of
from counterpoint.search.distances import Euclidean
from counterpoint.tasks.candidates import candidate_sets
from tests.support.encoders import model_with_prompts
from tests.support.miniature import configuration

CPU = torch.device("cpu")
PROMPTS = {"query": "query: ", "passage": "passage: "}


@dataclass(frozen=True)
class Prompted:
    """A run of a frozen and a live cell."""

    folder: RunFolder
    config: RunConfig
    cells: dict[str, CellFolder]
    """By `encoder.trainable`."""

    @property
    def corpus(self) -> Corpus:
        return read_arguments(self.folder.arguments)

    @property
    def features(self) -> Path:
        return self.folder.features(cache_keys.features_key(self.config.encoder))

    @property
    def stored(self) -> StoredTexts:
        return StoredTexts(self.folder, self.corpus)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path, corpus: Corpus) -> Prompted:
    """Made by the commands that the workflow runs."""
    base = tmp_path_factory.mktemp("prompted")
    model = model_with_prompts(tiny_bert, base / "model", PROMPTS)
    config = configuration(
        model,
        projection={"width": 8},
        training={"epochs": 2, "batch_size": 4},
        mining={"initial_random_rate": 0.0},
        matrix={
            "axes": {"fusion": ["concat"], "seed": [1]},
            "include": [{"fusion": "concat", "seed": 1, "trainable": "all"}],
        },
    )
    folder = RunFolder(base / "mini")
    write_arguments(corpus, folder.arguments)
    cells = matrix.expand(config, "test")
    given = ["--arguments", folder.arguments, "--options", loading.dump(config.encoder)]
    tokens = folder.tokens(cache_keys.tokens_key(config.encoder))
    features = folder.features(cache_keys.features_key(config.encoder))
    for command in (
        ["matrix", "--config", loading.dump(config), "--out", folder.path],
        ["tokens", *given, "--out", tokens],
        ["features", *given, "--tokens", tokens, "--out", features],
    ):
        assert main([str(part) for part in command]) == 0
    Batch.of_run(folder.path, [cell.name for cell in cells]).run()
    by_kind = {str(cell.options.encoder.trainable): folder.cell(cell.name) for cell in cells}
    return Prompted(folder, config, by_kind)


@pytest.mark.parametrize("kind", ["none", "all"])
def test_a_trained_cell_says_its_prompts_and_has_vectors_by_role(run: Prompted, kind: str) -> None:
    cell = run.cells[kind]
    assert cell.is_whole
    recorded = Provenance.read(cell.provenance).prompts
    assert recorded == {"query": "query: ", "candidate": "passage: "}
    system = load_cell(cell, run.corpus, CPU, run.stored)
    assert system.model.roles_differ
    assert system.model.encoder.prompts == ByRole("query: ", "passage: ")
    x = {role: system.vectors[role].x for role in ROLES}
    assert (x["query"] - x["candidate"]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["none", "all"])
def test_a_loaded_cell_keeps_its_prompts_when_its_model_names_others(
    run: Prompted, kind: str, tmp_path: Path
) -> None:
    texts = run.corpus.texts[:3]
    cell = Retriever.load(run.cells[kind].path)
    points, counters = cell.encode_points(texts), cell.encode_counters(texts)
    assert np.abs(points - counters).max() > 1e-4
    settings = Path(run.config.encoder.name) / "config_sentence_transformers.json"
    kept = settings.read_text()
    try:
        settings.write_text(json.dumps({"prompts": {"query": "what of "}}))
        np.testing.assert_array_equal(cell.encode_points(texts), points)
        np.testing.assert_array_equal(cell.encode_counters(texts), counters)
    finally:
        settings.write_text(kept)
    # A cell that is older than prompts was trained without any.
    old = CellFolder(Path(shutil.copytree(run.cells[kind].path, tmp_path / "old")))
    facts = json.loads(old.provenance.read_text())
    del facts["prompts"]
    old.provenance.write_text(json.dumps(facts))
    found = Retriever.load(old.path)
    assert np.abs(found.encode_points(texts) - points).max() > 1e-4
    with pytest.raises(InputError, match=r"encoder\.prompts\.query: 'query: ', and not ''"):
        load_cell(old, run.corpus, CPU, run.stored)


def test_stored_texts_and_new_ones_have_the_same_prompts(run: Prompted) -> None:
    texts = number_texts([*run.corpus.texts[:3], "A text that no run has seen."])
    options = run.config.encoder
    # Whatever the model names by now, the run's prompts are those of its files.
    settings = Path(options.name) / "config_sentence_transformers.json"
    expected, tokens = encoder_outputs(texts, options, CPU), tokens_of(texts, options)
    kept = settings.read_text()
    try:
        settings.write_text("{}")
        found = encoder_outputs(texts, options, CPU, run.stored)
        again = tokens_of(texts, options, run.stored)
    finally:
        settings.write_text(kept)
    assert expected.differ
    for role in ROLES:
        np.testing.assert_allclose(found[role], expected[role], atol=1e-5)
        np.testing.assert_array_equal(again[role].ids, tokens[role].ids)
        np.testing.assert_array_equal(again[role].starts, tokens[role].starts)


def test_the_untrained_baseline_asks_as_a_query_and_searches_candidates(run: Prompted) -> None:
    outputs = read_features(run.features, run.corpus)
    evaluated = evaluate_baseline("untrained", run.corpus, run.features)
    sets, results = evaluated.by_split["dev"]
    folder = run.corpus.roles["dev"]
    same = candidate_sets(run.corpus, folder)
    np.testing.assert_array_equal(same.text, sets.text)
    queries, candidates = (
        functional.normalize(torch.from_numpy(x), dim=-1)
        for x in (outputs.query[sets.text[sets.pairs :]], outputs.candidate[sets.text])
    )
    costs = Euclidean(queries, candidates)
    from counterpoint.evaluation.evaluate import query_results

    expected = query_results(sets, costs)
    for one, other in zip(results, expected, strict=True):
        np.testing.assert_array_equal(one.ranks, other.ranks)
        np.testing.assert_array_equal(one.nearest, other.nearest)
    # Searched as queries they would rank otherwise.
    wrong = query_results(sets, Euclidean(queries, functional.normalize(
        torch.from_numpy(outputs.query[sets.text]), dim=-1)))  # fmt: skip
    assert any(
        not np.array_equal(one.nearest, other.nearest)
        for one, other in zip(results, wrong, strict=True)
    )


def test_texts_are_encoded_in_the_role_asked_for(run: Prompted) -> None:
    texts = run.corpus.texts[:3]
    encoder = {"name": run.config.encoder.name, "max_tokens": run.config.encoder.max_tokens}
    outputs = read_features(run.features, run.corpus)
    for role in ("query", "candidate"):
        found = api.encode_texts(texts, role=role, encoder=encoder)
        np.testing.assert_allclose(found, outputs[role][:3], atol=1e-5)
    np.testing.assert_array_equal(
        api.encode_texts(texts, encoder=encoder),
        api.encode_texts(texts, role="candidate", encoder=encoder),
    )


def test_prompts_may_be_an_axis(tiny_bert: Path) -> None:
    axes = {"fusion": ["cls"], "encoder.prompts.query": [None, "query: "], "seed": [1]}
    cells = matrix.expand(configuration(tiny_bert, matrix={"axes": axes}), "test")
    assert [cell.options.encoder.prompts.query for cell in cells] == [None, "query: "]
    keys = {cache_keys.tokens_key(cell.options.encoder) for cell in cells}
    assert len({cell.name for cell in cells}) == len(keys) == 2
    (prompted,) = (cell for cell in cells if cell.extra)
    assert prompted.name.endswith("options~encoder.prompts.query=query%3A%20")
    with pytest.raises(InputError, match="'prompts' is a section; name one of its options"):
        matrix.expand(configuration(tiny_bert, matrix={"axes": {"prompts": ["a"]}}), "test")


def test_prompts_survive_being_written(tiny_bert: Path) -> None:
    options = EncoderOptions.model_validate(
        {"name": str(tiny_bert), "prompts": {"query": "query: ", "candidate": ""}}
    )
    read = loading.load_options(EncoderOptions, loading.dump(options))
    assert read == options
