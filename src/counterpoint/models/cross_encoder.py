"""A second stage that reads point and candidate together; see docs/method.md, "Cross-encoder"."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from counterpoint.arrays import Ints
from counterpoint.encoders.pairs import PairEncoder


class CrossEncoder(nn.Module):
    """A linear layer over the pooled output of one sequence (Nogueira and Cho, 2019).

    `mix` (2,) says how its logit and the first stage's score add up; see `evaluation.cross_system`.
    """

    mix: Tensor

    def __init__(self, encoder: PairEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.hidden_size, 1)
        self.register_buffer("mix", torch.tensor([1.0, 0.0], dtype=torch.float64))

    def forward(self, points: Tensor, candidates: Tensor) -> Tensor:
        """(n,) and (n,) int64 text numbers on the CPU to (n,) float32 logits, with gradients."""
        logits: Tensor = self.head(self.encoder(points, candidates)).squeeze(-1)
        return logits

    @torch.no_grad()
    def score(self, points: Ints, candidates: Ints) -> Iterator[tuple[Ints, Tensor]]:
        """The parts of `PairEncoder.embed` as logits (k,), in evaluation mode."""
        training = self.training
        self.eval()
        try:
            for part, x in self.encoder.embed(points, candidates):
                yield part, self.head(x).squeeze(-1)
        finally:
            self.train(training)

    def parameter_count(self) -> dict[str, int]:
        """Parameters of each part."""
        return {
            name: sum(parameter.numel() for parameter in part.parameters())
            for name, part in (("encoder", self.encoder), ("head", self.head))
        }
