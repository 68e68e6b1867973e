"""Prompts: where they come from, what they change, and what sentence-transformers makes of them."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from counterpoint.config.options import EncoderOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.features import FrozenFeatures, read_features, write_features
from counterpoint.encoders.live import LiveEncoder, frozen_features
from counterpoint.encoders.prompts import own_prompts, pinned, prompts_of
from counterpoint.encoders.roles import ROLES, ByRole
from counterpoint.encoders.tokens import read_tokens, tokenise, write_tokens
from counterpoint.errors import InputError
from tests.support.encoders import embedded, encoder_options, live_encoder, model_with_prompts

CPU = torch.device("cpu")
E5 = {"query": "query: ", "document": "passage: "}
GIVEN = {"query": "query: ", "candidate": "passage: "}


def own(folder: Path) -> tuple[str, str]:
    found = own_prompts(EncoderOptions(name=str(folder)))
    return found.query, found.candidate


@pytest.mark.parametrize(
    ("prompts", "default", "expected"),
    [
        (E5, None, ("query: ", "passage: ")),
        ({"query": "q ", "passage": "p "}, None, ("q ", "p ")),
        ({"query": "q ", "candidate": "c "}, None, ("q ", "c ")),
        ({"query": "q ", "passage": "p ", "document": "d "}, None, ("q ", "d ")),
        ({"query": "q ", "document": ""}, "query", ("q ", "")),
        ({"query": "q "}, "query", ("q ", "")),
        ({"topic": "t "}, "topic", ("t ", "t ")),
        ({"topic": "t "}, None, ("", "")),
        ({"query": None, "document": None}, None, ("", "")),
        ({}, None, ("", "")),
    ],
)
def test_a_models_own_prompts(
    tiny_bert: Path,
    tmp_path: Path,
    prompts: dict[str, str],
    default: str | None,
    expected: tuple[str, str],
) -> None:
    folder = model_with_prompts(tiny_bert, tmp_path / "model", prompts, default)
    assert own(folder) == expected


@pytest.mark.parametrize("prompts", [["query: "], {"query": 3}, {"topic": "t "}])
def test_prompts_that_cannot_be_used_are_refused(
    tiny_bert: Path, tmp_path: Path, prompts: object
) -> None:
    folder = model_with_prompts(tiny_bert, tmp_path / "model", prompts, "query")
    with pytest.raises(InputError, match=r"config_sentence_transformers\.json: expected prompts"):
        own_prompts(EncoderOptions(name=str(folder)))


@pytest.mark.parametrize("text", ["{", "[]", "3"])
def test_a_damaged_file_of_prompts_is_refused(tiny_bert: Path, tmp_path: Path, text: str) -> None:
    folder = model_with_prompts(tiny_bert, tmp_path / "model", E5)
    (folder / "config_sentence_transformers.json").write_text(text)
    with pytest.raises(InputError, match=r"config_sentence_transformers\.json: (not|expected) a"):
        own_prompts(EncoderOptions(name=str(folder)))


def test_an_option_goes_before_the_models_own_and_empty_text_switches_it_off(
    tiny_bert: Path, tmp_path: Path
) -> None:
    folder = model_with_prompts(tiny_bert, tmp_path / "model", E5)
    for given, expected in (
        ({}, ("query: ", "passage: ")),
        ({"query": "ask: "}, ("ask: ", "passage: ")),
        ({"candidate": ""}, ("query: ", "")),
        ({"query": "", "candidate": ""}, ("", "")),
    ):
        found = prompts_of(encoder_options(folder, prompts=given))
        assert (found.query, found.candidate) == expected
    assert prompts_of(EncoderOptions()) == ByRole("", "")


def test_a_model_that_pools_without_its_prompt_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    folder = model_with_prompts(tiny_bert, tmp_path / "model", E5)
    (folder / "modules.json").write_text(
        json.dumps([{"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}])
    )
    (folder / "1_Pooling").mkdir()
    pooling = folder / "1_Pooling" / "config.json"
    pooling.write_text(json.dumps({"include_prompt": True}))
    prompts_of(encoder_options(folder))
    pooling.write_text(json.dumps({"include_prompt": False}))
    with pytest.raises(InputError, match=r"1_Pooling/config\.json: include_prompt is false"):
        prompts_of(encoder_options(folder))
    prompts_of(encoder_options(folder, prompts={"query": "", "candidate": ""}))


def test_a_hub_model_in_the_cache_has_its_prompts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Downloaded before, as the hub's client lays it out."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    model, commit = tmp_path / "models--org--e5", "0" * 40
    (model / "snapshots" / commit).mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(commit)
    (model / "snapshots" / commit / "config.json").write_text("{}")
    settings = model / "snapshots" / commit / "config_sentence_transformers.json"
    settings.write_text(json.dumps({"prompts": E5}))
    options = EncoderOptions(name="org/e5")
    for found in (own_prompts(options), own_prompts(options, commit)):
        assert found == ByRole("query: ", "passage: ")
    settings.unlink()
    with pytest.warns(UserWarning, match=r"whether org/e5 has a config_sentence_transformers"):
        assert prompts_of(options) == ByRole("", "")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert prompts_of(pinned(options, ByRole("", ""))) == ByRole("", "")
        # What the cache knows not to be there.
        (model / ".no_exist" / commit).mkdir(parents=True)
        (model / ".no_exist" / commit / settings.name).touch()
        assert own_prompts(options) == ByRole("", "")


def test_tokens_have_their_roles_prompt_and_the_length_counts_it(
    small: Corpus, tiny_bert: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    options = encoder_options(tiny_bert, max_tokens=8, prompts=GIVEN)
    made = tokenise(small, options)
    write_tokens(made, small, tmp_path / "tokens.safetensors", options)
    read = read_tokens(tmp_path / "tokens.safetensors", small, options)
    assert made.differ
    assert read.prompts == made.prompts == ByRole("query: ", "passage: ")
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    for role in ROLES:
        for tokens in (made[role], read[role]):
            assert tokens.lengths(np.arange(len(small.texts))).max() == 8
            for number, text in enumerate(small.texts):
                expected = tokenizer(GIVEN[role] + text, truncation=True, max_length=8)["input_ids"]
                ids = tokens.ids[tokens.starts[number] : tokens.starts[number + 1]]
                assert ids.tolist() == expected


def test_roles_with_the_same_prompt_share_their_tokens(small: Corpus, tiny_bert: Path) -> None:
    for prompt in ("", "text: "):
        same = {"query": prompt, "candidate": prompt}
        live = live_encoder(tiny_bert, small, prompts=same)
        assert live.tokens.query is live.tokens.candidate
        assert not live.roles_differ


def test_a_file_without_prompts_is_what_it_was(
    small: Corpus, tiny_bert: Path, tmp_path: Path
) -> None:
    from safetensors import safe_open

    options = encoder_options(tiny_bert)
    write_tokens(tokenise(small, options), small, tmp_path / "tokens.safetensors", options)
    with safe_open(tmp_path / "tokens.safetensors", framework="pt") as stored:
        assert set(stored.keys()) == {"ids", "starts"}
        assert set(stored.metadata()) == {"texts", "sha256", "pad", "name", "max_tokens"}


def test_files_made_with_other_prompts_are_refused(
    small: Corpus, tiny_bert: Path, tmp_path: Path
) -> None:
    options = encoder_options(tiny_bert, prompts=GIVEN)
    path = tmp_path / "tokens.safetensors"
    write_tokens(tokenise(small, options), small, path, options)
    # Whoever leaves them to the model takes what the file has.
    assert read_tokens(path, small, encoder_options(tiny_bert)).prompts.query == "query: "
    other = encoder_options(tiny_bert, prompts={"query": "ask: "})
    with pytest.raises(InputError, match=r"encoder\.prompts\.query: 'query: ', and not 'ask: '"):
        read_tokens(path, small, other)
    plain = encoder_options(tiny_bert)
    write_tokens(tokenise(small, plain), small, path, plain)
    with pytest.raises(InputError, match=r"encoder\.prompts\.query: '', and not 'query: '"):
        read_tokens(path, small, options)


def test_a_damaged_query_table_is_told(small: Corpus, tiny_bert: Path, tmp_path: Path) -> None:
    options = encoder_options(tiny_bert, prompts=GIVEN)
    outputs = frozen_features(small, tokenise(small, options), options, CPU)
    path = tmp_path / "features.safetensors"
    write_features(outputs, small, path, options)
    read = read_features(path, small, options)
    np.testing.assert_array_equal(read.query, outputs.query)
    np.testing.assert_array_equal(read.candidate, outputs.candidate)
    assert np.abs(read.query - read.candidate).max() > 1e-3
    whole = path.read_bytes()
    for table in (outputs.query, outputs.candidate):
        place = whole.index(np.ascontiguousarray(table).tobytes())
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(InputError, match=r"features\.safetensors: damaged"):
            read_features(path, small, options)


@pytest.mark.parametrize(
    ("trainable", "lower_layers_once"), [("all", False), (1, True), ("none", False)]
)
def test_a_live_encoder_gives_each_role_its_own_vectors(
    small: Corpus, tiny_bert: Path, trainable: object, lower_layers_once: bool
) -> None:
    """As without prompts, of texts that begin with them."""
    changes = {"trainable": trainable, "dropout": 0.0}
    live = live_encoder(tiny_bert, small, prompts=GIVEN, **changes).eval()
    assert live.roles_differ
    assert live.computes_lower_layers_once == lower_layers_once
    n = len(small.texts)
    for role in ROLES:
        prompted = _Texts([GIVEN[role] + text for text in small.texts])
        expected = embedded(live_encoder(tiny_bert, prompted, **changes).eval(), n)
        torch.testing.assert_close(embedded(live, n, role), expected)
        some = torch.tensor([3, 0, 3])
        torch.testing.assert_close(live(some, role), expected[some])


def test_frozen_features_have_a_table_for_each_role(small: Corpus, tiny_bert: Path) -> None:
    options = encoder_options(tiny_bert, prompts=GIVEN)
    tokens = tokenise(small, options)
    outputs = frozen_features(small, tokens, options, CPU)
    frozen, live = FrozenFeatures(outputs), LiveEncoder(options, tokens).eval()
    assert frozen.roles_differ
    assert frozen.prompts == live.prompts == ByRole("query: ", "passage: ")
    for role in ROLES:
        torch.testing.assert_close(
            frozen(torch.arange(4), role), embedded(live, len(small.texts), role)[:4]
        )


def test_vectors_are_those_of_sentence_transformers(
    small: Corpus, tiny_bert: Path, tmp_path: Path
) -> None:
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    parts = [Transformer(str(tiny_bert), max_seq_length=32), Pooling(32, pooling_mode="mean")]
    SentenceTransformer(modules=parts, prompts=E5, device="cpu").save(str(tmp_path / "saved"))
    theirs = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    # Read from what it saved, and given as options for a model that names none.
    bare = shutil.copytree(tiny_bert, tmp_path / "bare")
    for options in (
        encoder_options(tmp_path / "saved"),
        encoder_options(bare, prompts=GIVEN),
    ):
        ours = frozen_features(small, tokenise(small, options), options, CPU)
        np.testing.assert_allclose(ours.query, theirs.encode_query(small.texts), atol=1e-5)
        np.testing.assert_allclose(ours.candidate, theirs.encode_document(small.texts), atol=1e-5)
    assert np.abs(ours.query - ours.candidate).max() > 1e-3


class _Texts:
    """Texts that nothing is known of."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts
        self.text_number = {text: number for number, text in enumerate(texts)}
