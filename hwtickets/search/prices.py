"""Training-time prices of units: what a channel costs, and what the branch costs for being there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hwtickets.costs.additive import AdditiveCost
from hwtickets.modules.space import ModuleSpace
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.choices import price_block


@dataclass(frozen=True)
class UnitPrice:
    """`cost(h) ~ existence * [h > 0] + slope * h` around the present widths.

    Attributes:
        slope: Cost of one channel.
        existence: Cost of the branch without its channels.
    """

    slope: float
    existence: float


def unit_prices(
    space: SearchSpace, cost: AdditiveCost, alignment: int, widths: Mapping[str, int]
) -> dict[str, UnitPrice]:
    """Fits the price of every present unit on its aligned widths, the other units held where they are.

    Source: two coefficients a branch, fitted on aligned widths only; FBNet-like slopes are blind to the
    fixed cost that dominates small branches.

    Args:
        space: The search space.
        cost: What is priced.
        alignment: Multiple of the widths that the fit looks at.
        widths: Present channels by unit; units without channels get no price.
    """
    return {name: _fit(space, cost, alignment, widths, name) for name, width in widths.items() if width}


def _fit(
    space: SearchSpace, cost: AdditiveCost, alignment: int, widths: Mapping[str, int], unit: str
) -> UnitPrice:
    if isinstance(space, ModuleSpace):
        return _fit_coupled(space, cost, alignment, widths, unit)
    block = space.units[unit].block
    present = {name: widths[name] for name in space.blocks[block]}

    def block_cost(width: int) -> float:
        resized = {**present, unit: width}
        return price_block(space, block, resized, {cost.metric: cost})[1][cost.metric]

    sizes = [width for width in space.widths_allowed(unit, alignment, widths[unit]) if width]
    costs = np.array([block_cost(width) for width in sizes]) - block_cost(0)
    if len(sizes) == 1:
        return UnitPrice(max(0.0, costs[0]) / sizes[0], 0.0)
    slope, existence = np.polyfit(sizes, costs, 1)
    return UnitPrice(max(0.0, float(slope)), max(0.0, float(existence)))


def _fit_coupled(
    space: ModuleSpace, cost: AdditiveCost, alignment: int, widths: Mapping[str, int], unit: str
) -> UnitPrice:
    """All of a price is slope, of the operators beside a unit: a module loses branches in draws alone."""
    beside = [step for step in space.steps if unit in step.units and step.present(widths)]
    sizes = space.widths_allowed(unit, alignment, widths[unit])
    specs = [step.spec_at({**widths, unit: size}) for size in sizes for step in beside]
    costs = np.array(cost.each(specs), np.float64).reshape(len(sizes), -1).sum(axis=1)
    if len(sizes) == 1:
        return UnitPrice(max(0.0, float(costs[0])) / sizes[0], 0.0)
    return UnitPrice(max(0.0, float(np.polyfit(sizes, costs, 1)[0])), 0.0)
