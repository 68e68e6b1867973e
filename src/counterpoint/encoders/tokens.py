"""Token ids of every unique text of a corpus, computed once and kept in one file."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from counterpoint.config.options import EncoderOptions
from counterpoint.corpus.arguments import Texts
from counterpoint.encoders.arrays import (
    COMMIT,
    at_commit,
    described,
    prompt_facts,
    prompts_in,
    read_arrays,
    write_arrays,
)
from counterpoint.encoders.names import commit_of
from counterpoint.encoders.pretrained import load_pretrained
from counterpoint.encoders.prompts import NO_PROMPTS, Prompts, prompts_of
from counterpoint.encoders.roles import ByRole, both

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Tokens:
    """Token ids of every unique text of a corpus, one after the other.

    `ids` is (tokens,) int32, `starts` (texts + 1,) int64: text i is `ids[starts[i]:starts[i + 1]]`.
    """

    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    pad: int

    def __len__(self) -> int:
        """Number of texts."""
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


@dataclass(frozen=True)
class RoleTokens(ByRole[Tokens]):
    """The tokens of a corpus's texts as queries and as candidates, each behind its prompt."""

    prompts: Prompts = NO_PROMPTS
    commit: str | None = None
    """Of the tokenizer on the hub; None for one on this machine."""


def load_tokenizer(options: EncoderOptions, commit: str | None = None) -> "PreTrainedTokenizerBase":
    """Load an encoder's tokenizer.

    Args:
        options: of the encoder.
        commit: of an encoder on the hub; None for what `options.revision` is now.

    Raises:
        InputError: it cannot be loaded.
    """
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = load_pretrained(
        AutoTokenizer, options.name, "tokenizer", commit or commit_of(options)
    )
    return tokenizer


def tokenise(
    corpus: Texts,
    options: EncoderOptions,
    tokenizer: "PreTrainedTokenizerBase | None" = None,
    prompts: Prompts | None = None,
) -> RoleTokens:
    """Tokenise every unique text of a corpus in each role; once where their prompts are the same.

    Args:
        corpus: the texts.
        options: `name`, `revision`, `max_tokens` and `prompts`.
        tokenizer: the encoder's, where it is loaded already.
        prompts: where they are known already.

    Raises:
        InputError: the tokenizer or the model's prompts cannot be loaded or used.
    """
    commit = None
    if tokenizer is None:
        commit = commit_of(options)
        tokenizer = load_tokenizer(options, commit)
    if prompts is None:
        prompts = prompts_of(options, commit)
    loaded, same = tokenizer, prompts.query == prompts.candidate
    tokens = (both(prompts.candidate) if same else prompts).map(
        lambda prompt: _tokenised(corpus, prompt, loaded, options)
    )
    return RoleTokens(tokens.query, tokens.candidate, prompts, commit)


def _tokenised(
    corpus: Texts, prompt: str, tokenizer: "PreTrainedTokenizerBase", options: EncoderOptions
) -> Tokens:
    batch = tokenizer(
        [prompt + text for text in corpus.texts] if prompt else corpus.texts,
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


OF_TOKENS = ("name", "revision", "max_tokens")
"""The options that tokens are made with, beside prompts."""


def write_tokens(
    tokens: RoleTokens, corpus: Texts, path: str | Path, options: EncoderOptions | None = None
) -> None:
    """Write the tokens of a corpus (safetensors, mapped into memory by whoever reads it).

    With the options that they were made with, `read_tokens` knows them.
    """

    def arrays(of_role: Tokens) -> dict[str, npt.NDArray[Any]]:
        return {"ids": of_role.ids, "starts": of_role.starts}

    made_with = {**at_commit(tokens.commit), **prompt_facts(tokens.prompts)}
    facts = {"pad": str(tokens.candidate.pad), **made_with, **described(options, OF_TOKENS)}
    write_arrays(tokens.map(arrays), facts, corpus, path)


def read_tokens(
    path: str | Path, corpus: Texts, options: EncoderOptions | None = None
) -> RoleTokens:
    """Read what `write_tokens` wrote; the arrays stay in the file, which all jobs share.

    Raises:
        InputError: it is no such file, belongs to another corpus, or was made with other options.
    """
    arrays, facts = read_arrays(path, ("ids", "starts"), corpus, options, OF_TOKENS)
    pad = int(facts["pad"])
    tokens = arrays.map(lambda of_role: Tokens(of_role["ids"], of_role["starts"], pad))
    return RoleTokens(tokens.query, tokens.candidate, prompts_in(facts), facts.get(COMMIT))
