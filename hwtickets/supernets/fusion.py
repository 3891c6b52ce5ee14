"""The trunk of HR-NAS: parallel branches of falling resolution that exchange what they see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwtickets.space.operators import GraphBuilder, Value
from hwtickets.supernets.base import SearchingBlock

#: Builds a searching block from input channels, output channels and stride.
MakeBlock = Callable[[int, int, int], SearchingBlock]


@dataclass(frozen=True)
class Drawn:
    """What the operators of blocks are written with; see `SearchingBlock.describe`.

    Attributes:
        builder: Receives the operators.
        widths: Channels kept by unit.
        forms: Form by block.
    """

    builder: GraphBuilder
    widths: Mapping[str, int]
    forms: Mapping[str, str]

    def block(self, name: str, block: nn.Module, x: Value) -> Value:
        """Writes one searching block."""
        return cast(SearchingBlock, block).describe(self.builder, name, x, self.widths, self.forms[name])


class FuseModule(nn.Module):
    """Every branch becomes the sum of itself and its neighbours, each through a searching block, then ReLU.

    From a lower resolution: a block, then nearest-neighbour upsampling; from a higher one: a block with the
    stride between them. Summands are resized bilinearly to the first one's size, which matters where a size
    is odd. A new branch is a block of stride 2 on the fused lowest resolution.
    Source: HR-NAS (CVPR 2021), fusion module, the variant that fuses neighbours.

    Args:
        c_in: Channels of the incoming branches, highest resolution first.
        c_out: Channels of the outgoing branches.
        make: Builds the blocks.
    """

    def __init__(self, c_in: Sequence[int], c_out: Sequence[int], make: MakeBlock) -> None:
        super().__init__()
        self._sources, self._targets = len(c_in), min(len(c_in), len(c_out))
        self.paths = nn.ModuleDict(
            {
                f"{source}to{target}": make(c_in[source], c_out[target], 2 ** max(0, target - source))
                for target in range(self._targets)
                for source in self._neighbours(target)
            }
        )
        self.new = nn.ModuleDict(
            {
                str(branch): make(c_out[branch - 1], c_out[branch], 2)
                for branch in range(len(c_in), len(c_out))
            }
        )

    def forward(self, xs: Sequence[Tensor]) -> list[Tensor]:
        """Branches (B, c_in[i], H / 2^i, W / 2^i) to (B, c_out[i], H / 2^i, W / 2^i), rounded up."""
        fused = [F.relu(self._fused(xs, target)) for target in range(self._targets)]
        for block in self.new.values():
            fused.append(block(fused[-1]))
        return fused

    def describe(self, name: str, xs: Sequence[Value], drawn: Drawn) -> list[Value]:
        """Writes the operators; `name` is the module's full name."""
        fused = [self._describe_fused(name, xs, target, drawn) for target in range(self._targets)]
        for branch, block in self.new.items():
            fused.append(drawn.block(f"{name}.new.{branch}", block, fused[-1]))
        return fused

    def _neighbours(self, target: int) -> range:
        return range(max(0, target - 1), min(self._sources, target + 2))

    def _fused(self, xs: Sequence[Tensor], target: int) -> Tensor:
        total: Tensor | None = None
        for source in self._neighbours(target):
            y: Tensor = self.paths[f"{source}to{target}"](xs[source])
            if source > target:
                y = F.interpolate(y, scale_factor=float(2 ** (source - target)), mode="nearest")
            total = y if total is None else total + resized(y, total.shape[2:])
        assert total is not None
        return total

    def _describe_fused(self, name: str, xs: Sequence[Value], target: int, drawn: Drawn) -> Value:
        builder, sources = drawn.builder, self._neighbours(target)
        total: Value | None = None
        for source in sources:
            key = f"{source}to{target}"
            y = drawn.block(f"{name}.paths.{key}", self.paths[key], xs[source])
            if source > target:
                factor = 2 ** (source - target)
                y = builder.resize(name, f"up{key}", y, factor * y.height, factor * y.width, "nearest")
            if total is None:
                total = y
                continue
            y = builder.resize(name, f"fit{key}", y, total.height, total.width)
            last = source == sources[-1]
            total = builder.add(name, f"add{key}", [total, y], "relu" if last else "none")
        assert total is not None
        return total if len(sources) > 1 else builder.relu(name, f"relu{target}", total)


class ParallelModule(nn.ModuleList):
    """Blocks of stride 1 one after the other, on every branch on its own.

    Args:
        blocks: How many, by branch.
        channels: Channels by branch.
        make: Builds the blocks.
    """

    def __init__(self, blocks: Sequence[int], channels: Sequence[int], make: MakeBlock) -> None:
        super().__init__(
            nn.Sequential(*(make(width, width, 1) for _ in range(count)))
            for count, width in zip(blocks, channels, strict=True)
        )

    def forward(self, xs: Sequence[Tensor]) -> list[Tensor]:
        """Branches to branches of the same shapes."""
        return [branch(x) for branch, x in zip(self, xs, strict=True)]

    def describe(self, name: str, xs: Sequence[Value], drawn: Drawn) -> list[Value]:
        """Writes the operators; `name` is the module's full name."""
        outputs = []
        for number, (branch, x) in enumerate(zip(self, xs, strict=True)):
            for index, block in enumerate(cast(nn.Sequential, branch)):
                x = drawn.block(f"{name}.{number}.{index}", block, x)
            outputs.append(x)
        return outputs


class FusedStage(nn.Module):
    """A fusion, then parallel blocks.

    Args:
        c_in: Channels of the incoming branches.
        blocks: Parallel blocks by branch.
        channels: Channels of the outgoing branches.
        make: Builds the blocks.
    """

    def __init__(
        self, c_in: Sequence[int], blocks: Sequence[int], channels: Sequence[int], make: MakeBlock
    ) -> None:
        super().__init__()
        self.fuse = FuseModule(c_in, channels, make)
        self.parallel = ParallelModule(blocks, channels, make)

    def forward(self, xs: Sequence[Tensor]) -> list[Tensor]:
        """Incoming branches to outgoing ones."""
        return cast("list[Tensor]", self.parallel(self.fuse(xs)))

    def describe(self, name: str, xs: Sequence[Value], drawn: Drawn) -> list[Value]:
        """Writes the operators; `name` is the module's full name."""
        return self.parallel.describe(
            f"{name}.parallel", self.fuse.describe(f"{name}.fuse", xs, drawn), drawn
        )


def resized(x: Tensor, size: torch.Size) -> Tensor:
    """A map at another size, bilinear between pixel centres; itself where it has that size."""
    if x.shape[2:] == size:
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)
