"""Where a pipeline draws from, and how."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from hwtickets.modules.gates import add_gates, fold_gates
from hwtickets.pipelines import PIPELINES
from hwtickets.recipes.families import random_networks, uniform_networks, widest
from hwtickets.search.draw import Drawer, draw_within
from hwtickets.search.job import Job
from hwtickets.search.origins import Origins
from hwtickets.search.points import DrawPoint
from hwtickets.search.scoring import SCORING_BATCHES, batches_of
from hwtickets.search.shrinking import Pricing
from hwtickets.search.space_profile import repriced
from hwtickets.sparsity.allocation import Allocation
from hwtickets.sparsity.choices import Priced, price_space
from hwtickets.sparsity.criteria import build_importance
from hwtickets.sparsity.importance import Scores
from hwtickets.sparsity.weight_importance import Evidence
from hwtickets.supernets import Supernet
from hwtickets.training.accelerator import Accelerator
from hwtickets.training.compute import Compute
from hwtickets.training.failures import one_line

#: What the scoring of a network that came trained is called.
SCORING_STAGE = "score"


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


def by_value(priced: Priced, scores: Scores, price: str) -> Drawer:
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
    scores = {name: torch.ones(width) for name, width in job.space.dense().items()}
    return _whole(job, pricing, job.supernet(), scores)


def scored_point(job: Job, pricing: Pricing) -> DrawPoint:
    """The network as it came, its channels scored on a few training batches: no search."""
    config, model = job.config, job.supernet()
    parts = config.accumulate
    batches = batches_of(job.task, range(SCORING_BATCHES), parts)
    with job.progress.stage(SCORING_STAGE):
        add_gates(model, units := job.space.units.values())
        model.to(device := Accelerator(Compute.of(config)).device)
        with one_line("while channels are scored", device):
            evidence = Evidence(model, batches, job.task.loss, config.seed)
            scores = build_importance(config.importance).measure(evidence, units, parts)
        fold_gates(model, units)
    return _whole(job, pricing, model.cpu(), scores)


def _whole(job: Job, pricing: Pricing, model: Supernet, scores: Scores) -> DrawPoint:
    dense = job.space.dense()
    origins = Origins(job.space.units.values()).channels()
    weights = dict(model.state_dict())
    return DrawPoint(0, 0, weights, {}, scores, dense, pricing.costs_of(dense), origins)
