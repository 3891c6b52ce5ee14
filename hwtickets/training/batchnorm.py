"""Recalibration of batch-norm statistics after a network was changed."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def recalibrate(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replaces the running statistics by plain averages over batches, in place.

    Source: Universally Slimmable Networks (ICCV 2019), section 4.3.

    Args:
        model: The network; its mode is restored.
        batches: Inputs of shape (batch, channels, height, width).
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    was_training = model.training
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    model.train()
    with torch.no_grad():
        for x in batches:
            model(x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.train(was_training)
