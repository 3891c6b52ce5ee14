"""Search spaces that are chains of inverted residual blocks: FBNet and once-for-all's MobileNetV3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwtickets.errors import UsageError
from hwtickets.prediction.features import Features, columns, indicators
from hwtickets.prediction.operators import operator_features
from hwtickets.space.operators import OperatorSpec

FBNET_BLOCKS = ("k3_e1", "k3_e1_g2", "k3_e3", "k3_e6", "k5_e1", "k5_e1_g2", "k5_e3", "k5_e6", "skip")
#: FBNet for CIFAR-100 as HW-NAS-Bench measured it (arXiv:2103.10584): for each stage channels, blocks, stride
#: of the first block; 16 channels at 32 x 32 before, 1504 after.
_FBNET_STAGES = ((16, 1, 1), (24, 4, 1), (32, 4, 2), (64, 4, 2), (112, 4, 1), (184, 4, 2), (352, 1, 1))
_FBNET_STEM, _FBNET_SIDE, _FBNET_HEAD, _FBNET_CLASSES = 16, 32, 1504, 100

#: Once-for-all's MobileNetV3 (arXiv:1908.09791) with width 1.2: for each stage channels, stride of the first
#: block, squeeze-and-excite.
_OFA_STAGES = ((32, 2, False), (48, 2, True), (96, 2, False), (136, 1, True), (192, 2, True))
_OFA_STEM, _OFA_HEAD, _OFA_FEATURES, _OFA_CLASSES = 24, 1152, 1536, 1000
_OFA_DEPTH = 4


@dataclass(frozen=True)
class OfaNetwork:
    """A sub-network of once-for-all.

    Attributes:
        resolution: Side of the square input image, in pixels.
        kernels: Kernel of each of the 5 x 4 blocks; those beyond the depth of their stage are not used.
        expansions: Channels inside each block over those outside.
        depths: Blocks of each stage, 2 to 4.

    Raises:
        UsageError: The numbers of blocks or stages are others.
    """

    resolution: int
    kernels: tuple[int, ...]
    expansions: tuple[int, ...]
    depths: tuple[int, ...]

    def __post_init__(self) -> None:
        blocks = _OFA_DEPTH * len(_OFA_STAGES)
        if (len(self.kernels), len(self.expansions), len(self.depths)) != (blocks, blocks, len(_OFA_STAGES)):
            raise UsageError(f"a once-for-all network has {blocks} blocks in {len(_OFA_STAGES)} stages")

    @property
    def blocks(self) -> tuple[str, ...]:
        """What each slot holds, e.g. "k5" and "e4"; "" beyond the depth."""
        used = [place < depth for depth in self.depths for place in range(_OFA_DEPTH)]
        kernels = [f"k{kernel}" if on else "" for kernel, on in zip(self.kernels, used, strict=True)]
        expansions = [f"e{times}" if on else "" for times, on in zip(self.expansions, used, strict=True)]
        return (*kernels, *expansions)

    def operators(self) -> list[OperatorSpec]:
        """Stem, blocks and head, in order."""
        side, c_in = -(-self.resolution // 2), _OFA_STEM
        specs = [_conv(3, c_in, 3, 2, self.resolution), _block("mbconv", c_in, c_in, 0, 3, 1, side, True)]
        for stage, (c_out, stride, squeeze) in enumerate(_OFA_STAGES):
            for place in range(self.depths[stage]):
                index = _OFA_DEPTH * stage + place
                first = stride if place == 0 else 1
                kind = "mbconv-se" if squeeze else "mbconv"
                times, kernel = self.expansions[index], self.kernels[index]
                specs.append(
                    _block(kind, c_in, c_out, times, kernel, first, side, c_in == c_out and first == 1)
                )
                side, c_in = -(-side // first), c_out
        specs += [_conv(c_in, _OFA_HEAD, 1, 1, side), _linear(_OFA_HEAD, _OFA_FEATURES)]
        return [*specs, _linear(_OFA_FEATURES, _OFA_CLASSES)]


def fbnet_operators(blocks: Sequence[str]) -> list[OperatorSpec]:
    """Operators of an FBNet.

    Args:
        blocks: One of `FBNET_BLOCKS` for each of the 22 slots.

    Raises:
        UsageError: There are not 22, or one is unknown.
    """
    slots = [
        (c_out, stride if place == 0 else 1)
        for c_out, count, stride in _FBNET_STAGES
        for place in range(count)
    ]
    if len(blocks) != len(slots) or not set(blocks) <= set(FBNET_BLOCKS):
        raise UsageError(f"an FBNet has {len(slots)} blocks, each one of {', '.join(FBNET_BLOCKS)}")
    side, c_in = _FBNET_SIDE, _FBNET_STEM
    specs = [_conv(3, c_in, 3, 1, side)]
    for block, (c_out, stride) in zip(blocks, slots, strict=True):
        same = c_in == c_out and stride == 1
        if block != "skip":
            kernel, times, *groups = (int(part[1:]) for part in block.split("_"))
            specs.append(_block("mbconv", c_in, c_out, times, kernel, stride, side, same, *groups))
        elif not same:
            specs.append(_conv(c_in, c_out, 1, stride, side))
        side, c_in = -(-side // stride), c_out
    return [*specs, _conv(c_in, _FBNET_HEAD, 1, 1, side), _linear(_FBNET_HEAD, _FBNET_CLASSES)]


def fbnet_features(networks: Sequence[Sequence[str]]) -> Features:
    """Features of FBNets, each given by its 22 blocks; see `operator_features`."""
    choices = indicators(networks, FBNET_BLOCKS[:-1])
    return operator_features([fbnet_operators(blocks) for blocks in networks], choices)


def ofa_features(networks: Sequence[OfaNetwork]) -> Features:
    """Features of once-for-all sub-networks; see `operator_features`. Each stage's blocks are a trait."""
    count, stages = len(networks), len(_OFA_STAGES)
    depths = np.array([network.depths for network in networks], float).reshape(count, stages)
    made = operator_features([network.operators() for network in networks], depths)
    options = ("k3", "k5", "k7", "e3", "e4", "e6")
    held = indicators([network.blocks for network in networks], options)
    held = held.reshape(count, 2, stages, _OFA_DEPTH * len(options))
    by_stage = {
        f"stage {stage}": np.hstack([held[:, 0, stage], held[:, 1, stage], depths[:, [stage]]])
        for stage in range(stages)
    }
    resolution = np.array([network.resolution for network in networks], float)
    return Features(made.work, {**made.traits, **by_stage, **columns(resolution=resolution)})


def _conv(c_in: int, c_out: int, kernel: int, stride: int, side: int) -> OperatorSpec:
    return OperatorSpec("conv", c_in, c_out, kernel, stride, height=side, width=side)


def _linear(c_in: int, c_out: int) -> OperatorSpec:
    return OperatorSpec("linear", c_in, c_out)


def _block(
    kind: str,
    c_in: int,
    c_out: int,
    times: int,
    kernel: int,
    stride: int,
    side: int,
    residual: bool,
    groups: int = 1,
) -> OperatorSpec:
    return OperatorSpec(
        kind, c_in, c_out, kernel, stride, groups, side, side, residual=residual, hidden=times * c_in
    )
