"""What draws that are solved as a knapsack have in common."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from hwtickets.sparsity.choices import BlockChoices
from hwtickets.sparsity.importance import Scores

Array = NDArray[np.float64]


def kept_by_width(scores: Scores, unit: str) -> Array:
    """Importance that a unit keeps at each width, its best channels first; shape (channels + 1,)."""
    if unit not in scores:
        return np.zeros(1)
    ordered = np.sort(scores[unit].double().numpy())[::-1]
    return np.concatenate([[0.0], np.cumsum(ordered)])


def up_to_width(cumulative: Mapping[str, Array], block: BlockChoices) -> dict[str, Array]:
    """What units keep, up to the largest width of a block; channels that are gone already add nothing."""
    longest = int(block.widths.max(initial=0)) + 1
    return {
        unit: np.pad(cumulative[unit], (0, max(0, longest - len(cumulative[unit]))), mode="edge")
        for unit in block.units
    }


def undominated(block: BlockChoices, values: Array, metrics: list[str]) -> NDArray[np.int64]:
    """Indices of choices that no other one beats or equals in value and in every cost."""
    costs = np.stack([block.costs[metric] for metric in metrics], 1)
    order = np.lexsort((*costs.T[::-1], -values))
    kept: list[int] = []
    for index in order:
        if not kept or not (costs[kept] <= costs[index]).all(1).any():
            kept.append(int(index))
    return np.array(kept)


@contextmanager
def silent_solver() -> Iterator[None]:
    """Now and then HiGHS prints a debugging line of its own, past Python; standard output may be our JSON."""
    sys.stdout.flush()
    saved, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(nowhere)
