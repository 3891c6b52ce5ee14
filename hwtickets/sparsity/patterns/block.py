"""Blocks: rectangles of output x input channels of 1x1 convolutions, kept or removed as a whole."""

from __future__ import annotations

import math
import re

from torch import Tensor, nn

from hwtickets.errors import UsageError
from hwtickets.sparsity.granularity import Granularity

_NAME = re.compile(r"block-(\d+)x(\d+)")


class Block(Granularity):
    """Whole blocks of a 1x1 convolution's matrix, as block-sparse kernels take them.

    Source: Gray et al., GPU Kernels for Block-Sparse Weights (OpenAI, 2017), section 2.

    Args:
        rows: Output channels of a block.
        columns: Input channels of a block.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.name = f"block-{rows}x{columns}"

    @classmethod
    def parse(cls, text: str) -> Block | None:
        """The pattern, if that is how one is written.

        Raises:
            UsageError: A side is zero.
        """
        found = _NAME.fullmatch(text)
        if found is None:
            return None
        rows, columns = int(found[1]), int(found[2])
        if not rows or not columns:
            raise UsageError(f"pattern {text}: both sides of a block must be at least 1, e.g. block-4x4")
        return cls(rows, columns)

    def obstacle(self, layer: nn.Conv2d) -> str | None:
        """Kernels above 1x1, groups, and channels that do not make whole blocks."""
        if layer.kernel_size != (1, 1):
            return "not a 1x1 convolution"
        if layer.groups > 1:
            return f"{layer.groups} groups"
        if layer.out_channels % self.rows or layer.in_channels % self.columns:
            return (
                f"{layer.out_channels} x {layer.in_channels} channels, not whole {self.rows}x{self.columns}"
            )
        return None

    def parts(self, scores: Tensor) -> Tensor:
        """Sums over blocks, (C_out / rows, C_in / columns); what was removed counts only if all of it was."""
        blocks = scores[:, :, 0, 0].unflatten(1, (-1, self.columns)).unflatten(0, (-1, self.rows))
        left = blocks > -math.inf
        total = blocks.where(left, 0).sum((1, 3))
        return total.where(left.any(3).any(1), -math.inf)

    def whole(self, kept: Tensor) -> Tensor:
        """Every weight of a kept block."""
        mask = kept.repeat_interleave(self.rows, 0).repeat_interleave(self.columns, 1)
        return mask[:, :, None, None]
