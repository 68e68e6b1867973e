"""Projection, fusion and head over a text encoder, one tree of modules; see docs/method.md."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.arrays import Ints
from counterpoint.config.options import CellOptions, ProjectionOptions
from counterpoint.encoders.encoder import Encoder
from counterpoint.models.fusion import FUSIONS, Vectors
from counterpoint.models.heads import make_head
from counterpoint.models.losses import NORMALISED


def make_projection(options: ProjectionOptions, hidden_size: int) -> nn.Module:
    """(n, H) to (n, d); the identity without weights where the width is `none`."""
    if options.width == "none":
        return nn.Identity()
    layer = nn.Linear(hidden_size, options.width)
    if options.init == "identity":
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)
    return layer


PAIRS = 2048
"""Pairs that the classifier scores at a time: their features fit a core's cache."""


class Retriever(nn.Module):
    """The whole model of a cell. Texts are named by their numbers in the corpus."""

    def __init__(self, options: CellOptions, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        query = make_projection(options.projection, encoder.hidden_size)
        separate = options.projection.towers == "separate"
        candidate = make_projection(options.projection, encoder.hidden_size) if separate else query
        self.projections = nn.ModuleDict({"query": query, "candidate": candidate})
        self.normalised = options.retrieval_loss.kind in NORMALISED
        self.fuse = FUSIONS[options.fusion]
        self.head = make_head(options.head, self._features(options, encoder.hidden_size))

    def _features(self, options: CellOptions, hidden_size: int) -> int:
        width = options.projection.width
        shape = Vectors(
            x=torch.empty((1, hidden_size), device="meta"),
            e=torch.empty((1, hidden_size if width == "none" else width), device="meta"),
        )
        return self.fuse(shape, shape).shape[-1]

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
        """(n,) float32, ordered as the probability of class 1.

        The difference of the logits, because probabilities near 1 are all the same in float32.
        What the first layer makes of a text alone is computed once a text and not once a pair.

        Args:
            p: vectors of texts in the points' place.
            c: vectors of texts in the candidates' place.
            points: (n,) int64 rows of `p`.
            candidates: (n,) int64 rows of `c`.
        """
        first, points = torch.unique(points, return_inverse=True)
        second, candidates = torch.unique(candidates, return_inverse=True)
        p_alone, c_alone = self.fuse.alone(p.rows(first)), self.fuse.alone(c.rows(second))
        hidden = self._first_layer(p_alone, c_alone)
        rest = self.head[1:]
        scores = []
        pieces = zip(torch.split(points, PAIRS), torch.split(candidates, PAIRS), strict=True)
        for i, j in pieces:
            logits = rest(hidden(i, j))
            scores.append(logits[:, 1] - logits[:, 0])
        return torch.cat(scores)

    def _first_layer(self, p: Tensor, c: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """The head's first layer over pairs of rows of what is seen of each text alone."""
        layer = self.head[0]
        if not isinstance(layer, nn.Linear):
            # A LayerNorm looks at all features of a pair at once.
            return lambda i, j: layer(self.fuse.join(p[i], c[j]))
        width = p.shape[1]
        of_p = functional.linear(p, layer.weight[:, :width], layer.bias)
        of_c = functional.linear(c, layer.weight[:, width : 2 * width])
        both = layer.weight[:, 2 * width :].T

        def hidden(i: Tensor, j: Tensor) -> Tensor:
            alone = of_p[i] + of_c[j]
            return torch.addmm(alone, self.fuse.together(p[i], c[j]), both)

        return hidden

    @property
    def roles_differ(self) -> bool:
        """Whether a text has other vectors as a query than as a candidate."""
        return self.encoder.towers_differ or (
            self.projections["query"] is not self.projections["candidate"]
        )

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
