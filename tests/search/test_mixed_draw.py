"""What a draw of precisions knows of the network that it draws from."""

from __future__ import annotations

from typing import Any

import pytest

from hwtickets.config import SearchConfig
from hwtickets.progress import Progress
from hwtickets.recipes.drawers import untrained_point
from hwtickets.search.job import Job
from hwtickets.search.mixed_draw import MixedDraw, loses_too_much
from hwtickets.search.mixed_prices import MixedPrices
from hwtickets.search.shrinking import Pricing
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.mixed_space import DROP
from hwtickets.tasks.task import Task


@pytest.fixture(scope="module")
def job(tiny_task: Task, tiny_space: SearchSpace, tiny_sizes: dict[str, Any]) -> Job:
    supernet = {"name": "mobile", "sizes": tiny_sizes}
    asked = {"budgets": {"latency": "50%"}, "precision": "mixed", "supernet": supernet}
    return Job.of(SearchConfig.model_validate(asked), tiny_task, tiny_space, Progress(quiet=True))


def test_a_draw_after_one_that_lost_too_much_loses_less(job: Job, prices: MixedPrices) -> None:
    space = prices.space
    pricing = Pricing(space, prices.lowest(), {}, "latency", 8, 0)
    point = untrained_point(job, pricing)
    limits = {"latency": 0.5 * prices.costs("fp32")["latency"].graph(space.graph(space.dense()))}
    unlimited = MixedDraw(job, pricing, point, prices, 1000.0).drawer()(1.0, limits)
    assert "int8" in unlimited.precisions.values() and unlimited.costs[DROP] > 0
    allowed = unlimited.costs[DROP] * 1.01
    drawing = MixedDraw(job, pricing, point, prices, allowed)
    assert drawing.drawer()(1.0, limits).precisions == unlimited.precisions
    less = drawing.drawer_below(2 * allowed)(1.0, limits)
    assert less.costs[DROP] <= 0.9 * allowed / 2 + 1e-6
    assert less.costs["latency"] <= limits["latency"] * (1 + 1e-5)


def test_losing_too_much_is_said_of_mixed_tickets_alone() -> None:
    assert loses_too_much({"drop": 0.6, "max_drop": 0.5})
    assert not loses_too_much({"drop": 0.5, "max_drop": 0.5})
    assert not loses_too_much({"latency_ms": 1.0})
