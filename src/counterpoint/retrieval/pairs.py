"""A trained cross-encoder in memory, ready for texts that it has never seen."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from counterpoint.arrays import Floats, Floats64
from counterpoint.config.options import EncoderOptions
from counterpoint.corpus.texts import number_texts
from counterpoint.encoders.names import commit_of
from counterpoint.encoders.pairs import PairEncoder, PairTemplate, PairTokens
from counterpoint.encoders.prompts import pinned, prompts_of
from counterpoint.encoders.roles import both
from counterpoint.encoders.tokens import Tokens, load_tokenizer, tokenise
from counterpoint.models.cross_encoder import CrossEncoder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class LoadedPairs:
    """A cross-encoder, which scores texts."""

    model: CrossEncoder
    tokenizer: "PreTrainedTokenizerBase"

    @property
    def options(self) -> EncoderOptions:
        """What pairs are encoded with; its prompts are those that count."""
        return self.model.encoder.options

    def fingerprint(self) -> str:
        """SHA-256 of all that its scores depend on."""
        options, model = self.options, self.model
        told = [options.pooling, options.max_tokens, options.prompts.candidate, model.mix.tolist()]
        digest = hashlib.sha256(model.encoder.fingerprint().encode())
        digest.update(json.dumps(told).encode())
        for _, tensor in sorted(model.head.state_dict().items()):
            digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def scores(
        self, points: Sequence[str], candidates: Sequence[str], distances: Floats64
    ) -> Floats:
        """The mixture of both stages' scores of n pairs of texts: (n,) float32.

        Args:
            points: n of them.
            candidates: n of them.
            distances: (n,) between their vectors in the first stage.

        Raises:
            InputError: a text is empty, or there is none.
        """
        logit, first = self.model.mix.tolist()
        mixed = -first * distances**2 / 2
        if logit:
            mixed = logit * self._logits(points, candidates) + mixed
        scores: Floats = mixed.astype(np.float32)
        return scores

    def _logits(self, points: Sequence[str], candidates: Sequence[str]) -> Floats64:
        """(n,) of n pairs; each is read once, so that equal ones have equal logits."""
        numbered = number_texts([*points, *candidates])
        encoder, count = self.model.encoder, len(numbered.texts)
        prompt = both(self.options.prompts.candidate or "")
        tokens = tokenise(numbered, self.options, self.tokenizer, prompt)
        encoder.tokens = PairTokens(tokens.candidate, encoder.tokens.template)
        p, c = numbered.numbers[: len(points)], numbered.numbers[len(points) :]
        unique, inverse = np.unique(p * count + c, return_inverse=True)
        logits = np.empty(len(unique), dtype=np.float64)
        for part, values in self.model.score(unique // count, unique % count):
            logits[part] = values.float().cpu().numpy()
        each: Floats64 = logits[inverse]
        return each


def built_pairs(
    options: EncoderOptions, device: torch.device, commit: str | None = None
) -> LoadedPairs:
    """A cross-encoder whose encoder is as it comes, and whose layer above is random.

    Args:
        options: of its encoder, as `loaded.inference_options` has them.
        device: where it computes.
        commit: of an encoder on the hub; None for what it is now.

    Raises:
        InputError: the encoder cannot be loaded.
    """
    commit = commit or commit_of(options)
    options = pinned(options, prompts_of(options, commit))
    tokenizer = load_tokenizer(options, commit)
    nothing = Tokens(np.empty(0, np.int32), np.zeros(1, np.int64), pad=0)
    tokens = PairTokens(nothing, PairTemplate.of(tokenizer))
    model = CrossEncoder(PairEncoder(options, tokens, commit))
    model.to(device).eval().requires_grad_(False)
    return LoadedPairs(model, tokenizer)
