"""Where a pipeline draws from, and how."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from hwtickets.recipes.families import random_networks, uniform_networks, widest
from hwtickets.recipes.origins import Origins
from hwtickets.recipes.pipelines import PIPELINES
from hwtickets.search.draw import Drawer, draw_within
from hwtickets.search.job import Job
from hwtickets.search.points import DrawPoint
from hwtickets.search.shrinking import Pricing
from hwtickets.search.space_profile import repriced
from hwtickets.sparsity.allocation import Allocation
from hwtickets.sparsity.choices import PricedSpace, price_space
from hwtickets.sparsity.importance import Scores


def drawer_of(job: Job, pricing: Pricing, point: DrawPoint) -> Drawer:
    """How the pipeline of a job draws.

    Args:
        job: The job.
        pricing: Space, costs and budgets.
        point: Where to draw from.
    """
    space, costs, alignment = pricing.space, pricing.costs, pricing.alignment
    network = PIPELINES[job.config.pipeline].network
    if network == "whole":
        return widest([space.dense()], space, costs)
    if network == "uniform":
        return widest(uniform_networks(space, alignment), space, costs)
    if network == "random":
        return widest(random_networks(space, alignment, pricing.floor, job.config.seed), space, costs)
    priced = price_space(space, costs, alignment, point.widths, pricing.floor)
    return by_value(priced, point.scores, pricing.price)


def by_value(priced: PricedSpace, scores: Scores, price: str) -> Drawer:
    """The drawer that keeps the most importance.

    Args:
        priced: Choices and prices.
        scores: Importance of the channels that are left.
        price: Metric that the draw pays in.
    """

    def draw(correction: float, limits: Mapping[str, float]) -> Allocation:
        corrected = repriced(priced, correction)
        if "latency" in limits:
            # Where the corrected prices say that nothing fits, the smallest network is the nearest one.
            limits = {**limits, "latency": max(limits["latency"], corrected.smallest("latency"))}
        return draw_within(corrected, scores, limits, price)

    return draw


def untrained_point(job: Job, pricing: Pricing) -> DrawPoint:
    """The supernet before any training, all of its channels worth the same."""
    units, dense = job.space.units, job.space.dense()
    scores = {name: torch.ones(width) for name, width in dense.items()}
    origins = Origins(units.values()).channels()
    weights = dict(job.supernet().state_dict())
    return DrawPoint(0, 0, weights, {}, scores, dense, pricing.costs_of(dense), origins)
