"""Where encoders come from, what of them may learn, and which are refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from counterpoint.config.options import EncoderOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders import names
from counterpoint.encoders.dropout import Dropout
from counterpoint.encoders.hub import MissingEncoder
from counterpoint.encoders.live import LiveEncoder
from counterpoint.encoders.names import check_name, commit_of, resolve
from counterpoint.encoders.tokens import tokenise
from counterpoint.errors import InputError
from tests.support.encoders import encoder_options


def test_a_local_folder_comes_before_the_bundled_encoder(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "all-MiniLM-L6-v2").symlink_to(tiny_bert)
    assert resolve("all-MiniLM-L6-v2") == "all-MiniLM-L6-v2"


def test_bundled_weights_with_another_checksum_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    package, _ = names.BUNDLED["all-MiniLM-L6-v2"]
    monkeypatch.setitem(names.BUNDLED, "all-MiniLM-L6-v2", (package, "0" * 64))
    with pytest.raises(InputError, match=r"model\.safetensors: sha256 53aa5.*expected 000"):
        resolve("sentence-transformers/all-MiniLM-L6-v2")


def test_a_folder_without_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"no config\.json with \*\.safetensors"):
        resolve(str(tmp_path))


@pytest.mark.parametrize(
    "name",
    [
        "all-MiniLM-L6-v2",
        "sentence-transformers/all-MiniLM-L6-v2",
        "bert-base-uncased",
        "a/b.c_d-e",
    ],
)
def test_what_may_be_there_is_not_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    check_name(name)


@pytest.mark.parametrize(
    "name", ["/no/such", "./no", "../no", "~/no", "a/b/c", "a b", "$MODEL", "a/", "a--b", "a..b"]
)
def test_what_is_no_folder_and_no_name_on_the_hub_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="no such folder, and models on the hub have other names"):
        check_name(name)


def test_a_folder_that_holds_no_model_is_refused_before_any_job(
    tiny_bert: Path, tmp_path: Path
) -> None:
    check_name(str(tiny_bert))
    with pytest.raises(InputError, match=r"no config\.json with \*\.safetensors"):
        check_name(str(tmp_path))


def test_offline_only_what_was_downloaded_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    check_name("all-MiniLM-L6-v2")
    with pytest.raises(InputError, match="the hub is not asked, because HF_HUB_OFFLINE is set"):
        check_name("bert-base-uncased")
    folder = tmp_path / "models--google-bert--bert-base-uncased"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("c" * 40)
    with pytest.raises(InputError, match="its main branch is not in"):
        check_name("google-bert/bert-base-uncased")
    (folder / "snapshots" / ("c" * 40)).mkdir(parents=True)
    (folder / "snapshots" / ("c" * 40) / "config.json").write_text("{}")
    check_name("google-bert/bert-base-uncased")
    with pytest.raises(InputError, match=r"google-bert.*v2 is not in .*HF_HUB_OFFLINE is set"):
        check_name("google-bert/bert-base-uncased", "v2")


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"])
def test_what_is_on_this_machine_has_no_revision(name: str, tiny_bert: Path) -> None:
    for local in (name, str(tiny_bert)):
        assert commit_of(EncoderOptions(name=local)) is None
        with pytest.raises(InputError, match=r"encoder\.revision: 'main' .*is on this machine"):
            check_name(local, "main")
        with pytest.raises(InputError, match=r"leave encoder\.revision null"):
            commit_of(EncoderOptions(name=local, revision="main"))


@pytest.mark.parametrize("revision", ["", "../main", "a//b", "a..b", "a b", "/main", "-x", "a/"])
def test_a_revision_is_the_name_of_a_branch_a_tag_or_a_commit(revision: str) -> None:
    for usable in ("main", "v1.0", "refs/pr/1", "a" * 40):
        assert EncoderOptions(name="a/b", revision=usable).revision == usable
    with pytest.raises(ValidationError, match="revision"):
        EncoderOptions(name="a/b", revision=revision)


def test_a_hub_that_does_not_answer_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingEncoder, match=r"'bert-base-uncased': no such folder, .* cannot be"):
        commit_of(EncoderOptions(name="bert-base-uncased"))


def test_an_encoder_that_cannot_be_had_is_an_input_error(
    small: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="nobody/no-such-encoder"):
        tokenise(small, EncoderOptions(name="nobody/no-such-encoder"))


def test_a_damaged_encoder_is_an_input_error(
    small: Corpus, tiny_bert: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_bert, tmp_path / "damaged")
    tokens = tokenise(small, encoder_options(folder))
    weights = (folder / "model.safetensors").read_bytes()
    for damaged in (weights[: len(weights) // 2], b"version https://git-lfs.github.com/spec/v1\n"):
        (folder / "model.safetensors").write_bytes(damaged)
        with pytest.raises(InputError, match=r"encoder\.name .*damaged'.*cannot be loaded"):
            LiveEncoder(encoder_options(folder), tokens)
    (folder / "model.safetensors").write_bytes(weights)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"intermediate_size": 24}))
    with pytest.raises(InputError, match=r"encoder\.name .*damaged'.*cannot be loaded"):
        LiveEncoder(encoder_options(folder), tokens)


@pytest.mark.parametrize(
    ("trainable", "learning"),
    [("none", set()), (1, {"layer.1"}), (2, {"layer.0", "layer.1"})],
)
def test_only_the_named_layers_learn(
    small: Corpus, tiny_bert: Path, trainable: object, learning: set[str]
) -> None:
    setting = encoder_options(tiny_bert, trainable=trainable)
    live = LiveEncoder(setting, tokenise(small, setting))
    names = {name for name, p in live.models["query"].named_parameters() if p.requires_grad}
    assert all("encoder.layer" in name for name in names)
    assert {name.split("encoder.")[1][:7] for name in names} == learning


def test_more_layers_or_tokens_than_there_are_is_an_input_error(
    small: Corpus, tiny_bert: Path
) -> None:
    tokens = tokenise(small, encoder_options(tiny_bert))
    with pytest.raises(InputError, match="3 layers of 2"):
        LiveEncoder(encoder_options(tiny_bert, trainable=3), tokens)
    with pytest.raises(InputError, match="65 is more than the 64 positions"):
        LiveEncoder(encoder_options(tiny_bert, max_tokens=65), tokens)


def test_weights_that_are_missing_are_refused_and_not_drawn_at_random(
    small: Corpus, tiny_bert: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "without-pooler"
    shutil.copytree(tiny_bert, folder)
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith("pooler.")}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    tokens = tokenise(small, encoder_options(folder))
    LiveEncoder(encoder_options(folder, pooling="cls"), tokens)
    with pytest.raises(InputError, match=r"no weights for pooler\.dense.*use pooling cls or mean"):
        LiveEncoder(encoder_options(folder, pooling="pooler"), tokens)


def test_positions_that_are_the_paddings_do_not_count(tmp_path: Path, small: Corpus) -> None:
    """RoBERTa's table of 20 positions takes 18 tokens."""
    from transformers import RobertaConfig, RobertaModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = RobertaConfig(**sizes, intermediate_size=16, max_position_embeddings=20)
    RobertaModel(config).save_pretrained(tmp_path)
    tokens = tokenise(small, EncoderOptions())
    LiveEncoder(EncoderOptions(name=str(tmp_path), max_tokens=18), tokens)
    with pytest.raises(InputError, match="19 is more than the 18 positions"):
        LiveEncoder(EncoderOptions(name=str(tmp_path), max_tokens=19), tokens)


def test_dropout_is_the_checkpoints_own_or_the_options(small: Corpus, tiny_bert: Path) -> None:
    for rate, expected in ((None, 0.1), (0.0, 0.0), (0.25, 0.25)):
        setting = encoder_options(tiny_bert, trainable="all", dropout=rate)
        live = LiveEncoder(setting, tokenise(small, setting))
        rates = {m.p for m in live.modules() if isinstance(m, Dropout)}
        assert rates == {expected}
        assert not [m for m in live.modules() if isinstance(m, torch.nn.Dropout)]
