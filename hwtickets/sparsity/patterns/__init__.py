"""The patterns by name: what `mask_pattern` and a device's `sparse_patterns` understand."""

from __future__ import annotations

from hwtickets.errors import unknown
from hwtickets.sparsity.granularity import Granularity
from hwtickets.sparsity.patterns.block import Block
from hwtickets.sparsity.patterns.channel import Channel
from hwtickets.sparsity.patterns.n_of_m import NOfM
from hwtickets.sparsity.patterns.unstructured import Unstructured

PATTERNS: tuple[type[Unstructured] | type[NOfM] | type[Block] | type[Channel], ...] = (
    Unstructured,
    NOfM,
    Block,
    Channel,
)
#: How patterns are written, for messages.
EXAMPLES = ("unstructured", "2:4", "block-4x4", "channel")


def build_granularity(name: str) -> Granularity:
    """A pattern by name.

    Args:
        name: "unstructured", n:m such as "2:4", "block-ROWSxCOLUMNS" such as "block-4x4", or "channel".

    Raises:
        UsageError: The name is unknown, or its numbers make no pattern.
    """
    for pattern in PATTERNS:
        built = pattern.parse(name)
        if built is not None:
            return built
    raise unknown("mask pattern", name, EXAMPLES)
