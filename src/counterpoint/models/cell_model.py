"""Projection, fusion and head over a text encoder, one tree of modules; see docs/method.md."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.arrays import Ints
from counterpoint.config.options import CellOptions
from counterpoint.encoders.encoder import Encoder
from counterpoint.models.fusion import FUSIONS, Vectors
from counterpoint.models.heads import make_head
from counterpoint.models.losses import RETRIEVAL_LOSSES
from counterpoint.models.projection import make_projection
from counterpoint.models.scoring import pair_scores


class CellModel(nn.Module):
    """The whole model of a cell. Texts are named by their numbers in the corpus."""

    def __init__(self, options: CellOptions, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        query = make_projection(options.projection, encoder.hidden_size)
        separate = options.projection.towers == "separate"
        candidate = make_projection(options.projection, encoder.hidden_size) if separate else query
        self.projections = nn.ModuleDict({"query": query, "candidate": candidate})
        self.normalised = RETRIEVAL_LOSSES[options.retrieval_loss.kind].unit_length
        self.fuse = FUSIONS[options.fusion]
        self.head = make_head(options.head, self._features(options, encoder.hidden_size))

    def _features(self, options: CellOptions, hidden_size: int) -> int:
        width = options.projection.width
        # Real ones, because torch imports its compiler to compute with those of the device "meta".
        one = Vectors(
            x=torch.zeros((1, hidden_size)),
            e=torch.zeros((1, hidden_size if width == "none" else width)),
        )
        return self.fuse(one, one).shape[-1]

    def forward(self, texts: Tensor, role: str) -> Vectors:
        """(n,) int64 text numbers to their vectors in a role, with gradients."""
        return self.project(self.encoder(texts, role), role)

    @torch.no_grad()
    def encode(self, texts: Tensor, role: str) -> Iterator[tuple[Ints, Tensor]]:
        """The parts of `Encoder.embed`, without gradients, in evaluation mode."""
        training = self.training
        self.eval()
        try:
            yield from self.encoder.embed(texts, role)
        finally:
            self.train(training)

    def project(self, x: Tensor, role: str) -> Vectors:
        """Outputs (…, H) of the encoder to their vectors in a role."""
        e = self.projections[role](x)
        return Vectors(x, functional.normalize(e, dim=-1) if self.normalised else e)

    def logits(self, p: Vectors, c: Vectors) -> Tensor:
        """(…, n, 2): the classifier's view of the pairs of n points with (…, n) candidates."""
        result: Tensor = self.head(self.fuse(p, c))
        return result

    @torch.no_grad()
    def score(self, p: Vectors, c: Vectors, points: Tensor, candidates: Tensor) -> Tensor:
        """(n,) float32 scores of pairs, (n,) rows of `p` and of `c`; see `pair_scores`."""
        return pair_scores(self.fuse, self.head, (p, c), (points, candidates))

    @property
    def roles_differ(self) -> bool:
        """Whether a text has other vectors as a query than as a candidate."""
        return self.encoder.roles_differ or self.projections_differ

    @property
    def projections_differ(self) -> bool:
        """Whether each role has a projection of its own."""
        return self.projections["query"] is not self.projections["candidate"]

    def parameter_count(self) -> dict[str, int]:
        """Parameters of each part; shared ones count once."""
        return {
            name: sum(parameter.numel() for parameter in part.parameters())
            for name, part in (
                ("encoder", self.encoder),
                ("projection", self.projections),
                ("head", self.head),
            )
        }
