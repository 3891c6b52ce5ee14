"""The verbs that work on a ticket; `hwtickets.api` offers them with the others."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hwtickets.budgets import parse_budget
from hwtickets.deploy.bundle import write_bundle
from hwtickets.deploy.drawn import AsDrawn
from hwtickets.deploy.engine import RUNTIMES as ENGINE_RUNTIMES
from hwtickets.deploy.engine import build_engine
from hwtickets.deploy.evidence import Evidence
from hwtickets.deploy.mixed import Mixed
from hwtickets.deploy.onnx_export import GraphOptions
from hwtickets.deploy.packed import pack_bundle
from hwtickets.deploy.precision import Fp32, Half, Int8, Precision
from hwtickets.deploy.quantization import recipe_for
from hwtickets.devices import get_device, open_bench
from hwtickets.errors import UsageError, unknown
from hwtickets.progress import Progress
from hwtickets.recipes.retrain import Retraining, retrain_ticket, task_of
from hwtickets.recipes.transfer import Transfer, transfer_ticket
from hwtickets.runtimes.tensorrt_record import EngineSettings
from hwtickets.sparsity.ticket import Ticket, precisions_of

FORMATS = ("onnx", "tensorrt")


def retrain(
    ticket: Path,
    recipe: str,
    epochs: float | None,
    output_dir: Path | None,
    progress: Progress,
    teacher: Path | None = None,
    run: Path | None = None,
    rewind_to: str = "early",
) -> dict[str, Any]:
    """Applies a recipe to a drawn ticket; the ticket stays, a new one is written.

    Args:
        ticket: Folder of the ticket.
        recipe: "none", "finetune", "rewind", "scratch" or "distill".
        epochs: Passes over the training data; None for 2 where training goes on from the ticket's weights,
            and for those of the search where it begins anew.
        output_dir: Folder of the new ticket; by default beside the old one.
        progress: Where to report.
        teacher: Folder of the ticket that teaches; None for the dense network of the run in "distill", for
            none in the others.
        run: Folder of the run that the ticket was drawn from; None to look for it above the ticket.
        rewind_to: "init" (the untrained weights of the search) or "early".

    Returns:
        `path` of the new ticket, its hash (`ticket`), the `validation` score before and after, and what was
        done: `recipe`, `steps`, `teacher`, `rewound_step`.
    """
    folder = output_dir or ticket.with_name(f"{ticket.name}-{recipe}")
    return retrain_ticket(Retraining(ticket, recipe, epochs, teacher, run, rewind_to, folder), progress)


def transfer(
    ticket: Path,
    task: str,
    data: str,
    freeze: str,
    epochs: float | None,
    output_dir: Path | None,
    progress: Progress,
    resolution: str | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
) -> dict[str, Any]:
    """Takes a ticket to another task: widths, masks and weights of the trunk stay, the head is new.

    A head of the kind that the task needs stays as well, all but its outputs.

    Args:
        ticket: Folder of the ticket.
        task: What is learnt now.
        data: The data set, as KIND or KIND:FOLDER.
        freeze: "architecture" (all weights are trained that are not masked) or "trunk" (what is new alone).
        epochs: Passes over the new training data; None for those of the ticket's search.
        output_dir: Folder of the new ticket; by default beside the old one.
        progress: Where to report.
        resolution: Of the images, as in a configuration; None for the data's own.
        batch_size: Images a step; None for that of the ticket's search.
        seed: Of everything random; None for the ticket's.

    Returns:
        `path` and hash (`ticket`) of the new ticket, its `validation` score, `steps`, `sparsity`, and the
        `new_units`, which are at full width; none where the head stays.

    Raises:
        UsageError: The ticket's supernet has no such head, or the images have other channels.
    """
    asked = Transfer(
        ticket=ticket,
        task=task,
        data=data,
        freeze=freeze,
        epochs=epochs,
        folder=output_dir or ticket.with_name(f"{ticket.name}-{task}"),
        more={"resolution": resolution, "batch_size": batch_size, "seed": seed},
    )
    return transfer_ticket(asked, progress)


def export(
    ticket: Path,
    format: str,
    output_dir: Path | None,
    progress: Progress,
    precision: str | None = "fp32",
    device: str = "cpu",
    max_drop: float = 0.5,
    latency: str | None = None,
    opset: int | None = None,
    dynamic_batch: bool = False,
    dla: bool = False,
    compress: bool = False,
) -> Path:
    """Writes a ticket as a bundle: model, description, samples, runners for the device.

    Args:
        ticket: Folder of the ticket.
        format: "onnx", or "tensorrt": the ONNX file and an engine that the device built of it.
        output_dir: Where to write; by default `bundle` beside the ticket, `bundle-int8` for int8.
        progress: Where to report.
        precision: "fp32", "fp16", "bf16", "int8", or "mixed": each block in fp32 or int8, the least loss that
            keeps a latency measured on the device; of a ticket whose precisions were drawn, without a
            latency, these. None for "mixed" of such a ticket, else "fp32".
        device: Whose runtime the bundle is for.
        max_drop: How much the score may fall by int8, in the metric's unit; operators that cost more stay in
            fp32.
        latency: Budget of "mixed", e.g. "2ms", or a share of the ticket's own latency in fp32, e.g. "70%".
        opset: 18 or 17; None for what the precision needs.
        dynamic_batch: Whether any number of images can be given at once.
        dla: Whether the engine's layers go to the deep-learning accelerator.
        compress: Whether the ONNX file is packed: zeros cost a bit each, and the target unpacks it.

    Raises:
        NumericsError: int8 loses more than that.
        BudgetError: No mix of precisions keeps the latency.
        DeviceError: The device's runtime lacks operators in this precision, or cannot be measured.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    require_drop(max_drop)
    drawn = precisions_of(ticket) if precision in (None, "mixed") and latency is None else {}
    precision = precision or ("mixed" if drawn else "fp32")
    if (latency is not None) != (precision == "mixed") and not drawn:
        raise UsageError("--precision mixed and --latency go together, e.g. --precision mixed --latency 70%")
    if dla and format != "tensorrt":
        raise UsageError("--dla is for engines; add --format tensorrt")
    budget = parse_budget("latency", latency or "100%")
    profile = get_device(device)
    # On a device that has no engines of its own, TensorRT-RTX builds here, ahead of time.
    ahead = format == "tensorrt" and profile.runtime not in ENGINE_RUNTIMES
    runtime = "tensorrt" if ahead else profile.runtime
    folder = output_dir or ticket.with_name("bundle" if precision == "fp32" else f"bundle-{precision}")
    with contextlib.ExitStack() as opened:

        def mixed() -> Precision:
            built_at = "int8" if "int8" in profile.precisions else profile.precisions[0]
            bench = opened.enter_context(open_bench(profile, built_at))
            loaded = Ticket.load(ticket)
            blocks = loaded.architecture.forms
            return Mixed(task_of(loaded), recipe, max_drop, budget, bench, blocks, progress)

        def as_drawn() -> Precision:
            loaded = Ticket.load(ticket)
            return AsDrawn(drawn, recipe, Evidence(task_of(loaded)), loaded.architecture.forms)

        recipe = recipe_for(runtime)
        converters: dict[str, Callable[[], Precision]] = {
            "fp32": Fp32,
            "fp16": lambda: Half("fp16", runtime),
            "bf16": lambda: Half("bf16", runtime),
            "int8": lambda: Int8(task_of(Ticket.load(ticket)), recipe, max_drop, progress),
            "mixed": as_drawn if drawn else mixed,
        }
        if precision not in converters:
            raise unknown("precision", precision, converters)
        graph = GraphOptions(opset, dynamic_batch)

        def finish(place: Path) -> None:
            if format == "tensorrt":
                settings = EngineSettings("int8" if precision == "mixed" else precision, dla=dla)
                build_engine(place / "model.onnx", profile, place, settings)
            if compress:
                pack_bundle(place)

        return write_bundle(ticket, folder, converters[precision](), graph, runtime, finish)


def require_drop(max_drop: float) -> None:
    """Raises a UsageError if this is nothing that a score may fall by."""
    if not 0 <= max_drop < math.inf:
        raise UsageError(f"the largest drop is a number of points from 0 on, e.g. 0.5; got {max_drop:g}")
