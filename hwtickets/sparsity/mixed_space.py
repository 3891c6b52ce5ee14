"""Widths and precision of every part, drawn together: the most important network within its budgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwtickets.sparsity.allocation import Allocation, infeasible, not_at_once
from hwtickets.sparsity.choices import BlockChoices
from hwtickets.sparsity.importance import Scores
from hwtickets.sparsity.knapsack import kept_by_width, silent_solver, undominated, up_to_width
from hwtickets.sparsity.precisions import Border

Array = NDArray[np.float64]
#: Metric of what the precisions cost in the task's score, in its unit.
DROP = "drop"
#: A point of the score that a precision costs weighs as much as this share of all importance: with all of it
#: the whole score of 100 would be gone.
_POINT = 0.01


@dataclass(frozen=True)
class MixedPart:
    """All choices of one part: its width combinations, each in every precision.

    Attributes:
        choices: Widths, forms and costs, `DROP` among them; no units where the part has nothing to cut.
        precisions: Of every choice.
    """

    choices: BlockChoices
    precisions: list[str]

    @property
    def name(self) -> str:
        """Name of the part."""
        return self.choices.block

    def rows(self, precision: str) -> NDArray[np.intp]:
        """Places of the choices in a precision."""
        return np.flatnonzero([own == precision for own in self.precisions])


@dataclass(frozen=True)
class MixedSpace:
    """A search space whose parts also have a precision each.

    Attributes:
        parts: What can be chosen.
        fixed: By metric, the cost of a network without parts.
        borders: Tensors between parts; a conversion is paid where precisions differ.
        max_drop: What the precisions may cost together, in the unit of `DROP`.
    """

    parts: list[MixedPart]
    fixed: dict[str, float]
    borders: list[Border]
    max_drop: float

    def smallest(self, metric: str) -> float:
        """The lowest cost that any network has whose precisions cost no more than they may."""
        aims = [-part.choices.costs[metric] for part in self.parts]
        chosen = _solve(self, aims, {}, conversion=1.0 if metric == "latency" else 0.0)
        assert chosen is not None, "the first precision costs no score"
        return self.costs(chosen)[metric]

    def repriced(self, correction: float) -> MixedSpace:
        """The same space with all latencies multiplied by a correction."""

        def scaled(costs: dict[str, Array]) -> dict[str, Array]:
            return {**costs, "latency": costs["latency"] * correction}

        parts = [
            replace(part, choices=replace(part.choices, costs=scaled(part.choices.costs)))
            for part in self.parts
        ]
        borders = [replace(border, change_ms=border.change_ms * correction) for border in self.borders]
        fixed = {**self.fixed, "latency": self.fixed["latency"] * correction}
        return MixedSpace(parts, fixed, borders, self.max_drop)

    def precisions(self, chosen: list[int]) -> dict[str, str]:
        """Precision by part of a network, given the place of every part's choice."""
        return {part.name: part.precisions[row] for part, row in zip(self.parts, chosen, strict=True)}

    def costs(self, chosen: list[int]) -> dict[str, float]:
        """Cost of a network by metric, conversions included."""
        totals = dict(self.fixed)
        for part, row in zip(self.parts, chosen, strict=True):
            for metric in totals:
                totals[metric] += float(part.choices.costs[metric][row])
        precisions = self.precisions(chosen)
        totals["latency"] += sum(border.change_ms * border.changes(precisions) for border in self.borders)
        return totals


def allocate_mixed(space: MixedSpace, scores: Scores, limits: Mapping[str, float]) -> Allocation:
    """Draws the most important network within the limits, the precision of every part with its widths.

    The knapsack of `allocate` with a choice for every width and precision, and a price for every tensor that
    is converted; HiGHS solves it exactly. What precisions cost in score is limited, and taken off the value:
    a point as much as a hundredth of all importance.

    Args:
        space: Choices and costs.
        scores: Importance of every channel that is left, by unit; a missing unit counts as worthless.
        limits: Upper limit of the whole network by metric, in the units of the costs.

    Raises:
        BudgetError: No network of the space fits; names the nearest feasible limit.
    """
    for metric, limit in limits.items():
        nearest = space.smallest(metric)
        if nearest > limit:
            raise infeasible(metric, limit, nearest)
    cumulative = {unit: kept_by_width(scores, unit) for part in space.parts for unit in part.choices.units}
    total = sum(float(values[-1]) for values in cumulative.values()) or 1.0
    kept = [part.choices.values(up_to_width(cumulative, part.choices)) / total for part in space.parts]
    values = [
        value - _POINT * part.choices.costs[DROP] for value, part in zip(kept, space.parts, strict=True)
    ]
    chosen = _solve(space, values, limits)
    if chosen is None:
        raise not_at_once(limits)
    widths: dict[str, int] = {}
    forms: dict[str, str] = {}
    for part, row in zip(space.parts, chosen, strict=True):
        own = part.choices
        if own.units:
            widths.update(zip(own.units, own.widths[row].tolist(), strict=True))
            forms[own.block] = own.forms[row]
    value = sum(float(values[row]) for values, row in zip(kept, chosen, strict=True))
    return Allocation(widths, forms, space.costs(chosen), value, space.precisions(chosen))


def _solve(
    space: MixedSpace, values: list[Array], limits: Mapping[str, float], conversion: float = 0.0
) -> list[int] | None:
    """The place of every part's choice, such that the values sum to the most within the limits.

    Args:
        space: Choices and costs.
        values: Of every part's choices, shape (choices,) each.
        limits: By metric; `DROP` is limited besides.
        conversion: What a millisecond of conversions takes off the value.

    Returns:
        None if nothing fits.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    limits = {**limits, DROP: space.max_drop}
    kept = [_telling(part, value, list(limits)) for part, value in zip(space.parts, values, strict=True)]
    program = _Program(space, kept)
    change_ms = program.change_ms
    own = np.concatenate([value[rows] for value, rows in zip(values, kept, strict=True)])
    constraints = [
        LinearConstraint(program.one_each, 1, 1),
        *([LinearConstraint(program.conversions, 0, np.inf)] if space.borders else []),
    ]
    for metric, limit in limits.items():
        costs = np.concatenate(
            [part.choices.costs[metric][rows] for part, rows in zip(space.parts, kept, strict=True)]
        )
        row = np.concatenate([costs, change_ms if metric == "latency" else np.zeros_like(change_ms)])
        room = limit - space.fixed[metric]
        scale = max(abs(room), float(np.abs(row).max(initial=0)), 1e-12)
        constraints.append(LinearConstraint(csr_array(row[None] / scale), -np.inf, room / scale))
    with silent_solver():
        solution = milp(
            np.concatenate([-own, conversion * change_ms]),
            constraints=constraints,
            integrality=np.repeat([1, 0], [len(own), len(change_ms)]),
            bounds=Bounds(0, 1),
            options={"mip_rel_gap": 0.0},
        )
    if solution.x is None:
        return None
    ends = np.cumsum([len(rows) for rows in kept])
    parts = np.split(solution.x[: len(own)], ends[:-1])
    return [int(rows[part.argmax()]) for rows, part in zip(kept, parts, strict=True)]


def _telling(part: MixedPart, values: Array, metrics: list[str]) -> NDArray[np.intp]:
    """Places of the choices that no other one of the same precision beats in value and in every cost."""
    found = []
    for precision in dict.fromkeys(part.precisions):
        rows = part.rows(precision)
        costs = {metric: part.choices.costs[metric][rows] for metric in metrics}
        found.append(rows[undominated(replace(part.choices, costs=costs), values[rows], metrics)])
    return np.concatenate(found)


class _Program:
    """The rows that tie the variables together: first the choices of all parts, then the conversions.

    Args:
        space: Choices and borders.
        kept: Places of the choices that are variables, by part.
    """

    def __init__(self, space: MixedSpace, kept: list[NDArray[np.intp]]) -> None:
        names = [part.name for part in space.parts]
        owner = np.repeat(np.arange(len(kept)), [len(rows) for rows in kept])
        precision = np.array(
            [part.precisions[row] for part, rows in zip(space.parts, kept, strict=True) for row in rows]
        )
        every = list(dict.fromkeys(precision.tolist()))
        variables = len(owner) + len(space.borders) * len(every)
        self.change_ms: Array = np.repeat(
            np.array([border.change_ms for border in space.borders], dtype=np.float64), len(every)
        )
        self.one_each: Array = np.zeros((len(kept), variables))
        self.one_each[owner, np.arange(len(owner))] = 1
        rows: list[Array] = []
        for number, border in enumerate(space.borders):
            for place, wanted in enumerate(every):
                for consumer in border.consumers:
                    row = np.zeros(variables)
                    row[len(owner) + number * len(every) + place] = 1
                    inside = np.flatnonzero(precision == wanted)
                    row[inside[owner[inside] == names.index(consumer)]] -= 1
                    row[inside[owner[inside] == names.index(border.producer)]] += 1
                    rows.append(row)
        #: A border is converted to a precision if a consumer has it and the producer has not.
        self.conversions: Array = np.array(rows)
