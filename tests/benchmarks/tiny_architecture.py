"""An architecture as those of the zoo, so small that measuring it takes no time."""

from __future__ import annotations

from torch import nn

from benchmarks.architectures import Architecture


def _build() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 8, 3, padding=1),
        nn.Flatten(),
        nn.Linear(512, 4),
    )


TINY = Architecture("tiny", "two convolutions", (3, 8, 8), _build)
