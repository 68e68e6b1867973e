"""A transformer at work: texts to vectors, with gradients where layers learn.

Frozen features (`encoder.FrozenFeatures`) have the same methods. See docs/method.md, "Speed".
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from counterpoint.arrays import Ints
from counterpoint.config.options import EncoderOptions
from counterpoint.corpus.arguments import Texts
from counterpoint.encoders.attention import Packing, flash_takes
from counterpoint.encoders.dropout import rates
from counterpoint.encoders.encoder import Encoder, gathered, on_device
from counterpoint.encoders.layers import Cut, first_position, layers_of
from counterpoint.encoders.packing import (
    Entering,
    length_batches,
    means_of_texts,
    packs,
    packs_texts,
    token_rows,
)
from counterpoint.encoders.pooling import apply_pooling
from counterpoint.encoders.pretrained import load_model
from counterpoint.encoders.tokens import Tokens
from counterpoint.errors import InputError


class LiveEncoder(Encoder):
    """x of texts by a transformer, with gradients where `trainable` allows them.

    Raises:
        InputError: the model cannot be loaded, has no pooler output where that is asked for, has
            fewer layers than `trainable`, or takes fewer tokens than `max_tokens`; or this CPU has
            no instructions for bfloat16 (or the GPU has none), or no compiler.
    """

    def __init__(self, options: EncoderOptions, tokens: Tokens) -> None:
        super().__init__()
        self.options = options
        self.tokens = tokens
        # `shared` is one module under both names, so its weights are counted and saved once.
        first = load_model(options)
        second = load_model(options) if options.towers == "separate" else first
        self.models = nn.ModuleDict({"query": first, "candidate": second})
        self.hidden_size = int(first.config.hidden_size)
        # What is called; kept out of the modules, whose weights it shares.
        query = _callable(first, options)
        candidate = query if second is first else _callable(second, options)
        self._calls: dict[str, Any] = {"query": query, "candidate": candidate}
        self._cuts = _cuts(self.models, options)
        self._states: Tensor | None = None
        self._packs = packs_texts(first)
        self._first_position = first_position(first)
        if options.precision == "bfloat16" and not _fast_bfloat16():
            raise InputError(
                "encoder.precision: 'bfloat16' on a GPU or CPU without instructions for it (a CPU: "
                "AVX512-BF16, AMX-BF16 or ARM's) would be slower than float32; use float32, or null"
            )

    is_slow = True
    draws = True
    """Whatever its rates of dropout: a family may draw in other ways."""

    @property
    def towers_differ(self) -> bool:
        """Whether each role has a transformer of its own."""
        return self.models["query"] is not self.models["candidate"]

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
        entering = self._entering(role, numbers)
        packed = self._packed()
        encode_texts = self._encode_packed if packed else self._encode_padded

        def encode_part(rows: Tensor, part: npt.NDArray[np.int64]) -> Tensor:
            return encode_texts(role, replace(entering, rows=rows), part)

        def encode(part: npt.NDArray[np.int64]) -> Tensor:
            if self.pieces == 1 or not torch.is_grad_enabled():
                return encode_part(entering.rows, part)
            # The rows are an argument because the second pass gets a GPU's random numbers of the
            # first, for dropout, only where a tensor among the arguments lies on it.
            result: Tensor = checkpoint(encode_part, entering.rows, part, use_reentrant=False)
            return result

        lengths, longest = entering.lengths, int(entering.lengths.max())
        if packed:
            parts = packs(lengths, max(longest, int(lengths.sum()) // self.pieces))
        else:
            budget = max(longest, longest * len(numbers) // self.pieces)
            parts = length_batches(lengths, budget, CALL_TOKENS[self._device().type])
        x = gathered([(part, encode(part)) for part in parts], len(numbers))
        return x[on_device(position, self._device())]

    def embed(self, texts: Tensor, role: str) -> Iterator[tuple[Ints, Tensor]]:
        """x of unique texts in batches of like lengths; see `Encoder`.

        On a CPU they are padded, which among so many sorted texts costs nothing.
        """
        if self._cuts:
            for _ in self._compute_lower_layers():
                yield (
                    np.empty(0, dtype=np.int64),
                    torch.empty((0, self.hidden_size), device=self._device()),
                )
        numbers = texts.cpu().numpy()
        lengths = self.tokens.lengths(numbers)
        entering = self._entering(role, numbers) if self._cuts else None
        packed = self._packed() and self._device().type != "cpu"
        encode_texts = self._encode_packed if packed else self._encode_padded

        for part in self._length_batches(lengths):
            if entering is not None:
                yield part, encode_texts(role, entering, part)
            elif packed:
                words = self._entering(role, numbers[part])
                yield part, self._encode_packed(role, words, np.arange(len(part)))
            else:
                ids, mask = (self.to_device(tensor) for tensor in self.tokens.padded(numbers[part]))
                yield part, self._pooled(role, mask, input_ids=ids)

    def _length_batches(self, lengths: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
        """`length_batches` of an embedding pass."""
        device = self._device().type
        tokens = self.options.batch_tokens or BATCH_TOKENS[device]
        return length_batches(lengths, max(1, tokens // self.pieces), CALL_TOKENS[device])

    def _device(self) -> torch.device:
        return next(self.parameters()).device

    def _entering(self, role: str, texts: npt.NDArray[np.int64]) -> "Entering":
        """What enters the transformer for every token of some texts.

        The states below the layers that learn, or words, looked up once for all calls, because the
        gradient of their table is as large as the vocabulary.
        """
        starts, lengths = self.tokens.starts, self.tokens.lengths(texts)
        if self._cuts:
            for _ in self._compute_lower_layers():
                pass
            assert self._states is not None
            return Entering(self._states, starts[texts + 1], lengths)
        model: Any = self.models[role]
        ids = np.concatenate([self.tokens.ids[starts[text] : starts[text + 1]] for text in texts])
        flat = torch.from_numpy(np.append(ids, self.tokens.pad).astype(np.int64))
        words: Tensor = model.get_input_embeddings()(self.to_device(flat))
        return Entering(words, np.cumsum(lengths), lengths)

    def _compute_lower_layers(self) -> Iterator[None]:
        """Compute what reaches the first layer that learns, unless it is there; pause in between.

        It is kept for every token of the corpus, (tokens, H), in the CPU's memory. Both roles share
        it: they have the same lower layers.
        """
        if self._states is not None:
            return
        lengths = np.diff(self.tokens.starts)
        states: Tensor | None = None
        for part in self._length_batches(lengths):
            yield
            ids, mask = (self.to_device(tensor) for tensor in self.tokens.padded(part))
            with torch.no_grad(), self._autocast():
                some = self._cuts["query"].below(ids, mask)
            if states is None:
                states = some.new_empty((len(self.tokens.ids), some.shape[-1]), device="cpu")
            rows = torch.from_numpy(token_rows(self.tokens.starts[part + 1], lengths[part]))
            states[rows] = some[mask.bool()].cpu()
        self._states = states

    def _encode_padded(
        self, role: str, entering: "Entering", part: npt.NDArray[np.int64]
    ) -> Tensor:
        """x (n, H) of some of the texts whose tokens enter, by their places among them."""
        own, rows = entering.lengths[part], entering.rows
        mask = np.arange(own.max()) < own[:, None]
        places = np.full(mask.shape, len(rows) - 1)
        places[mask] = entering.places(part)
        index = torch.from_numpy(places)
        inputs = functional.embedding(self.to_device(index) if rows.is_cuda else index, rows)
        on_device = self.to_device(torch.from_numpy(mask.astype(np.int64)))
        return self._pooled(role, on_device, inputs_embeds=self.to_device(inputs))

    def _encode_packed(
        self, role: str, entering: "Entering", part: npt.NDArray[np.int64]
    ) -> Tensor:
        """The same without padding: the texts stand one after the other, as one row of tokens."""
        model: Any = self.models[role]
        own = entering.lengths[part]
        places = entering.places(part)
        # Words stand as the texts do: a view of them, whose gradient needs no lookup.
        in_a_row = bool((np.diff(places) == 1).all())
        rows = slice(places[0], places[-1] + 1) if in_a_row else torch.from_numpy(places)
        inputs = entering.rows[rows]
        positions = self.to_device(
            torch.from_numpy(token_rows(own, own))[None] + self._first_position
        )
        ends = torch.from_numpy(np.cumsum(own, dtype=np.int32))
        starts = self.to_device(functional.pad(ends, (1, 0)))
        output = self._output(
            role,
            inputs_embeds=self.to_device(inputs)[None],
            position_ids=positions,
            token_type_ids=torch.zeros_like(positions),
            packing=Packing(starts, int(own.max())),
        )
        states: Tensor = output.last_hidden_state[0].float()
        if self.options.pooling == "mean":
            return means_of_texts(states, starts)
        firsts = states[starts[:-1]]
        if self.options.pooling == "cls":
            return firsts
        with self._autocast():
            pooled: Tensor = model.pooler(firsts[:, None])
        return pooled.float()

    def to_device(self, tensor: Tensor) -> Tensor:
        return on_device(tensor, self._device())

    def _packed(self) -> bool:
        """Whether a batch's texts stand one after the other.

        Compiled on a CPU, a model would be compiled for each; a GPU's flash attention takes half
        precision alone, and not every head.
        """
        if not self._packs:
            return False
        if self._device().type == "cpu":
            return not self.options.compile
        settings: Any = self.models["query"].config
        return self._bfloat16() and flash_takes(
            settings.hidden_size // settings.num_attention_heads
        )

    def _bfloat16(self) -> bool:
        if self.options.precision is None:
            return self._device().type == "cuda" and _fast_bfloat16()
        return self.options.precision == "bfloat16"

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device().type, torch.bfloat16, enabled=self._bfloat16())

    def _pooled(self, role: str, mask: Tensor, **inputs: Tensor) -> Tensor:
        """x of a batch of texts, (n, H), from `input_ids` (n, t) or `inputs_embeds` (n, t, H)."""
        output = self._output(role, attention_mask=mask, **inputs)
        return apply_pooling(output, mask, self.options.pooling)

    def _output(self, role: str, **inputs: Any) -> Any:
        with self._autocast():
            return (self._cuts[role].above if self._cuts else self._calls[role])(**inputs)


CALL_TOKENS = {"cpu": 64, "cuda": 8192}
"""How many padded tokens cost as much as one more call of the encoder, by device."""

BATCH_TOKENS = {"cpu": 4096, "cuda": 65536}
"""Padded tokens in a call of an embedding pass, by device, unless the options say how many."""

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
        number: Cut(model, layers_of(model, options.name), learning)
        for number, model in unique.items()
    }
    return {role: cuts[id(model)] for role, model in models.items()}


def _fast_bfloat16() -> bool:
    """Whether what will compute here has instructions for it: the GPU, or else the CPU."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    has = torch.cpu.get_capabilities()
    return any(has.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


def frozen_features(
    corpus: Texts, tokens: Tokens, options: EncoderOptions, device: torch.device
) -> npt.NDArray[np.float32]:
    """The outputs of the untrained encoder for every unique text: (texts, H) float32."""
    encoder = LiveEncoder(options, tokens).to(device).eval()
    with torch.inference_mode():
        n = len(corpus.texts)
        return gathered(encoder.embed(torch.arange(n), "candidate"), n).cpu().numpy()
