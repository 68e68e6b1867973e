"""Cells at work on a few texts."""

from pathlib import Path
from typing import Any

import torch

from counterpoint.config.options import CellOptions
from counterpoint.retrieval.collection import Document
from counterpoint.retrieval.loaded import LoadedModel, built
from counterpoint.retrieval.retriever import Retriever

POINTS = ["Cars pollute the air.", "Zoos keep animals captive.", "Cars kill people every day."]
COUNTERS = [
    "Cars give freedom to people in the country.",
    "Electric cars hardly pollute.",
    "Zoos save species from extinction.",
    "Cars pollute the air.",
    "Roads become safer every year.",
]


def loaded_model(folder: Path, **options: Any) -> LoadedModel:
    """A model of random projections and head over the encoder in a folder, of 32 tokens."""
    encoder = {"name": str(folder), "max_tokens": 32, **options.pop("encoder", {})}
    values = {"encoder": encoder, "projection": {"width": 8}, "head": {"hidden": 6}, **options}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        loaded = built("a cell", CellOptions.model_validate(values), torch.device("cpu"))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weights in loaded.model.parameters():
            weights.add_(0.1 * torch.randn(weights.shape, generator=generator))
    return loaded


def retriever(folder: Path, **options: Any) -> Retriever:
    """The same as a retriever."""
    return Retriever(loaded_model(folder, **options), torch.device("cpu"))


def documents(count: int, start: int = 0) -> list[Document]:
    """Different texts in two themes, pro and con in turn."""
    return [
        Document(
            f"Argument {number} about {'zoos' if number % 3 else 'cars'}.",
            f"file:{number}",
            {"theme": "animals" if number % 3 else "traffic", "side": ("pro", "con")[number % 2]},
        )
        for number in range(start, start + count)
    ]
