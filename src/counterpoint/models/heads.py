"""The classifier over the fused features of a pair."""

from collections.abc import Callable

from torch import nn

from counterpoint.config.options import HeadOptions

HEADS: dict[str, tuple[Callable[[int], nn.Module], ...]] = {
    "linear": (),
    "layernorm": (nn.LayerNorm,),
    "relu": (lambda _: nn.ReLU(),),
    "layernorm_relu": (nn.LayerNorm, lambda _: nn.ReLU()),
}
"""What stands between a head's two linear layers, built from their width."""


def make_head(options: HeadOptions, features: int) -> nn.Sequential:
    """(n, features) to (n, 2) logits; class 1 means that the candidate is the point's counter.

    With `hidden: 0` one linear layer, and the head's other layers before it.
    """
    between = HEADS[options.kind]
    if options.hidden == 0:
        return nn.Sequential(*(layer(features) for layer in between), nn.Linear(features, 2))
    return nn.Sequential(
        nn.Linear(features, options.hidden),
        *(layer(options.hidden) for layer in between),
        nn.Linear(options.hidden, 2),
    )
