"""All that changes over a training job, saved to a checkpoint and restored from one."""

import dataclasses
from collections import defaultdict
from dataclasses import dataclass, field

import torch
from torch import Tensor

from counterpoint.models.cell_model import CellModel
from counterpoint.models.cross_encoder import CrossEncoder
from counterpoint.models.weights import restore_weights, unique_weights
from counterpoint.results.files import Ending
from counterpoint.training.checkpoint import Checkpoint, Facts
from counterpoint.training.controls import Controls
from counterpoint.training.mining import Negatives
from counterpoint.training.step import Measured
from counterpoint.training.stopwatch import Stopwatch

Model = CellModel | CrossEncoder
"""What is trained: a first stage, or a second that reads both texts."""


@dataclass
class RunningEpoch:
    """What an epoch's steps have left so far."""

    losses: list[Tensor] = field(default_factory=list)
    """(3,) a step, of a second stage (1,), on the device, so that no step waits for its numbers."""
    distances: list[Tensor] = field(default_factory=list)
    """(2, ·) positive and negative distances of the steps' triplets."""
    events: list[str] = field(default_factory=list)
    """For the epoch's record."""

    @property
    def steps(self) -> int:
        """How many were taken."""
        return len(self.losses)

    def add(self, step: Measured) -> None:
        """Keep what a step left."""
        self.losses.append(step.losses)
        self.distances.append(step.distances)

    def summary(self) -> Measured:
        """The mean of each loss; all distances."""
        return Measured(torch.stack(self.losses).mean(dim=0), torch.cat(self.distances, dim=1))


@dataclass
class TrainingState:
    """What a job must have so that it goes on as if nothing had happened."""

    model: Model
    """Its weights, and in how many pieces its encoder works."""
    optimizer: torch.optim.Optimizer
    controls: Controls
    best: dict[str, Tensor]
    """The weights of the best epoch; at first the initial ones."""
    epoch: int = 0
    """That is running, or comes next."""
    halved: int = 0
    """How many times the learning rate was halved."""
    ended: tuple[Ending, str] | None = None
    """How and why the cell ended."""
    first_spread: float | None = None
    """Of the training texts' vectors before the first epoch."""
    negatives: Negatives | None = None
    """Of the running epoch; None before the first pass."""
    running: RunningEpoch = field(default_factory=RunningEpoch)
    watch: Stopwatch = field(default_factory=Stopwatch)

    def checkpoint(self) -> Checkpoint:
        """All of it, for the disk."""
        tensors = {f"model.{name}": value for name, value in unique_weights(self.model).items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        for number, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{name}": value for name, value in values.items()}
        if self.negatives is not None:
            for part in dataclasses.fields(Negatives):
                array = getattr(self.negatives, part.name)
                if array is not None:
                    tensors[f"negatives.{part.name}"] = torch.from_numpy(array)
        if self.running.steps:
            tensors["running.losses"] = torch.stack(self.running.losses)
            tensors["running.distances"] = torch.cat(self.running.distances, dim=1)
        facts = Facts(
            epoch=self.epoch,
            steps=self.running.steps,
            events=self.running.events,
            halved=self.halved,
            ended=self.ended,
            first_spread=self.first_spread,
            pieces=self.model.encoder.pieces,
            controls=self.controls.memory,
            seconds=dict(self.watch.seconds),
        )
        return Checkpoint(tensors, facts)

    def restore(self, checkpoint: Checkpoint, device: torch.device) -> None:
        """Take up what `checkpoint` gave, in a state of the same options, corpus and encoder."""
        parts: dict[str, dict[str, Tensor]] = defaultdict(dict)
        for name, value in checkpoint.tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = value.to(device)
        restore_weights(self.model, parts["model"])
        self.best = dict(parts["best"])
        adam: dict[int, dict[str, Tensor]] = defaultdict(dict)
        for name, value in parts["adam"].items():
            number, _, rest = name.partition(".")
            adam[int(number)][rest] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": dict(adam)})
        if "negatives" in parts:
            self.negatives = Negatives(
                **{name: value.cpu().numpy() for name, value in parts["negatives"].items()}
            )
        facts = checkpoint.facts
        self.epoch, self.halved, self.ended = facts.epoch, facts.halved, facts.ended
        self.first_spread = facts.first_spread
        self.model.encoder.pieces = facts.pieces
        self.controls.memory = facts.controls
        self.watch.seconds.update(facts.seconds)
        self.running = RunningEpoch(events=list(facts.events))
        if facts.steps:
            self.running.losses = list(parts["running"]["losses"])
            self.running.distances = [parts["running"]["distances"]]
