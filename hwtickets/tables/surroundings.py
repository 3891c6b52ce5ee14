"""Whether an estimate lies among rows: operators that differ in both channel counts only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hwtickets.space.operators import OperatorSpec

#: Fewer rows of one shape do not say how both counts work together.
_FEWEST_ROWS = 6


class Surroundings:
    """The ranges of channels in which the rows of each shape lie.

    Where an operator's channels belong to two units, hardly any operator of a network has a row, but all lie
    among some.

    Args:
        specs: Of the rows.
    """

    def __init__(self, specs: Iterable[OperatorSpec]) -> None:
        found: dict[OperatorSpec, list[tuple[int, int]]] = {}
        for spec in specs:
            found.setdefault(_shape(spec), []).append((spec.c_in, spec.c_out))
        self._ranges = {
            shape: tuple((min(counts), max(counts)) for counts in zip(*channels, strict=True))
            for shape, channels in found.items()
            if len(channels) >= _FEWEST_ROWS
        }

    def hold(self, spec: OperatorSpec) -> bool:
        """Whether rows of its shape have fewer and more channels, input and output alike."""
        ranges = self._ranges.get(_shape(spec))
        if ranges is None:
            return False
        counts = (spec.c_in, spec.c_out)
        return all(low <= count <= high for count, (low, high) in zip(counts, ranges, strict=True))


def _shape(spec: OperatorSpec) -> OperatorSpec:
    # Groups of a depthwise convolution are its channels; others are kept apart from dense ones only.
    groups = 0 if spec.depthwise else min(spec.groups, 2)
    return replace(spec, c_in=0, c_out=0, groups=groups)
