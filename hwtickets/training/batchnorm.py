"""Batch-norm statistics: which norms gather them, and recalibration after a network was changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hwtickets.training.failures import SMALLER_BATCHES, one_line

if TYPE_CHECKING:
    from hwtickets.tasks.task import Lessons

#: Training batches that statistics are taken from. Source: SuperTickets (ECCV 2022), its settings.
CALIBRATION_BATCHES = 10
#: A channel varies by less than this share of its mean: by rounding alone.
_CONSTANT = 3e-6


def training_mode(model: nn.Module) -> None:
    """Training mode for a network; its frozen parts and norms are as in deployment."""
    model.train()
    for part in model.children():
        weights = list(part.parameters())
        part.train(not weights or any(weight.requires_grad for weight in weights))
    for norm in (norm for norm in _norms(model) if norm.weight is not None):
        norm.train(norm.weight.requires_grad)


@contextmanager
def statistics_of_batches(model: nn.Module) -> Iterator[None]:
    """Norms of a network in evaluation mode take the statistics of every batch; their running ones stay."""
    norms = [norm for norm in _norms(model) if _learns(norm) and norm.track_running_stats]
    for norm in norms:
        norm.training, norm.track_running_stats = True, False
    try:
        yield
    finally:
        for norm in norms:
            norm.training, norm.track_running_stats = False, True


def recalibrate(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replaces the running statistics by plain averages over batches, in place; frozen norms keep theirs.

    A channel that proves constant, as those do that only masked-out filters feed, gets the scale 0. It gives
    its bias, as before, but no longer multiplies errors of rounding by 1 / sqrt(eps): norms in a row drove
    these beyond what a deployed network may differ by.
    Source: Universally Slimmable Networks (ICCV 2019), section 4.3.

    Args:
        model: The network; its mode is restored.
        batches: Inputs of shape (batch, channels, height, width), on any device.
    """
    norms = [norm for norm in _norms(model) if _learns(norm) and norm.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    was_training, device = model.training, next(model.parameters()).device
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    training_mode(model)
    with torch.no_grad():
        for x in batches:
            model(x.to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        _silence_constants(norm)
    model.train(was_training)


def recalibrate_on(model: nn.Module, lessons: Lessons, count: int = CALIBRATION_BATCHES) -> None:
    """Recalibrates on the first calibration batches of lessons, each as a whole; see `recalibrate`.

    Raises:
        HwticketsError: Memory ran out.
    """
    device = next(model.parameters()).device
    with one_line("while batch norms are recalibrated", device, SMALLER_BATCHES):
        recalibrate(model, (lessons.calibration_batch(index) for index in range(count)))


def _silence_constants(norm: _BatchNorm) -> None:
    mean, variance = norm.running_mean, norm.running_var
    if norm.weight is not None and mean is not None and variance is not None:
        # A channel that is always 0 multiplies nothing, and may wake up on other inputs.
        constant = variance < (_CONSTANT * mean) ** 2
        norm.weight.data.masked_fill_(constant, 0)


def _norms(model: nn.Module) -> list[_BatchNorm]:
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


def _learns(norm: _BatchNorm) -> bool:
    """Whether a norm's statistics are its own to change: it is not frozen."""
    return norm.weight is None or norm.weight.requires_grad
