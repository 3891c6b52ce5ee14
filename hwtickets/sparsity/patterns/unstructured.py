"""Single weights, wherever they lie."""

from __future__ import annotations

from torch import nn

from hwtickets.sparsity.granularity import Granularity
from hwtickets.sparsity.mask import Masks


class Unstructured(Granularity):
    """Every weight on its own: what SuperTickets (ECCV 2022) removes. No dense runtime is faster for it."""

    name = "unstructured"

    @classmethod
    def parse(cls, text: str) -> Unstructured | None:
        """The pattern, if that is its name."""
        return cls() if text == cls.name else None

    def obstacle(self, layer: nn.Conv2d) -> str | None:
        """None: every convolution can."""
        return None

    def repaired(self, model: nn.Module, masks: Masks) -> Masks:
        """The masks as they are: a cut leaves single weights where they were."""
        return masks
