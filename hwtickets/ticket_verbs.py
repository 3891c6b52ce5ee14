"""The verbs that work on a ticket or a bundle; `hwtickets.api` offers them with the others."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hwtickets.deploy.bundle import Bundle, read_bundle, write_bundle
from hwtickets.deploy.check import block_times, measure, verify_bundle
from hwtickets.deploy.precision import Fp16, Fp32, Int8, Precision
from hwtickets.deploy.quantization import recipe_for
from hwtickets.devices import DeviceProfile, get_device, open_bench
from hwtickets.errors import UsageError, unknown
from hwtickets.progress import Progress
from hwtickets.recipes.retrain import Retraining, retrain_ticket, task_of
from hwtickets.recipes.transfer import Transfer, transfer_ticket
from hwtickets.sparsity.ticket import Ticket

FORMATS = ("onnx",)


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
    """Takes a ticket's trunk to another task: widths, masks and weights stay, the head is new.

    Args:
        ticket: Folder of the ticket.
        task: What is learnt now.
        data: The data set, as KIND or KIND:FOLDER.
        freeze: "architecture" (all weights are trained that are not masked) or "trunk" (the head alone).
        epochs: Passes over the new training data; None for those of the ticket's search.
        output_dir: Folder of the new ticket; by default beside the old one.
        progress: Where to report.
        resolution: Of the images, as in a configuration; None for the data's own.
        batch_size: Images a step; None for that of the ticket's search.
        seed: Of everything random; None for the ticket's.

    Returns:
        `path` and hash (`ticket`) of the new ticket, its `validation` score, `steps`, the `sparsity` of the
        trunk, and the `new_units` of the head, which are at full width.

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
    precision: str = "fp32",
    device: str = "cpu",
    max_drop: float = 0.5,
) -> Path:
    """Writes a ticket as a bundle: model, description, samples, runner.

    Args:
        ticket: Folder of the ticket.
        format: "onnx".
        output_dir: Where to write; by default `bundle` beside the ticket, `bundle-int8` for int8.
        progress: Where to report.
        precision: "fp32", "fp16" or "int8".
        device: Whose runtime the 8-bit network is for.
        max_drop: How much the score may fall by int8, in the metric's unit; operators that cost more stay in
            fp32.

    Raises:
        NumericsError: int8 loses more than that.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if not 0 <= max_drop < math.inf:
        raise UsageError(f"the largest drop is a number of points from 0 on, e.g. 0.5; got {max_drop:g}")
    recipe = recipe_for(get_device(device).runtime)
    converters: dict[str, Callable[[], Precision]] = {
        "fp32": Fp32,
        "fp16": Fp16,
        "int8": lambda: Int8(task_of(Ticket.load(ticket)), recipe, max_drop, progress),
    }
    if precision not in converters:
        raise unknown("precision", precision, converters)
    name = "bundle" if precision == "fp32" else f"bundle-{precision}"
    return write_bundle(ticket, output_dir or ticket.with_name(name), converters[precision]())


def verify(bundle: Path, device: str, images: int) -> dict[str, Any]:
    """Compares a bundle on a device with PyTorch, on real validation images.

    Raises:
        NumericsError: The outputs differ by more than the precision explains.
    """
    opened, profile = read_bundle(bundle), get_device(device)
    with open_bench(profile, _precision(opened, profile)) as bench:
        numerics, score = verify_bundle(opened, bench, images)
    numerics.require_ok(opened.model_path)
    return {**numerics.as_dict(), "score_on_samples": score}


def benchmark(bundle: Path, device: str, runs: int, dense: Path | None) -> dict[str, Any]:
    """Times a bundle on a device.

    Args:
        bundle: Folder of the bundle.
        device: Name of the device.
        runs: Timed runs.
        dense: Another bundle (the dense network) to be timed interleaved with it.

    Returns:
        Percentiles in ms, the time of every block, and the ratio to `dense` with its 95 % interval.
    """
    opened, profile = read_bundle(bundle), get_device(device)
    models = {"ticket": opened.model_path}
    if dense is not None:
        models["dense"] = read_bundle(dense).model_path
    image = opened.samples.inputs[:1]
    with open_bench(profile, _precision(opened, profile)) as bench:
        measured = measure(models, "dense" if dense else "ticket", bench, runs, image)
        latency = measured.timings["ticket"]
        blocks = block_times(opened.model_path, opened.facts["forms"], bench, image, latency.p50_ms)
    result: dict[str, Any] = {
        "device": profile.name,
        "latency_ms": latency.summary(),
        "throughput_per_s": 1000 / latency.p50_ms,
        "blocks": blocks,
    }
    if dense is not None:
        result["dense_latency_ms"] = measured.timings["dense"].summary()
        result["ratio"] = dict(zip(("median", "low", "high"), measured.ratios["ticket"], strict=True))
    return result


def _precision(bundle: Bundle, device: DeviceProfile) -> str:
    """What a bundle is run at: its own precision, or what the device builds from it."""
    own: str = bundle.facts["precision"]
    return own if own in device.precisions else device.precisions[0]
