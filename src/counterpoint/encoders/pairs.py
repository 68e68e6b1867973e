"""Two texts as one sequence of tokens, and the encoder that reads it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor

from counterpoint.arrays import Ints
from counterpoint.config.options import EncoderOptions
from counterpoint.encoders.encoder import InPieces
from counterpoint.encoders.packing import TokenInputs
from counterpoint.encoders.precision import check_precision
from counterpoint.encoders.pretrained import load_model
from counterpoint.encoders.tokens import RoleTokens, Tokens, load_tokenizer
from counterpoint.encoders.tower import Tower, embedding_batches, fingerprint
from counterpoint.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class PairTemplate:
    """What a tokenizer puts around one text, and around two texts of one sequence."""

    alone: tuple[int, int]
    """How many special tokens stand before and behind a text that is alone."""
    specials: tuple[Ints, Ints, Ints]
    """Those of a pair: before the first text, between the two, behind the second."""
    types: tuple[Ints, Ints, Ints]
    """Their token types."""
    text_types: tuple[int, int]
    """Of the texts' own tokens."""

    @classmethod
    def of(cls, tokenizer: "PreTrainedTokenizerBase") -> Self:
        """Read off what the tokenizer makes of an invented text and pair.

        Raises:
            InputError: it does not tell which tokens are of which text.
        """
        one, two = tokenizer("word"), tokenizer("word", "word")
        if not one.is_fast:
            raise InputError(
                f"the tokenizer {type(tokenizer).__name__} does not tell which tokens are of which "
                "text; a cross-encoder needs one with a tokenizer.json"
            )
        owner, owners = one.sequence_ids(0), two.sequence_ids(0)
        ids = np.asarray(two["input_ids"], dtype=np.int64)
        types = np.asarray(two.get("token_type_ids", np.zeros_like(ids)), dtype=np.int64)
        first, second = (np.flatnonzero([own == text for own in owners]) for text in (0, 1))
        parts = (
            slice(0, first[0]), slice(first[-1] + 1, second[0]), slice(second[-1] + 1, None)
        )  # fmt: skip
        before, between, behind = parts
        return cls(
            alone=(owner.index(0), owner[::-1].index(0)),
            specials=(ids[before], ids[between], ids[behind]),
            types=(types[before], types[between], types[behind]),
            text_types=(int(types[first[0]]), int(types[second[0]])),
        )


@dataclass(frozen=True)
class PairTokens:
    """Pairs of a corpus's texts as sequences: each text cut where it is when it is alone."""

    tokens: Tokens
    template: PairTemplate

    def lengths(self, first: Ints, second: Ints) -> Ints:
        """(n,) tokens of the sequence of each pair of text numbers."""
        template = self.template
        specials = sum(len(part) for part in template.specials) - 2 * sum(template.alone)
        lengths: Ints = self.tokens.lengths(first) + self.tokens.lengths(second) + specials
        return lengths

    def sequences(self, first: Ints, second: Ints) -> tuple[Ints, Ints]:
        """Token ids and token types of (n,) pairs, one after the other: (tokens,) int64 each."""
        template = self.template
        (before, between, behind), types = template.specials, template.types
        ids, of_type = [], []
        for p, c in zip(first.tolist(), second.tolist(), strict=True):
            a, b = self._own(p), self._own(c)
            ids += [before, a, between, b, behind]
            of_type += [
                types[0],
                np.full(len(a), template.text_types[0]),
                types[1],
                np.full(len(b), template.text_types[1]),
                types[2],
            ]
        return np.concatenate(ids), np.concatenate(of_type)

    def _own(self, text: int) -> Ints:
        """The tokens of a text without the special ones."""
        starts, (before, behind) = self.tokens.starts, self.template.alone
        own = self.tokens.ids[starts[text] + before : starts[text + 1] - behind]
        return own.astype(np.int64)


def load_pairs(options: EncoderOptions, tokens: RoleTokens) -> "PairEncoder":
    """A pretrained encoder of pairs of some texts, whose tokens are given.

    Raises:
        InputError: see `PairEncoder`, `PairTemplate.of`.
    """
    template = PairTemplate.of(load_tokenizer(options, tokens.commit))
    return PairEncoder(options, PairTokens(tokens.candidate, template), tokens.commit)


class PairEncoder(InPieces):
    """x of pairs of texts by a transformer that reads both in one sequence, with gradients.

    Args:
        options: of the encoder; `max_tokens` is of each of the two texts.
        tokens: of the corpus.
        commit: of a model on the hub; None for one on this machine.

    Raises:
        InputError: the model cannot be loaded, or takes fewer tokens than two texts may have.
    """

    def __init__(
        self, options: EncoderOptions, tokens: PairTokens, commit: str | None = None
    ) -> None:
        super().__init__()
        self.options = options
        self.tokens = tokens
        both = options.model_copy(update={"max_tokens": 2 * options.max_tokens})
        self.model = load_model(both, commit)
        self.hidden_size = int(self.model.config.hidden_size)
        self._tower = Tower(self.model, None, options)
        check_precision(options)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(n,) and (n,) int64 text numbers to (n, H) float32."""
        return self._tower.encode(self._inputs(first.numpy(), second.numpy()), self.pieces)

    @torch.no_grad()
    def embed(self, first: Ints, second: Ints) -> Iterator[tuple[Ints, Tensor]]:
        """x of pairs in batches of like lengths: positions (k,) among them, and x (k, H)."""
        tower = self._tower
        encode = tower.encode_packed if tower.packs else tower.encode_padded
        lengths = self.tokens.lengths(first, second)
        for part in embedding_batches(lengths, self.options, self.pieces, tower.device):
            yield part, encode(self._inputs(first[part], second[part]), np.arange(len(part)))

    def fingerprint(self) -> str:
        """SHA-256 of the weights and the model's configuration, as they are now."""
        return fingerprint([self.model], self.model.state_dict())

    def _inputs(self, first: Ints, second: Ints) -> TokenInputs:
        ids, types = self.tokens.sequences(first, second)
        lengths = self.tokens.lengths(first, second)
        words = self._tower.words(np.append(ids, self.tokens.tokens.pad))
        return TokenInputs(words, np.cumsum(lengths), lengths, types if types.any() else None)
