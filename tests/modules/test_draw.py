"""Draws from modules, whose costs couple their units: against all networks of small spaces."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hwtickets.costs import AdditiveCost, macs_cost, params_cost
from hwtickets.errors import BudgetError
from hwtickets.modules.space import ModuleSpace
from hwtickets.search.draw import draw_within
from hwtickets.sparsity.allocation import allocate
from hwtickets.sparsity.choices import price_network, price_space
from hwtickets.sparsity.coupled import CoupledSpace
from hwtickets.sparsity.importance import Scores
from tests.modules.small_networks import Residual, hosted


@cache
def _space() -> ModuleSpace:
    return hosted(Residual)[1]


@cache
def _latency(fixed_us: int, steps: bool) -> AdditiveCost:
    """A made-up device: a fixed price an operator, work by MACs, and if asked vector lanes of eight."""

    def of(spec: object) -> float:
        lanes = -(-spec.c_out // 8) * 8 / spec.c_out if steps else 1.0  # type: ignore[attr-defined]
        return fixed_us * 1e-3 + spec.macs * lanes * 1e-5  # type: ignore[attr-defined]

    return AdditiveCost("latency", "ms", 0.05, of)


@cache
def _priced(fixed_us: int, steps: bool, alignment: int) -> CoupledSpace:
    costs = {"latency": _latency(fixed_us, steps), "params": params_cost()}
    priced = price_space(_space(), costs, alignment)
    assert isinstance(priced, CoupledSpace)
    return priced


def _best(priced: CoupledSpace, scores: Scores, limits: dict[str, float]) -> float | None:
    """The value of the best of all networks, or None where none fits."""
    cumulative = [
        np.concatenate([[0], np.sort(scores[name].numpy())[::-1].cumsum()]) for name in priced.names
    ]
    total = sum(worth[-1] for worth in cumulative)
    best = None
    for row in itertools.product(*(range(len(options)) for options in priced.options)):
        choice = np.array(row)
        costs = dict(zip(priced.metrics, priced.total(choice), strict=True))
        if all(costs[metric] <= limit for metric, limit in limits.items()):
            widths = [int(options[place]) for options, place in zip(priced.options, row, strict=True)]
            value = sum(worth[width] for worth, width in zip(cumulative, widths, strict=True)) / total
            best = value if best is None else max(best, value)
    return best


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    share=st.floats(0.05, 1.1),
    params_share=st.none() | st.floats(0.2, 1.0),
    fixed_us=st.sampled_from([0, 20]),
    steps=st.booleans(),
    alignment=st.sampled_from([2, 4]),
)
def test_a_draw_keeps_its_budgets_and_comes_close_to_the_best_of_all(
    seed: int, share: float, params_share: float | None, fixed_us: int, steps: bool, alignment: int
) -> None:
    priced = _priced(fixed_us, steps, alignment)
    random = torch.Generator().manual_seed(seed)
    scores = {
        name: torch.rand(unit.width, generator=random).double() ** 3 * (0.1 + torch.rand(1, generator=random))
        for name, unit in _space().units.items()
    }
    limits = {"latency": share * priced.largest("latency")}
    if params_share is not None:
        limits["params"] = params_share * priced.largest("params")
    best = _best(priced, scores, limits)
    if best is None:
        with pytest.raises(BudgetError):
            allocate(priced, scores, limits)
        return
    drawn = allocate(priced, scores, limits)
    assert all(drawn.costs[metric] <= limit for metric, limit in limits.items())
    assert drawn.value >= 0.97 * best
    exact = price_network(_space(), drawn.widths, {"latency": _latency(fixed_us, steps)})[1]
    assert exact["latency"] == pytest.approx(drawn.costs["latency"])


def test_a_module_without_units_is_drawn_as_it_is() -> None:
    space = hosted(lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 5)))[1]
    priced = price_space(space, {"macs": macs_cost()}, 8)
    assert allocate(priced, {}, {"macs": 192 * 5}).widths == {}
    with pytest.raises(BudgetError):
        allocate(priced, {}, {"macs": 192 * 5 - 1})


def test_an_impossible_budget_names_the_nearest_one() -> None:
    priced = _priced(20, False, 4)
    with pytest.raises(BudgetError, match=r"nearest feasible .*, of which stem\.0/conv takes the most"):
        allocate(priced, {}, {"latency": 0.5 * priced.smallest("latency")})


def test_a_draw_paid_in_macs_meets_a_latency_budget() -> None:
    costs = {"latency": _latency(20, False), "macs": macs_cost()}
    priced = price_space(_space(), costs, 2)
    scores = {name: torch.rand(unit.width) for name, unit in _space().units.items()}
    limit = 0.6 * priced.largest("latency")
    drawn = draw_within(priced, scores, {"latency": limit}, "macs")
    assert 0.8 * limit < drawn.costs["latency"] <= limit
    assert set(drawn.widths) == set(_space().units) and drawn.forms == {}
