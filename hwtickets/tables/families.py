"""Families: operators that differ in one channel count only, and groups that share a formula."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwtickets.space.blocks import is_block, is_tied
from hwtickets.space.operators import OperatorSpec

#: The channel count that a family runs over is 0 in its key, or -1 where 0 has a meaning.
Family = OperatorSpec
#: Kinds whose input and output channels are two numbers.
_TWO_COUNTS = ("conv", "deconv", "linear", "matmul")
#: Kinds whose groups are no convolution's.
_HEADS = ("attention", "product", "groupnorm")


class Place(NamedTuple):
    """Where an operator stands in a family.

    Attributes:
        family: The operator without the channel count that the family runs over.
        width: That channel count.
    """

    family: Family
    width: int


def places(spec: OperatorSpec) -> list[Place]:
    """The families of an operator: over output, input and inner channels; one where they are tied."""
    if (spec.kind in _TWO_COUNTS and spec.groups == 1) or spec.kind == "product":
        return _over_both(spec)
    if spec.depthwise:
        return [Place(replace(spec, c_in=0, c_out=0, groups=0), spec.c_in)]
    if spec.kind in _TWO_COUNTS:
        return []
    if is_block(spec.kind) and not is_tied(spec.kind):
        inner = [Place(replace(spec, hidden=-1), spec.hidden)] if spec.hidden else []
        return [*inner, *_over_both(spec)]
    # What turns rows into columns has two counts, whatever its kind.
    return [Place(replace(spec, c_in=0, c_out=0), spec.c_in)] if spec.c_in == spec.c_out else _over_both(spec)


def _over_both(spec: OperatorSpec) -> list[Place]:
    return [Place(replace(spec, c_out=0), spec.c_out), Place(replace(spec, c_in=0), spec.c_in)]


def members(specs: Iterable[OperatorSpec], fewest: int = 2) -> dict[Family, list[tuple[int, OperatorSpec]]]:
    """All families with at least `fewest` members, each ascending in width."""
    found: dict[Family, list[tuple[int, OperatorSpec]]] = {}
    for spec in specs:
        for place in places(spec):
            found.setdefault(place.family, []).append((place.width, spec))
    return {
        family: sorted(entries, key=lambda entry: entry[0])
        for family, entries in found.items()
        if len(entries) >= fewest
    }


def group(spec: OperatorSpec) -> str:
    """Operators of one group follow one formula of MACs and bytes, e.g. "conv", "conv-depthwise-k5"."""
    if spec.depthwise:
        return f"conv-depthwise-k{spec.kernel}"
    if spec.kind == "activation":
        return f"activation-{spec.activation}"
    if spec.groups > 1 and spec.kind not in _HEADS:
        return f"{spec.kind}-grouped"
    return spec.kind


def formula_terms(spec: OperatorSpec) -> NDArray[np.float64]:
    """What a group's formula weighs: existence, millions of MACs, megabytes moved."""
    return np.array([1.0, spec.macs / 1e6, spec.bytes_moved / 1e6])


def non_decreasing(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The non-decreasing sequence nearest to `values` in weighted squares (pool adjacent violators).

    Args:
        values: (n,), in order.
        weights: (n,), positive.
    """
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights, strict=True):
        pool = (float(value), float(weight), 1)
        while pools and pools[-1][0] > pool[0]:
            mean, mass, count = pools.pop()
            total = mass + pool[1]
            pool = ((mean * mass + pool[0] * pool[1]) / total, total, count + pool[2])
        pools.append(pool)
    return np.concatenate([np.full(count, mean) for mean, _, count in pools]) if pools else values
