"""Which encoder options tokens and frozen features depend on, and the folder they share."""

import hashlib
import re

from counterpoint.config import EncoderOptions, dump


def shared_options(options: EncoderOptions) -> EncoderOptions:
    """The options with those that frozen outputs do not depend on put back to their defaults."""
    return EncoderOptions(name=options.name, pooling=options.pooling, max_tokens=options.max_tokens)


def encoding_key(options: EncoderOptions) -> str:
    """A folder name, the same for every cell that shares tokens and features."""
    shared = shared_options(options)
    digest = hashlib.sha256(dump(shared).encode("utf-8")).hexdigest()[:8]
    name = re.sub(r"[^A-Za-z0-9.]+", "-", options.name).strip("-")[-40:]
    return f"{name}-{shared.pooling}-{shared.max_tokens}-{digest}"
