from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from hwtickets.costs import AdditiveCost, macs_cost
from hwtickets.errors import BudgetError
from hwtickets.search.controller import BudgetController
from hwtickets.search.draw import draw_within
from hwtickets.search.penalty import PricedPenalty
from hwtickets.search.prices import UnitPrice, unit_prices
from hwtickets.search.shrinking import Pricing
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.choices import BlockChoices, PricedSpace, price_space
from hwtickets.supernets import Supernet
from hwtickets.tasks.task import Task
from hwtickets.training.loop import TrainingLoop
from hwtickets.training.optimizer import build_optimizer
from hwtickets.training.schedules import Cosine


def test_a_slope_and_an_existence_are_read_off_a_linear_cost(tiny_space: SearchSpace) -> None:
    """Every operator 1 ms, and 0.25 ms a hidden channel of its depthwise convolution."""
    cost = AdditiveCost(
        "latency", "ms", 7.0, lambda spec: 1.0 + (0.25 * spec.c_in if spec.depthwise else 0.0)
    )
    prices = unit_prices(tiny_space, cost, 8, {**tiny_space.dense(), "blocks.0.k3": 0})
    assert set(prices) == {"blocks.0.k5", "blocks.1.k3", "blocks.1.k5"}
    # Alone in its block, the branch brings expand, depthwise and projection; beside another one nothing but
    # channels, for the branches are merged.
    assert prices["blocks.0.k5"].slope == pytest.approx(0.25)
    assert prices["blocks.0.k5"].existence == pytest.approx(3.0)
    assert prices["blocks.1.k3"].slope == pytest.approx(0.25)
    assert prices["blocks.1.k3"].existence == pytest.approx(0.0, abs=1e-9)


def test_prices_of_macs_are_exact(tiny_space: SearchSpace) -> None:
    prices = unit_prices(tiny_space, macs_cost(), 8, tiny_space.dense())
    for name, price in prices.items():
        fewer = {**tiny_space.dense(), name: tiny_space.units[name].width - 8}
        change = tiny_space.plain_graph(tiny_space.dense()).macs - tiny_space.plain_graph(fewer).macs
        assert 8 * price.slope == pytest.approx(change)
        assert price.existence == pytest.approx(0.0, abs=1e-3)


def _penalised(
    model: Supernet,
    space: SearchSpace,
    task: Task,
    prices: dict[str, UnitPrice],
    strength: float,
    steps: int = 1,
) -> dict[str, float]:
    """Sum of the scales by unit after some steps at rate 0.1, all losses but the penalty switched off."""
    penalty = PricedPenalty(space.units, BudgetController(strength), ramp_steps=1)
    penalty.set_prices(prices, space.dense())
    rate = Cosine(0.1, 10**6, warmup_share=0.0)
    loop = TrainingLoop(model, task, build_optimizer(model, 0.0), rate, [penalty], steps)
    loop.lessons = _Flat(task)  # type: ignore[assignment]
    loop.run()
    return {
        name: float(model.get_submodule(unit.importance).weight.detach().sum())
        for name, unit in space.units.items()
    }


class _Flat:
    """A task whose loss has no slope."""

    def __init__(self, task: Task) -> None:
        self.train_batch = task.train_batch

    def loss(self, outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return outputs.sum() * 0.0


def test_the_penalty_takes_most_from_what_costs_most(
    tiny_model: Callable[..., Supernet], tiny_space: SearchSpace, tiny_task: Task
) -> None:
    slopes = {"blocks.0.k3": 4.0, "blocks.0.k5": 2.0, "blocks.1.k3": 1.0, "blocks.1.k5": 0.0}
    prices = {name: UnitPrice(slope, 0.0) for name, slope in slopes.items()}
    left = _penalised(tiny_model(), tiny_space, tiny_task, prices, strength=1.0)
    # By hand: the mean price of a channel is (4*16 + 2*16 + 1*32) / 96 = 4/3;
    # a step takes rate * slope / mean.
    for name, slope in slopes.items():
        width = tiny_space.units[name].width
        assert left[name] == pytest.approx(width * (1 - 0.1 * slope / (4 / 3)), rel=1e-5)


def test_the_price_of_existence_removes_a_branch_as_a_whole(
    tiny_model: Callable[..., Supernet], tiny_space: SearchSpace, tiny_task: Task
) -> None:
    prices = {name: UnitPrice(0.0, 1.0 if name == "blocks.0.k3" else 0.0) for name in tiny_space.units}
    model = tiny_model()
    left = _penalised(model, tiny_space, tiny_task, prices, strength=1.0, steps=3)
    scale = model.get_submodule("blocks.0.branches.k3.depthwise_bn").weight
    assert left["blocks.0.k3"] == 0.0 and scale.abs().max() == 0.0, "exactly zero, all at once"
    assert left["blocks.1.k5"] == 32.0


def test_a_strength_of_nothing_takes_nothing(
    tiny_model: Callable[..., Supernet], tiny_space: SearchSpace, tiny_task: Task
) -> None:
    prices = {name: UnitPrice(1.0, 1.0) for name in tiny_space.units}
    left = _penalised(tiny_model(), tiny_space, tiny_task, prices, strength=0.0)
    assert left == {name: float(unit.width) for name, unit in tiny_space.units.items()}


def test_a_draw_paid_in_macs_keeps_the_latency_budget_with_other_networks(
    pricing: Callable[..., Pricing],
) -> None:
    gains = []
    for share in (0.55, 0.6, 0.65, 0.75, 0.85):
        prices = pricing({"latency": share})
        priced = price_space(prices.space, prices.costs, 8)
        generator = torch.Generator().manual_seed(0)
        scores = {
            name: torch.rand(unit.width, generator=generator) for name, unit in prices.space.units.items()
        }
        by_latency = draw_within(priced, scores, prices.limits, "latency")
        by_macs = draw_within(priced, scores, prices.limits, "macs")
        for drawn in (by_latency, by_macs):
            assert drawn.costs["latency"] <= prices.limits["latency"]
        gains.append(by_latency.value - by_macs.value)
    assert min(gains) > -1e-9, "the exact draw keeps the most for the same milliseconds"
    assert max(gains) > 0.01


def test_a_price_that_cannot_reach_the_budget_is_one_line() -> None:
    costs = {"latency": np.array([9.0, 2.0]), "macs": np.array([1.0, 5.0])}
    block = BlockChoices("b", ["b.k3"], np.array([[1], [0]]), ["split", "split"], costs)
    priced = PricedSpace([block], {"latency": 0.0, "macs": 0.0})
    scores = {"b.k3": torch.ones(1)}
    assert draw_within(priced, scores, {"latency": 3.0}, "latency").widths == {"b.k3": 0}
    with pytest.raises(BudgetError, match="no network drawn by macs meets the budget"):
        draw_within(priced, scores, {"latency": 3.0}, "macs")
