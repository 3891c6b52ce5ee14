"""What can be removed on its own: labels that are tied together, boxed where a tensor has to stay a box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwtickets.modules.labels import Field, Freeze, Ties, axes_of

Components = NDArray[np.int64]


def components(ties: Ties) -> Components:
    """The component of every label; shape (labels + 1,), label 0 on its own.

    Fields over several dimensions (a head and the channels in it) are boxed: what stays has to be a full box,
    so channels go together along all of their dimensions but the longest.
    """
    found = _connected(ties.count + 1, ties.edges)
    while True:
        boxed = [pair for labels in ties.joint for pair in _boxed(found[labels])]
        if not boxed:
            return found
        edges = [(one.ravel(), other.ravel()) for one, other in boxed]
        found = _connected(ties.count + 1, edges)[found]


def _boxed(labels: Field) -> list[tuple[Field, Field]]:
    """What has to be tied so that a field depends on one dimension alone; nothing if it does already."""
    for axis in axes_of(labels):
        first = labels.take([0], axis)
        if (labels == first).all():
            labels = first
    axes = axes_of(labels)
    if len(axes) < 2:
        return []
    longest = max(axes, key=lambda axis: labels.shape[axis])
    pairs = []
    for axis in axes:
        if axis != longest:
            one, other = np.broadcast_arrays(labels, labels.take([0], axis))
            pairs.append((one, other))
    return pairs


def _connected(count: int, edges: Sequence[tuple[Field, Field]]) -> Components:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not edges:
        return np.arange(count)
    one = np.concatenate([pair[0].ravel() for pair in edges])
    other = np.concatenate([pair[1].ravel() for pair in edges])
    graph = coo_matrix((np.ones(len(one), np.bool_), (one, other)), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def holds(found: Components, frozen: Sequence[Freeze]) -> NDArray[np.int64]:
    """For every component the first of the freezes that it must stay for, or -1; shape (components,)."""
    first = np.full(int(found.max()) + 1, -1)
    for place in reversed(range(len(frozen))):
        first[found[frozen[place].labels]] = place
    return first
