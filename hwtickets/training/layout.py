"""The layout of filters in memory."""

from __future__ import annotations

import torch
from torch import nn


def lay_channels_last(model: nn.Module) -> None:
    """Lays filters of images out with channels last, in which depthwise ones learn much faster on a CPU.

    All alike: the strides of a 1x1 filter depend on its past, and DDP compares them. Filters over one or
    three dimensions stay as they are.

    Args:
        model: Changed in place.
    """
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.clone(memory_format=torch.channels_last)
