"""NAS-Bench-201 cells in numbers.

An operation that does not change the output need not cost time, but may: so each role of an operation has its
own price, and the fit finds that a compiled runtime asks nothing for the dead ones, an eager one the full
price. How the live ones are arranged decides what runs side by side and what is fused.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from hwtickets.prediction.cell import CONV1, CONV3, EDGES, IDENTITY, NOTHING, OPERATIONS, POOL, ROLES, Cell
from hwtickets.prediction.features import Features, Vector, indicators

#: A rough price of an operation, to find the path through the cell that takes longest.
_ROUGH_PRICE = {CONV3: 1.0, CONV1: 0.4, POOL: 0.3}


def cell_features(cells: Sequence[Cell]) -> Features:
    """Features of cells.

    Returns:
        Work: operations, and operations by role: what a runtime asks for one whatever its role, also in a
        role that no measured cell has, and what it asks more for. Traits: operations by role, and how the
        live ones are arranged; names of nodes do not matter.
    """
    counts = np.array([_counts(cell) for cell in cells], float).reshape(
        len(cells), len(ROLES) * len(OPERATIONS)
    )
    by_role = np.split(counts, len(ROLES), axis=1)
    traits = dict(zip(ROLES, by_role, strict=True))
    for edge in range(len(EDGES)):
        held = [cell.live[edge : edge + 1] for cell in cells]
        traits[f"edge {edge}"] = indicators(held, OPERATIONS)
    arrangements = [_arrangement(cell.live) for cell in cells]
    for name in arrangements[0] if arrangements else ():
        traits[name] = np.array([arrangement[name] for arrangement in arrangements], float)
    return Features(np.hstack([np.sum(by_role, axis=0), counts]), traits)


def cell_macs(cells: Sequence[Cell]) -> Vector:
    """Multiply-accumulates of each cell's network."""
    return np.array([cell.macs for cell in cells], float)


def _counts(cell: Cell) -> list[int]:
    found = Counter(zip(cell.roles, cell.operations, strict=True))
    return [found[role, operation] for role in ROLES for operation in OPERATIONS]


def _arrangement(live: Sequence[str]) -> dict[str, list[float]]:
    """Numbers of a cell without dead operations, by trait."""
    into: dict[int, list[str]] = {node: [] for node in range(4)}
    out_of: dict[int, list[str]] = {node: [] for node in range(4)}
    for (start, end), operation in zip(EDGES, live, strict=True):
        if operation != NOTHING:
            into[end].append(operation)
            out_of[start].append(operation)
    joined = [operations for operations in into.values() if len(operations) > 1]
    return {
        "sums": [
            sum(len(operations) - 1 for operations in joined),
            sum(1 for operations in joined if {CONV1, CONV3} & set(operations)),
        ],
        "depth": [
            _longest_path(live, {CONV3: 1, CONV1: 1, POOL: 1}),
            _longest_path(live, {CONV3: 1}),
            _longest_path(live, {CONV3: 1, CONV1: 1}),
            _longest_path(live, _ROUGH_PRICE),
        ],
        "followers": [
            sum(into[node].count(first) * out_of[node].count(second) for node in (1, 2))
            for first, second in itertools.product((CONV3, CONV1, POOL), repeat=2)
        ],
        "siblings": _pairs(out_of),
        "joined": _pairs(into),
        "extent": [
            sum(1 for operations in into.values() if operations),
            len(out_of[0]),
            _longest_path(live, dict.fromkeys(OPERATIONS, 1)),
        ],
    }


def _longest_path(live: Sequence[str], price: Mapping[str, float]) -> float:
    """Sum of the prices along the most expensive way from the input to the output."""
    longest = {0: 0.0}
    for (start, end), operation in sorted(zip(EDGES, live, strict=True), key=lambda edge: edge[0][1]):
        if operation != NOTHING and start in longest:
            longest[end] = max(longest.get(end, 0.0), longest[start] + price.get(operation, 0.0))
    return longest.get(3, 0.0)


def _pairs(at_node: Mapping[int, Sequence[str]]) -> list[float]:
    """How often two kinds of operations meet at a node."""
    kinds = (CONV3, CONV1, POOL, IDENTITY)
    met = [
        frozenset(pair) for operations in at_node.values() for pair in itertools.combinations(operations, 2)
    ]
    found = Counter(met)
    return [found[frozenset(pair)] for pair in itertools.combinations_with_replacement(kinds, 2)]
