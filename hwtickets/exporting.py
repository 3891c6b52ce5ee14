"""A ticket on its way to a bundle: everything that can be refused is, before anything is converted."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from pathlib import Path

from hwtickets.budgets import Budget, parse_budget
from hwtickets.deploy.bundle import write_bundle
from hwtickets.deploy.drawn import AsDrawn
from hwtickets.deploy.engine import RUNTIMES as ENGINE_RUNTIMES
from hwtickets.deploy.engine import build_engine, engine_builder
from hwtickets.deploy.evidence import Evidence
from hwtickets.deploy.mixed import Mixed
from hwtickets.deploy.onnx_export import GraphOptions
from hwtickets.deploy.opsets import OPSET, require_opset
from hwtickets.deploy.packed import pack_bundle
from hwtickets.deploy.precision import Bf16, Fp16, Fp32, Int8, Precision
from hwtickets.deploy.quantization import recipe_for
from hwtickets.deploy.runnable import require_runnable
from hwtickets.deploy.target_forms import forms_for
from hwtickets.devices import DeviceProfile, open_bench
from hwtickets.devices.runtimes import lacking
from hwtickets.errors import DeviceError, UsageError, unknown
from hwtickets.progress import Progress
from hwtickets.recipes.retrain import task_of
from hwtickets.runtimes import local_runtime
from hwtickets.runtimes.bfloat16 import BF16_OPSET
from hwtickets.runtimes.tensorrt_record import EngineSettings
from hwtickets.sparsity.ticket import Ticket

FORMATS = ("onnx", "tensorrt")
PRECISIONS = ("fp32", "fp16", "bf16", "int8", "mixed")


@dataclass(frozen=True)
class Export:
    """What is asked of an export; see `hwtickets.api.export`.

    Attributes:
        format: "onnx" or "tensorrt".
        precision: One of `PRECISIONS`.
        device: Whose runtime the bundle is for.
        max_drop: How much the score may fall, in the metric's unit.
        latency: Budget of a mix that is chosen now; None for every other precision, and for a drawn mix.
        graph: What can be chosen of the graph.
        dla: Whether the engine's layers go to the deep-learning accelerator.
        compress: Whether the ONNX file is packed.
    """

    format: str
    precision: str
    device: DeviceProfile
    max_drop: float
    latency: str | None
    graph: GraphOptions
    dla: bool
    compress: bool

    @property
    def runtime(self) -> str:
        """What the network will run in; without engines there, TensorRT-RTX builds here, ahead."""
        ahead = self.format == "tensorrt" and self.device.runtime not in ENGINE_RUNTIMES
        return "tensorrt" if ahead else self.device.runtime

    def require_possible(self, drawn: bool) -> None:
        """Raises a UsageError for what contradicts itself.

        Args:
            drawn: Whether the ticket's precisions were drawn.
        """
        if self.format not in FORMATS:
            raise unknown("format", self.format, FORMATS)
        if self.precision not in PRECISIONS:
            raise unknown("precision", self.precision, PRECISIONS)
        require_drop(self.max_drop)
        if (self.latency is not None) != (self.precision == "mixed") and not drawn:
            raise UsageError(
                "--precision mixed and --latency go together, e.g. --precision mixed --latency 70%"
            )
        if self.dla and self.format != "tensorrt":
            raise UsageError("--dla is for engines; add --format tensorrt")
        require_opset(self.graph.opset, BF16_OPSET if self.precision == "bf16" else OPSET)


def export_ticket(folder: Path, asked: Export, output_dir: Path, progress: Progress) -> Path:
    """Writes a ticket as a bundle; see `hwtickets.api.export` for the errors.

    Args:
        folder: Of the ticket.
        asked: How.
        output_dir: Where the bundle goes.
        progress: Where to report.
    """
    ticket = Ticket.load(folder)
    drawn = ticket.provenance.get("precisions", {}) if asked.latency is None else {}
    asked.require_possible(bool(drawn))
    budget = parse_budget("latency", asked.latency or "100%")
    with contextlib.ExitStack() as opened:
        if asked.format == "tensorrt":
            opened.enter_context(engine_builder(asked.device, _engine_precision(asked)))
        precision = _precision(ticket, asked, drawn, budget, opened, progress)
        forms = forms_for(ticket, asked.device, asked.precision, progress)

        def finish(place: Path) -> None:
            if asked.format == "tensorrt":
                settings = EngineSettings(_engine_precision(asked), dla=asked.dla)
                build_engine(place / "model.onnx", asked.device, place, settings)
            else:
                _require_loads(place / "model.onnx", asked)
            if asked.compress:
                pack_bundle(place)

        return write_bundle(folder, output_dir, precision, asked.graph, asked.runtime, finish, forms)


def require_drop(max_drop: float) -> None:
    """Raises a UsageError if this is nothing that a score may fall by."""
    if not 0 <= max_drop < math.inf:
        raise UsageError(f"the largest drop is a number of points from 0 on, e.g. 0.5; got {max_drop:g}")


def _precision(
    ticket: Ticket,
    asked: Export,
    drawn: dict[str, str],
    budget: Budget,
    opened: contextlib.ExitStack,
    progress: Progress,
) -> Precision:
    name, max_drop, recipe = asked.precision, asked.max_drop, recipe_for(asked.runtime)
    if name == "fp32":
        return Fp32()
    if name in ("fp16", "bf16"):
        kind = Fp16 if name == "fp16" else Bf16
        return kind(asked.runtime, task_of(ticket), max_drop, progress)
    if name == "int8":
        return Int8(task_of(ticket), recipe, max_drop, progress)
    blocks = ticket.architecture.forms
    if drawn:
        return AsDrawn(drawn, recipe, Evidence(task_of(ticket)), blocks)
    device = asked.device
    bench = open_bench(device, "int8" if "int8" in device.precisions else device.precisions[0])
    opened.enter_context(bench)
    return Mixed(task_of(ticket), recipe, max_drop, budget, bench, blocks, progress)


def _engine_precision(asked: Export) -> str:
    return "int8" if asked.precision == "mixed" else asked.precision


def _require_loads(model: Path, asked: Export) -> None:
    """Has the device's runtime load the network, where that is on this machine."""
    device = asked.device
    if device.connection != "local" or lacking(device.runtime) is not None:
        return
    precision = asked.precision if asked.precision in device.precisions else device.precisions[0]
    try:
        runtime = local_runtime(device.runtime, device.threads, precision)
    except DeviceError:  # It cannot be asked here.
        return
    require_runnable(model.read_bytes(), runtime, f"device {device.name}")
