"""Prices of spaces whose operators lie between units: what every operator costs at every width beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hwtickets.modules.space import ModuleSpace
from hwtickets.modules.steps import Step
from hwtickets.space.operators import OperatorSpec
from hwtickets.sparsity.pricing import Costs

Array = NDArray[np.float64]
#: Which option of every unit is taken; shape (units,).
Choice = NDArray[np.intp]

#: Width combinations of one operator that are priced beforehand; of operators with more, those that are met.
MOST_PRICED = 3000


@dataclass
class PricedStep:
    """One operator at all widths of the units beside it.

    Attributes:
        step: The operator.
        units: Places of its units in the space.
        constants: Sizes of the operator that no unit changes, shape (sizes,).
        coefficients: What a channel of a unit adds to a size, shape (sizes, units).
        table: Costs, shape (metrics, options of the first unit, of the second, ...); None: priced when met.
        met: Costs by sizes, where there is no table; shape (metrics,) each.
    """

    step: Step
    units: list[int]
    constants: NDArray[np.int64]
    coefficients: NDArray[np.int64]
    table: Array | None = None
    met: dict[tuple[int, ...], Array] = field(default_factory=dict)

    @staticmethod
    def of(step: Step, place: Mapping[str, int]) -> PricedStep:
        """An operator that is not priced yet; `place` numbers the units of the space."""
        forms, units = list(step.forms.values()), list(step.units)
        coefficients = np.array([[dict(form.terms).get(unit, 0) for unit in units] for form in forms])
        constants = np.array([form.constant for form in forms])
        return PricedStep(step, [place[unit] for unit in units], constants, coefficients)


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
    """

    names: list[str]
    metrics: list[str]
    options: list[NDArray[np.int64]]
    fixed: dict[str, float]
    steps: list[PricedStep]
    beside: list[list[int]]
    costs: Costs
    unchanging: dict[str, OperatorSpec]
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
        total = np.array([self.fixed[metric] for metric in self.metrics])
        for priced in self.steps:
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
        names = [*self.unchanging, *(priced.step.name for priced in self.steps)]
        specs = [*self.unchanging.values(), *(priced.step.spec_at(widths) for priced in self.steps)]
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
        return self.widths(np.array([random.integers(len(options)) for options in self.options], np.intp))

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
        if priced.table is not None:
            at = (slice(None) if other == unit else choice[other] for other in priced.units)
            index = (slice(None), *at)
            found: Array = priced.table[index]
            return found
        now = np.array([self.options[other][choice[other]] for other in priced.units])
        column = priced.units.index(unit)
        sizes = priced.constants + priced.coefficients @ now
        change = np.outer(self.options[unit] - now[column], priced.coefficients[:, column])
        keys = list(map(tuple, (sizes + change).tolist()))
        new = [key for key in keys if key not in priced.met]
        if new:
            prices = self._each([priced.step.spec_of(key) for key in new])
            priced.met |= dict(zip(new, prices.T, strict=True))
        return np.array([priced.met[key] for key in keys]).T

    def _each(self, specs: Sequence[OperatorSpec]) -> Array:
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
        floor: Channels that every unit keeps at least.
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
    coupled = CoupledSpace(names, list(costs), options, fixed, priced, beside, costs, unchanging)
    _fill(coupled)
    return coupled


def _options(
    space: ModuleSpace, name: str, alignment: int, limits: Mapping[str, int] | None, floor: int
) -> NDArray[np.int64]:
    limit = limits[name] if limits else space.units[name].width
    widths = np.array(space.widths_allowed(name, alignment, limit), np.int64)
    return widths[widths * space.channels_of(name) >= min(floor, limit * space.channels_of(name))]


def _fill(coupled: CoupledSpace) -> None:
    """Prices all operators with few combinations at once: every different spec is asked for once."""
    grids = []
    for priced in coupled.steps:
        counts = [len(coupled.options[unit]) for unit in priced.units]
        if math.prod(counts) > MOST_PRICED:
            continue
        names = [coupled.names[unit] for unit in priced.units]
        axes = np.meshgrid(*(coupled.options[unit] for unit in priced.units), indexing="ij")
        rows = np.stack([axis.ravel() for axis in axes], axis=1).tolist()
        specs = [priced.step.spec_at(dict(zip(names, row, strict=True))) for row in rows]
        grids.append((priced, counts, specs))
    prices = coupled._each([spec for _, _, specs in grids for spec in specs]) if grids else np.zeros((0, 0))
    begin = 0
    for priced, counts, specs in grids:
        part = prices[:, begin : begin + len(specs)]
        priced.table = part.reshape(len(coupled.metrics), *counts)
        begin += len(specs)
