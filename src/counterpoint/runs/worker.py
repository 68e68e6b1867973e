"""What the cells of one process share: the device, the inputs, and whether to stop."""

import contextlib
import gc
import os
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import torch

from counterpoint.config.options import EncoderOptions
from counterpoint.corpus.arguments import Corpus, read_arguments
from counterpoint.encoders.features import Outputs, read_features
from counterpoint.encoders.tokens import RoleTokens, read_tokens
from counterpoint.errors import Interrupted
from counterpoint.io import atomic
from counterpoint.runs import devices, signals
from counterpoint.runs.provenance import corpus_hash
from counterpoint.training.data import CorpusData

T = TypeVar("T")


class Inputs:
    """The files that cells read, each read and hashed once a process.

    What it gives is shared, so nobody may change it.
    """

    def __init__(self) -> None:
        self._known: dict[Hashable, object] = {}

    def corpus(self, arguments: Path) -> Corpus:
        """The corpus of a table of arguments; see `read_arguments`."""
        return self._once(("corpus", arguments), lambda: read_arguments(arguments))

    def data(self, arguments: Path) -> CorpusData:
        """What training needs of that corpus."""
        return self._once(("data", arguments), lambda: CorpusData(self.corpus(arguments)))

    def corpus_hash(self, arguments: Path) -> str:
        """What tells that corpus apart."""
        return self._once(("hash", arguments), lambda: corpus_hash(self.corpus(arguments)))

    def features(self, path: Path, arguments: Path, options: EncoderOptions) -> Outputs:
        """The outputs of a frozen encoder; see `read_features`."""
        return self._once(
            ("features", path, arguments, options),
            lambda: read_features(path, self.corpus(arguments), options),
        )

    def tokens(self, path: Path, arguments: Path, options: EncoderOptions) -> RoleTokens:
        """The tokens of a live one; see `read_tokens`."""
        return self._once(
            ("tokens", path, arguments, options),
            lambda: read_tokens(path, self.corpus(arguments), options),
        )

    def file_hash(self, path: Path) -> str:
        """SHA-256 of a file."""
        return self._once(("file", path), lambda: atomic.sha256(path))

    def _once(self, key: Hashable, read: Callable[[], T]) -> T:
        if key not in self._known:
            self._known[key] = read()
        return cast("T", self._known[key])


@dataclass(frozen=True)
class Worker:
    """A process that trains cells, one after the other, on one device."""

    device: torch.device
    inputs: Inputs
    asked_to_stop: Callable[[], bool]
    """Whether SIGTERM or Ctrl-C has come."""


@contextlib.contextmanager
def at_work(threads: int, jobs_per_gpu: int) -> Iterator[Worker]:
    """Lease a device and get ready to train; all is given back at the end.

    Args:
        threads: of the CPU.
        jobs_per_gpu: how many processes may share a device.

    Raises:
        Interrupted: asked to stop while it waited for a device.
    """
    with devices.no_denormals(), signals.noted() as asked_to_stop:

        def stop_waiting() -> None:
            if asked_to_stop():
                raise Interrupted("asked to stop while it waited for a GPU; nothing was begun")

        devices.keep_freed_memory()
        gc.freeze()  # else every collection goes through all that the libraries have loaded
        torch.set_num_threads(threads)
        with devices.device_for_job(jobs_per_gpu, stop_waiting) as name:
            if name == "cuda":
                _make_deterministic()
            yield Worker(torch.device(name), Inputs(), asked_to_stop)


def _make_deterministic() -> None:
    """The same cell on the same GPU gives the same log; kernels that cannot promise it warn."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Nothing here reads memory that it has not written; torch declares no such field.
    deterministic: Any = torch.utils.deterministic
    deterministic.fill_uninitialized_memory = False
