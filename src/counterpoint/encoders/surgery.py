"""What is changed inside a transformer so that it costs less (docs/method.md, "Speed").

`install` and `split` are the only ways in. Behind them stands all that reads or changes the inner
parts of torch and transformers: layers replaced by our dropout, attention registered under a name
of ours, torch's flash attention by its inner names (`attention`, `self_attention`), GELU and the
products around it as one (`feed_forward`), a model run in two parts (`layers`), and a hook that
casts once. Such parts change from one release to the next. So they are used with the versions they
were tested with alone; with others the libraries' own ways are taken, which are slower and draw
other random numbers.
"""

import warnings
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from counterpoint.config.options import EncoderOptions
from counterpoint.encoders import attention
from counterpoint.encoders.dropout import rates, replace_dropout
from counterpoint.encoders.feed_forward import join_feed_forward
from counterpoint.encoders.layers import SplitTransformer, layers_of
from counterpoint.encoders.packing import takes_packed_texts
from counterpoint.encoders.self_attention import join_products

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TESTED = {"torch": "2.13", "transformers": "5.23"}
"""Package to the release that everything here was tested with."""


@cache
def is_tested() -> bool:
    """Whether the installed packages are those of `TESTED`; warns once a process if not."""
    others = [
        f"{package} {version(package)} (tested: {tested})"
        for package, tested in TESTED.items()
        if not f"{version(package)}.".startswith(f"{tested}.")
    ]
    if others:
        warnings.warn(
            f"{', '.join(others)}: live encoders take the libraries' own attention and dropout, "
            "which is slower and draws other random numbers; install the versions of "
            "requirements.lock",
            stacklevel=2,
        )
    return not others


def install(model: "PreTrainedModel", options: EncoderOptions) -> None:
    """Set the rate of every dropout, and put in our dropout and attention; in place.

    Args:
        model: as transformers loads it.
        options: with `dropout` null each layer keeps its own rate.
    """
    if options.dropout is not None:
        for module, name in rates(model):
            setattr(module, name, options.dropout)
    if is_tested():
        replace_dropout(model)
        attention.register(model)
        _cast_once(model)
        if takes_packed_texts(model):
            join_products(model)
            join_feed_forward(model)


def split(models: nn.ModuleDict, options: EncoderOptions) -> dict[str, SplitTransformer]:
    """Role to its model in two parts, where what the lower one makes of a text stays the same.

    It does not where dropout acts. Nothing is split where all layers learn, nor a compiled model,
    which would be compiled anew for each part.
    """
    learning = options.trainable
    if not isinstance(learning, int) or options.compile or not is_tested():
        return {}
    if any(getattr(module, name) > 0 for module, name in rates(models)):
        return {}
    model: Any = models["query"]
    # Narrower words are widened on their way to the first layer, in which the states would not fit.
    if model.get_input_embeddings().embedding_dim != model.config.hidden_size:
        return {}
    unique = {id(model): model for model in models.values()}
    parts = {
        number: SplitTransformer(model, layers_of(model, options.name), learning)
        for number, model in unique.items()
    }
    return {role: parts[id(model)] for role, model in models.items()}


def _cast_once(model: nn.Module) -> None:
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
