"""Finishing a drawn network: the recipe, the export, verification and the final measurement."""

from __future__ import annotations

import math
import zlib
from functools import cached_property
from pathlib import Path
from typing import Any

from hwtickets import files
from hwtickets.deploy.bundle import read_bundle, save_and_export
from hwtickets.deploy.samples import Samples
from hwtickets.main_job.order import Order
from hwtickets.recipes.finish import Places, finish
from hwtickets.recipes.work import Record
from hwtickets.runs import RunFolder
from hwtickets.search.gauge import Gauge
from hwtickets.search.job import Job
from hwtickets.search.masking import mask_record
from hwtickets.search.mixed_draw import MixedDraw, loses_too_much
from hwtickets.search.origins import as_text
from hwtickets.search.predicted_gauge import PredictedGauge
from hwtickets.search.reconstruction import Reconstruction, reconstruction_of
from hwtickets.search.tickets import CutNetwork, as_ticket, cut
from hwtickets.sparsity.allocation import Allocation
from hwtickets.sparsity.mask import sparsity_of
from hwtickets.training.batchnorm import recalibrate_on

#: Timed runs of the ticket at the end.
FINAL_RUNS = 1500
#: What the last stage does, by whether there is a device to measure on.
LAST_STAGE = {True: "measure", False: "verify"}


class Finishing:
    """Makes tickets of the networks that are drawn for one order.

    Args:
        run: The run folder.
        job: Task, space and device.
        order: What is wanted.
        gauge: Gives the latency that counts.
        samples: For verification, and for the bundle.
        mixed: What draws precisions, where they are drawn.
    """

    def __init__(
        self,
        run: RunFolder,
        job: Job,
        order: Order,
        gauge: Gauge | PredictedGauge,
        samples: Samples,
        mixed: MixedDraw | None,
    ) -> None:
        self._run, self._job, self._order = run, job, order
        self._gauge, self._samples, self._mixed = gauge, samples, mixed

    def cut(self, drawn: Allocation) -> CutNetwork:
        """The drawn network; its weights are those of the point, or fitted to give what those gave."""
        job, config = self._job, self._job.config
        network = cut(self._order.point, drawn, job.space, config.supernet, job.task, config.mask_pattern)
        if self._reconstruction:
            self._reconstruction.apply(network)
        recalibrate_on(network.model, job.task, config.calibration_batches)
        return network

    @cached_property
    def _reconstruction(self) -> Reconstruction | None:
        return reconstruction_of(self._job, self._order.point)

    def exported(self, network: CutNetwork) -> Path:
        """The ONNX file of a network as it was drawn."""
        folder = self._order.folder / "draw"
        self._save(network, folder, None)
        return folder / "bundle" / "model.onnx"

    def finish(self, drawn: Allocation, draws: list[dict[str, Any]]) -> dict[str, Any]:
        """Applies the recipe, saves, verifies and measures.

        Args:
            drawn: The network.
            draws: All draws so far, for the record.

        Returns:
            The ticket's entry for the report.

        Raises:
            NumericsError: The exported ticket does not compute what PyTorch computes.
        """
        order, job, progress = self._order, self._job, self._job.progress
        network = self.cut(drawn)
        record = self._apply_recipe(network)
        with progress.stage(f"{LAST_STAGE[self._gauge.measures]}{order.suffix}"):
            identity = self._save(network, order.folder, record)
            bundle = read_bundle(order.folder / "bundle")
            devices = order.folder / "devices"
            shown = self._gauge.examine(drawn, bundle, FINAL_RUNS, devices / job.device.name)
            limit_ms = order.pricing.limits.get("latency", math.inf)
            lost = self._mixed.lost(bundle) if self._mixed else {}
            return {
                **shown,
                **lost,
                **precisions_of(drawn),
                "id": identity,
                "kept": shown["budget_ms"] <= limit_ms and not loses_too_much(lost),
                "validation": record.score_after,
                "before_finetune": record.score_before if record.steps else None,
                "steps": record.steps,
                "macs": drawn.costs["macs"],
                "params": sum(parameter.numel() for parameter in network.model.parameters()),
                "size_bytes": bundle.model_path.stat().st_size,
                "compressed_bytes": len(zlib.compress(bundle.model_path.read_bytes())),
                "sparsity": sparsity_of(network.model),
                "widths": drawn.widths,
                "forms": drawn.forms,
                "costs": drawn.costs,
                "draws": draws,
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
            **precisions_of(drawn),
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
        mix = self._mixed.exported(drawn, scored=record is not None) if self._mixed else None
        return save_and_export(ticket, self._samples, folder, job.device.runtime, mix)


def precisions_of(drawn: Allocation) -> dict[str, dict[str, str]]:
    """The entry of a record that states the precisions of a network, where they were drawn."""
    return {"precisions": drawn.precisions} if drawn.precisions else {}
