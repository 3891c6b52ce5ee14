"""Default sizes of HR-NAS supernets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: Branches, blocks of each branch, channels of each branch.
Stage = Sequence[int | Sequence[int]]


@dataclass(frozen=True)
class Preset:
    """Sizes that a supernet has where no others are asked for.

    Attributes:
        stem_channels: Channels after the first and the second 3x3 convolution.
        small_strides: Strides of these two, for classification of small inputs; elsewhere they are 2 and 2.
        stages: A stage for each pair of fusion and parallel blocks.
        head_channels: Channels that the classification head widens each branch to.
        last_channels: Channels before the classifier, by head.
        expand_ratio: Hidden channels of a branch of a block as a multiple of the block's input channels.
        kernel_sizes: Sides of the depthwise kernels, in pixels.
        dropout: Share of features dropped before the classifier of images.
        norm_momentum: Of the batch norms.
        norm_epsilon: Of the batch norms.
    """

    stem_channels: tuple[int, int]
    small_strides: tuple[int, int]
    stages: tuple[Stage, ...]
    head_channels: tuple[int, ...]
    last_channels: Mapping[str, int]
    expand_ratio: int
    kernel_sizes: tuple[int, ...]
    dropout: float
    norm_momentum: float
    norm_epsilon: float


#: HR-NAS (CVPR 2021), the settings of its classification and segmentation networks.
PAPER = Preset(
    stem_channels=(24, 24),
    small_strides=(2, 2),
    stages=(
        (1, (1,), (24,)),
        (2, (2, 2), (18, 36)),
        (3, (2, 2, 3), (18, 36, 72)),
        (4, (2, 2, 3, 4), (18, 36, 72, 144)),
        (4, (2, 2, 3, 4), (18, 36, 72, 144)),
    ),
    head_channels=(36, 72, 144, 320),
    last_channels={"classification": 1600, "dense": 90},
    expand_ratio=4,
    kernel_sizes=(3, 5, 7),
    dropout=0.2,
    norm_momentum=0.01,
    norm_epsilon=1e-3,
)
#: Channels in multiples of 16, the widest channel block of CPU runtimes.
TINY = Preset(
    stem_channels=(16, 16),
    small_strides=(1, 2),
    stages=((1, (1,), (16,)), (2, (1, 1), (16, 32)), (3, (1, 1, 1), (16, 32, 48))),
    head_channels=(32, 48, 64),
    last_channels={"classification": 128, "dense": 32},
    expand_ratio=3,
    kernel_sizes=(3, 5),
    dropout=0.0,
    norm_momentum=0.1,
    norm_epsilon=1e-5,
)


def scaled(channels: int, width_mult: float, round_nearest: int) -> int:
    """A channel count times `width_mult`, to the nearest multiple of `round_nearest` from it on."""
    return max(1, int(channels * width_mult / round_nearest + 0.5)) * round_nearest


def plain_stage(stage: Stage) -> list[int | list[int]]:
    """A stage in lists, as a file keeps it."""
    return [entry if isinstance(entry, int) else list(entry) for entry in stage]
