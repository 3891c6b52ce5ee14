"""How views carry labels along: reshape, permute, expand, split, select, concatenate, pad."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwtickets.modules.labels import Field, Ties, axes_of, off_axes, on_axis

Shape = tuple[int, ...]


def reshape(ties: Ties, fields: Sequence[Field], old: Shape, new: Shape) -> tuple[Field, ...]:
    """Labels after a reshape; dimensions that are merged or split are looked at group by group."""
    groups = _matching(old, new)
    result = ties.settle(_regrouped(labels, groups, old, new) for labels in fields)
    for axis in range(len(new)):
        meeting = on_axis(result, axis)
        if len(meeting) > 1:
            ties.freeze(meeting, "two kinds of channels lie in one dimension")
            result = tuple(labels for labels in result if labels.shape[axis] == 1)
    return result


def _regrouped(labels: Field, groups: list[tuple[list[int], list[int]]], old: Shape, new: Shape) -> Field:
    """One field, laid out anew; every group of dimensions keeps its entries in their order."""
    shape: list[int] = []
    out: list[int] = [1] * len(new)
    for before, after in groups:
        touched = any(labels.shape[axis] > 1 for axis in before)
        shape += [old[axis] if touched else 1 for axis in before]
        for axis in after:
            out[axis] = new[axis] if touched else 1
    return np.broadcast_to(labels, shape).reshape(out)


def _matching(old: Shape, new: Shape) -> list[tuple[list[int], list[int]]]:
    """Runs of dimensions of two shapes that hold the same entries, as short as possible."""
    groups, i, j = [], 0, 0
    while i < len(old) or j < len(new):
        before, after, a, b = [], [], 1, 1
        while True:
            if (a <= b and i < len(old)) or j == len(new):
                if i == len(old):
                    break
                a *= old[i]
                before.append(i)
                i += 1
            else:
                b *= new[j]
                after.append(j)
                j += 1
            if a == b and before and after:
                break
        groups.append((before, after))
    return groups


def permute(fields: Sequence[Field], order: Sequence[int]) -> tuple[Field, ...]:
    """Labels after dimensions changed places."""
    return tuple(labels.transpose(order) for labels in fields)


def expand(fields: Sequence[Field], dims: int) -> tuple[Field, ...]:
    """Labels of a tensor with more dimensions in front."""
    return tuple(labels.reshape((1,) * (dims - labels.ndim) + labels.shape) for labels in fields)


def select(
    ties: Ties, fields: Sequence[Field], axis: int, index: int, drop: bool = True
) -> tuple[Field, ...]:
    """Labels of one place along a dimension, whose length is a constant then."""
    hold_axis(ties, fields, axis, "one of its channels is picked by its number")
    picked = [labels.take([index if labels.shape[axis] > 1 else 0], axis) for labels in fields]
    return ties.settle(labels.squeeze(axis) if drop else labels for labels in picked)


def hold_axis(ties: Ties, fields: Sequence[Field], axis: int, reason: str) -> None:
    """A dimension must keep its length: what lies along it is removed together, or not at all."""
    for labels in on_axis(fields, axis):
        if axes_of(labels) == [axis]:
            ties.freeze([labels], reason)
        else:
            ties.tie(labels, labels.take([0], axis))


def split(ties: Ties, fields: Sequence[Field], axis: int, sizes: Sequence[int]) -> list[tuple[Field, ...]]:
    """Labels of consecutive parts; equal parts stay equal, unequal ones keep their channels."""
    borders = np.cumsum(sizes)[:-1]
    equal = len(set(sizes)) == 1
    if not equal:
        ties.freeze(on_axis(fields, axis), "split at fixed places")
    parts: list[list[Field]] = [[] for _ in sizes]
    for labels in fields:
        if labels.shape[axis] == 1:
            pieces = [labels] * len(sizes)
        else:
            pieces = np.split(labels, borders, axis)
            for piece in pieces[1:] if equal else []:
                ties.tie(pieces[0], piece)
        for part, piece in zip(parts, pieces, strict=True):
            part.append(piece)
    return [ties.settle(part) for part in parts]


def concatenate(
    ties: Ties, inputs: Sequence[Sequence[Field]], shapes: Sequence[Shape], axis: int
) -> tuple[Field, ...]:
    """Labels of tensors laid one behind the other."""
    pieces, others = [], []
    for fields, shape in zip(inputs, shapes, strict=True):
        found = on_axis(fields, axis)
        others.append(off_axes(fields, [axis]))
        if len(found) > 1:
            ties.freeze(found, "two kinds of channels lie in one dimension")
            found = []
        fixed = np.zeros([shape[k] if k == axis else 1 for k in range(len(shape))], np.int64)
        pieces.append(found[0] if found else fixed)
    tied = elementwise(ties, others, [tuple(1 if k == axis else n for k, n in enumerate(s)) for s in shapes])
    if not any(piece.any() for piece in pieces):
        return tied
    wide = np.max([piece.shape for piece in pieces], axis=0)
    shaped = [
        np.broadcast_to(piece, [piece.shape[k] if k == axis else wide[k] for k in range(len(wide))])
        for piece in pieces
    ]
    return ties.settle([np.concatenate(shaped, axis), *tied])


def elementwise(ties: Ties, inputs: Sequence[Sequence[Field]], shapes: Sequence[Shape]) -> tuple[Field, ...]:
    """Labels of a result whose entries depend on the entries at the same place, broadcast."""
    dims = max(len(shape) for shape in shapes)
    result: list[Field] = []
    for fields in inputs:
        for labels in expand(fields, dims):
            meeting = [other for other in result if _share_axes(labels, other)]
            for other in meeting:
                ties.tie(labels, other)
            if not meeting:
                result.append(labels)
    for fields, shape in zip(inputs, shapes, strict=True):
        lengths = (1,) * (dims - len(shape)) + shape
        own = expand(fields, dims)
        fixed = [axis for axis in range(dims) if lengths[axis] > 1 and not on_axis(own, axis)]
        for axis in fixed:
            hold_axis(ties, result, axis, "combined with a tensor of a fixed size")
            result = [labels.take([0], axis) for labels in result if axes_of(labels) != [axis]]
    return tuple(result)


def _share_axes(one: Field, other: Field) -> bool:
    return any(a > 1 and b > 1 for a, b in zip(one.shape, other.shape, strict=True))


def pad(ties: Ties, fields: Sequence[Field], shape: Shape, pads: Sequence[int]) -> tuple[Field, ...]:
    """Labels of a padded tensor; `pads` as of `torch.nn.functional.pad`: from the last dimension on."""
    result = []
    for labels in fields:
        widths = [(0, 0)] * labels.ndim
        for k in range(len(pads) // 2):
            axis = labels.ndim - 1 - k
            if labels.shape[axis] > 1:
                widths[axis] = (pads[2 * k], pads[2 * k + 1])
        result.append(np.pad(labels, widths))
    return ties.settle(result)
