"""Which networks are kept apart to judge a predictor: whole groups of alike ones, by a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator, Sequence

import numpy as np

from hwtickets.prediction.features import Index


def held_out(groups: Sequence[Hashable], share: float, seed: int) -> Index:
    """A mask of about `share` of the groups; a group is in it or not, whatever else there is."""
    drawn = {group: _number(group, seed) for group in set(groups)}
    return np.array([drawn[group] < share for group in groups], bool)


def folds(groups: Sequence[Hashable], most: int, seed: int) -> Iterator[Index]:
    """Masks of the parts of a cross-validation; each group is in one of them, and no part is empty.

    Args:
        groups: Group of each network.
        most: Parts, at most; as many as there are groups if those are fewer, none if there is only one.
        seed: Of the order.
    """
    order = sorted(set(groups), key=lambda group: _number(group, seed))
    parts = min(most, len(order))
    if parts < 2:
        return
    part = {group: place % parts for place, group in enumerate(order)}
    member = np.array([part[group] for group in groups])
    for index in range(parts):
        yield member == index


def _number(group: Hashable, seed: int) -> float:
    """Uniform in [0, 1), from the group's text."""
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
