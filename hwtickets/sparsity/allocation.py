"""The draw: the widths that keep the most importance within every budget, solved exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwtickets.budgets import format_amount
from hwtickets.errors import BudgetError
from hwtickets.sparsity.choices import Priced, PricedSpace
from hwtickets.sparsity.coupled import CoupledSpace
from hwtickets.sparsity.importance import Scores
from hwtickets.sparsity.knapsack import kept_by_width, silent_solver, undominated, up_to_width
from hwtickets.sparsity.refinement import best_network

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Allocation:
    """A solved draw.

    Attributes:
        widths: Channels kept by unit.
        forms: Deployed form by block.
        costs: Cost of the network by metric.
        value: Importance kept, as a share of all importance.
        precisions: Precision by part, where it was drawn with the widths; else empty.
    """

    widths: dict[str, int]
    forms: dict[str, str]
    costs: dict[str, float]
    value: float
    precisions: dict[str, str] = field(default_factory=dict)


def allocate(priced: Priced, scores: Scores, limits: Mapping[str, float]) -> Allocation:
    """Draws the most important network within the limits.

    Of a supernet, a multiple-choice knapsack: one choice a block, most importance, every cost within its
    limit. Choices that another one beats in value and all costs are dropped first, which leaves the optimum
    where it is; HiGHS solves the rest.
    Source: HALP (2110.10811), section 3.2, there for one budget and one layer's channels at a time. Of a
    module, whose costs couple its units: `Ascent`.

    Args:
        priced: Choices and costs.
        scores: Importance of every channel that is left, by unit; a missing unit counts as worthless.
        limits: Upper limit of the whole network by metric, in the units of the costs.

    Raises:
        BudgetError: No network of the space fits; names the nearest feasible limit.
    """
    for metric, limit in limits.items():
        if priced.smallest(metric) > limit:
            dearest = priced.dearest(metric) if isinstance(priced, CoupledSpace) else ""
            raise infeasible(metric, limit, priced.smallest(metric), dearest)
    if isinstance(priced, CoupledSpace):
        return _ascended(priced, scores, limits)
    cumulative = {unit: kept_by_width(scores, unit) for block in priced.blocks for unit in block.units}
    total = sum(float(values[-1]) for values in cumulative.values()) or 1.0
    values = [block.values(up_to_width(cumulative, block)) / total for block in priced.blocks]
    kept = [
        undominated(block, value, list(limits)) for block, value in zip(priced.blocks, values, strict=True)
    ]
    chosen = _solve(priced, values, kept, limits)
    return _as_allocation(priced, values, chosen)


def _ascended(priced: CoupledSpace, scores: Scores, limits: Mapping[str, float]) -> Allocation:
    cumulative = [kept_by_width(scores, unit) for unit in priced.names]
    total = sum(float(values[-1]) for values in cumulative) or 1.0
    worth = [values / total for values in cumulative]
    found = best_network(priced, worth, limits)
    if found is None:
        raise not_at_once(limits)
    drawn, choice = found
    costs = dict(zip(drawn.metrics, drawn.total(choice).tolist(), strict=True))
    widths = drawn.widths(choice)
    kept = sum(
        float(values[min(widths[name], len(values) - 1)])
        for name, values in zip(drawn.names, worth, strict=True)
    )
    return Allocation(widths, {}, costs, kept)


def not_at_once(limits: Mapping[str, float]) -> BudgetError:
    """The one-line answer to limits that can be met one by one only."""
    wanted = ", ".join(f"{metric} {format_amount(metric, limit)}" for metric, limit in limits.items())
    return BudgetError(f"no network of this space meets {wanted} at once; loosen one of these budgets")


def infeasible(metric: str, limit: float, nearest: float, dearest: str = "") -> BudgetError:
    """The one-line answer to a limit that no network of the space meets.

    Args:
        metric: What is limited.
        limit: The limit.
        nearest: The lowest cost of a network of the space.
        dearest: The operator of that network that costs the most, if there is one to be named.
    """
    most = f", of which {dearest} takes the most" if dearest else ""
    return BudgetError(
        f"budget {metric} {format_amount(metric, limit)} is below the smallest network of this space on this"
        f" device; the nearest feasible one is {format_amount(metric, nearest)}{most}"
    )


def best_channels(scores: Scores, widths: Mapping[str, int]) -> dict[str, NDArray[np.int64]]:
    """Ascending indices of the `widths[unit]` most important channels of every unit that is left."""
    return {
        unit: np.sort(np.argsort(-score.double().numpy(), kind="stable")[: widths[unit]])
        for unit, score in scores.items()
    }


def _solve(
    priced: PricedSpace, values: list[Array], kept: list[NDArray[np.int64]], limits: Mapping[str, float]
) -> list[int]:
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import block_diag

    objective = -np.concatenate([value[index] for value, index in zip(values, kept, strict=True)])
    one_each = block_diag([np.ones((1, len(index))) for index in kept], format="csr")
    constraints = [LinearConstraint(one_each, 1, 1)]
    for metric, limit in limits.items():
        costs = np.concatenate(
            [block.costs[metric][index] for block, index in zip(priced.blocks, kept, strict=True)]
        )
        room = limit - priced.fixed[metric]
        scale = max(abs(room), 1e-12)
        constraints.append(LinearConstraint(costs[None] / scale, -np.inf, room / scale))
    with silent_solver():
        solution = milp(
            objective,
            constraints=constraints,
            integrality=np.ones_like(objective),
            bounds=Bounds(0, 1),
            options={"mip_rel_gap": 0.0},
        )
    if solution.x is None:
        raise not_at_once(limits)
    borders = np.cumsum([len(index) for index in kept])[:-1]
    parts = np.split(solution.x, borders)
    return [int(index[part.argmax()]) for part, index in zip(parts, kept, strict=True)]


def _as_allocation(priced: PricedSpace, values: list[Array], chosen: list[int]) -> Allocation:
    widths: dict[str, int] = {}
    forms: dict[str, str] = {}
    costs = dict(priced.fixed)
    for block, index in zip(priced.blocks, chosen, strict=True):
        widths.update(zip(block.units, block.widths[index].tolist(), strict=True))
        forms[block.block] = block.forms[index]
        for metric in costs:
            costs[metric] += float(block.costs[metric][index])
    kept_value = sum(float(value[index]) for value, index in zip(values, chosen, strict=True))
    return Allocation(widths, forms, costs, kept_value)
