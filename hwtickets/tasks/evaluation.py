"""Scoring: how many images at once, and without leaving a trace on the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

LARGEST_BATCH = 500
LARGEST_PIXELS = LARGEST_BATCH * 64 * 64
"""Larger images are scored in smaller batches, so that the activations fit into 4 GB."""


def batch_size_for(height: int, width: int) -> int:
    """How many images of so many pixels are scored at once."""
    return max(1, min(LARGEST_BATCH, LARGEST_PIXELS // (height * width)))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode; at the end every module is put back into the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
