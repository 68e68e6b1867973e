"""The outputs of a frozen encoder: computed once, kept in one file, used as an encoder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from counterpoint.arrays import Floats, Ints
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
from counterpoint.encoders.encoder import Encoder
from counterpoint.encoders.prompts import NO_PROMPTS, Prompts
from counterpoint.encoders.roles import ROLES, ByRole
from counterpoint.encoders.tokens import OF_TOKENS

OF_FEATURES = (*OF_TOKENS, "pooling")
"""The options that tokens and features are made with, and that their files tell, beside prompts."""


@dataclass(frozen=True)
class Outputs(ByRole[Floats]):
    """The untrained encoder's outputs (texts, H) float32 for texts as queries and as candidates."""

    prompts: Prompts = NO_PROMPTS
    commit: str | None = None
    """Of the encoder on the hub; None for one on this machine."""


def same_outputs(x: Floats) -> Outputs:
    """Outputs (texts, H) that serve both roles, of texts without prompts."""
    return Outputs(x, x)


def write_features(
    outputs: Outputs, corpus: Texts, path: str | Path, options: EncoderOptions | None = None
) -> None:
    """Write the frozen outputs, in the order of the corpus's unique texts.

    With the options that they were made with, `read_features` knows them.
    """
    made_with = {**at_commit(outputs.commit), **prompt_facts(outputs.prompts)}
    facts = {**made_with, **described(options, OF_FEATURES)}
    write_arrays(outputs.map(lambda x: {"x": x}), facts, corpus, path)


def read_features(
    path: str | Path, corpus: Texts, options: EncoderOptions | None = None
) -> Outputs:
    """Read what `write_features` wrote; see `read_tokens`."""
    arrays, facts = read_arrays(path, ("x",), corpus, options, OF_FEATURES)
    x = arrays.map(lambda of_role: of_role["x"])
    return Outputs(x.query, x.candidate, prompts_in(facts), facts.get(COMMIT))


class FrozenFeatures(Encoder):
    """x of every text by tables computed before; roles share one unless their prompts differ."""

    draws = False
    is_slow = False

    def __init__(self, outputs: Outputs) -> None:
        super().__init__()
        self.hidden_size = outputs.candidate.shape[1]
        self.prompts = outputs.prompts
        self._roles_differ = outputs.differ
        # Not persistent: the tables belong to the matrix and not to a cell's weights.
        for role in ROLES if outputs.differ else ("candidate",):
            self.register_buffer(role, torch.from_numpy(outputs[role]), persistent=False)

    @property
    def roles_differ(self) -> bool:
        """Whether each role has a table."""
        return self._roles_differ

    def forward(self, texts: Tensor, role: str) -> Tensor:
        """(n,) int64 text numbers to (n, H) float32."""
        table: Tensor = self.get_buffer(role if self._roles_differ else "candidate")
        return table[texts.to(table.device, non_blocking=True)]

    def embed(self, texts: Tensor, role: str) -> Iterator[tuple[Ints, Tensor]]:
        """All in one part."""
        yield np.arange(len(texts)), self(texts, role)

    def lengths(self, texts: Ints) -> None:
        """None: every text costs the same."""

    def back_off(self) -> bool:
        """False: a table takes no memory by the batch."""
        return False

    def fingerprint(self) -> None:
        """None: the table's file tells it apart."""
