"""A transformer as a cell wants it: loaded, what may learn, and its output as one vector a text."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from counterpoint.config import EncoderOptions
from counterpoint.dropout import install
from counterpoint.encoder import load_pretrained
from counterpoint.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_model(options: EncoderOptions) -> "PreTrainedModel":
    """Load the transformer in float32; freeze what `trainable` does not name. See LiveEncoder."""
    from transformers import AutoModel

    model: PreTrainedModel
    model, loading = load_pretrained(
        AutoModel,
        options.name,
        "model",
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    install(model, options.dropout)
    cast_once(model)
    missing = [
        key
        for key in sorted(loading["missing_keys"])
        if options.pooling == "pooler" or not key.startswith("pooler.")
    ]
    if missing:
        raise InputError(
            f"encoder.name: {options.name} has no weights for {', '.join(missing)}; they would be "
            "random" + ("; use pooling cls or mean" if options.pooling == "pooler" else "")
        )
    limit = _positions(model)
    if limit is not None and options.max_tokens > limit:
        raise InputError(
            f"encoder.max_tokens: {options.max_tokens} is more than the {limit} positions of "
            f"{options.name}"
        )
    if options.pooling == "pooler" and getattr(model, "pooler", None) is None:
        raise InputError(f"encoder.pooling: {options.name} has no pooler; use cls or mean")
    if options.trainable != "all":
        model.requires_grad_(False)
    if isinstance(options.trainable, int):
        layers = layers_of(model, options.name)
        if options.trainable > len(layers):
            raise InputError(
                f"encoder.trainable: {options.trainable} layers of {len(layers)} in {options.name}"
            )
        for layer in layers[-options.trainable :]:
            layer.requires_grad_(True)
        if options.pooling == "pooler":
            model.pooler.requires_grad_(True)
    return model


def cast_once(model: nn.Module) -> None:
    """Have what enters a layer's attention cast once on a GPU under autocast, in place.

    Query, key and value would each cast it, and add up their gradients in float32: six passes over
    a batch's states a layer, a twentieth of a step. On a CPU autocast keeps to itself.
    """
    for module in model.modules():
        if all(hasattr(module, name) for name in ("query", "key", "value")):
            module.register_forward_pre_hook(_cast)


def _cast(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    if args and args[0].is_cuda and torch.is_autocast_enabled("cuda"):
        return args[0].to(torch.get_autocast_dtype("cuda")), *args[1:]
    return args


def _positions(model: nn.Module) -> int | None:
    """How many tokens a model takes, or None where it has no table of positions."""
    table = _position_table(model)
    return None if table is None else table.num_embeddings - first_position(model)


def first_position(model: nn.Module) -> int:
    """Number of the first position: RoBERTa and its kin count from behind the padding's."""
    table = _position_table(model)
    return 0 if table is None or table.padding_idx is None else table.padding_idx + 1


def _position_table(model: nn.Module) -> nn.Embedding | None:
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            return module
    return None


def layers_of(model: nn.Module, name: str) -> nn.ModuleList:
    """The layers of a model, from the lowest on.

    Each family calls the list something else; it is the one of the length that the configuration
    gives.

    Raises:
        InputError: there is no such list.
    """
    count = getattr(model.config, "num_hidden_layers", None)
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise InputError(f"encoder.trainable: cannot tell the layers of {name}; use all or none")


def pool(output: Any, mask: Tensor, pooling: str) -> Tensor:
    """A transformer's output to one vector a text, (n, H) float32.

    Args:
        output: with `last_hidden_state` (n, t, H), and `pooler_output` (n, H) for `pooler`.
        mask: (n, t), 1 for real tokens.
        pooling: `pooler`, `cls` (first token) or `mean` (over real tokens).
    """
    if pooling == "pooler":
        pooled: Tensor = output.pooler_output.float()
        return pooled
    hidden: Tensor = output.last_hidden_state.float()
    if pooling == "cls":
        return hidden[:, 0]
    weights = mask[:, :, None].to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)
