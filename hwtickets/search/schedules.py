"""Schedules: progress of a run in [0, 1] to a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ShrinkSchedule:
    """Limits for progressive shrinking: from the dense costs to just above the budgets, by equal ratios.

    Attributes:
        dense: Cost of the whole supernet by metric.
        limits: The budgets by metric.
        events: How many shrinks there are.
        headroom: The last limit as a multiple of the budget: room for the draw to choose and to correct
        itself.
    """

    dense: Mapping[str, float]
    limits: Mapping[str, float]
    events: int
    headroom: float = 1.12

    def at(self, event: int) -> dict[str, float]:
        """Limits at a shrink, counted from 1; never above the dense cost."""
        share = event / self.events
        last = {
            metric: min(self.dense[metric], limit * self.headroom) for metric, limit in self.limits.items()
        }
        return {
            metric: self.dense[metric] * (last[metric] / self.dense[metric]) ** share
            for metric in self.limits
        }


def even_shares(first: float, last: float, count: int) -> list[float]:
    """`count` shares of a run, evenly spread from `first` to `last`, both included."""
    if count == 1:
        return [last]
    return [first + (last - first) * index / (count - 1) for index in range(count)]


def sparsity_steps(target: float, step: float = 0.1) -> list[float]:
    """Sparsities of progressive pruning: up in equal steps to the target.

    Args:
        target: Share of weights removed at the end, in [0, 1).
        step: Share added at each event. Source: SuperTickets code, +10 % an event.
    """
    count = max(1, round(target / step)) if target else 0
    return [target * (index + 1) / count for index in range(count)]
