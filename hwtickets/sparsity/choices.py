"""What can be chosen for each block, and what every choice costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwtickets.modules.space import ModuleSpace
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.coupled import CoupledSpace, price_coupled
from hwtickets.sparsity.pricing import Costs, distinct_rows, price_rows

Array = NDArray[np.float64]


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
    costs: dict[str, Array]

    def values(self, cumulative: Mapping[str, Array]) -> Array:
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

    def largest(self, metric: str) -> float:
        """The cost of the network that is dearest block by block."""
        return self.fixed[metric] + sum(float(block.costs[metric].max()) for block in self.blocks)

    def smallest_widths(self, metric: str) -> dict[str, int]:
        """The network with the lowest cost."""
        return self._widths([int(block.costs[metric].argmin()) for block in self.blocks])

    def sample(self, random: np.random.Generator) -> dict[str, int]:
        """Any network of the space."""
        return self._widths([int(random.integers(len(block.widths))) for block in self.blocks])

    def repriced(self, metric: str, correction: float) -> PricedSpace:
        """The same prices with those of one metric multiplied by a correction."""
        fixed = {**self.fixed, metric: self.fixed[metric] * correction}
        blocks = [
            replace(block, costs={**block.costs, metric: block.costs[metric] * correction})
            for block in self.blocks
        ]
        return PricedSpace(blocks, fixed)

    def _widths(self, rows: list[int]) -> dict[str, int]:
        widths: dict[str, int] = {}
        for block, row in zip(self.blocks, rows, strict=True):
            widths.update(zip(block.units, block.widths[row].tolist(), strict=True))
        return widths


#: A space with its prices, of either kind.
Priced = PricedSpace | CoupledSpace


def price_space(
    space: SearchSpace, costs: Costs, alignment: int, limits: Mapping[str, int] | None = None, floor: int = 0
) -> Priced:
    """Prices a space: of a supernet all aligned choices of every block, of a module every operator.

    Args:
        space: The search space.
        costs: Costs by metric; the first one chooses each block's deployed form.
        alignment: Channels of a branch are a multiple of this.
        limits: Channels that are left of every unit; full widths by default.
        floor: Channels that every block keeps at least, over all its branches together; of a module, that
            every unit keeps.
    """
    if isinstance(space, ModuleSpace):
        return price_coupled(space, costs, alignment, limits, floor)
    blocks = [_price_block(space, block, costs, alignment, limits, floor) for block in space.blocks]
    return PricedSpace(blocks, _fixed(space, costs))


def price_network(
    space: SearchSpace, widths: Mapping[str, int], costs: Costs
) -> tuple[dict[str, str], dict[str, float]]:
    """Prices one network.

    Returns:
        The cheapest deployed form by block, and the cost of the whole network by metric.
    """
    if isinstance(space, ModuleSpace):
        graph = space.graph(widths)
        return {}, {metric: cost.graph(graph) for metric, cost in costs.items()}
    totals = _fixed(space, costs)
    forms = {}
    for block in space.blocks:
        forms[block], block_costs = price_block(space, block, widths, costs)
        for metric in totals:
            totals[metric] += block_costs[metric]
    return forms, totals


def price_networks(space: SearchSpace, widths: NDArray[np.int64], costs: Costs) -> dict[str, Array]:
    """Prices many networks, all blocks in their cheapest deployed forms: `price_network` without the forms.

    Args:
        space: The search space.
        widths: Channels kept, shape (networks, units), units in the order of `space.units`; at least one
            network.
        costs: Costs by metric; the first one chooses the forms.

    Returns:
        Cost of each network by metric, shape (networks,).
    """
    if isinstance(space, ModuleSpace):
        networks = [dict(zip(space.units, row, strict=True)) for row in widths.tolist()]
        each = [price_network(space, network, costs)[1] for network in networks]
        return {metric: np.array([prices[metric] for prices in each]) for metric in costs}
    totals = {metric: np.full(len(widths), cost) for metric, cost in _fixed(space, costs).items()}
    column = {unit: place for place, unit in enumerate(space.units)}
    for block, units in space.blocks.items():
        distinct, which = distinct_rows([widths[:, column[unit]] for unit in units])
        for metric, block_costs in price_rows(space, block, distinct, costs)[1].items():
            totals[metric] += block_costs[which]
    return totals


def price_block(
    space: SearchSpace, block: str, widths: Mapping[str, int], costs: Costs
) -> tuple[str, dict[str, float]]:
    """The cheapest deployed form of one block by the first cost, and what it costs by metric."""
    row = np.array([[widths[unit] for unit in space.blocks[block]]], dtype=np.int64)
    (form,), block_costs = price_rows(space, block, row, costs)
    return form, {metric: float(cost[0]) for metric, cost in block_costs.items()}


def _price_block(
    space: SearchSpace, block: str, costs: Costs, alignment: int, limits: Mapping[str, int] | None, floor: int
) -> BlockChoices:
    units = space.blocks[block]
    options = space.block_widths(block, alignment, limits)
    widths = np.array([[option[unit] for unit in units] for option in options], dtype=np.int64)
    kept = widths.sum(axis=1)
    widths = widths[kept >= min(floor, kept.max())]
    return BlockChoices(block, units, widths, *price_rows(space, block, widths, costs))


def _fixed(space: SearchSpace, costs: Costs) -> dict[str, float]:
    operators = space.fixed_operators()
    return {metric: cost.base + cost.operators(operators) for metric, cost in costs.items()}
