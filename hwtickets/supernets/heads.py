"""What an HR-NAS network ends in."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from hwtickets.space.operators import Value
from hwtickets.supernets.fusion import Drawn, MakeBlock, resized


class ClassificationHead(nn.Module):
    """All branches widened, added up from high to low resolution by blocks of stride 2, averaged, classified.

    Args:
        channels: Channels of the branches.
        head_channels: Channels that each is widened to.
        last_channels: Channels of the 1x1 convolution before the average.
        classes: Outputs.
        dropout: Share of features dropped before the classifier.
        make: Builds the blocks.
    """

    def __init__(
        self,
        channels: Sequence[int],
        head_channels: Sequence[int],
        last_channels: int,
        classes: int,
        dropout: float,
        make: MakeBlock,
    ) -> None:
        super().__init__()
        self.widen = nn.ModuleList(
            make(c_in, c_out, 1) for c_in, c_out in zip(channels, head_channels, strict=True)
        )
        self.down = nn.ModuleList(make(c_in, c_out, 2) for c_in, c_out in pairwise(head_channels))
        self.last = nn.Sequential(
            nn.Conv2d(head_channels[-1], last_channels, 1, bias=False),
            nn.BatchNorm2d(last_channels),
            nn.ReLU(),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(last_channels, classes)

    def forward(self, xs: Sequence[Tensor]) -> Tensor:
        """Branches to logits (B, classes)."""
        widened = [widen(x) for widen, x in zip(self.widen, xs, strict=True)]
        total = widened[0]
        for down, x in zip(self.down, widened[1:], strict=True):
            total = x + down(total)
        return cast(Tensor, self.classifier(self.dropout(self.pool(self.last(total)).flatten(1))))

    def describe(self, name: str, xs: Sequence[Value], drawn: Drawn) -> None:
        """Writes the operators; `name` is the module's full name."""
        builder = drawn.builder
        widened = [
            drawn.block(f"{name}.widen.{index}", widen, x)
            for index, (widen, x) in enumerate(zip(self.widen, xs, strict=True))
        ]
        total = widened[0]
        for index, (down, x) in enumerate(zip(self.down, widened[1:], strict=True)):
            total = builder.add(name, f"add{index}", [x, drawn.block(f"{name}.down.{index}", down, total)])
        last = cast(nn.Conv2d, self.last[0])
        total = builder.conv(name, "last", total, last.out_channels, activation="relu")
        builder.linear(name, "classifier", builder.pool(name, "pool", total), self.classifier.out_features)


class DenseHead(nn.Module):
    """All branches at the highest resolution, joined, one searching block, one output for every place.

    Args:
        channels: Channels of the branches.
        last_channels: Channels after the block.
        classes: Outputs for every place.
        make: Builds the block.
    """

    def __init__(self, channels: Sequence[int], last_channels: int, classes: int, make: MakeBlock) -> None:
        super().__init__()
        self.transform = make(sum(channels), last_channels, 1)
        self.classifier = nn.Conv2d(last_channels, classes, 1)

    def forward(self, xs: Sequence[Tensor]) -> Tensor:
        """Branches to logits (B, classes, H, W) at the first branch's size."""
        joined = torch.cat([resized(x, xs[0].shape[2:]) for x in xs], 1)
        return cast(Tensor, self.classifier(self.transform(joined)))

    def describe(self, name: str, xs: Sequence[Value], drawn: Drawn) -> None:
        """Writes the operators; `name` is the module's full name."""
        builder = drawn.builder
        maps = [
            builder.resize(name, f"up{index}", x, xs[0].height, xs[0].width) for index, x in enumerate(xs)
        ]
        joined = builder.concat(name, "concat", maps) if len(maps) > 1 else maps[0]
        x = drawn.block(f"{name}.transform", self.transform, joined)
        builder.conv(name, "classifier", x, self.classifier.out_channels)
