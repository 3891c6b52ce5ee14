"""n:m: of every m consecutive input channels at most n have a weight."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from hwtickets.errors import UsageError
from hwtickets.sparsity.granularity import Granularity
from hwtickets.sparsity.mask import Masks
from hwtickets.sparsity.selection import Scope

_NAME = re.compile(r"(\d+):(\d+)")


class NOfM(Granularity):
    """At most n non-zero weights in every m consecutive input channels, at each output and kernel position.

    With 2:4 that is what sparse tensor cores take (TensorRT, cuSPARSELt). Source: Mishra et al., Accelerating
    Sparse Deep Neural Networks (2104.08378), sections 3 and 4; the layout (K, C, R, S) in groups along C is
    that of TensorRT's trtexec. Scope and target do not matter: every layer loses the same share, 1 - n/m.

    Args:
        n: Weights that are kept in a group.
        m: Weights of a group.
    """

    def __init__(self, n: int, m: int) -> None:
        self.n, self.m = n, m
        self.name = f"{n}:{m}"
        self.share = 1 - n / m

    @classmethod
    def parse(cls, text: str) -> NOfM | None:
        """The pattern, if that is how one is written.

        Raises:
            UsageError: The numbers make no pattern.
        """
        found = _NAME.fullmatch(text)
        if found is None:
            return None
        n, m = int(found[1]), int(found[2])
        if not 0 < n < m:
            raise UsageError(f"pattern {text}: the first number must be at least 1 and below the second")
        return cls(n, m)

    def obstacle(self, layer: nn.Conv2d) -> str | None:
        """Depthwise convolutions, and input channels that do not make whole groups (as those of the stem)."""
        channels = layer.in_channels // layer.groups
        if channels == 1 and layer.groups > 1:
            return "depthwise: one input channel a filter"
        if channels % self.m:
            return f"input channels a filter: {channels}, not a multiple of {self.m}"
        return None

    def select(
        self, scores: Mapping[str, Tensor], sparsity: float, scope: Scope, layer_floor: float
    ) -> Masks:
        """The n best of every group."""
        return {name: self._mask(score) for name, score in scores.items()}

    def _mask(self, scores: Tensor) -> Tensor:
        groups = scores.movedim(1, -1).unflatten(-1, (-1, self.m))
        best = groups.topk(self.n, -1).indices
        kept = torch.zeros_like(groups, dtype=torch.bool).scatter_(-1, best, True)
        return kept.flatten(-2).movedim(-1, 1).contiguous()
