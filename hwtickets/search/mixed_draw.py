"""Drawing widths and precisions together from a trained network, and what the drawn mix is exported as."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hwtickets.deploy.bundle import Bundle
from hwtickets.deploy.deployable import deployable
from hwtickets.deploy.drawn import AsDrawn, mixable
from hwtickets.deploy.evidence import Evidence
from hwtickets.deploy.losses import part_losses
from hwtickets.deploy.onnx_export import export_onnx
from hwtickets.deploy.quantization import recipe_for
from hwtickets.search.draw import Drawer
from hwtickets.search.job import Job
from hwtickets.search.mixed_prices import Losses, MixedPrices
from hwtickets.search.points import DrawPoint
from hwtickets.search.shrinking import Pricing
from hwtickets.search.tickets import cut
from hwtickets.sparsity.allocation import Allocation
from hwtickets.sparsity.choices import price_network
from hwtickets.sparsity.mixed_space import allocate_mixed
from hwtickets.training.batchnorm import recalibrate_on

#: How far below what is allowed the next draw aims, where one has lost more.
_MARGIN = 0.9


def loses_too_much(ticket: Mapping[str, Any]) -> bool:
    """Whether the precisions of a ticket, its entry in a report, cost more of the score than they may."""
    return bool(ticket.get("drop", 0.0) > ticket.get("max_drop", math.inf))


class MixedDraw:
    """Draws from one point; knows what each precision costs there.

    Args:
        job: Task, space and device.
        pricing: Alignment and floor.
        point: Where to draw from.
        prices: Of the space in every precision.
    """

    def __init__(self, job: Job, pricing: Pricing, point: DrawPoint, prices: MixedPrices) -> None:
        self._job, self._point, self._prices = job, point, prices
        self._max_drop = self._aimed_drop = job.config.max_drop
        self._alignment, self._floor = pricing.alignment, pricing.floor
        self._recipe = recipe_for(job.device.runtime)
        with job.progress.stage("sensitivity"):
            self._evidence = Evidence(job.task)
            self._losses = self._measured_losses()

    def drawer(self) -> Drawer:
        """Draws the most important network whose precisions lose no more than they may."""
        point, prices = self._point, self._prices
        space = prices.mixed_space(self._alignment, point.widths, self._floor, self._losses, self._aimed_drop)

        def draw(correction: float, limits: Mapping[str, float]) -> Allocation:
            corrected = space.repriced(correction)
            # Where the corrected prices say that nothing fits, the fastest network is the nearest one.
            reachable_ms = max(limits["latency"], corrected.smallest("latency"))
            return allocate_mixed(corrected, point.scores, {**limits, "latency": reachable_ms})

        return draw

    def exported(self, drawn: Allocation, scored: bool) -> AsDrawn:
        """How a drawn network is exported; `scored`: with what its precisions cost in score."""
        return AsDrawn(drawn.precisions, self._recipe, self._evidence, self._job.space.blocks, scored)

    def drawer_below(self, drop: float) -> Drawer:
        """The drawer after a ticket that lost `drop`, more than it may: precisions get less to lose."""
        self._job.progress.note(
            f"the precisions cost {drop:.3g} points, {self._max_drop:g} are allowed: drawn again"
        )
        self._aimed_drop *= _MARGIN * self._max_drop / drop
        return self.drawer()

    def lost(self, bundle: Bundle) -> dict[str, float]:
        """What the precisions of a deployed ticket cost of the validation score, and what they may."""
        found = bundle.facts["conversion"]
        return {"drop": found["score_fp32"] - found["score"], "max_drop": self._max_drop}

    def _measured_losses(self) -> Losses:
        job, point, prices = self._job, self._point, self._prices
        forms, costs = price_network(job.space, point.widths, prices.costs(prices.precisions[0]))
        whole = Allocation(point.widths, forms, costs, 1.0)
        config = job.config
        model = cut(point, whole, job.space, config.supernet, job.task, config.mask_pattern).model
        recalibrate_on(model, job.task, config.calibration_batches)
        exact = export_onnx(deployable(model, forms), job.task.input_shape)
        network = mixable(exact, job.space.blocks, prices.parts, self._recipe, self._evidence)
        return part_losses(network, self._evidence, prices.precisions[1:])
