"""Prices of many width combinations of one block at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from hwtickets.costs.additive import AdditiveCost
from hwtickets.space.operators import OperatorSpec
from hwtickets.space.space import SearchSpace, Widths
from hwtickets.sparsity.channels import Channels, Counts, for_all
from hwtickets.supernets.base import PLAIN

Costs = Mapping[str, AdditiveCost]
Vector = NDArray[np.float64]
_FIELDS = [field.name for field in fields(OperatorSpec)]


def price_rows(
    space: SearchSpace, block: str, widths: Counts, costs: Costs
) -> tuple[list[str], dict[str, Vector]]:
    """Prices width combinations of one block, each in its cheapest deployed form.

    The description of the block runs once for all rows that take the same way through it, and every different
    operator is priced once. Sums run over the operators in their order, so prices do not depend on what
    else is priced along.

    Args:
        space: The search space.
        block: Name of the block.
        widths: Channels kept, shape (rows, units of the block); at least one row.
        costs: Costs by metric; the first one chooses the forms.

    Returns:
        The form of each row, and the cost of each row by metric, shape (rows,).
    """
    names = space.forms()[block]
    first = next(iter(costs))
    deployed = {metric: cost for metric, cost in costs.items() if cost.deployed or metric == first}
    asked = {metric: cost for metric, cost in costs.items() if not cost.deployed}
    by_form = [_price_form(space, block, widths, form, deployed) for form in names]
    chosen = np.argmin([prices[first] for prices in by_form], axis=0)
    rows = np.arange(len(widths))
    cheapest = {metric: np.stack([prices[metric] for prices in by_form])[chosen, rows] for metric in deployed}
    plain = _price_form(space, block, widths, PLAIN, asked) if asked else {}
    return [names[form] for form in chosen], {metric: {**cheapest, **plain}[metric] for metric in costs}


def distinct_rows(counts: Sequence[Counts]) -> tuple[Counts, NDArray[np.intp]]:
    """The different rows of a matrix given by its columns, and for each row which of them it is.

    Args:
        counts: Columns of numbers that are not negative; the product of their ranges is below 2^63.
    """
    keys = np.zeros_like(counts[0])
    for column in counts:
        keys = keys * (int(column.max()) + 1) + column
    _, where, which = np.unique(keys, return_index=True, return_inverse=True)
    return np.stack([column[where] for column in counts], axis=1), which


def _price_form(space: SearchSpace, block: str, widths: Counts, form: str, costs: Costs) -> dict[str, Vector]:
    def describe(given: Widths) -> list[OperatorSpec]:
        return [operator.spec for operator in space.block_operators(block, given, form)]

    catalogue = _Catalogue()
    groups = [
        (rows, [catalogue.places(spec) for spec in specs])
        for rows, specs in for_all(describe, space.blocks[block], widths)
    ]
    prices = np.array([cost.each(catalogue.specs) for cost in costs.values()], dtype=np.float64)
    totals = np.zeros((len(costs), len(widths)))
    for rows, operators in groups:
        for places in operators:
            totals[:, rows] += prices[:, places].reshape(len(costs), -1)
    return dict(zip(costs, totals, strict=True))


class _Catalogue:
    """Different operators of many networks."""

    def __init__(self) -> None:
        self._place: dict[OperatorSpec, int] = {}

    @property
    def specs(self) -> list[OperatorSpec]:
        """The operators, each once."""
        return list(self._place)

    def places(self, spec: OperatorSpec) -> NDArray[np.intp]:
        """Where an operator, its sizes maybe `Channels`, stands in each row; shape () if it is the same."""
        sizes = {name: getattr(spec, name) for name in _FIELDS}
        varied = {name: size.counts for name, size in sizes.items() if isinstance(size, Channels)}
        if not varied:
            return np.array(self._add(spec))
        distinct, which = distinct_rows(list(varied.values()))
        concrete = [replace(spec, **dict(zip(varied, counts, strict=True))) for counts in distinct.tolist()]
        return np.array([self._add(one) for one in concrete])[which]

    def _add(self, spec: OperatorSpec) -> int:
        return self._place.setdefault(spec, len(self._place))
