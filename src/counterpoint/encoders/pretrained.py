"""A pretrained transformer, loaded from wherever its name says and checked."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from counterpoint.config.options import EncoderOptions
from counterpoint.encoders import hub
from counterpoint.encoders.hub import MissingEncoder
from counterpoint.encoders.layers import layers_of, position_count
from counterpoint.encoders.names import commit_of, resolve
from counterpoint.encoders.surgery import install
from counterpoint.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@contextlib.contextmanager
def without_bars() -> Iterator[None]:
    """Keep transformers from drawing bars for files of this machine, which take a moment."""
    from transformers.utils import logging

    were_shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if were_shown:
            logging.enable_progress_bar()


def load_pretrained(kind: Any, name: str, what: str, commit: str | None, **options: Any) -> Any:
    """What `from_pretrained` of a class of transformers gives. Code that comes with it is not run.

    Args:
        kind: the class.
        name: of the encoder.
        what: what is loaded, for the message.
        commit: of an encoder on the hub, as `commit_of` tells it; None for one on this machine.
            With a branch in its place, transformers would have a service convert weights that are
            pickle, and would give it the user's token.
        options: for `from_pretrained`.

    Raises:
        MissingEncoder: it cannot be loaded.
    """
    where = resolve(name)
    place = {"local_files_only": True} if commit is None else {"revision": commit}
    try:
        with without_bars() if commit is None else contextlib.nullcontext():
            # Unless it is told not to, transformers asks on a terminal whether to run code.
            return kind.from_pretrained(where, trust_remote_code=False, **place, **options)
    # Also a damaged file of weights, weights of other shapes, a package that a tokenizer wants.
    except (
        OSError, ValueError, SafetensorError, RuntimeError, ImportError, hub.connection_error()
    ) as error:  # fmt: skip
        if isinstance(error, RuntimeError) and "mismatch" not in str(error):
            raise
        loading = f"the {what} cannot be loaded from {where}: {error}"
        reason = _reason(name, commit, error) or loading
        raise MissingEncoder(
            f"encoder.name {name!r}: {reason}\nGive a folder with config.json, tokenizer files and "
            "*.safetensors, or a name on the hub that this machine can reach."
        ) from error


def _reason(name: str, commit: str | None, error: Exception) -> str | None:
    """Why an encoder was not loaded, where transformers says it badly or would advise what not."""
    if "trust_remote_code" in str(error):
        return "it needs code that comes with it, which is never run"
    if commit is None:
        return None
    if hub.has_pickle_alone(name, commit):
        return (
            "its weights are not safetensors; pickle, such as pytorch_model.bin, can run any code "
            "and is not opened. Convert it where you trust it."
        )
    # transformers may put a sentence of its own in the place of the client's.
    broken = error.__cause__ or error.__context__ or error
    if isinstance(broken, hub.connection_error()):
        return (
            f"its download broke off ({type(broken).__name__}). Run it again: files that are whole "
            "are kept."
        )
    return None


def load_model(options: EncoderOptions, commit: str | None = None) -> "PreTrainedModel":
    """Load the transformer in float32; freeze what `trainable` does not name.

    Args:
        options: of the encoder.
        commit: of a model on the hub; None for what `options.revision` is now.

    Raises:
        InputError: it cannot be loaded, has no weights for a part that is used, takes fewer tokens
            than `max_tokens`, or has fewer layers than `trainable`.
    """
    from transformers import AutoModel

    model: PreTrainedModel
    model, loading = load_pretrained(
        AutoModel,
        options.name,
        "model",
        commit or commit_of(options),
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    install(model, options)
    _check(model, sorted(loading["missing_keys"]), options)
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


def _check(model: "PreTrainedModel", missing_keys: list[str], options: EncoderOptions) -> None:
    """Refuse a model that cannot do what the options ask for; see `load_model`."""
    pooler = options.pooling == "pooler"
    missing = [key for key in missing_keys if pooler or not key.startswith("pooler.")]
    if missing:
        raise InputError(
            f"encoder.name: {options.name} has no weights for {', '.join(missing)}; they would be "
            "random" + ("; use pooling cls or mean" if pooler else "")
        )
    limit = position_count(model)
    if limit is not None and options.max_tokens > limit:
        raise InputError(
            f"encoder.max_tokens: {options.max_tokens} is more than the {limit} positions of "
            f"{options.name}"
        )
    if pooler and getattr(model, "pooler", None) is None:
        raise InputError(f"encoder.pooling: {options.name} has no pooler; use cls or mean")
