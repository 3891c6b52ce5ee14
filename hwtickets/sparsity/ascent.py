"""The draw from a coupled space: Lagrangian coordinate ascent, then moves at exact costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hwtickets.sparsity.coupled import CoupledSpace
from hwtickets.sparsity.moves import Moves, Neighbourhood
from hwtickets.sparsity.priced_step import Array, Choice

#: Halvings of the multiplier, rounds over weights of several budgets, and the range that multipliers lie in
#: (both values and costs are shares of a whole).
_HALVINGS, _ROUNDS, _RANGE = 18, 3, (1e-3, 1e3)
#: Units of the largest space whose units are forced one by one.
MOST_KICKED = 30


class Ascent:
    """Looks for the most valuable network within limits.

    With a multiplier on the costs, a unit's best width given the others' is one look at its options; units
    are gone through until none changes. The multiplier is halved in until the limits are just kept. What is
    left of the budget goes to single moves and exchanges of two units at exact costs. Branches that may
    vanish come and go as a whole, at the value of all channels in them.
    Source: Lagrangian relaxation as in ChamNet (1812.08934), section 3.3, with coordinate ascent as costs
    couple neighbours.

    Args:
        priced: The space.
        values: Value of every option of each unit.
        limits: Upper limits by metric.
    """

    def __init__(self, priced: CoupledSpace, values: Sequence[Array], limits: Mapping[str, float]) -> None:
        self._priced, self._values = priced, list(values)
        self._rows = [priced.metrics.index(metric) for metric in limits]
        self._limits = np.array(list(limits.values()), np.float64)
        self._near = Neighbourhood(priced, self._values, self._rows)
        self._pairs = self._near.pairs()
        self._best: Choice | None = None
        self._best_value = -np.inf

    def run(self) -> Choice | None:
        """The best network that was found, or None where none keeps all limits."""
        for metric in (self._priced.metrics[row] for row in self._rows):
            self._offer(self._priced.smallest_choice(metric))
        if self._best is None:
            self._offer(self._least_over())
        if self._best is None:
            return None
        self._offer(self._priced.widest())
        weights = np.ones(len(self._rows))
        for _ in range(_ROUNDS if len(self._rows) > 1 else 1):
            usage = self._usage(self._bisect(weights))
            weights *= np.maximum(usage, 1e-6) ** 4
            weights /= weights.mean()
        return self._kicked(self._polished(self._best))

    def improved(self, choice: Choice) -> Choice:
        """A network within the limits after the moves that help it."""
        return self._polished(choice)

    def _kicked(self, choice: Choice) -> Choice:
        """Forces one unit a step up or down, mends the rest, keeps what is better: out of local optima."""
        if len(self._values) > MOST_KICKED:
            return choice
        for owner, option in self._kicks(choice):
            mended = self._mended(self._near.moved(choice, owner, option), owner)
            if mended is not None and self._value(mended) > self._value(choice) + 1e-12:
                return self._kicked(mended)
        return choice

    def _kicks(self, choice: Choice) -> Iterator[tuple[int, int]]:
        for unit in range(len(self._values)):
            allowed = self._near.allowed(unit, choice)
            for option in (int(choice[unit]) - 1, int(choice[unit]) + 1):
                if 0 <= option < len(allowed) and allowed[option]:
                    yield unit, option
        for branch in range(len(self._near.branches)):
            for level in self._near.levels(branch, choice):
                yield len(self._values) + branch, level

    def _mended(self, choice: Choice, held: int) -> Choice | None:
        """A network within the limits near another one: the least is given up for what is saved."""
        family = self._near.family
        while not self._fits(choice):
            moves = self._near.moves(choice)
            over = np.maximum(self._priced.total(choice)[self._rows] - self._limits, 0.0)
            saved = (np.minimum(-moves.cost, over) / self._limits).sum(1)
            saved[family[moves.owner] == family[held]] = 0.0
            if saved.max(initial=0.0) <= 0:
                return None
            ratio = np.where(saved > 0, saved / np.maximum(-moves.gain, 1e-12), 0.0)
            choice = self._moved(choice, moves, [int(ratio.argmax())])
        return self._polished(choice)

    def _bisect(self, weights: Array) -> Choice:
        """The network at the multiplier that just keeps the limits."""
        low, high = _RANGE
        outside, inside = self._priced.widest(), self._best
        assert inside is not None
        for _ in range(_HALVINGS):
            multiplier = float(np.sqrt(low * high))
            found = [self._ascend(start, multiplier * weights) for start in (outside, inside)]
            choice = max(found, key=lambda one: self._balance(one, multiplier * weights))
            for one in found:
                self._offer(one)
            if self._fits(choice):
                high, inside = multiplier, choice
            else:
                low, outside = multiplier, choice
        return inside

    def _ascend(self, start: Choice, multipliers: Array) -> Choice:
        choice, prices = start.copy(), multipliers / self._limits
        for _ in range(20):
            before = choice.copy()
            self._pass(choice, range(len(self._values)), prices)
            for branch in range(len(self._near.branches)):
                choice = self._branched(choice, branch, prices)
            if (choice == before).all():
                break
        return choice

    def _pass(self, choice: Choice, units: Iterable[int], prices: Array) -> None:
        """Every unit at its best width, one after the other, in place."""
        for unit in units:
            gains = self._values[unit] - prices @ self._near.costs(unit, choice)
            gains[~self._near.allowed(unit, choice)] = -np.inf
            best = int(gains.argmax())
            if gains[best] > gains[choice[unit]]:
                choice[unit] = best

    def _branched(self, choice: Choice, branch: int, prices: Array) -> Choice:
        """The better network with or without a branch, its units at their best widths then."""
        found = [choice]
        for level in self._near.levels(branch, choice):
            moved = self._near.moved(choice, len(self._values) + branch, level)
            self._pass(moved, self._near.branches[branch], prices)
            found.append(moved)
        worth = [self._value(one) - float(prices @ self._near.around(branch, one)) for one in found]
        return found[int(np.argmax(worth))]

    def _least_over(self) -> Choice:
        """A network near the one that exceeds its limits the least."""
        none = [np.zeros(len(values)) for values in self._values]
        weights = np.ones(len(self._rows))
        asked, self._values = self._values, none
        choice = best = self._priced.smallest_choice(self._priced.metrics[self._rows[0]])
        for _ in range(_HALVINGS):
            choice = self._ascend(choice, weights)
            if self._usage(choice).max() < self._usage(best).max():
                best = choice
            weights *= self._usage(choice) ** 4
            weights /= weights.mean()
        self._values = asked
        return best

    def _polished(self, choice: Choice) -> Choice:
        """Single moves and exchanges of two units, the best first, as long as one helps."""
        if not self._values:
            return choice
        for _ in range(10 * len(self._values) + 50):
            better = self._improved(choice)
            if better is None:
                return choice
            choice = better
        return choice

    def _improved(self, choice: Choice) -> Choice | None:
        moves = self._near.moves(choice)
        owner, gain, cost = moves.owner, moves.gain, moves.cost
        room = self._limits - self._priced.total(choice)[self._rows]
        single = np.flatnonzero((gain > 1e-12) & (cost <= room).all(1))
        if len(single):
            ratio = gain[single] / np.maximum((cost[single] / self._limits).max(1), 1e-9)
            moved = self._moved(choice, moves, [int(single[ratio.argmax()])])
            if self._fits(moved):
                return moved
        both = gain[:, None] + gain[None]
        fits = (cost[:, None] + cost[None] <= room).all(2) & self._together(owner) & (both > 1e-12)
        pairs = np.argwhere(fits)
        for one, other in pairs[np.argsort(-both[fits])][:20]:
            moved = self._moved(choice, moves, [int(one), int(other)])
            if self._fits(moved):
                return moved
        return self._exchanged(choice)

    def _exchanged(self, choice: Choice) -> Choice | None:
        """The best exchange of two neighbours: where one grows and the other shrinks, sums overrate costs."""
        best, best_gain = None, 1e-12
        room = self._limits - self._priced.total(choice)[self._rows]
        for one, other in self._pairs:
            now = self._near.costs(one, choice)
            allowed = self._near.allowed(other, choice)
            for option in np.flatnonzero(self._near.allowed(one, choice)):
                moved = choice.copy()
                moved[one] = option
                costs = self._near.costs(other, moved)
                change = costs - costs[:, [choice[other]]] + (now[:, option] - now[:, choice[one]])[:, None]
                gains = self._values[other] - self._values[other][choice[other]]
                gains = gains + self._values[one][option] - self._values[one][choice[one]]
                gains = np.where((change <= room[:, None]).all(0) & allowed, gains, -np.inf)
                moved[other] = int(gains.argmax())
                if gains.max() > best_gain and self._fits(moved):
                    best, best_gain = moved, float(gains.max())
        return best

    def _together(self, owner: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Which pairs of moves, the first before the second, go together: not a branch and a unit in it."""
        family, whole = self._near.family[owner], owner >= len(self._values)
        clash = (family[:, None] == family[None]) & (whole[:, None] | whole[None])
        together: NDArray[np.bool_] = (owner[:, None] < owner[None]) & ~clash
        return together

    def _moved(self, choice: Choice, moves: Moves, which: Sequence[int]) -> Choice:
        for move in which:
            choice = self._near.moved(choice, int(moves.owner[move]), int(moves.option[move]))
        return choice

    def _balance(self, choice: Choice, multipliers: Array) -> float:
        return self._value(choice) - float(multipliers @ self._usage(choice))

    def _value(self, choice: Choice) -> float:
        return sum(float(values[place]) for values, place in zip(self._values, choice, strict=True))

    def _usage(self, choice: Choice) -> Array:
        """Shares of the limits that a network takes."""
        usage: Array = self._priced.total(choice)[self._rows] / self._limits
        return usage

    def _fits(self, choice: Choice) -> bool:
        return bool((self._priced.total(choice)[self._rows] <= self._limits).all())

    def _offer(self, choice: Choice) -> None:
        if self._fits(choice) and self._value(choice) > self._best_value:
            self._best, self._best_value = choice.copy(), self._value(choice)
