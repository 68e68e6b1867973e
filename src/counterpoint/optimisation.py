"""How a cell learns from its batches: parameter groups, rates over time, the order of triples."""

import operator
from itertools import compress

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from counterpoint.config import TrainingOptions
from counterpoint.model import Retriever

Ints = npt.NDArray[np.int64]


def make_optimizer(
    model: Retriever, options: TrainingOptions
) -> tuple[torch.optim.Optimizer, list[float]]:
    """AdamW over what learns, and the rate of each of its groups.

    Loshchilov and Hutter, *Decoupled Weight Decay Regularization* (ICLR 2019); without decay it is
    Adam. Only matrices decay, as usual: not biases, nor the scales of a LayerNorm.
    """
    rate = options.learning_rate
    groups, rates = [], []
    for part, own in (
        (nn.ModuleList([model.projections, model.head]), rate),
        (model.encoder, options.encoder_learning_rate or rate),
    ):
        learning = [parameter for parameter in part.parameters() if parameter.requires_grad]
        # One group where nothing decays: each costs a tenth of a small model's step.
        decays = [options.weight_decay > 0 and each.dim() > 1 for each in learning]
        for decay, chosen in (
            (options.weight_decay, list(compress(learning, decays))),
            (0.0, list(compress(learning, map(operator.not_, decays)))),
        ):
            if chosen:
                groups.append({"params": chosen, "weight_decay": decay})
                rates.append(own)
    return torch.optim.AdamW(groups, lr=rate, fused=True), rates


def schedule(done: float, options: TrainingOptions) -> float:
    """What the rates are multiplied with when a share `done` of all steps is behind."""
    if done < options.warmup:
        return done / options.warmup
    return 1.0 if options.schedule == "constant" else (1 - done) / (1 - options.warmup)


BUCKET = 16
"""Batches whose triples are sorted by length together."""


def bucketed(order: Ints, lengths: Ints, size: int, rng: np.random.Generator) -> Ints:
    """(steps, size) shuffled triples, those of a batch about equally long, batches shuffled.

    Args:
        order: (steps · size,) shuffled triples.
        lengths: the same shape, of each of them.
        size: of a batch.
        rng: for the order of the batches.
    """
    window = np.arange(len(order)) // (BUCKET * size)
    batches = order[np.lexsort((lengths, window))].reshape(-1, size)
    return batches[rng.permutation(len(batches))]


def by_debate(order: Ints, debates: Ints, size: int, rng: np.random.Generator) -> Ints:
    """(steps, size) shuffled triples, those of a debate next to each other, batches shuffled.

    Args:
        order: (n,) shuffled triples; what is left of the last batch is dropped.
        debates: (n,) a debate of each of them.
        size: of a batch.
        rng: for the order of the debates, and of the batches.
    """
    turn = rng.permutation(debates.max() + 1)[debates]
    sorted_by_debate = order[np.argsort(turn, kind="stable")]
    batches = sorted_by_debate[: len(order) - len(order) % size].reshape(-1, size)
    return batches[rng.permutation(len(batches))]


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a GPU or on the CPU, whose allocator has no error of its own."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # The driver's and cuBLAS's own errors come as others.
    signs = ("can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return any(sign in str(error) for sign in signs)
