"""Sizes of tensors as functions of what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hwtickets.modules.calls import Tensed
from hwtickets.modules.groups import Groups
from hwtickets.modules.labels import Field, on_axis


@dataclass(frozen=True)
class Form:
    """`constant + sum of coefficient * channels of a unit`.

    Attributes:
        constant: Entries that always stay.
        terms: Entries that every channel of a unit brings, by unit.
        full: The size at full widths.
    """

    constant: int
    terms: tuple[tuple[str, int], ...]
    full: int

    def of(self, widths: Mapping[str, int]) -> int:
        """The size at some widths."""
        size = self.constant
        for unit, coefficient in self.terms:
            size = size + coefficient * widths[unit]
        return size

    def times(self, factor: int) -> Form:
        """The form of so many of these."""
        terms = tuple((unit, k * factor) for unit, k in self.terms)
        return Form(self.constant * factor, terms, self.full * factor)

    def over(self, divisor: int) -> Form | None:
        """The form of a part of this, or None where it is not whole."""
        numbers = [self.constant, *(k for _, k in self.terms)]
        if any(number % divisor for number in numbers):
            return None
        terms = tuple((unit, k // divisor) for unit, k in self.terms)
        return Form(self.constant // divisor, terms, self.full // divisor)


def fixed(size: int) -> Form:
    """A size that does not change."""
    return Form(size, (), size)


class Sizes:
    """Forms of the dimensions of recorded tensors.

    Args:
        groups: The units that the forms are in.
    """

    def __init__(self, groups: Groups) -> None:
        self._found, self._units = groups.found, list(groups.units.values())
        self._which = np.full(int(groups.found.max()) + 1, -1)
        place = {unit.name: number for number, unit in enumerate(self._units)}
        for component, unit in groups.unit_of.items():
            self._which[component] = place[unit]

    def of(self, tensor: Tensed) -> tuple[Form, ...]:
        """The form of every dimension."""
        return tuple(self._axis(tensor, axis) for axis in range(len(tensor.shape)))

    def _axis(self, tensor: Tensed, axis: int) -> Form:
        length = tensor.shape[axis]
        for labels in on_axis(tensor.fields, axis):
            row = self._row(labels, axis)
            if row is not None:
                counts = np.bincount(row[row >= 0], minlength=len(self._units))
                owners = np.flatnonzero(counts)
                terms = tuple((self._units[k].name, int(counts[k]) // self._units[k].width) for k in owners)
                return Form(int((row < 0).sum()), terms, length)
        return fixed(length)

    def _row(self, labels: Field, axis: int) -> Field | None:
        """The unit of every entry along a dimension; None where another dimension tells the units apart."""
        found = self._found[labels]
        for other in range(labels.ndim):
            first = found.take([0], other)
            if other != axis and (found == first).all():
                found = first
        if found.size != labels.shape[axis] or len(np.unique(found)) == 1:
            return None
        row: Field = self._which[found.ravel()]
        return row
