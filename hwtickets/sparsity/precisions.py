"""Precision as a choice: which parts of a drawn network compute in which precision, solved exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwtickets.budgets import format_amount
from hwtickets.errors import BudgetError
from hwtickets.sparsity.knapsack import silent_solver

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Border:
    """A tensor between parts of a network; it is converted once for every other precision that reads it.

    Attributes:
        producer: The part that computes it.
        consumers: The parts that read it.
        change_ms: What one conversion costs.
    """

    producer: str
    consumers: tuple[str, ...]
    change_ms: float

    def changes(self, chosen: Mapping[str, str]) -> int:
        """How many conversions it needs, given the precision of every part."""
        return len({chosen[consumer] for consumer in self.consumers} - {chosen[self.producer]})


@dataclass(frozen=True)
class PrecisionColumns:
    """What every part of a network costs in each precision.

    Attributes:
        parts: Names of the parts.
        precisions: Names of the precisions.
        latency_ms: Shape (parts, precisions).
        loss: What a part loses in a precision, in one unit for all, shape (parts, precisions).
        borders: Tensors between the parts.
    """

    parts: list[str]
    precisions: list[str]
    latency_ms: Array
    loss: Array
    borders: list[Border]

    def latency_of(self, chosen: Mapping[str, str]) -> float:
        """Predicted latency in ms of a network, given the precision of every part."""
        columns = [self.precisions.index(chosen[part]) for part in self.parts]
        own = float(self.latency_ms[np.arange(len(self.parts)), columns].sum())
        return own + sum(border.change_ms * border.changes(chosen) for border in self.borders)


@dataclass(frozen=True)
class PrecisionChoice:
    """A solved choice.

    Attributes:
        precisions: By part.
        latency_ms: Predicted.
        loss: Sum over the parts, in the unit of the columns.
    """

    precisions: dict[str, str]
    latency_ms: float
    loss: float


def choose_precisions(columns: PrecisionColumns, limit_ms: float) -> PrecisionChoice:
    """Chooses the precision of every part: the least loss within a latency, and of equals the fastest.

    A multiple-choice knapsack with prices at the borders; HiGHS solves it exactly.
    Source: HAWQ-V3 (2011.10680), "Mixed Precision and Integer Linear Programming", without the borders.

    Args:
        columns: Costs.
        limit_ms: Latency of the whole network.

    Raises:
        BudgetError: No choice is so fast; names the fastest one.
    """
    found = _solved(columns, "loss", limit_ms)
    if found is not None:
        return _solved(columns, "latency", limit_ms, found.loss) or found
    nearest_ms = fastest_choice(columns).latency_ms
    raise BudgetError(
        f"budget latency {format_amount('latency', limit_ms)} is below every mix of"
        f" {' and '.join(columns.precisions)} of this ticket; the nearest feasible one is"
        f" {format_amount('latency', nearest_ms)}"
    )


def fastest_choice(columns: PrecisionColumns) -> PrecisionChoice:
    """The choice with the lowest predicted latency."""
    found = _solved(columns, "latency")
    assert found is not None
    return found


def _solved(
    columns: PrecisionColumns,
    aim: Literal["loss", "latency"],
    limit_ms: float = math.inf,
    most_loss: float = math.inf,
) -> PrecisionChoice | None:
    """The choice of the least loss or latency within limits of both; None if nothing fits."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    parts, precisions = columns.latency_ms.shape
    choices = parts * precisions
    changes = len(columns.borders) * precisions
    change_ms = np.repeat([border.change_ms for border in columns.borders], precisions)
    latency = np.concatenate([columns.latency_ms.ravel(), change_ms])
    loss = np.concatenate([columns.loss.ravel(), np.zeros(changes)])
    one_each = np.hstack([np.kron(np.eye(parts), np.ones((1, precisions))), np.zeros((parts, changes))])
    constraints: list[Any] = [LinearConstraint(one_each, 1, 1), *_conversions(columns)]
    for costs, limit in ((latency, limit_ms), (loss, most_loss)):
        if math.isfinite(limit):
            scale = max(limit, 1e-12)
            constraints.append(LinearConstraint(costs[None] / scale, -np.inf, limit / scale))
    with silent_solver():
        solution = milp(
            latency if aim == "latency" else loss,
            constraints=constraints,
            integrality=np.repeat([1, 0], [choices, changes]),
            bounds=Bounds(0, 1),
            options={"mip_rel_gap": 0.0},
        )
    if solution.x is None:
        return None
    places = solution.x[:choices].reshape(parts, precisions).argmax(1)
    chosen = {part: columns.precisions[place] for part, place in zip(columns.parts, places, strict=True)}
    return PrecisionChoice(
        chosen, columns.latency_of(chosen), float(columns.loss[np.arange(parts), places].sum())
    )


def _conversions(columns: PrecisionColumns) -> list[Any]:
    """A border is converted to a precision if a consumer has it and the producer has not."""
    from scipy.optimize import LinearConstraint

    parts, precisions = columns.latency_ms.shape
    rows: list[Array] = []
    for number, border in enumerate(columns.borders):
        producer = columns.parts.index(border.producer)
        for place in range(precisions):
            for consumer in map(columns.parts.index, border.consumers):
                row = np.zeros((parts + len(columns.borders)) * precisions)
                row[(parts + number) * precisions + place] = 1
                row[consumer * precisions + place] -= 1
                row[producer * precisions + place] += 1
                rows.append(row)
    return [LinearConstraint(np.array(rows), 0, np.inf)] if rows else []
