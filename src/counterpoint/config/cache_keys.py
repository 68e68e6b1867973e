"""Which encoder options tokens and frozen features depend on, and the folders that share them."""

import hashlib
import re

from counterpoint.config.loading import dump
from counterpoint.config.options import EncoderOptions


def shared_options(options: EncoderOptions) -> EncoderOptions:
    """The options that frozen outputs are computed with; the others have their defaults."""
    return EncoderOptions(
        name=options.name,
        revision=options.revision,
        pooling=options.pooling,
        max_tokens=options.max_tokens,
        batch_tokens=options.batch_tokens,
        # Every cell of a matrix and every machine shares them.
        precision="float32",
        prompts=options.prompts,
    )


def tokens_key(options: EncoderOptions) -> str:
    """A folder name, the same for every cell that shares tokens."""
    only = EncoderOptions(
        name=options.name,
        revision=options.revision,
        max_tokens=options.max_tokens,
        prompts=options.prompts,
    )
    name = re.sub(r"[^A-Za-z0-9.]+", "-", options.name).strip("-")[-40:]
    return f"{name}-{options.max_tokens}-{_digest(only)}"


def features_key(options: EncoderOptions) -> str:
    """A folder name, the same for every cell that shares frozen features."""
    return f"{tokens_key(options)}-{options.pooling}"


def _digest(options: EncoderOptions) -> str:
    return hashlib.sha256(dump(options).encode("utf-8")).hexdigest()[:8]
