"""Delivering a ticket: the closed loop, the recipe, export, verification and the final measurement."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hwtickets import files
from hwtickets.deploy.bundle import read_bundle, save_and_export
from hwtickets.deploy.samples import Samples
from hwtickets.recipes.drawers import drawer_of
from hwtickets.recipes.finish import Places, finish
from hwtickets.recipes.origins import as_text
from hwtickets.recipes.work import Record
from hwtickets.runs import RunFolder
from hwtickets.search.closed_loop import Draw, LoopResult, close_loop
from hwtickets.search.dense import dense_model
from hwtickets.search.gauge import Gauge
from hwtickets.search.job import Job
from hwtickets.search.masking import mask_record
from hwtickets.search.points import DrawPoint
from hwtickets.search.predicted_gauge import PredictedGauge
from hwtickets.search.shrinking import Pricing
from hwtickets.search.space_profile import SpaceProfile
from hwtickets.search.tickets import CutNetwork, as_ticket, cut
from hwtickets.sparsity.allocation import Allocation
from hwtickets.sparsity.mask import sparsity_of
from hwtickets.tables import LatencyTable

#: Timed runs of a drawn network, and of the ticket at the end.
DRAW_RUNS, FINAL_RUNS = 400, 1500
#: What the last stage of a delivery does, by whether there is a device to measure on.
LAST_STAGE = {True: "measure", False: "verify"}


@dataclass(frozen=True)
class Order:
    """What is to be delivered.

    Attributes:
        pricing: Space, costs, budgets and the price that is paid in.
        point: Where to draw from.
        profile: Costs of the dense network.
        table: The latency table behind the prices.
        state: State folder of the search.
        folder: Gets `ticket/`, `bundle/` and `delivery.json`.
        suffix: Appended to the names of the stages, e.g. " by macs".
        steps: Training steps of the drawn network; None for those of the recipe.
    """

    pricing: Pricing
    point: DrawPoint
    profile: SpaceProfile
    table: LatencyTable
    state: Path
    folder: Path
    suffix: str = ""
    steps: int | None = None


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
        self._samples = Samples.of(job.task)
        self._gauge = _gauge(run, job, order, self._samples)
        self._drawer = drawer_of(job, order.pricing, order.point)

    def deliver(self) -> dict[str, Any]:
        """Draws, measures, applies the recipe; again if the ticket then misses the budget and draws are left.

        Returns:
            The ticket's entry for the report, also written to `delivery.json`.

        Raises:
            NumericsError: The exported ticket does not compute what PyTorch computes.
        """
        order, job = self._order, self._job
        path = order.folder / "delivery.json"
        if path.exists():
            return dict(files.read_json(path, "delivery"))
        pricing = order.pricing
        limits = dict(pricing.limits)
        while True:
            network = self._draw(limits)
            entry = self._finish(network)
            left = job.config.max_draws - len(self._draws)
            if entry["kept"] or left <= 0 or "latency" not in limits:
                break
            limits["latency"] *= 0.995 * pricing.limits["latency"] / entry["budget_ms"]
        files.write_json(path, entry)
        return entry

    def _draw(self, limits: dict[str, float]) -> Allocation:
        order, config = self._order, self._job.config
        with self._job.progress.stage(f"draw{order.suffix}"):
            if "latency" not in limits:
                return self._drawer(1.0, limits)
            left = config.max_draws - len(self._draws)
            result: LoopResult = close_loop(
                self._drawer,
                limits,
                self._measure_drawn,
                self._report_draw,
                left,
                config.tolerance,
            )
            return result.network

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
        network = self._cut(drawn)
        score = self._job.task.score(network.model, "validation")
        latency_ms = self._gauge.budget_ms(drawn, lambda: self._export_draw(network), DRAW_RUNS)
        self._run.candidate(
            order=self._order_name(),
            limit_ms=self._order.pricing.limits["latency"],
            widths=drawn.widths,
            **self._latencies(drawn.costs["latency"], latency_ms),
            score=score,
            value=drawn.value,
        )
        return latency_ms

    def _export_draw(self, network: CutNetwork) -> Path:
        folder = self._order.folder / "draw"
        self._save(network, folder, None)
        return folder / "bundle" / "model.onnx"

    def _is_candidate(self, candidate: dict[str, Any], drawn: Allocation) -> bool:
        """Whether an earlier process of this run gauged the same network for the same budget."""
        if (candidate.get("measured_ms") is not None) != self._gauge.measures:
            return False
        asked = {
            "order": self._order_name(),
            "widths": drawn.widths,
            "limit_ms": self._order.pricing.limits["latency"],
        }
        return all(candidate.get(key) == value for key, value in asked.items())

    def _order_name(self) -> str:
        return self._order.folder.relative_to(self._run.path).as_posix()

    def _cut(self, drawn: Allocation) -> CutNetwork:
        job, config = self._job, self._job.config
        return cut(self._order.point, drawn, job.space, config.supernet, job.task, config.mask_pattern)

    def _finish(self, drawn: Allocation) -> dict[str, Any]:
        """Applies the recipe, saves, verifies and measures; the report entry of the result."""
        order, job, progress = self._order, self._job, self._job.progress
        network = self._cut(drawn)
        record = self._apply_recipe(network)
        with progress.stage(f"{LAST_STAGE[self._gauge.measures]}{order.suffix}"):
            identity = self._save(network, order.folder, record)
            bundle = read_bundle(order.folder / "bundle")
            devices = order.folder / "devices"
            shown = self._gauge.examine(drawn, bundle, FINAL_RUNS, devices / job.device.name)
            limit_ms = order.pricing.limits.get("latency", math.inf)
            return {
                **shown,
                "id": identity,
                "kept": shown["budget_ms"] <= limit_ms,
                "validation": record.score_after,
                "before_finetune": record.score_before,
                "steps": record.steps,
                "macs": drawn.costs["macs"],
                "params": sum(parameter.numel() for parameter in network.model.parameters()),
                "size_bytes": bundle.model_path.stat().st_size,
                "compressed_bytes": len(zlib.compress(bundle.model_path.read_bytes())),
                "sparsity": sparsity_of(network.model),
                "widths": drawn.widths,
                "forms": drawn.forms,
                "costs": drawn.costs,
                "draws": self._draws,
            }

    def _apply_recipe(self, network: CutNetwork) -> Record:
        order = self._order
        name = files.sha256_of(repr(sorted(network.drawn.widths.items())).encode())[:12]
        places = Places(order.state, self._run.state / "dense" / "ticket", order.folder / name)
        return finish(self._job, network, places, order.steps, order.suffix)

    def _save(self, network: CutNetwork, folder: Path, record: Record | None) -> str:
        order, job, drawn = self._order, self._job, network.drawn
        parent = {"run": self._run.path.name, "point": order.point.index, "step": order.point.step}
        provenance = {
            "importance": job.config.importance,
            "price": order.pricing.price,
            "budgets": dict(job.config.budgets),
            "limits": order.pricing.limits,
            "costs": drawn.costs,
            "value": drawn.value,
            "parent": parent,
            "drawn": {
                **parent,
                "state": order.state.relative_to(self._run.path).as_posix(),
                "channels": as_text(network.channels),
            },
            **(record.as_dict() if record else {}),
            "masks": mask_record(job.config, job.device, network.model),
            "config": job.config.model_dump(mode="json"),
            "seed": job.config.seed,
            "device": dict(self._gauge.fingerprint),
            "table": dict(order.table.provenance),
        }
        ticket = as_ticket(network.model, drawn, job.space, job.task, job.config.data, provenance)
        return save_and_export(ticket, self._samples, folder, job.device.runtime)


def _gauge(run: RunFolder, job: Job, order: Order, samples: Samples) -> Gauge | PredictedGauge:
    if not job.device.measurable:
        return PredictedGauge(job, order.table, order.profile.forms)
    dense = dense_model(run, job, order.profile.forms)
    return Gauge(job, dense, order.profile.dense["latency"], samples)
