"""One operator between units: what it costs at every width beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwtickets.modules.steps import Step
from hwtickets.space.operators import OperatorSpec

Array = NDArray[np.float64]
#: Which option of every unit is taken; shape (units,).
Choice = NDArray[np.intp]
#: Prices different operators, each once; shape (metrics, specs).
Pricer = Callable[[Sequence[OperatorSpec]], Array]

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
        inside: Which of its units it vanishes with.
        table: Costs, shape (metrics, options of the first unit, of the second, ...); None: priced when met.
        met: Costs by sizes, where there is no table; shape (metrics,) each.
    """

    step: Step
    units: list[int]
    constants: NDArray[np.int64]
    coefficients: NDArray[np.int64]
    inside: list[int]
    table: Array | None = None
    met: dict[tuple[int, ...], Array] = field(default_factory=dict)

    @staticmethod
    def of(step: Step, place: Mapping[str, int]) -> PricedStep:
        """An operator that is not priced yet; `place` numbers the units of the space."""
        forms, units = list(step.forms.values()), list(step.units)
        coefficients = np.zeros((len(forms), len(units)), np.int64)
        for row, form in enumerate(forms):
            for unit, number in form.terms:
                coefficients[row, units.index(unit)] = number
        constants = np.array([form.constant for form in forms], np.int64)
        inside = [column for column, unit in enumerate(units) if unit in step.inside]
        return PricedStep(step, [place[unit] for unit in units], constants, coefficients, inside)

    def combinations(self, options: Sequence[NDArray[np.int64]]) -> int:
        """Width combinations of its units; `options` of all units of the space."""
        return math.prod(len(options[unit]) for unit in self.units)

    def rows(self, options: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
        """All of them, shape (combinations, its units)."""
        axes = np.meshgrid(*(options[unit] for unit in self.units), indexing="ij")
        return np.stack([axis.ravel() for axis in axes], axis=1)

    def sizes(self, rows: NDArray[np.int64]) -> list[tuple[int, ...] | None]:
        """Its sizes at widths of its units, shape (rows, its units); None where it is not there."""
        there = (rows[:, self.inside] > 0).all(axis=1) != self.step.instead
        sizes = self.constants + rows @ self.coefficients.T
        return [
            tuple(row) if present else None
            for row, present in zip(sizes.tolist(), there.tolist(), strict=True)
        ]

    def at_options(
        self, unit: int, options: Sequence[NDArray[np.int64]], choice: Choice, price: Pricer, metrics: int
    ) -> Array:
        """Costs at every option of one of its units, the others as chosen; shape (metrics, options)."""
        if self.table is not None:
            at = (slice(None) if other == unit else choice[other] for other in self.units)
            index = (slice(None), *at)
            found: Array = self.table[index]
            return found
        now = np.array([options[other][choice[other]] for other in self.units])
        rows = np.repeat(now[None], len(options[unit]), axis=0)
        rows[:, self.units.index(unit)] = options[unit]
        keys = self.sizes(rows)
        new = list(dict.fromkeys(key for key in keys if key is not None and key not in self.met))
        if new:
            self.met |= dict(zip(new, price([self.step.spec_of(key) for key in new]).T, strict=True))
        nothing = np.zeros(metrics)
        return np.array([nothing if key is None else self.met[key] for key in keys]).T


def fill_tables(
    steps: Sequence[PricedStep], options: Sequence[NDArray[np.int64]], price: Pricer, metrics: int
) -> None:
    """Prices all operators with few combinations at once: every different spec is asked for once."""
    small = [step for step in steps if step.combinations(options) <= MOST_PRICED]
    sizes = {id(step): step.sizes(step.rows(options)) for step in small}
    specs = [step.step.spec_of(key) for step in small for key in sizes[id(step)] if key is not None]
    prices = price(specs) if specs else np.zeros((metrics, 0))
    begin = 0
    for step in small:
        there = np.array([key is not None for key in sizes[id(step)]])
        costs = np.zeros((metrics, len(there)))
        costs[:, there] = prices[:, begin : begin + int(there.sum())]
        step.table = costs.reshape(metrics, *(len(options[unit]) for unit in step.units))
        begin += int(there.sum())
