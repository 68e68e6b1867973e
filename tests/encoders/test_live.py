"""Encoders: where they come from, tokens, pooling, batches, and what may learn."""

import itertools
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from counterpoint.config.options import EncoderOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders import live as live_module
from counterpoint.encoders import pretrained
from counterpoint.encoders.dropout import Dropout
from counterpoint.encoders.encoder import gathered
from counterpoint.encoders.features import FrozenFeatures, read_features, write_features
from counterpoint.encoders.live import LiveEncoder, frozen_features
from counterpoint.encoders.packing import length_batches
from counterpoint.encoders.pooling import apply_pooling
from counterpoint.encoders.pretrained import resolve
from counterpoint.encoders.tokens import read_tokens, tokenise, write_tokens
from counterpoint.errors import InputError


def options(folder: Path, **changes: object) -> EncoderOptions:
    return EncoderOptions(**{"name": str(folder), "max_tokens": 32, **changes})


def test_the_bundled_encoder_agrees_with_sentence_transformers(small: Corpus) -> None:
    from sentence_transformers import SentenceTransformer

    name = EncoderOptions()
    found = frozen_features(small, tokenise(small, name), name, torch.device("cpu"))
    theirs = SentenceTransformer(resolve(name.name)).encode(
        small.texts, normalize_embeddings=False, convert_to_numpy=True
    )
    ours = found / np.linalg.norm(found, axis=1, keepdims=True)
    theirs = theirs / np.linalg.norm(theirs, axis=1, keepdims=True)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_local_folder_comes_before_the_bundled_encoder(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "all-MiniLM-L6-v2").symlink_to(tiny_bert)
    assert resolve("all-MiniLM-L6-v2") == "all-MiniLM-L6-v2"


def test_bundled_weights_with_another_checksum_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    package, _ = pretrained.BUNDLED["all-MiniLM-L6-v2"]
    monkeypatch.setitem(pretrained.BUNDLED, "all-MiniLM-L6-v2", (package, "0" * 64))
    with pytest.raises(InputError, match=r"model\.safetensors: sha256 53aa5.*expected 000"):
        resolve("sentence-transformers/all-MiniLM-L6-v2")


def test_a_folder_without_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"no config\.json with \*\.safetensors"):
        resolve(str(tmp_path))


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
    tokens = tokenise(small, options(folder))
    weights = (folder / "model.safetensors").read_bytes()
    for damaged in (weights[: len(weights) // 2], b"version https://git-lfs.github.com/spec/v1\n"):
        (folder / "model.safetensors").write_bytes(damaged)
        with pytest.raises(InputError, match=r"encoder\.name .*damaged'.*cannot be loaded"):
            LiveEncoder(options(folder), tokens)
    (folder / "model.safetensors").write_bytes(weights)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"intermediate_size": 24}))
    with pytest.raises(InputError, match=r"encoder\.name .*damaged'.*cannot be loaded"):
        LiveEncoder(options(folder), tokens)


def test_tokens_made_with_other_options_are_refused(
    small: Corpus, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, path = options(tiny_bert, max_tokens=8), tmp_path / "tokens.safetensors"
    write_tokens(tokenise(small, made), small, path, made)
    # What tokens do not depend on may differ, and so may the way that the encoder is named.
    monkeypatch.chdir(tiny_bert.parent)
    read_tokens(path, small, EncoderOptions(name=tiny_bert.name, max_tokens=8))
    read_tokens(path, small, options(tiny_bert, max_tokens=8, pooling="cls"))
    with pytest.raises(
        InputError, match=r"tokens\.safetensors: made with .*max_tokens: 8, and not"
    ):
        read_tokens(path, small, options(tiny_bert, max_tokens=9))


def test_tokens_are_cut_and_survive_a_round_trip(
    small: Corpus, tiny_bert: Path, tmp_path: Path
) -> None:
    made = tokenise(small, options(tiny_bert, max_tokens=8))
    assert made.lengths(np.arange(len(small.texts))).max() == 8
    write_tokens(made, small, tmp_path / "tokens.safetensors")
    read = read_tokens(tmp_path / "tokens.safetensors", small)
    np.testing.assert_array_equal(read.ids, made.ids)
    np.testing.assert_array_equal(read.starts, made.starts)
    assert read.pad == made.pad == 0


def test_the_fingerprint_follows_weights_and_configuration_and_not_the_folder(
    small: Corpus, tiny_bert: Path, tmp_path: Path
) -> None:
    def loaded(folder: Path) -> LiveEncoder:
        chosen = options(folder, max_tokens=8, trainable="all")
        return LiveEncoder(chosen, tokenise(small, chosen))

    copy = shutil.copytree(tiny_bert, tmp_path / "copy")
    same = loaded(tiny_bert).fingerprint()
    assert loaded(copy).fingerprint() == same
    changed = loaded(copy)
    with torch.no_grad():
        next(changed.parameters())[0] += 1
    assert changed.fingerprint() != same
    settings = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(settings | {"hidden_dropout_prob": 0.3}))
    assert loaded(copy).fingerprint() != same


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
@pytest.mark.parametrize("roles", ["shared", "separate"])
def test_compiled_it_gives_the_same_vectors_and_gradients(
    small: Corpus, tiny_bert: Path, roles: str
) -> None:
    found = []
    texts = torch.arange(4)
    for compiled in (False, True):
        chosen = options(tiny_bert, trainable="all", towers=roles, dropout=0.0, compile=compiled)
        live = LiveEncoder(chosen, tokenise(small, chosen))
        x = live(texts, "candidate")
        x.square().sum().backward()
        # What is not used, such as the pooler, has no gradient or one of zeros.
        gradients = [
            torch.zeros_like(each) if each.grad is None else each.grad
            for each in live.models["candidate"].parameters()
        ]
        found.append((list(live.state_dict()), x.detach(), gradients))
    (names, plain, gradients), (other_names, compiled_x, others) = found
    assert other_names == names
    torch.testing.assert_close(compiled_x, plain, atol=1e-5, rtol=1e-4)
    for one, other in zip(gradients, others, strict=True):
        torch.testing.assert_close(other, one, atol=1e-4, rtol=1e-3)


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_compiled_it_drops_by_the_seed_and_learns(small: Corpus, tiny_bert: Path) -> None:
    chosen = options(tiny_bert, trainable="all", dropout=0.5, compile=True)
    live = LiveEncoder(chosen, tokenise(small, chosen)).train()
    texts = torch.arange(4)

    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        x: torch.Tensor = live(texts, "candidate")
        return x

    with torch.random.fork_rng(devices=[]):
        first, again, other = drawn(0), drawn(0), drawn(1)
        torch.testing.assert_close(again, first, atol=0, rtol=0)
        assert not torch.allclose(other, first)
        other.square().sum().backward()
    gradients = [each.grad for each in live.models["candidate"].encoder.parameters()]
    assert all(each is not None and each.isfinite().all() for each in gradients)
    assert any(each is not None and each.any() for each in gradients)


def test_compiling_without_a_compiler_is_an_input_error(
    small: Corpus, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    chosen = options(tiny_bert, trainable="all", compile=True)
    with pytest.raises(InputError, match=r"encoder\.compile.*g\+\+"):
        LiveEncoder(chosen, tokenise(small, chosen))


def test_features_of_another_corpus_are_refused(
    small: Corpus, sample: Corpus, tmp_path: Path
) -> None:
    x = np.zeros((len(small.texts), 4), dtype=np.float32)
    write_features(x, small, tmp_path / "features.safetensors")
    np.testing.assert_array_equal(read_features(tmp_path / "features.safetensors", small), x)
    with pytest.raises(InputError, match=r"features\.safetensors: made from another corpus"):
        read_features(tmp_path / "features.safetensors", sample)


def test_pooling_by_hand() -> None:
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]])
    output = SimpleNamespace(last_hidden_state=hidden, pooler_output=torch.tensor([[7.0, 8.0]]))
    mask = torch.tensor([[1, 1, 0]])
    assert apply_pooling(output, mask, "pooler").tolist() == [[7.0, 8.0]]
    assert apply_pooling(output, mask, "cls").tolist() == [[1.0, 2.0]]
    assert apply_pooling(output, mask, "mean").tolist() == [[2.0, 3.0]]


def test_batches_keep_the_budget_and_hold_every_text_once() -> None:
    lengths = np.random.default_rng(1).integers(3, 60, size=200)
    batches = list(length_batches(lengths, 256, 10))
    assert sorted(np.concatenate(batches).tolist()) == list(range(200))
    assert all(lengths[batch].max() * len(batch) <= 256 for batch in batches)
    assert lengths[batches[0]].max() == lengths.max()


def test_a_text_above_the_budget_is_a_batch_of_its_own() -> None:
    batches = list(length_batches(np.array([5, 500, 5]), 64, 10))
    assert [batch.tolist() for batch in batches] == [[1], [0, 2]]


@pytest.mark.parametrize(
    ("call", "expected"),
    # In one batch 3 · 9 = 27 tokens; the two short ones apart 9 + 2 · 2 = 13 and another call.
    [(13, [[1], [0, 2]]), (15, [[1, 0, 2]])],
)
def test_padding_is_weighed_against_another_call(call: int, expected: list[list[int]]) -> None:
    batches = list(length_batches(np.array([2, 9, 2]), 64, call))
    assert [batch.tolist() for batch in batches] == expected


@pytest.mark.parametrize("call", [0, 7, 40])
def test_no_other_cut_of_the_sorted_texts_costs_less(call: int) -> None:
    lengths = np.random.default_rng(2).integers(1, 30, size=9)
    ordered = np.sort(lengths)[::-1]

    def cost(cuts: tuple[int, ...]) -> int:
        edges = [0, *cuts, len(ordered)]
        parts = [ordered[i:j] for i, j in itertools.pairwise(edges)]
        if any(part[0] * len(part) > 70 for part in parts):
            return 10**9
        return sum(call + int(part[0]) * len(part) for part in parts)

    every = (c for k in range(9) for c in itertools.combinations(range(1, 9), k))
    batches = list(length_batches(lengths, 70, call))
    found = sum(call + int(lengths[part].max()) * len(part) for part in batches)
    assert found == min(cost(cuts) for cuts in every)


@pytest.mark.parametrize("pooling", ["pooler", "cls", "mean"])
def test_vectors_do_not_depend_on_the_batches(small: Corpus, tiny_bert: Path, pooling: str) -> None:
    found = []
    for budget in (64, 4096):
        setting = options(tiny_bert, pooling=pooling, batch_tokens=budget)
        found.append(frozen_features(small, tokenise(small, setting), setting, torch.device("cpu")))
    assert found[0].shape == (len(small.texts), 32)
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    assert np.abs(found[0][0] - found[0][1]).max() > 1e-4


def test_repeated_texts_are_encoded_once_and_alike(small: Corpus, tiny_bert: Path) -> None:
    setting = options(tiny_bert, trainable="all")
    live = LiveEncoder(setting, tokenise(small, setting)).eval()
    x = live(torch.tensor([3, 1, 3, 3]), "query")
    assert torch.equal(x[0], x[2])
    assert torch.equal(x[0], x[3])
    assert not torch.equal(x[0], x[1])


@pytest.mark.parametrize(
    ("trainable", "learning"),
    [("none", set()), (1, {"layer.1"}), (2, {"layer.0", "layer.1"})],
)
def test_only_the_named_layers_learn(
    small: Corpus, tiny_bert: Path, trainable: object, learning: set[str]
) -> None:
    setting = options(tiny_bert, trainable=trainable)
    live = LiveEncoder(setting, tokenise(small, setting))
    names = {name for name, p in live.models["query"].named_parameters() if p.requires_grad}
    assert all("encoder.layer" in name for name in names)
    assert {name.split("encoder.")[1][:7] for name in names} == learning


def test_one_encoder_or_one_for_each_role(small: Corpus, tiny_bert: Path) -> None:
    tokens = tokenise(small, options(tiny_bert))
    shared = LiveEncoder(options(tiny_bert, trainable="all"), tokens)
    separate = LiveEncoder(options(tiny_bert, trainable="all", towers="separate"), tokens)
    count = sum(p.numel() for p in shared.parameters())
    assert shared.models["query"] is shared.models["candidate"]
    assert sum(p.numel() for p in separate.parameters()) == 2 * count


def test_more_layers_or_tokens_than_there_are_is_an_input_error(
    small: Corpus, tiny_bert: Path
) -> None:
    tokens = tokenise(small, options(tiny_bert))
    with pytest.raises(InputError, match="3 layers of 2"):
        LiveEncoder(options(tiny_bert, trainable=3), tokens)
    with pytest.raises(InputError, match="65 is more than the 64 positions"):
        LiveEncoder(options(tiny_bert, max_tokens=65), tokens)


def test_frozen_features_are_no_part_of_the_saved_weights() -> None:
    frozen = FrozenFeatures(np.ones((3, 2), dtype=np.float32))
    assert frozen.state_dict() == {}
    assert frozen(torch.tensor([2]), "query").tolist() == [[1.0, 1.0]]


def test_weights_that_are_missing_are_refused_and_not_drawn_at_random(
    small: Corpus, tiny_bert: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "without-pooler"
    shutil.copytree(tiny_bert, folder)
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith("pooler.")}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    tokens = tokenise(small, options(folder))
    LiveEncoder(options(folder, pooling="cls"), tokens)
    with pytest.raises(InputError, match=r"no weights for pooler\.dense.*use pooling cls or mean"):
        LiveEncoder(options(folder, pooling="pooler"), tokens)


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


# ---- pieces, dropout, precision ----


def gradients(live: LiveEncoder, texts: torch.Tensor, seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    live.zero_grad()
    live(texts, "query").square().sum().backward()
    return {name: p.grad.clone() for name, p in live.named_parameters() if p.grad is not None}


def test_gradients_add_up_over_pieces(small: Corpus, tiny_bert: Path) -> None:
    setting = options(tiny_bert, trainable="all", dropout=0.0)
    live = LiveEncoder(setting, tokenise(small, setting)).train()
    texts = torch.arange(6)
    whole = live(texts, "query").detach()
    plain = gradients(live, texts, 1)
    assert live.back_off()
    assert live.back_off()
    assert live.pieces == 4
    pieces = gradients(live, texts, 1)
    assert pieces.keys() == plain.keys()
    torch.testing.assert_close(live(texts, "query").detach(), whole)
    for name in plain:
        torch.testing.assert_close(pieces[name], plain[name], rtol=1e-4, atol=1e-5)


NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])])
def test_what_is_computed_again_drops_what_was_dropped_before(
    small: Corpus, tiny_bert: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = options(tiny_bert, trainable="all", dropout=0.3, precision="float32")
    live = LiveEncoder(setting, tokenise(small, setting)).to(device).train()
    assert live.back_off()
    pieces = gradients(live, torch.arange(6), 1)
    # The same pieces, each with its activations kept.
    monkeypatch.setattr(
        live_module, "checkpoint", lambda function, *given, use_reentrant: function(*given)
    )
    kept = gradients(live, torch.arange(6), 1)
    assert pieces.keys() == kept.keys()
    for name in kept:
        torch.testing.assert_close(pieces[name], kept[name], rtol=1e-4, atol=1e-6)


def test_dropout_is_the_checkpoints_own_or_the_options(small: Corpus, tiny_bert: Path) -> None:
    for rate, expected in ((None, 0.1), (0.0, 0.0), (0.25, 0.25)):
        setting = options(tiny_bert, trainable="all", dropout=rate)
        live = LiveEncoder(setting, tokenise(small, setting))
        rates = {m.p for m in live.modules() if isinstance(m, Dropout)}
        assert rates == {expected}
        assert not [m for m in live.modules() if isinstance(m, torch.nn.Dropout)]


def test_bfloat16_is_refused_where_the_cpu_has_no_instructions(
    small: Corpus, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = tokenise(small, options(tiny_bert))
    half = options(tiny_bert, trainable="all", precision="bfloat16", dropout=0.0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    with pytest.raises(InputError, match="AVX512-BF16"):
        LiveEncoder(half, tokens)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"bf16": True})  # ARM's
    LiveEncoder(half, tokens)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    found = LiveEncoder(half, tokens).eval()(torch.arange(4), "query")
    exact = LiveEncoder(options(tiny_bert), tokens).eval()(torch.arange(4), "query")
    assert found.dtype == torch.float32
    assert 0 < (found - exact).abs().max() < 0.1


@pytest.mark.parametrize("has", [True, False])
def test_a_gpu_without_bfloat16_computes_in_float32(
    small: Corpus, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch, has: bool
) -> None:
    tokens = tokenise(small, options(tiny_bert))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: has)
    monkeypatch.setattr(LiveEncoder, "_device", lambda self: torch.device("cuda"))
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: True)
    chosen = LiveEncoder(options(tiny_bert), tokens)
    assert chosen._autocast()._enabled is has
    assert chosen._packed() is has
    half = options(tiny_bert, trainable="all", precision="bfloat16")
    if has:
        LiveEncoder(half, tokens)
    else:
        with pytest.raises(InputError, match=r"encoder\.precision: 'bfloat16' on a GPU"):
            LiveEncoder(half, tokens)


def test_learning_sees_the_vectors_that_embedding_gives(small: Corpus, tiny_bert: Path) -> None:
    """Two ways into the transformer: words looked up once for a batch, and ids of each call."""
    for pooling in ("mean", "cls", "pooler"):
        setting = options(tiny_bert, trainable="all", pooling=pooling)
        live = LiveEncoder(setting, tokenise(small, setting)).eval()
        texts = torch.tensor([7, 2, 5, 0, 2])
        with torch.no_grad():
            n = len(small.texts)
            expected = gathered(live.embed(torch.arange(n), "query"), n)[texts]
        torch.testing.assert_close(live(texts, "query"), expected)


def test_words_have_the_gradients_of_a_plain_pass(small: Corpus, tiny_bert: Path) -> None:
    setting = options(tiny_bert, trainable="all")
    live = LiveEncoder(setting, tokenise(small, setting)).eval()
    found = gradients(live, torch.arange(5), 1)
    model = live.models["query"]
    live.zero_grad()
    ids, mask = live.tokens.padded(np.arange(5))
    output = model(input_ids=ids, attention_mask=mask)
    apply_pooling(output, mask, "mean").square().sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            own = found[f"models.query.{name}"]
            torch.testing.assert_close(own, parameter.grad, rtol=1e-4, atol=1e-6)
