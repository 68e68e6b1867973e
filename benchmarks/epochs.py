"""Our own epochs, measured: seconds by stage, and the arithmetic that an encoder had to do.

The arithmetic is 2 operations a parameter and token in a forward pass and 6 in a training step,
over the tokens of each unique text alone and without padding. Tables that are looked up in do no
arithmetic and the pooler sees one token of a text, so neither counts.
"""

import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from counterpoint.arrays import Ints
from counterpoint.config.options import CellOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.features import FrozenFeatures, Outputs
from counterpoint.encoders.live import LiveEncoder, frozen_features
from counterpoint.encoders.tokens import RoleTokens, tokenise
from counterpoint.errors import InputError
from counterpoint.models.fusion import Vectors
from counterpoint.training.data import CorpusData
from counterpoint.training.epochs import Ended, Event
from counterpoint.training.mining import Negatives
from counterpoint.training.trainer import Trainer

STAGES = ("embed", "mine", "train", "evaluate")

RATE_ROWS = 4096
"""Tokens of the matrix product that the CPU's rate is taken from: a batch of texts."""

RATE_SECONDS = 0.5
"""How long a rate is measured, at least."""

Changes = Mapping[str, Mapping[str, Any]]


def cell_options(*changes: Changes) -> CellOptions:
    """A fine-tuned cell in which half of the negatives are mined; later changes go last."""
    sections: dict[str, dict[str, Any]] = {
        "encoder": {"trainable": "all", "precision": "float32"},
        "mining": {"initial_random_rate": 0.5, "decrease_rate": 0.0},
        "training": {"epochs": 1, "batch_size": 8, "learning_rate": 2e-5},
        "stopping": dict.fromkeys(("halve_after", "patience", "dev_loss_rises", "gap_warning")),
    }
    for change in changes:
        for section, values in change.items():
            sections[section] = {**sections.get(section, {}), **values}
    return CellOptions.model_validate(sections)


class CountingEncoder(LiveEncoder):
    """Counts the tokens, each unique text's once a call, that it is asked to encode."""

    trained = 0
    embedded = 0

    def forward(self, texts: Tensor, role: str) -> Tensor:
        count = self._count(texts, role)
        if torch.is_grad_enabled():
            self.trained += count
        else:
            self.embedded += count
        return super().forward(texts, role)

    def embed(self, texts: Tensor, role: str) -> Iterator[tuple[Ints, Tensor]]:
        self.embedded += self._count(texts, role)
        return super().embed(texts, role)

    def _count(self, texts: Tensor, role: str) -> int:
        return int(self.tokens[role].lengths(np.unique(texts.cpu().numpy())).sum())


class MeasuredTrainer(Trainer):
    """Notes what was spent before each epoch began, the first pass included.

    The first pass is not counted, so equal cells share it: `first` holds its vectors by options.
    """

    first: dict[str, dict[str, Vectors]]
    seconds_before: list[Mapping[str, float]]
    tokens_before: list[tuple[int, int]]

    @property
    def negatives(self) -> Negatives:
        """Of the last epoch that began."""
        assert self.state.negatives is not None
        return self.state.negatives

    def mined(self, epoch: int, vectors: dict[str, Vectors]) -> Negatives:
        self.seconds_before.append(dict(self.state.watch.seconds))
        self.tokens_before.append(self.tokens())
        return super().mined(epoch, vectors)

    def embedded(self, roles: tuple[str, ...]) -> Generator[Event, None, dict[str, Vectors]]:
        if self.state.negatives is not None:
            return (yield from super().embedded(roles))
        key = self.options.model_dump_json()
        if key not in self.first:
            self.first[key] = yield from super().embedded(roles)
        return self.first[key]

    def tokens(self) -> tuple[int, int]:
        """Tokens trained on and embedded so far."""
        encoder = self.model.encoder
        if isinstance(encoder, CountingEncoder):
            return encoder.trained, encoder.embedded
        return 0, 0


@dataclass(frozen=True)
class Epoch:
    """What one epoch took."""

    seconds: Mapping[str, float]
    """By stage."""
    trained: int
    """Tokens."""
    embedded: int
    """Tokens."""

    @property
    def total(self) -> float:
        """Seconds."""
        return sum(self.seconds.values())


@dataclass
class Work:
    """What is trained on, and how; every epoch starts from the same weights."""

    corpus: Corpus
    encoder: Mapping[str, Any]
    """Options of the encoder that hold throughout: its name, the most tokens."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    first: dict[str, dict[str, Vectors]] = field(default_factory=dict)
    """What trainers embedded before their first epoch."""

    def options(self, *changes: Changes) -> CellOptions:
        return cell_options({"encoder": self.encoder}, *changes)

    @cached_property
    def tokens(self) -> RoleTokens:
        return tokenise(self.corpus, self.options().encoder)

    @cached_property
    def features(self) -> Outputs:
        frozen = self.options({"encoder": {"trainable": "none"}}).encoder
        return frozen_features(self.corpus, self.tokens, frozen, self.device)

    def trainer(self, options: CellOptions) -> MeasuredTrainer:
        """A cell that nothing has happened to yet.

        Raises:
            InputError: this machine cannot do what the options ask for.
        """
        frozen = options.encoder.trainable == "none"
        encoder = (
            FrozenFeatures(self.features)
            if frozen
            else CountingEncoder(options.encoder, self.tokens)
        )
        trainer = MeasuredTrainer(options, CorpusData(self.corpus), encoder, self.device)
        trainer.first = self.first
        trainer.seconds_before, trainer.tokens_before = [], []
        return trainer

    def refused(self, changes: Changes) -> str | None:
        """Why this machine cannot do it, or None where it can."""
        try:
            self.trainer(self.options(changes))
        except InputError as error:
            return str(error)
        return None


def run_epochs(trainer: MeasuredTrainer) -> list[Epoch]:
    """Train as long as the options say."""
    for event in trainer.events():
        # Not the final evaluation, which would come next.
        if isinstance(event, Ended):
            break
    status, reason = trainer.state.ended or ("unfinished", "")
    if status == "diverged":
        raise RuntimeError(f"the benchmark's cell {status}: {reason}")
    seconds = [*trainer.seconds_before, trainer.state.watch.seconds]
    tokens = [*trainer.tokens_before, trainer.tokens()]
    return [
        Epoch(
            {stage: now[stage] - before.get(stage, 0.0) for stage in STAGES},
            trained=trained - trained_before,
            embedded=embedded - embedded_before,
        )
        for (before, now), ((trained_before, embedded_before), (trained, embedded)) in zip(
            pairwise(seconds), pairwise(tokens), strict=True
        )
    ]


def counted_parameters(model: nn.Module) -> int:
    """Parameters that every token meets: no embedding tables, no pooler."""
    tables = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    pooler = {id(p) for name, p in model.named_parameters() if name.startswith("pooler.")}
    return sum(p.numel() for p in model.parameters() if id(p) not in tables | pooler)


def arithmetic(parameters: int, trained: int, embedded: int) -> float:
    """Floating-point operations of an encoder on so many tokens."""
    return float(parameters * (6 * trained + 2 * embedded))


def matrix_rate(shape: tuple[int, int, int], device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second that torch reaches in (n, k) × (k, m)."""
    n, k, m = shape
    a = torch.randn((n, k), device=device, dtype=dtype)
    b = torch.randn((k, m), device=device, dtype=dtype)

    def products(count: int) -> float:
        _finish(device)
        start = time.perf_counter()
        for _ in range(count):
            torch.mm(a, b)
        _finish(device)
        return time.perf_counter() - start

    products(3)
    count = 1
    while (spent := products(count)) < RATE_SECONDS:
        count *= 2
    return 2 * n * k * m * count / spent


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
