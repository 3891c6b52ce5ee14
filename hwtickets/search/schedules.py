"""How a search approaches its budgets and its sparsity, event by event."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwtickets.errors import UsageError, unknown


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


def prune_sparsities(schedule: str | Sequence[float], target: float) -> list[float]:
    """Sparsities of progressive pruning, one an event.

    Args:
        schedule: "steps-of-X" (up in equal steps of about X), "cubic" (fast first, ever slower), "one-shot",
            or the sparsities themselves.
        target: Share of weights removed at the end, in [0, 1); 0: there are no events.

    Raises:
        UsageError: The schedule is unknown, does not ascend, or does not end at the target.
    """
    if not isinstance(schedule, str):
        return _given_sparsities(list(schedule), target)
    if not target:
        return []
    if schedule == "one-shot":
        return [target]
    if schedule == "cubic":
        return cubic_sparsities(target)
    step = _step_of(schedule)
    if step is None:
        raise unknown("prune schedule", schedule, ["steps-of-0.1", "cubic", "one-shot"])
    return sparsity_steps(target, step)


def sparsity_steps(target: float, step: float = 0.1) -> list[float]:
    """Sparsities in equal steps up to the target.

    Args:
        target: Share of weights removed at the end, in [0, 1).
        step: Share added at each event. Source: SuperTickets code, +10 % an event.
    """
    count = max(1, round(target / step)) if target else 0
    return [target * (index + 1) / count for index in range(count)]


def cubic_sparsities(target: float, events: int = 10) -> list[float]:
    """Sparsities that rise fast while there is much to remove: `s * (1 - (1 - k/n)^3)` at event k of n.

    Source: Zhu and Gupta, To prune, or not to prune (2017), equation 1, with initial sparsity 0.

    Args:
        target: Share of weights removed at the end, in [0, 1).
        events: n; one for every tenth, as many as the equal steps have.
    """
    return [target * (1 - (1 - number / events) ** 3) for number in range(1, events + 1)]


def _step_of(schedule: str) -> float | None:
    prefix, _, text = schedule.rpartition("-of-")
    try:
        step = float(text)
    except ValueError:
        return None
    return step if prefix == "steps" and 0 < step <= 1 else None


def _given_sparsities(sparsities: list[float], target: float) -> list[float]:
    ascending = sparsities == sorted(sparsities) and all(0 < sparsity < 1 for sparsity in sparsities)
    if not ascending:
        raise UsageError(f"prune_schedule {sparsities}: the sparsities must ascend between 0 and 1")
    if not math.isclose(sparsities[-1] if sparsities else 0.0, target):
        raise UsageError(
            f"prune_schedule {sparsities} does not end at sparsity {target}; set sparsity to its last entry"
        )
    return sparsities
