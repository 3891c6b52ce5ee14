"""A cell of NAS-Bench-201: a small graph whose edges hold operations, and what each is to the output."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from hwtickets.errors import UsageError

#: Node 0 is the input, node 3 the output; every node is the sum of its edges.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
NOTHING, IDENTITY = "none", "skip_connect"
CONV1, CONV3, POOL = "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"
OPERATIONS = (NOTHING, IDENTITY, CONV1, CONV3, POOL)

#: "live": changes the output. "zeros": sees only the zeros of node 1, "zero sum": only those of node 2, which
#: are a sum; but the result of both is added. Of no effect at all: "lone", the only one that its node
#: receives, and "summed", one of several. "constant": nothing changes the output of this cell. The
#: differences show in the measurements: on the Raspberry Pi 4 and the Pixel 3 of HW-NAS-Bench "zeros" and
#: "lone" convolutions take their full time, "summed" and "constant" ones none; on nn-Meter's devices only a
#: "zero sum" is paid for.
Role = Literal["live", "zeros", "zero sum", "lone", "summed", "constant"]
ROLES: tuple[Role, ...] = ("live", "zeros", "zero sum", "lone", "summed", "constant")

#: The network around the cell (arXiv:2001.00326): three stages of 5 cells, 16 channels at 32 x 32, then twice
#: the channels at half the resolution, so that a convolution has as many multiply-accumulates in each stage.
#: Between the stages two residual blocks, each worth 14 convolutions of 1x1; before and after a 3x3
#: convolution and a classifier.
_CELLS = 15
_MACS_1X1 = 16 * 16 * 32 * 32
_MACS_AROUND = 3 * 9 * 16 * 32 * 32 + 2 * 14 * _MACS_1X1 + 64 * 10


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        operations: Of the edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3.

    Raises:
        UsageError: There are not six operations, or one is unknown.
    """

    operations: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.operations) != len(EDGES) or not set(self.operations) <= set(OPERATIONS):
            raise UsageError(
                f"{'|'.join(self.operations)} is no cell: six of {', '.join(OPERATIONS)} are needed"
            )

    @classmethod
    def parse(cls, text: str) -> Cell:
        """A cell from NAS-Bench-201's notation, "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"."""
        return cls(tuple(part.partition("~")[0] for part in text.replace("+", "").split("|") if part))

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        """What each edge is to the output."""
        fed, read = {0}, {3}
        for node in (1, 2, 3):
            fed |= {node for start in self._starts(node) if start in fed}
        for node in (3, 2, 1):
            read |= set(self._starts(node)) if node in read else set()
        return tuple(self._role(start, end, fed, read) for start, end in EDGES)

    @cached_property
    def kept(self) -> tuple[str, ...]:
        """The operations with the dead ones gone."""
        pairs = zip(self.roles, self.operations, strict=True)
        return tuple(operation if role == "live" else NOTHING for role, operation in pairs)

    @cached_property
    def live(self) -> tuple[str, ...]:
        """As `kept`, but the same for two cells that differ only in the names of nodes 1 and 2."""
        return self.kept if self.kept[2] != NOTHING else min(self.kept, _swapped(self.kept))

    @property
    def graph(self) -> tuple[tuple[str, ...], tuple[tuple[Role, str], ...]]:
        """The live operations and which dead ones there are: cells that agree in it are the same work."""
        pairs = zip(self.roles, self.operations, strict=True)
        dead = sorted(
            (role, operation) for role, operation in pairs if role != "live" and operation != NOTHING
        )
        return self.live, tuple(dead)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the network of this cell, without the dead operations."""
        counts = Counter(self.live)
        return _MACS_AROUND + _CELLS * _MACS_1X1 * (9 * counts[CONV3] + counts[CONV1])

    def _starts(self, node: int) -> list[int]:
        return [
            start
            for (start, end), operation in zip(EDGES, self.operations, strict=True)
            if end == node and operation != NOTHING
        ]

    def _role(self, start: int, end: int, fed: set[int], read: set[int]) -> Role:
        if 3 not in fed:
            return "constant"
        if end not in read:
            return "lone" if len(self._starts(end)) == 1 else "summed"
        if start in fed:
            return "live"
        return "zeros" if start == 1 else "zero sum"


def _swapped(operations: tuple[str, ...]) -> tuple[str, ...]:
    """The same graph with the names of nodes 1 and 2 exchanged; there must be nothing between them."""
    e01, e02, e12, e03, e13, e23 = operations
    return (e02, e01, e12, e03, e23, e13)
