"""Draws that may take whole branches away, and draws that use up what coarse widths leave."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hwtickets.costs import AdditiveCost, macs_cost
from hwtickets.modules.space import ModuleSpace
from hwtickets.space.space import MOST_WIDTHS
from hwtickets.sparsity.allocation import allocate
from hwtickets.sparsity.choices import price_network, price_space
from hwtickets.sparsity.coupled import CoupledSpace
from tests.modules.residual_networks import Blocks
from tests.modules.small_networks import hosted


@cache
def _space() -> ModuleSpace:
    return hosted(Blocks)[1]


@cache
def _priced(fixed_us: int) -> CoupledSpace:
    """A made-up device: a fixed price an operator, and work by MACs."""
    cost = AdditiveCost("latency", "ms", 0.05, lambda spec: fixed_us * 1e-3 + spec.macs * 1e-5)
    priced = price_space(_space(), {"latency": cost}, 4)
    assert isinstance(priced, CoupledSpace)
    return priced


@cache
def _networks(fixed_us: int) -> tuple[np.ndarray, np.ndarray]:
    """All networks, as options, and what they cost."""
    priced = _priced(fixed_us)
    rows = np.array(list(itertools.product(*(range(len(options)) for options in priced.options))))
    for units in priced.branches:
        alive = rows[:, units] > 0
        rows = rows[alive.all(1) | ~alive.any(1)]
    return rows, np.array([priced.total(row)[0] for row in rows])


def _scores(seed: int) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(unit.width, generator=random).double() ** 3
        * (0.02 + torch.rand(1, generator=random))
        for name, unit in _space().units.items()
    }


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.3, 1.0), fixed_us=st.sampled_from([0, 60]))
def test_a_draw_with_branches_comes_close_to_the_best_of_all(seed: int, share: float, fixed_us: int) -> None:
    priced, scores = _priced(fixed_us), _scores(seed)
    rows, costs = _networks(fixed_us)
    limit = costs.min() + share * (costs.max() - costs.min())
    worth = [
        np.concatenate([[0], np.sort(scores[name].numpy())[::-1].cumsum()])[options]
        for name, options in zip(priced.names, priced.options, strict=True)
    ]
    values = sum(own[rows[:, unit]] for unit, own in enumerate(worth))
    best = values[costs <= limit].max() / sum(own[-1] for own in worth)
    drawn = allocate(priced, scores, {"latency": limit})
    assert drawn.costs["latency"] <= limit
    assert drawn.value >= 0.97 * best
    for units in _space().branches.values():
        assert len({drawn.widths[name] > 0 for name in units}) == 1
    exact = price_network(_space(), drawn.widths, priced.costs)[1]["latency"]
    assert exact == pytest.approx(drawn.costs["latency"])


def test_a_budget_that_no_narrow_network_meets_is_met_by_a_short_one() -> None:
    priced, space = _priced(60), _space()
    narrowest = {name: space.widths_allowed(name, 4)[0] for name in space.units}
    limit = 0.95 * price_network(space, narrowest, priced.costs)[1]["latency"]
    drawn = allocate(priced, _scores(0), {"latency": limit})
    gone = [name for name, units in space.branches.items() if not drawn.widths[units[0]]]
    assert drawn.costs["latency"] <= limit and 0 < len(gone) < len(space.branches)


def _wide() -> nn.Module:
    layers: list[nn.Module] = []
    for c_in in (3, 256):
        layers += [nn.Conv2d(c_in, 256, 3, padding=1, bias=False), nn.BatchNorm2d(256), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 5))


@pytest.mark.parametrize("share", [0.25, 0.45, 0.7])
def test_a_draw_uses_up_what_coarse_widths_leave(share: float) -> None:
    _, space = hosted(_wide)
    priced = price_space(space, {"macs": macs_cost()}, 4)
    assert isinstance(priced, CoupledSpace)
    assert all(len(options) <= MOST_WIDTHS for options in priced.options)
    scores = {name: 1 + torch.arange(unit.width) / unit.width for name, unit in space.units.items()}
    limit = share * priced.largest("macs")
    drawn = allocate(priced, scores, {"macs": limit})
    assert all(width % 4 == 0 for width in drawn.widths.values())
    more = [
        price_network(space, {**drawn.widths, name: width + 4}, priced.costs)[1]["macs"]
        for name, width in drawn.widths.items()
        if width < 256
    ]
    assert drawn.costs["macs"] <= limit and more and all(cost > limit for cost in more)
