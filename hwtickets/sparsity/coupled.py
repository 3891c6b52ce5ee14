"""Prices of spaces whose operators lie between units: what every operator costs at every width beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hwtickets.modules.space import ModuleSpace
from hwtickets.space.operators import OperatorSpec
from hwtickets.sparsity.priced_step import Array, Choice, PricedStep, fill_tables
from hwtickets.sparsity.pricing import Costs


@dataclass
class CoupledSpace:
    """A module's space with its prices.

    Attributes:
        names: Names of the units.
        metrics: Names of the costs.
        options: Widths that each unit may be drawn at, ascending.
        fixed: By metric, the cost of everything that no unit changes.
        steps: The operators that units change.
        beside: For every unit, places of the operators beside it.
        costs: How operators that were not met yet are priced.
        unchanging: The operators that no unit changes, by name.
        grains: The least step of each unit's widths that keeps its tensors aligned.
        branches: Units of every branch that may vanish as a whole: then all of them take their first option,
            no channels.
    """

    names: list[str]
    metrics: list[str]
    options: list[NDArray[np.int64]]
    fixed: dict[str, float]
    steps: list[PricedStep]
    beside: list[list[int]]
    costs: Costs
    unchanging: dict[str, OperatorSpec]
    grains: list[int]
    branches: list[list[int]] = field(default_factory=list)
    _met: dict[OperatorSpec, Array] = field(default_factory=dict)
    _smallest: dict[str, Choice] = field(default_factory=dict)

    def widths(self, choice: Choice) -> dict[str, int]:
        """Channels kept by unit."""
        picked = zip(self.names, self.options, choice.tolist(), strict=True)
        return {name: int(options[place]) for name, options, place in picked}

    def beside_unit(self, unit: int, choice: Choice) -> Array:
        """Costs of the operators beside one unit at each of its options, shape (metrics, options)."""
        total = np.zeros((len(self.metrics), len(self.options[unit])))
        for place in self.beside[unit]:
            total += self._at_options(self.steps[place], unit, choice)
        return total

    def total(self, choice: Choice) -> Array:
        """Costs of the whole network, shape (metrics,)."""
        return self.part(range(len(self.steps)), choice, [self.fixed[metric] for metric in self.metrics])

    def part(self, places: Iterable[int], choice: Choice, begin: Sequence[float] = ()) -> Array:
        """Costs of some of the operators on top of some costs, shape (metrics,)."""
        total = np.array(begin or [0.0] * len(self.metrics))
        for priced in (self.steps[place] for place in places):
            if priced.table is not None:
                place = (slice(None), *choice[priced.units].tolist())
                total = total + priced.table[place]
            else:
                total = total + self._at_options(priced, priced.units[0], choice)[:, choice[priced.units[0]]]
        return total

    def smallest(self, metric: str) -> float:
        """The lowest cost that was found for any network of the space."""
        return float(self.total(self.smallest_choice(metric))[self.metrics.index(metric)])

    def smallest_choice(self, metric: str) -> Choice:
        """The cheapest network by one metric: from the narrowest one, unit by unit as long as that helps."""
        if metric not in self._smallest:
            row = self.metrics.index(metric)
            choice = np.zeros(len(self.names), np.intp)
            changed = True
            while changed:
                changed = False
                for unit in range(len(self.names)):
                    prices = self.beside_unit(unit, choice)[row]
                    best = int(prices.argmin())
                    if prices[best] < prices[choice[unit]]:
                        choice[unit], changed = best, True
            self._smallest[metric] = choice
        return self._smallest[metric].copy()

    def dearest(self, metric: str) -> str:
        """The operator that costs the most in the cheapest network, e.g. one that no unit changes."""
        widths = self.smallest_widths(metric)
        cost = self.costs[metric]
        steps = [priced.step for priced in self.steps if priced.step.present(widths)]
        names = [*self.unchanging, *(step.name for step in steps)]
        specs = [*self.unchanging.values(), *(step.spec_at(widths) for step in steps)]
        return names[int(np.argmax(cost.each(specs)))]

    def largest(self, metric: str) -> float:
        """What the widest network costs."""
        return float(self.total(self.widest())[self.metrics.index(metric)])

    def widest(self) -> Choice:
        """Every unit at its widest option."""
        return np.array([len(options) - 1 for options in self.options], np.intp)

    def smallest_widths(self, metric: str) -> dict[str, int]:
        """The network with the lowest cost."""
        return self.widths(self.smallest_choice(metric))

    def sample(self, random: np.random.Generator) -> dict[str, int]:
        """Any network of the space."""
        choice = np.array([random.integers(len(options)) for options in self.options], np.intp)
        for units in self.branches:
            if not choice[units].all():
                choice[units] = 0
        return self.widths(choice)

    def repriced(self, metric: str, correction: float) -> CoupledSpace:
        """The same prices with those of one metric multiplied by a correction."""
        scale = np.ones(len(self.metrics))
        scale[self.metrics.index(metric)] = correction
        steps = [
            replace(
                priced,
                table=None
                if priced.table is None
                else priced.table * scale.reshape(-1, *[1] * len(priced.units)),
                met={},
            )
            for priced in self.steps
        ]
        fixed = {**self.fixed, metric: self.fixed[metric] * correction}
        met = {spec: prices * scale for spec, prices in self._met.items()}
        cost = self.costs[metric]
        scaled = replace(
            cost,
            base=cost.base * correction,
            of=lambda spec: cost.of(spec) * correction,
            of_many=lambda specs: [price * correction for price in cost.each(specs)],
        )
        return replace(
            self, steps=steps, fixed=fixed, costs={**self.costs, metric: scaled}, _met=met, _smallest={}
        )

    def _at_options(self, priced: PricedStep, unit: int, choice: Choice) -> Array:
        return priced.at_options(unit, self.options, choice, self.each, len(self.metrics))

    def each(self, specs: Sequence[OperatorSpec]) -> Array:
        """Costs of operators, every different one priced once; shape (metrics, specs)."""
        new = list(dict.fromkeys(spec for spec in specs if spec not in self._met))
        if new:
            prices = np.array([cost.each(new) for cost in self.costs.values()], np.float64)
            self._met |= dict(zip(new, prices.T, strict=True))
        return np.stack([self._met[spec] for spec in specs], axis=1)


def price_coupled(
    space: ModuleSpace, costs: Costs, alignment: int, limits: Mapping[str, int] | None = None, floor: int = 0
) -> CoupledSpace:
    """Prices every operator of a module at all aligned widths of the units beside it.

    Args:
        space: The search space.
        costs: Costs by metric.
        alignment: Channels are multiples of this.
        limits: Channels that are left of every unit; full widths by default.
        floor: Channels that every unit keeps at least; above 0 no branch vanishes.
    """
    names = list(space.units)
    options = [_options(space, name, alignment, limits, floor) for name in names]
    place = {name: number for number, name in enumerate(names)}
    changing = [step for step in space.steps if step.units]
    unchanging = {step.name: step.spec for step in space.steps if not step.units}
    specs = list(unchanging.values())
    fixed = {metric: cost.base + sum(cost.each(specs)) for metric, cost in costs.items()}
    priced = [PricedStep.of(step, place) for step in changing]
    beside: list[list[int]] = [[] for _ in names]
    for number, one in enumerate(priced):
        for unit in one.units:
            beside[unit].append(number)
    branches = [[place[unit] for unit in units] for units in space.branches.values()] if not floor else []
    grains = [space.step(name, alignment) for name in names]
    coupled = CoupledSpace(
        names, list(costs), options, fixed, priced, beside, costs, unchanging, grains, branches
    )
    fill_tables(priced, options, coupled.each, len(coupled.metrics))
    return coupled


def _options(
    space: ModuleSpace, name: str, alignment: int, limits: Mapping[str, int] | None, floor: int
) -> NDArray[np.int64]:
    limit = limits[name] if limits else space.units[name].width
    widths = np.array(space.widths_allowed(name, alignment, limit), np.int64)
    widths = widths[widths * space.channels_of(name) >= min(floor, limit * space.channels_of(name))]
    vanishing = not floor and space.units[name].residual is not None
    return np.union1d(widths, [0]) if vanishing else widths
