"""The outputs of a frozen encoder: computed once, kept in one file, used as an encoder."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from counterpoint.arrays import Ints
from counterpoint.config.options import EncoderOptions
from counterpoint.corpus.arguments import Texts
from counterpoint.encoders.arrays import at_commit, described, read_arrays, write_arrays
from counterpoint.encoders.encoder import Encoder
from counterpoint.encoders.tokens import OF_TOKENS

OF_FEATURES = (*OF_TOKENS, "pooling")
"""The options that tokens and features are made with, and that their files tell."""


def write_features(
    features: npt.NDArray[np.float32],
    corpus: Texts,
    path: str | Path,
    options: EncoderOptions | None = None,
    commit: str | None = None,
) -> None:
    """Write the frozen outputs: (texts, H) float32, in the order of the corpus's unique texts.

    With the options, and the commit of an encoder on the hub, that they were made with, the file
    tells them.
    """
    facts = {**at_commit(commit), **described(options, OF_FEATURES)}
    write_arrays({"x": features}, facts, corpus, path)


def read_features(
    path: str | Path, corpus: Texts, options: EncoderOptions | None = None
) -> npt.NDArray[np.float32]:
    """Read what `write_features` wrote; see `read_tokens`."""
    arrays, _ = read_arrays(path, ("x",), corpus, described(options, OF_FEATURES))
    features: npt.NDArray[np.float32] = arrays["x"]
    return features


class FrozenFeatures(Encoder):
    """x of every text as a table that was computed before; both roles share it."""

    towers_differ = False
    draws = False
    is_slow = False

    def __init__(self, features: npt.NDArray[np.float32]) -> None:
        super().__init__()
        self.hidden_size = features.shape[1]
        self.features: Tensor
        # Not persistent: the table belongs to the matrix and not to a cell's weights.
        self.register_buffer("features", torch.from_numpy(features), persistent=False)

    def forward(self, texts: Tensor, role: str) -> Tensor:  # noqa: ARG002  as LiveEncoder's
        """(n,) int64 text numbers to (n, H) float32."""
        return self.features[texts.to(self.features.device, non_blocking=True)]

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
