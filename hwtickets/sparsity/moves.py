"""Small changes of a network of a coupled space: one unit to another width, or a branch away and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwtickets.sparsity.coupled import CoupledSpace
from hwtickets.sparsity.priced_step import Array, Choice

#: Pairs of neighbours that are exchanged; none in spaces with more.
MOST_NEIGHBOURS = 200


@dataclass(frozen=True)
class Moves:
    """Changes of one network.

    Attributes:
        owner: The unit that each move changes; from the number of units on, a branch of several units.
        option: Its new option; of a branch 0 for none, or a level that all of its units are raised to.
        gain: Value that it brings.
        cost: What it costs, shape (moves, metrics).
    """

    owner: NDArray[np.intp]
    option: NDArray[np.intp]
    gain: Array
    cost: Array


class Neighbourhood:
    """The networks around one.

    Units of a branch that may vanish have no channels all at once: so of a branch with several units, single
    moves neither take the last channels of one nor bring its first, but the branch goes and comes in a move
    of its own. A branch with one unit needs none.

    Args:
        priced: The space.
        values: Value of every option of each unit.
        rows: Which of its metrics count.
    """

    def __init__(self, priced: CoupledSpace, values: Sequence[Array], rows: Sequence[int]) -> None:
        self._priced, self._values, self._rows = priced, values, list(rows)
        self.branches = [units for units in priced.branches if len(units) > 1]
        self._joint = {unit for units in self.branches for unit in units}
        self._beside = [
            sorted({step for unit in units for step in priced.beside[unit]}) for units in self.branches
        ]
        #: What may be changed at once only alone: a number for every unit and branch.
        self.family = np.arange(len(values) + len(self.branches))
        for number, units in enumerate(self.branches):
            self.family[units] = len(values) + number

    def allowed(self, unit: int, choice: Choice) -> NDArray[np.bool_]:
        """Options that a unit may take alone."""
        allowed = np.ones(len(self._values[unit]), np.bool_)
        if unit in self._joint:
            allowed[:] = choice[unit] > 0
            allowed[0] = choice[unit] == 0
        return allowed

    def costs(self, unit: int, choice: Choice) -> Array:
        """Costs beside a unit at each of its options, shape (metrics, options)."""
        found: Array = self._priced.beside_unit(unit, choice)[self._rows]
        return found

    def around(self, branch: int, choice: Choice) -> Array:
        """Costs of the operators beside the units of a branch, shape (metrics,)."""
        found: Array = self._priced.part(self._beside[branch], choice)[self._rows]
        return found

    def levels(self, branch: int, choice: Choice) -> Iterator[int]:
        """Where a branch may go as a whole: away, or back."""
        if choice[self.branches[branch]].any():
            yield 0
            return
        # The units of a branch that a shrink took away have no other option.
        yield from range(1, max(len(self._values[unit]) for unit in self.branches[branch]))

    def moved(self, choice: Choice, owner: int, option: int) -> Choice:
        """A network after one change."""
        moved = choice.copy()
        if owner < len(self._values):
            moved[owner] = option
            return moved
        units = self.branches[owner - len(self._values)]
        most = max(len(self._values[unit]) for unit in units) - 1
        for unit in units:
            own = len(self._values[unit]) - 1
            moved[unit] = max(1, round(option * own / most)) if option else 0
        return moved

    def moves(self, choice: Choice) -> Moves:
        """Every change of one unit, or of one branch."""
        owner, option, gain, cost = [], [], [], []
        for unit, values in enumerate(self._values):
            costs, now = self.costs(unit, choice), choice[unit]
            allowed = self.allowed(unit, choice)
            allowed[now] = False
            others = np.flatnonzero(allowed)
            owner.append(np.full(len(others), unit))
            option.append(others)
            gain.append(values[others] - values[now])
            cost.append((costs[:, others] - costs[:, [now]]).T)
        for branch in range(len(self.branches)):
            place, costs = len(self._values) + branch, self.around(branch, choice)
            for level in self.levels(branch, choice):
                there = self.moved(choice, place, level)
                owner.append(np.array([place]))
                option.append(np.array([level]))
                gain.append(np.array([self._value(branch, there) - self._value(branch, choice)]))
                cost.append((self.around(branch, there) - costs)[None])
        return Moves(*(np.concatenate(part) for part in (owner, option, gain, cost)))

    def _value(self, branch: int, choice: Choice) -> float:
        return sum(float(self._values[unit][choice[unit]]) for unit in self.branches[branch])

    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of units with an operator between them; none in spaces where these are too many to try."""
        steps = self._priced.steps
        pairs = {(one, other) for step in steps for one in step.units for other in step.units if one < other}
        return sorted(pairs) if len(pairs) <= MOST_NEIGHBOURS else []
