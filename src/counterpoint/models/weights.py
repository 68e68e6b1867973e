"""A model's weights: read, written and put back, each shared one once."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from counterpoint.errors import InputError
from counterpoint.io.atomic import write_safetensors


def unique_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights by name, each shared one once, under its first name."""
    first: dict[int, str] = {}
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if first.setdefault(tensor.data_ptr(), name) == name or tensor.numel() == 0
    }


@torch.no_grad()
def restore_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put back what `unique_weights` gave."""
    for name, tensor in unique_weights(model).items():
        tensor.copy_(weights[name])


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Write the weights (safetensors); the same ones give the same bytes.

    safetensors' own `save_model` chooses among the names of a shared weight by the order of a set.
    """
    write_safetensors(path, unique_weights(model), {})


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Read what `save_weights` wrote into a model of the same options.

    Raises:
        InputError: the file is damaged, or of another model.
    """
    try:
        weights = load_file(path)
    except SafetensorError as error:
        raise InputError(
            f"{path}: not weights that can be read ({error}); train the cell again"
        ) from error
    expected = {tensor.data_ptr(): name for name, tensor in reversed(model.state_dict().items())}
    shapes = {name: model.state_dict()[name].shape for name in expected.values()}
    stored = {name: tensor.shape for name, tensor in weights.items()}
    if shapes != stored:
        differing = sorted({name for name, _ in shapes.items() ^ stored.items()})
        raise InputError(f"{path}: weights of another model; these differ: {', '.join(differing)}")
    model.load_state_dict(weights, strict=False)
