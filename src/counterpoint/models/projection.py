"""The layer between an encoder's outputs and the vectors that are compared."""

from torch import nn

from counterpoint.config.options import ProjectionOptions


def make_projection(options: ProjectionOptions, hidden_size: int) -> nn.Module:
    """(n, H) to (n, d); the identity without weights where the width is `none`."""
    if options.width == "none":
        return nn.Identity()
    layer = nn.Linear(hidden_size, options.width)
    if options.init == "identity":
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)
    return layer
