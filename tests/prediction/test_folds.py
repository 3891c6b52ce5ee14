from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hwtickets.prediction.folds import folds, held_out

GROUPS = st.lists(st.integers(0, 6), min_size=1, max_size=30)


@given(GROUPS, st.integers(2, 5), st.integers(0, 3))
def test_folds_cover_every_network_once_and_keep_groups_whole(
    groups: list[int], most: int, seed: int
) -> None:
    parts = list(folds(groups, most, seed))
    assert len(parts) == (min(most, len(set(groups))) if len(set(groups)) > 1 else 0)
    if parts:
        assert (np.sum(parts, axis=0) == 1).all()
    for part in parts:
        assert part.any()
        inside = {group for group, held in zip(groups, part, strict=True) if held}
        assert all(held == (group in inside) for group, held in zip(groups, part, strict=True))


@given(GROUPS, st.integers(0, 3))
def test_a_group_is_held_out_whatever_else_there_is(groups: list[int], seed: int) -> None:
    together = held_out(groups, 0.3, seed)
    assert together.tolist() == [bool(held_out([group], 0.3, seed)[0]) for group in groups]


def test_about_the_share_is_held_out() -> None:
    assert 0.27 < held_out(range(5000), 0.3, 1).mean() < 0.33
