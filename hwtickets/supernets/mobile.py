"""`mobile`: a chain of MixConv blocks between a stem and a classification head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from torch import Tensor, nn

from hwtickets.errors import UsageError
from hwtickets.space.operators import GraphBuilder
from hwtickets.supernets.base import DescribedSupernet
from hwtickets.supernets.checks import SMALL_PIXELS, check_kernels, check_least
from hwtickets.supernets.mixconv import MixConvBlock

#: (channels, blocks, stride of the first block); multiples of 16, the widest channel block of CPU runtimes.
SMALL_STAGES = ((16, 1, 1), (32, 2, 2), (48, 2, 1))
LARGE_STAGES = ((16, 1, 1), (32, 2, 2), (48, 3, 2), (96, 3, 2), (160, 2, 2))


class Mobile(DescribedSupernet):
    """A chain supernet for inputs from 28x28 grey to 224x224 colour.

    Args:
        input_shape: Channels, height and width (pixels) of one input.
        classes: Outputs.
        stem_channels: Channels after the 3x3 stem.
        stem_stride: Stride of the stem.
        stages: (channels, blocks, stride of the first block) of every stage; by default five blocks for
            inputs up to 64 pixels and eleven for larger ones.
        head_channels: Channels of the 1x1 convolution before the global average; by default twice the last
            stage's channels for inputs up to 64 pixels, four times for larger ones.
        expand_ratio: Hidden channels of a branch as a multiple of the block's input channels.
        kernel_sizes: Sides of the depthwise kernels, in pixels, all odd.
        dropout: Share of features dropped before the classifier.

    Raises:
        UsageError: A size is not usable.
    """

    head_modules = ("head", "pool", "dropout", "classifier")
    output_modules = ("classifier",)

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        stem_channels: int = 16,
        stem_stride: int = 2,
        stages: Sequence[Sequence[int]] | None = None,
        head_channels: int | None = None,
        expand_ratio: int = 4,
        kernel_sizes: Sequence[int] = (3, 5, 7),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        small = max(input_shape[1:]) <= SMALL_PIXELS
        stages = stages or (SMALL_STAGES if small else LARGE_STAGES)
        _check_stages(stages)
        check_kernels("mobile", kernel_sizes)
        head_channels = head_channels or (2 if small else 4) * stages[-1][0]
        counts = {"stem_channels": stem_channels, "stem_stride": stem_stride, "head_channels": head_channels}
        check_least("mobile", 1, **counts, expand_ratio=expand_ratio)
        self.input_shape, self.classes = input_shape, classes
        self.sizes = {
            "stem_channels": stem_channels,
            "stem_stride": stem_stride,
            "stages": [list(stage) for stage in stages],
            "head_channels": head_channels,
            "expand_ratio": expand_ratio,
            "kernel_sizes": list(kernel_sizes),
            "dropout": dropout,
        }
        self.stem = nn.Sequential(
            nn.Conv2d(input_shape[0], stem_channels, 3, stem_stride, 1, bias=False),
            nn.BatchNorm2d(stem_channels),
            nn.ReLU(),
        )
        blocks, channels = [], stem_channels
        for c_out, count, first_stride in stages:
            for index in range(count):
                hidden = {kernel: expand_ratio * channels for kernel in kernel_sizes}
                blocks.append(MixConvBlock(channels, c_out, first_stride if index == 0 else 1, hidden))
                channels = c_out
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Sequential(
            nn.Conv2d(channels, head_channels, 1, bias=False), nn.BatchNorm2d(head_channels), nn.ReLU()
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(head_channels, classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) to logits (B, classes)."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        x = self.pool(self.head(x)).flatten(1)
        return self.classifier(self.dropout(x))

    def describe(self, builder: GraphBuilder, widths: Mapping[str, int], forms: Mapping[str, str]) -> None:
        """Writes the operators of the deployed network; see `DescribedSupernet.describe`."""
        stem, head = cast(nn.Conv2d, self.stem[0]), cast(nn.Conv2d, self.head[0])
        x = builder.conv(
            "stem", "conv", builder.graph.input, stem.out_channels, 3, stem.stride[0], activation="relu"
        )
        for name, block in self.searching_blocks():
            x = block.describe(builder, name, x, widths, forms[name])
        x = builder.conv("head", "conv", x, head.out_channels, activation="relu")
        x = builder.pool("head", "pool", x)
        builder.linear("head", "classifier", x, self.classes)


def _check_stages(stages: Sequence[Sequence[int]]) -> None:
    if any(len(stage) != 3 or min(stage) < 1 for stage in stages):
        raise UsageError(
            "supernet mobile: stages are triples [channels, blocks, stride] of positive numbers,"
            f" got {stages}"
        )


def _initialise(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
