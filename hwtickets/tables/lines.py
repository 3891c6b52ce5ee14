"""Between two rows: straight lines over the channels of a family, but never across a step of the runtime."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.families import Family, members, places

#: A rise this many times as steep as those beside it is a step, if it is more than a share of the latency.
_STEP_STEEPNESS, _STEP_SHARE = 3.0, 0.1
#: Fewer held-out rows than this cannot say how good lines are; then half of the rise is expected.
_FEWEST_HELD_OUT = 8
_USUAL_ERROR = 0.5
#: Rows that are held out, one at a time, to see what lines are worth.
_MOST_HELD_OUT = 1000
#: Even between equal rows the middle is not known better than rows are.
_LEAST_ERROR = 0.05


@dataclass(frozen=True)
class Between:
    """What the rows on both sides of a width say.

    Attributes:
        ms: Latency on the line, or of the upper row where the runtime takes a step between them.
        low_ms: The lesser of the two rows' latencies.
        high_ms: The greater one.
        gap: Channels between the two rows; 0 on a row.
        error_share: Expected error: two in three are nearer.
        padded: Whether the width is no multiple of the alignment.
    """

    ms: float
    low_ms: float
    high_ms: float
    gap: int
    error_share: float
    padded: bool


class Lines:
    """The families of a table's rows.

    Args:
        latencies_ms: Of the rows.
        alignment: Channels that the runtime computes at once.
    """

    def __init__(self, latencies_ms: Mapping[OperatorSpec, float], alignment: int) -> None:
        self._latencies_ms = latencies_ms
        self._alignment = alignment
        self._families = {
            family: ([width for width, _ in entries], [latencies_ms[spec] for _, spec in entries])
            for family, entries in members(latencies_ms).items()
        }

    def between(self, spec: OperatorSpec) -> Between | None:
        """The nearest two rows of one family around an operator, or None if it lies outside all families."""
        found = [
            between
            for family, width in places(spec)
            if (between := self._in_family(family, width)) is not None
        ]
        return min(found, key=lambda between: between.gap, default=None)

    def _in_family(self, family: Family, width: int) -> Between | None:
        widths, latencies_ms = self._families.get(family, ([], []))
        step = -(-width // self._alignment) * self._alignment
        position = bisect_left(widths, width)
        if position == len(widths):
            return None
        # Up to the end of the step it costs what the next row does.
        if widths[position] <= step:
            ms = latencies_ms[position]
            return Between(ms, ms, ms, 0, _LEAST_ERROR, widths[position] != width or width != step)
        if position == 0:
            return None
        below, above = latencies_ms[position - 1], latencies_ms[position]
        gap = widths[position] - widths[position - 1]
        ms = above
        if not _is_step(widths, latencies_ms, position):
            ms = below + (above - below) * (step - widths[position - 1]) / gap
        error = max(_LEAST_ERROR, self._error_per_rise * _rise(below, above))
        return Between(ms, min(below, above), max(below, above), gap, error, width != step)

    @cached_property
    def _error_per_rise(self) -> float:
        """Expected error of a line as a share of the rise that it bridges; from rows held out singly."""
        inner = [
            (widths, latencies_ms, position)
            for widths, latencies_ms in self._families.values()
            for position in range(1, len(widths) - 1)
        ]
        if len(inner) > _MOST_HELD_OUT:
            inner = [
                inner[index] for index in np.random.default_rng(0).permutation(len(inner))[:_MOST_HELD_OUT]
            ]
        shares = []
        for widths, latencies_ms, position in inner:
            below, ms, above = latencies_ms[position - 1 : position + 2]
            share = (widths[position] - widths[position - 1]) / (widths[position + 1] - widths[position - 1])
            rise = _rise(below, above)
            if ms > 0 and rise > _STEP_SHARE:
                shares.append(abs((below + (above - below) * share) / ms - 1) / rise)
        return float(np.quantile(shares, 2 / 3)) if len(shares) >= _FEWEST_HELD_OUT else _USUAL_ERROR


def _rise(below: float, above: float) -> float:
    low, high = min(below, above), max(below, above)
    return high / low - 1 if low > 0 else float(high > 0)


def _is_step(widths: list[int], latencies_ms: list[float], position: int) -> bool:
    """Whether the rise up to a position is far steeper than those beside it, as where a runtime pads."""
    rise = latencies_ms[position] - latencies_ms[position - 1]
    if rise <= _STEP_SHARE * latencies_ms[position - 1]:
        return False
    beside = [
        abs(latencies_ms[index] - latencies_ms[index - 1]) / (widths[index] - widths[index - 1])
        for index in (position - 1, position + 1)
        if 0 < index < len(widths)
    ]
    return bool(beside) and rise / (widths[position] - widths[position - 1]) > _STEP_STEEPNESS * max(beside)
