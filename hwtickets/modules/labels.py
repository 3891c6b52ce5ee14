"""Which entries of which tensors are one channel: labels on dimensions, and what ties them together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

#: Labels of the entries of a tensor: of its shape, with 1 in every dimension that they do not depend on.
#: Entries that belong to no channel have label 0.
Field = NDArray[np.int64]


@dataclass(frozen=True)
class Freeze:
    """Labels that must stay, and why; `where` is the module in which that was found out."""

    labels: Field
    reason: str
    where: str


@dataclass
class Ties:
    """What a run through a network says about its labels.

    Attributes:
        count: Labels handed out; they are 1 ... count.
        edges: Pairs of labels that are removed together.
        frozen: Labels that must stay.
        joint: Fields over several dimensions: what stays of them has to be a full box.
        where: Name of the module that runs now.
    """

    count: int = 0
    edges: list[tuple[Field, Field]] = field(default_factory=list)
    frozen: list[Freeze] = field(default_factory=list)
    joint: list[Field] = field(default_factory=list)
    where: str = ""

    def fresh(self, shape: tuple[int, ...]) -> tuple[Field, ...]:
        """Labels of their own for every dimension of a tensor that is longer than one."""
        fields = []
        for axis, length in enumerate(shape):
            if length > 1:
                row = np.arange(self.count + 1, self.count + 1 + length)
                fields.append(row.reshape([-1 if k == axis else 1 for k in range(len(shape))]))
                self.count += length
        return tuple(fields)

    def tie(self, one: Field, other: Field) -> None:
        """Ties the labels of two fields entry by entry, broadcast over one another."""
        a, b = np.broadcast_arrays(one, other)
        differ = a != b
        a, b = a[differ], b[differ]
        loose = (a == 0) | (b == 0)
        if loose.any():
            self.freeze([np.maximum(a, b)[loose]], "tied to entries of a fixed number")
        self.edges.append((a[~loose], b[~loose]))

    def freeze(self, fields: Iterable[Field], reason: str) -> None:
        """Marks all labels of some fields as staying."""
        for labels in fields:
            self.frozen.append(Freeze(labels.ravel(), reason, self.where))

    def settle(self, fields: Iterable[Field]) -> tuple[Field, ...]:
        """The same fields without dimensions that labels do not depend on; joint ones are remembered.

        One entry alone cannot be removed: it carries no label.
        """
        settled = []
        for labels in fields:
            for axis in axes_of(labels):
                first = labels.take([0], axis)
                if (labels == first).all():
                    labels = first
            if len(axes_of(labels)) > 1:
                self.joint.append(labels)
            if labels.size > 1 and labels.any():
                settled.append(labels)
        return tuple(settled)


def axes_of(labels: Field) -> list[int]:
    """Dimensions that a field depends on."""
    return [axis for axis, length in enumerate(labels.shape) if length > 1]


def on_axis(fields: Iterable[Field], axis: int) -> list[Field]:
    """The fields that depend on a dimension."""
    return [labels for labels in fields if labels.shape[axis] > 1]


def off_axes(fields: Iterable[Field], axes: Iterable[int]) -> list[Field]:
    """The fields that depend on none of some dimensions."""
    axes = list(axes)
    return [labels for labels in fields if all(labels.shape[axis] == 1 for axis in axes)]


def row_of(fields: Iterable[Field], axis: int) -> Field | None:
    """The labels of one dimension in a row, where exactly one field depends on it and on nothing else."""
    found = on_axis(fields, axis)
    if len(found) != 1 or axes_of(found[0]) != [axis]:
        return None
    return found[0].ravel()


def along(row: Field, axis: int, dims: int) -> Field:
    """A row of labels laid along one dimension of a tensor."""
    return row.reshape([-1 if k == axis else 1 for k in range(dims)])
