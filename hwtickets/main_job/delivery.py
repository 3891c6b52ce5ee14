"""Delivering a ticket: networks are drawn and finished until one keeps its budget."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from hwtickets import files
from hwtickets.deploy.samples import Samples
from hwtickets.main_job.dense import dense_model
from hwtickets.main_job.finishing import Finishing, precisions_of
from hwtickets.main_job.order import Order
from hwtickets.progress import Stage
from hwtickets.recipes.drawers import drawer_of
from hwtickets.recipes.trials import tried_point
from hwtickets.runs import RunFolder
from hwtickets.search.closed_loop import ClosedLoop, Draw
from hwtickets.search.draw import Drawer
from hwtickets.search.gauge import Gauge
from hwtickets.search.job import Job
from hwtickets.search.mixed_draw import MixedDraw, loses_too_much
from hwtickets.search.predicted_gauge import PredictedGauge
from hwtickets.sparsity.allocation import Allocation

#: Timed runs of a drawn network.
DRAW_RUNS = 400


class Delivery:
    """Delivers one order.

    Args:
        run: The run folder.
        job: Task, space and device.
        order: What is wanted.
    """

    def __init__(self, run: RunFolder, job: Job, order: Order) -> None:
        self._run, self._job, self._order = run, job, order
        self._draws: list[dict[str, Any]] = []
        samples = Samples.of(job.task)
        self._gauge = _gauge(run, job, order, samples)
        self._mixed = MixedDraw(job, order.pricing, order.point, order.mixed) if order.mixed else None
        self._finishing = Finishing(run, job, order, self._gauge, samples, self._mixed)

    def deliver(self) -> dict[str, Any]:
        """Draws, measures, applies the recipe; again if the ticket then misses the budget and draws are left.

        Returns:
            The ticket's entry for the report, also written to `delivery.json`.

        Raises:
            NumericsError: The exported ticket does not compute what PyTorch computes.
        """
        path = self._order.folder / "delivery.json"
        if path.exists():
            return dict(files.read_json(path, "delivery"))
        self._drawer = self._mixed.drawer() if self._mixed else self._drawer_of_best()
        entry = self._by_loop() if "latency" in self._order.pricing.limits else self._at_once()
        files.write_json(path, entry)
        return entry

    def _drawer_of_best(self) -> Drawer:
        job, order = self._job, self._order
        point = tried_point(job, order.pricing, order.point, order.folder, order.suffix)
        return drawer_of(job, order.pricing, point)

    def _at_once(self) -> dict[str, Any]:
        with self._drawing():
            network = self._drawer(1.0, self._order.pricing.limits)
        return self._finishing.finish(network, self._draws)

    def _by_loop(self) -> dict[str, Any]:
        config, limits = self._job.config, self._order.pricing.limits
        loop = ClosedLoop(
            lambda correction, aims: self._drawer(correction, aims),
            limits,
            self._measure_drawn,
            self._report_draw,
            config.max_draws,
            config.tolerance,
        )
        tried: list[tuple[dict[str, Any], Allocation]] = []
        while (network := self._next(loop)) is not None:
            entry = self._finishing.finish(network, self._draws)
            if entry["kept"]:
                return entry
            tried.append((entry, network))
            loop.missed(entry["budget_ms"])
            if self._mixed and loses_too_much(entry):
                self._drawer = self._mixed.drawer_below(entry["drop"])
        nearest, network = min(tried, key=lambda one: _miss(one[0], limits["latency"]))
        # The folder holds what was finished last.
        return nearest if nearest is tried[-1][0] else self._finishing.finish(network, self._draws)

    def _next(self, loop: ClosedLoop) -> Allocation | None:
        with self._drawing():
            return loop.next()

    def _drawing(self) -> AbstractContextManager[Stage]:
        return self._job.progress.stage(f"draw{self._order.suffix}")

    def _report_draw(self, draw: Draw) -> None:
        # A prediction has nothing to learn from another draw: the first that keeps the budget is the one.
        accepted = draw.accepted if self._gauge.measures else draw.kept
        draw = replace(draw, index=len(self._draws) + 1, accepted=accepted)
        latencies = self._latencies(draw.predicted_ms, draw.measured_ms)
        self._draws.append({**draw.as_dict(), **latencies})
        verdict = "accepted" if draw.accepted else "over the budget" if not draw.kept else "room left"
        measured_ms = latencies["measured_ms"]
        measured = "not measured" if measured_ms is None else f"measured {measured_ms:.4f} ms"
        self._job.progress.note(
            f"draw {draw.index}{self._order.suffix}: predicted {latencies['predicted_ms']:.4f} ms,"
            f" {measured}, budget {draw.limit_ms:.4f} ms: {verdict}"
        )

    def _latencies(self, priced_ms: float, gauged_ms: float) -> dict[str, float | None]:
        """A drawn network's latency by its prices and by the gauge, as what they are."""
        if self._gauge.measures:
            return {"predicted_ms": priced_ms, "measured_ms": gauged_ms}
        return {"predicted_ms": gauged_ms, "measured_ms": None}

    def _measure_drawn(self, index: int, drawn: Allocation) -> float:
        """Exports and measures a drawn network; a resumed run takes the value of the earlier process."""
        known = next((c for c in self._run.candidates() if self._is_candidate(c, drawn)), None)
        if known is not None:
            return float(known["measured_ms"] if self._gauge.measures else known["predicted_ms"])
        network = self._finishing.cut(drawn)
        score = self._job.task.score(network.model, "validation")
        latency_ms = self._gauge.budget_ms(drawn, lambda: self._finishing.exported(network), DRAW_RUNS)
        self._run.candidate(
            order=self._order_name(),
            limit_ms=self._order.pricing.limits["latency"],
            widths=drawn.widths,
            **precisions_of(drawn),
            **self._latencies(drawn.costs["latency"], latency_ms),
            score=score,
            value=drawn.value,
        )
        return latency_ms

    def _is_candidate(self, candidate: dict[str, Any], drawn: Allocation) -> bool:
        """Whether an earlier process of this run gauged the same network for the same budget."""
        if (candidate.get("measured_ms") is not None) != self._gauge.measures:
            return False
        asked = {
            "order": self._order_name(),
            "widths": drawn.widths,
            "limit_ms": self._order.pricing.limits["latency"],
            "precisions": drawn.precisions or None,
        }
        return all(candidate.get(key) == value for key, value in asked.items())

    def _order_name(self) -> str:
        return self._order.folder.relative_to(self._run.path).as_posix()


def _miss(entry: Mapping[str, Any], limit_ms: float) -> tuple[float, float]:
    """By how much a ticket misses its budget, and what its precisions lose."""
    return max(0.0, entry["budget_ms"] - limit_ms), entry.get("drop", 0.0)


def _gauge(run: RunFolder, job: Job, order: Order, samples: Samples) -> Gauge | PredictedGauge:
    if not job.device.measurable:
        return PredictedGauge(job, order.table, order.profile.forms, order.mixed)
    dense = dense_model(run, job, order.profile.forms)
    return Gauge(job, dense, order.profile.dense["latency"], samples)
