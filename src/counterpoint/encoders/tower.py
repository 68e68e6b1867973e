"""One transformer at work: a batch of texts to their vectors, with or without padding."""

import os
import shutil
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.arrays import Ints
from counterpoint.config.options import EncoderOptions
from counterpoint.encoders.attention import Packing, flash_takes
from counterpoint.encoders.encoder import on_device
from counterpoint.encoders.layers import SplitTransformer, first_position
from counterpoint.encoders.packing import (
    TokenInputs,
    means_of_texts,
    takes_packed_texts,
    token_rows,
)
from counterpoint.encoders.pooling import apply_pooling
from counterpoint.encoders.precision import uses_bfloat16
from counterpoint.errors import InputError


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
        output = self._output(attention_mask=mask, inputs_embeds=on_device(looked_up, self.device))
        return apply_pooling(output, mask, self._options.pooling)

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
            token_type_ids=torch.zeros_like(positions),
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
