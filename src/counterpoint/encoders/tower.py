"""One transformer at work: a batch of texts to their vectors, with or without padding."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from counterpoint.arrays import Ints
from counterpoint.config.options import EncoderOptions
from counterpoint.encoders.attention import Packing, flash_takes
from counterpoint.encoders.encoder import gathered, on_device
from counterpoint.encoders.layers import SplitTransformer, first_position
from counterpoint.encoders.packing import (
    TokenInputs,
    length_batches,
    means_of_texts,
    packs,
    takes_packed_texts,
    token_rows,
)
from counterpoint.encoders.pooling import apply_pooling
from counterpoint.encoders.precision import uses_bfloat16
from counterpoint.errors import InputError

CALL_TOKENS = {"cpu": 64, "cuda": 8192}
"""How many padded tokens cost as much as one more call of the encoder, by device."""

BATCH_TOKENS = {"cpu": 4096, "cuda": 65536}
"""Padded tokens in a call of an embedding pass, by device, unless the options say how many."""


class Tower:
    """A transformer and how it is called.

    Args:
        model: the transformer; whoever owns its weights moves it and sets its mode.
        split: the model in two parts, where its lower layers are computed once.
        options: `pooling`, `precision`, `compile`.

    Raises:
        InputError: it is to be compiled on a CPU without a C++ compiler.
    """

    def __init__(
        self, model: nn.Module, split: SplitTransformer | None, options: EncoderOptions
    ) -> None:
        self._model: Any = model
        self._split = split
        self._options = options
        # Kept out of the modules: what is compiled shares the model's weights.
        self._call: Any = split.upper if split else compiled(model, options)
        self._takes_packed_texts = takes_packed_texts(model)
        self._first_position = first_position(model)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = next(self._model.parameters()).device
        return device

    @property
    def packs(self) -> bool:
        """Whether texts can stand one after the other, as one row of tokens.

        Compiled on a CPU, a model would be compiled for each; a GPU's flash attention takes half
        precision alone, and not every head.
        """
        if not self._takes_packed_texts:
            return False
        if self.device.type == "cpu":
            return not self._options.compile
        settings = self._model.config
        width = settings.hidden_size // settings.num_attention_heads
        return uses_bfloat16(self._options, self.device) and flash_takes(width)

    def words(self, ids: Ints) -> Tensor:
        """The words of token ids (n,), as the model looks them up: (n, H)."""
        embeddings = self._model.get_input_embeddings()
        words: Tensor = embeddings(on_device(torch.from_numpy(ids), self.device))
        return words

    @torch.no_grad()
    def lower(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What reaches the first layer that learns, (n, t, H), of ids and mask (n, t); the mask."""
        if self._split is None:
            raise ValueError("the model is not split")
        ids, mask = on_device(ids, self.device), on_device(mask, self.device)
        with self._autocast():
            return self._split.lower(ids, mask), mask

    def encode_ids(self, ids: Tensor, mask: Tensor) -> Tensor:
        """x (n, H) float32 of padded token ids and their mask, (n, t) int64."""
        mask = on_device(mask, self.device)
        output = self._output(input_ids=on_device(ids, self.device), attention_mask=mask)
        return apply_pooling(output, mask, self._options.pooling)

    def encode_padded(self, inputs: TokenInputs, part: Ints) -> Tensor:
        """x (n, H) float32 of some of the texts whose inputs are given, by their positions."""
        lengths, table = inputs.lengths[part], inputs.table
        real = np.arange(lengths.max()) < lengths[:, None]
        rows = np.full(real.shape, len(table) - 1)
        rows[real] = inputs.rows(part)
        index = torch.from_numpy(rows)
        looked_up = functional.embedding(
            on_device(index, self.device) if table.is_cuda else index, table
        )
        mask = on_device(torch.from_numpy(real.astype(np.int64)), self.device)
        types = {}
        if inputs.types is not None:
            padded = np.zeros(real.shape, dtype=np.int64)
            padded[real] = inputs.types[inputs.rows(part)]
            types = {"token_type_ids": on_device(torch.from_numpy(padded), self.device)}
        output = self._output(
            attention_mask=mask, inputs_embeds=on_device(looked_up, self.device), **types
        )
        return apply_pooling(output, mask, self._options.pooling)

    def encode(self, inputs: TokenInputs, pieces: int) -> Tensor:
        """x (n, H) float32 of all the texts whose inputs are given, with gradients.

        In several pieces, a piece's activations are computed again, by the same masks of dropout,
        when its gradient is due, and gradients add up over pieces: from less memory the gradient of
        the whole batch, for every loss (Gao, Zhang, Han, Callan, *Scaling Deep Contrastive Learning
        Batch Size under Memory Limited Setup*, RepL4NLP 2021). Without dropout that is the one of a
        single piece, to rounding; with dropout the masks depend on the pieces.
        """
        encode_texts = self.encode_packed if self.packs else self.encode_padded

        def encode_part(table: Tensor, part: Ints) -> Tensor:
            return encode_texts(replace(inputs, table=table), part)

        def encode(part: Ints) -> Tensor:
            if pieces == 1 or not torch.is_grad_enabled():
                return encode_part(inputs.table, part)
            # The table is an argument because the second pass gets a GPU's random numbers of the
            # first, for dropout, only where a tensor among the arguments lies on it.
            x: Tensor = checkpoint(encode_part, inputs.table, part, use_reentrant=False)
            return x

        parts = self._pieces(inputs.lengths, pieces)
        return gathered([(part, encode(part)) for part in parts], len(inputs.lengths))

    def _pieces(self, lengths: Ints, pieces: int) -> Iterator[Ints]:
        """Positions of a batch's texts, of (n,) lengths, in the calls that take them."""
        longest = int(lengths.max())
        if self.packs:
            return packs(lengths, max(longest, int(lengths.sum()) // pieces))
        budget = max(longest, longest * len(lengths) // pieces)
        return length_batches(lengths, budget, CALL_TOKENS[self.device.type])

    def encode_packed(self, inputs: TokenInputs, part: Ints) -> Tensor:
        """The same without padding: the texts stand one after the other, as one row of tokens."""
        lengths = inputs.lengths[part]
        rows = inputs.rows(part)
        # Words stand as the texts do: a view of them, whose gradient needs no lookup.
        contiguous = bool((np.diff(rows) == 1).all())
        tokens = inputs.table[
            slice(rows[0], rows[-1] + 1) if contiguous else torch.from_numpy(rows)
        ]
        positions = on_device(
            torch.from_numpy(token_rows(lengths, lengths))[None] + self._first_position,
            self.device,
        )
        ends = torch.from_numpy(np.cumsum(lengths, dtype=np.int32))
        starts = on_device(functional.pad(ends, (1, 0)), self.device)
        output = self._output(
            inputs_embeds=on_device(tokens, self.device)[None],
            position_ids=positions,
            token_type_ids=torch.zeros_like(positions)
            if inputs.types is None
            else on_device(torch.from_numpy(inputs.types[rows])[None], self.device),
            packing=Packing(starts, int(lengths.max())),
        )
        return self._pooled_packed(output.last_hidden_state[0].float(), starts)

    def _pooled_packed(self, states: Tensor, starts: Tensor) -> Tensor:
        """`apply_pooling` of packed texts, of whose states (tokens, H) each begins at `starts`."""
        if self._options.pooling == "mean":
            return means_of_texts(states, starts)
        firsts = states[starts[:-1]]
        if self._options.pooling == "cls":
            return firsts
        with self._autocast():
            pooled: Tensor = self._model.pooler(firsts[:, None])
        return pooled.float()

    def _autocast(self) -> torch.autocast:
        half = uses_bfloat16(self._options, self.device)
        return torch.autocast(self.device.type, torch.bfloat16, enabled=half)

    def _output(self, **inputs: Any) -> Any:
        with self._autocast():
            return self._call(**inputs)


def embedding_batches(
    lengths: Ints, options: EncoderOptions, pieces: int, device: torch.device
) -> Iterator[Ints]:
    """`length_batches` of an embedding pass over texts of (n,) lengths."""
    tokens = options.batch_tokens or BATCH_TOKENS[device.type]
    return length_batches(lengths, max(1, tokens // pieces), CALL_TOKENS[device.type])


def fingerprint(models: Iterable[nn.Module], weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of some transformers' configurations, and of weights by name."""
    digest = hashlib.sha256()
    for model in models:
        configuration: Any = model.config
        settings = configuration.to_dict()
        for name in ("_name_or_path", "transformers_version"):
            settings.pop(name, None)
        digest.update(json.dumps(settings, sort_keys=True, default=str).encode("utf-8"))
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode("utf-8"))
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def compiled(model: nn.Module, options: EncoderOptions) -> Any:
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
