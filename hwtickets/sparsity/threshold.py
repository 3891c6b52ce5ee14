"""One threshold for all layers: what an exact draw is compared with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hwtickets.errors import BudgetError
from hwtickets.space.space import SearchSpace, Widths
from hwtickets.sparsity.allocation import Allocation, infeasible
from hwtickets.sparsity.choices import price_network
from hwtickets.sparsity.importance import Scores
from hwtickets.sparsity.pricing import Costs

Array = NDArray[np.float64]


def allocate_by_threshold(
    space: SearchSpace,
    costs: Costs,
    scores: Scores,
    slopes: Mapping[str, float],
    limits: Mapping[str, float],
    alignment: int,
    floor: int,
) -> Allocation:
    """Keeps every channel whose importance by price is above one threshold, the lowest that the limits allow.

    It looks at one channel at a time: neither the fixed cost of a branch nor the stairs of a device are seen.
    Source: SuperTickets (ECCV 2022), Algorithm 1, with the threshold found from the limit instead of 1e-3.

    Args:
        space: The search space.
        costs: Costs by metric.
        scores: Importance of every channel that is left, by unit.
        slopes: Price of one channel by unit.
        limits: Upper limit by metric.
        alignment: Widths are rounded up to a multiple of this.
        floor: Channels that every block keeps at least.

    Raises:
        BudgetError: Even the highest threshold is above a limit.
    """
    ratios = {
        name: np.sort(score.double().numpy())[::-1] / max(slopes[name], 1e-12)
        for name, score in scores.items()
    }
    ratios = {**ratios, **_guarded(space, ratios, floor)}
    thresholds = np.unique(np.concatenate([*ratios.values(), [np.inf]]))
    low, high = 0, len(thresholds) - 1
    best: tuple[dict[str, int], dict[str, str], dict[str, float]] | None = None
    while low <= high:
        middle = (low + high) // 2
        widths = _widths_above(space, ratios, float(thresholds[middle]), alignment)
        forms, prices = price_network(space, widths, costs)
        if all(prices[metric] <= limit for metric, limit in limits.items()):
            best, high = (widths, forms, prices), middle - 1
        else:
            low = middle + 1
    if best is None:
        raise _infeasible(space, ratios, alignment, costs, limits)
    return Allocation(*best, _kept_share(scores, best[0]))


def _guarded(space: SearchSpace, ratios: Mapping[str, Array], floor: int) -> dict[str, Array]:
    """The ratios of each block's best unit, its floor above every threshold."""
    guarded = {}
    for units in space.blocks.values():
        present = [unit for unit in units if unit in ratios]
        if floor and present:
            best = max(present, key=lambda unit: float(ratios[unit][0]))
            guarded[best] = np.concatenate([np.full(floor, np.inf), ratios[best][floor:]])[
                : len(ratios[best])
            ]
    return guarded


def _widths_above(
    space: SearchSpace, ratios: Mapping[str, Array], threshold: float, alignment: int
) -> dict[str, int]:
    widths = dict.fromkeys(space.units, 0)
    for name, ratio in ratios.items():
        least = 0 if space.units[name].branch else min(alignment, len(ratio))
        count = int((ratio >= threshold).sum())
        widths[name] = max(least, min(len(ratio), -(-count // alignment) * alignment))
    return widths


def _infeasible(
    space: SearchSpace,
    ratios: Mapping[str, Array],
    alignment: int,
    costs: Costs,
    limits: Mapping[str, float],
) -> BudgetError:
    _, smallest = price_network(space, _widths_above(space, ratios, np.inf, alignment), costs)
    metric = max(limits, key=lambda name: smallest[name] / limits[name])
    return infeasible(metric, limits[metric], smallest[metric])


def _kept_share(scores: Scores, widths: Widths) -> float:
    kept = sum(
        float(score.sort(descending=True).values[: widths[name]].sum()) for name, score in scores.items()
    )
    return kept / (sum(float(score.sum()) for score in scores.values()) or 1.0)
