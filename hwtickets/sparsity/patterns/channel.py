"""Whole channels: what the draw removes, not a mask."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from hwtickets.errors import UsageError
from hwtickets.sparsity.granularity import Granularity
from hwtickets.sparsity.mask import Masks
from hwtickets.sparsity.selection import Scope

_DRAWN = "channels are removed by the draw, under the budgets; they take no mask"


class Channel(Granularity):
    """Whole channels, physically gone: every runtime is faster for it, and tables price what is left."""

    name = "channel"

    @classmethod
    def parse(cls, text: str) -> Channel | None:
        """The pattern, if that is its name."""
        return cls() if text == cls.name else None

    def obstacle(self, layer: nn.Conv2d) -> str | None:
        """Always there: masks are not how channels go."""
        return _DRAWN

    def masks(
        self,
        model: nn.Module,
        scores: Mapping[str, Tensor],
        sparsity: float,
        scope: Scope = "global",
        layer_floor: float = 0.0,
    ) -> Masks:
        """Refused.

        Raises:
            UsageError: Always, unless nothing is to be removed.
        """
        self.check(sparsity, layer_floor)
        return {}

    def check(self, sparsity: float, layer_floor: float) -> None:
        """Checks that nothing is to be masked.

        Raises:
            UsageError: Something is.
        """
        if sparsity:
            raise UsageError(f"pattern {self.name}: {_DRAWN}; set sparsity to 0 and give a budget")
