from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwtickets.costs import macs_cost
from hwtickets.errors import BudgetError
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.choices import price_network
from hwtickets.sparsity.importance import Scores
from hwtickets.sparsity.threshold import allocate_by_threshold
from hwtickets.supernets import Mobile

SPACE = SearchSpace(Mobile((1, 16, 16), 4, stem_channels=8, stages=[[8, 1, 2], [16, 1, 2]]), "mobile")
COSTS = {"macs": macs_cost()}


def _scores(seed: int) -> Scores:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(unit.width, generator=generator) for name, unit in SPACE.units.items()}


@given(
    seed=st.integers(0, 50),
    share=st.floats(0.05, 1.0),
    alignment=st.sampled_from([1, 4, 8]),
    floor=st.integers(0, 4),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_the_limit_the_alignment_and_the_floor_hold(
    seed: int, share: float, alignment: int, floor: int
) -> None:
    dense = price_network(SPACE, SPACE.dense(), COSTS)[1]["macs"]
    limits, slopes = {"macs": share * dense}, dict.fromkeys(SPACE.units, 1.0)
    try:
        drawn = allocate_by_threshold(SPACE, COSTS, _scores(seed), slopes, limits, alignment, floor)
    except BudgetError as error:
        assert share < 0.5
        assert "nearest feasible" in str(error)
        return
    assert drawn.costs == price_network(SPACE, drawn.widths, COSTS)[1]
    assert drawn.costs["macs"] <= limits["macs"]
    for name, width in drawn.widths.items():
        assert width % alignment == 0 or width == SPACE.units[name].width
    for units in SPACE.blocks.values():
        assert sum(drawn.widths[unit] for unit in units) >= floor


def test_dear_channels_go_first() -> None:
    scores = {name: torch.ones(unit.width) for name, unit in SPACE.units.items()}
    dear, *others = SPACE.units
    slopes = {dear: 10.0, **dict.fromkeys(others, 1.0)}
    dense = price_network(SPACE, SPACE.dense(), COSTS)[1]["macs"]
    drawn = allocate_by_threshold(SPACE, COSTS, scores, slopes, {"macs": 0.999 * dense}, 1, 0)
    assert drawn.widths[dear] == 0
    assert all(drawn.widths[name] == SPACE.units[name].width for name in others)
    assert drawn.value == pytest.approx(1 - SPACE.units[dear].width / sum(SPACE.dense().values()))
