"""What a draw of precisions knows of the network that it draws from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hwtickets.config import SearchConfig
from hwtickets.main_job.prepared import Prepared
from hwtickets.progress import Progress
from hwtickets.recipes.drawers import untrained_point
from hwtickets.search.job import Job
from hwtickets.search.mixed_draw import MixedDraw, loses_too_much
from hwtickets.search.mixed_prices import MixedPrices
from hwtickets.search.shrinking import Pricing
from hwtickets.search.space_profile import SpaceProfile
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.mixed_space import DROP
from hwtickets.tasks.task import Task


@pytest.fixture(scope="module")
def job(tiny_task: Task, tiny_space: SearchSpace, tiny_sizes: dict[str, Any]) -> Job:
    supernet = {"name": "mobile", "sizes": tiny_sizes}
    asked = {"budgets": {"latency": "50%"}, "precision": "mixed", "supernet": supernet}
    return Job.of(SearchConfig.model_validate(asked), tiny_task, tiny_space, Progress(quiet=True))


def _allowing(job: Job, max_drop: float) -> Job:
    return replace(job, config=job.config.model_copy(update={"max_drop": max_drop}))


def test_a_draw_after_one_that_lost_too_much_loses_less(job: Job, prices: MixedPrices) -> None:
    space = prices.space
    pricing = Pricing(space, prices.lowest(), {}, "latency", 8, 0)
    point = untrained_point(job, pricing)
    limits = {"latency": 0.5 * prices.costs("fp32")["latency"].graph(space.graph(space.dense()))}
    unlimited = MixedDraw(_allowing(job, 1000.0), pricing, point, prices).drawer()(1.0, limits)
    assert "int8" in unlimited.precisions.values() and unlimited.costs[DROP] > 0
    allowed = unlimited.costs[DROP] * 1.01
    drawing = MixedDraw(_allowing(job, allowed), pricing, point, prices)
    assert drawing.drawer()(1.0, limits).precisions == unlimited.precisions
    less = drawing.drawer_below(2 * allowed)(1.0, limits)
    assert less.costs[DROP] <= 0.9 * allowed / 2 + 1e-6
    assert less.costs["latency"] <= limits["latency"] * (1 + 1e-5)


def test_a_mix_is_drawn_from_the_point_that_fp32_would_be_drawn_from(prices: MixedPrices) -> None:
    """Points are weighed by their cost in fp32: in int8 one with less training would be large enough."""
    space, table = prices.space, prices.tables["fp32"]
    pricing = Pricing(space, prices.lowest(), {}, "latency", 8, 0)
    in_fp32 = replace(pricing, costs=prices.costs("fp32"))
    profile = SpaceProfile({}, {}, {}, prices.corrections["fp32"])
    costs_of = Prepared(table, profile, {}, prices).costs_of_points(pricing)
    for widths in (space.dense(), {unit: width // 2 for unit, width in space.dense().items()}):
        latency_ms = costs_of(widths)["latency"]
        assert latency_ms == pytest.approx(in_fp32.costs_of(widths)["latency"])
        assert latency_ms > pricing.costs_of(widths)["latency"]


def test_losing_too_much_is_said_of_mixed_tickets_alone() -> None:
    assert loses_too_much({"drop": 0.6, "max_drop": 0.5})
    assert not loses_too_much({"drop": 0.5, "max_drop": 0.5})
    assert not loses_too_much({"latency_ms": 1.0})
