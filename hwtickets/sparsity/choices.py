"""What can be chosen for each block, and what every choice costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwtickets.costs.additive import AdditiveCost
from hwtickets.space.space import SearchSpace
from hwtickets.supernets.base import PLAIN

Costs = Mapping[str, AdditiveCost]


@dataclass(frozen=True)
class BlockChoices:
    """All aligned width combinations of one block.

    Attributes:
        block: Name of the block.
        units: Its units; columns of `widths`.
        widths: Channels kept, shape (choices, units).
        forms: The deployed form of every choice: the cheapest by the first cost.
        costs: Cost of every choice by metric, shape (choices,) each.
    """

    block: str
    units: list[str]
    widths: NDArray[np.int64]
    forms: list[str]
    costs: dict[str, NDArray[np.float64]]

    def values(self, cumulative: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Importance kept by every choice.

        Args:
            cumulative: By unit, importance of its best n channels at index n; shape (channels + 1,).
        """
        return sum(
            (cumulative[unit][self.widths[:, column]] for column, unit in enumerate(self.units)),
            np.zeros(len(self.widths)),
        )


@dataclass(frozen=True)
class PricedSpace:
    """A search space with its prices.

    Attributes:
        blocks: Choices of every block.
        fixed: By metric, the cost of everything outside the blocks.
    """

    blocks: list[BlockChoices]
    fixed: dict[str, float]

    def smallest(self, metric: str) -> float:
        """The lowest cost that any network of the space has."""
        return self.fixed[metric] + sum(float(block.costs[metric].min()) for block in self.blocks)


def price_space(
    space: SearchSpace, costs: Costs, alignment: int, limits: Mapping[str, int] | None = None, floor: int = 0
) -> PricedSpace:
    """Enumerates and prices the aligned choices of every block.

    Args:
        space: The search space.
        costs: Costs by metric; the first one chooses each block's deployed form.
        alignment: Channels of a branch are a multiple of this.
        limits: Channels that are left of every unit; full widths by default.
        floor: Channels that every block keeps at least, over all its branches together.
    """
    fixed_operators = space.fixed_operators()
    fixed = {metric: cost.base + cost.operators(fixed_operators) for metric, cost in costs.items()}
    blocks = [_price_block(space, block, costs, alignment, limits, floor) for block in space.blocks]
    return PricedSpace(blocks, fixed)


def price_network(
    space: SearchSpace, widths: Mapping[str, int], costs: Costs
) -> tuple[dict[str, str], dict[str, float]]:
    """Prices one network.

    Returns:
        The cheapest deployed form by block, and the cost of the whole network by metric.
    """
    fixed_operators = space.fixed_operators()
    totals = {metric: cost.base + cost.operators(fixed_operators) for metric, cost in costs.items()}
    forms = {}
    for block in space.blocks:
        forms[block], block_costs = price_block(space, block, widths, costs)
        for metric in totals:
            totals[metric] += block_costs[metric]
    return forms, totals


def price_block(
    space: SearchSpace, block: str, widths: Mapping[str, int], costs: Costs
) -> tuple[str, dict[str, float]]:
    """The cheapest deployed form of one block by the first cost, and what it costs by metric."""
    first = next(iter(costs.values()))
    names = space.forms()[block]
    operators = {form: space.block_operators(block, widths, form) for form in (*names, PLAIN)}
    form = min(names, key=lambda name: first.operators(operators[name]))
    return form, {
        metric: cost.operators(operators[form if cost.deployed else PLAIN]) for metric, cost in costs.items()
    }


def _price_block(
    space: SearchSpace, block: str, costs: Costs, alignment: int, limits: Mapping[str, int] | None, floor: int
) -> BlockChoices:
    units = space.blocks[block]
    options = space.block_widths(block, alignment, limits)
    largest = max(sum(option.values()) for option in options)
    options = [option for option in options if sum(option.values()) >= min(floor, largest)]
    priced = [price_block(space, block, option, costs) for option in options]
    rows = [list(block_costs.values()) for _, block_costs in priced]
    table = np.array(rows, dtype=np.float64)
    return BlockChoices(
        block,
        units,
        np.array([[option[unit] for unit in units] for option in options], dtype=np.int64),
        [form for form, _ in priced],
        {metric: table[:, column] for column, metric in enumerate(costs)},
    )
