"""Parameter groups, and the learning rates over time."""

import inspect
import operator
from collections.abc import Sequence
from itertools import compress

import torch
from torch import nn

from counterpoint.config.options import TrainingOptions

STUDY_BATCH = 8
"""The original study's batch, at which `training.scale_rate` changes nothing."""


class PlainAdamW(torch.optim.AdamW):
    """AdamW as it is behind the decorators by which torch keeps its compiler off an optimizer.

    They import it, which takes as long as torch itself, and nothing here compiles an optimizer.
    """

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


def learning_rates(options: TrainingOptions) -> tuple[float, float]:
    """Of projections and head, and of the encoder, before any schedule.

    With `scale_rate` both are proportional to the batch: Goyal et al., *Accurate, Large Minibatch
    SGD* (2017), section 2.1.
    """
    scale = options.batch_size / STUDY_BATCH if options.scale_rate else 1.0
    encoder = options.encoder_learning_rate or options.learning_rate
    return scale * options.learning_rate, scale * encoder


def make_optimizer(
    own: nn.Module, encoder: nn.Module, options: TrainingOptions
) -> tuple[torch.optim.Optimizer, list[float]]:
    """AdamW over what learns, and the rate of each of its groups.

    Loshchilov and Hutter, *Decoupled Weight Decay Regularization* (ICLR 2019); without decay it is
    Adam. Only matrices decay, as usual: not biases, nor the scales of a LayerNorm.

    Args:
        own: what is ours, which learns at `learning_rate`.
        encoder: a pretrained one.
        options: rates and decay.
    """
    groups, rates = [], []
    for part, rate in zip((own, encoder), learning_rates(options), strict=True):
        learning = [parameter for parameter in part.parameters() if parameter.requires_grad]
        # One group where nothing decays: each costs a tenth of a small model's step.
        decays = [options.weight_decay > 0 and weight.dim() > 1 for weight in learning]
        for decay, weights in (
            (options.weight_decay, list(compress(learning, decays))),
            (0.0, list(compress(learning, map(operator.not_, decays)))),
        ):
            if weights:
                groups.append({"params": weights, "weight_decay": decay})
                rates.append(rate)
    return PlainAdamW(groups, lr=rates[0], fused=True), rates


def set_rates(optimizer: torch.optim.Optimizer, rates: Sequence[float], scale: float) -> None:
    """Give each group its rate, times what the schedule says."""
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = scale * rate


def schedule(done: float, options: TrainingOptions) -> float:
    """What the rates are multiplied with when a share `done` of all steps is behind."""
    if done < options.warmup_ratio:
        return done / options.warmup_ratio
    return 1.0 if options.schedule == "constant" else (1 - done) / (1 - options.warmup_ratio)
