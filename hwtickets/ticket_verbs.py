"""The verbs that work on a ticket; `hwtickets.api` offers them with the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwtickets.deploy.onnx_export import GraphOptions
from hwtickets.devices import get_device
from hwtickets.exporting import Export, export_ticket
from hwtickets.progress import Progress
from hwtickets.recipes.retrain import Retraining, retrain_ticket
from hwtickets.recipes.transfer import Transfer, transfer_ticket
from hwtickets.sparsity.ticket import precisions_of


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
    **training: Any,
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
        training: Keys of a configuration that say how it is trained: `optimizer`, `learning_rate`,
            `schedule`, `milestones`, `weight_decay`, `label_smoothing`. For those that are None or not given,
            what another task suggests for itself, else those of the ticket's search.

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
        more={"resolution": resolution, "batch_size": batch_size, "seed": seed, **training},
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
        max_drop: How much the score may fall by fp16, bf16, int8 or a mix, in the metric's unit; operators
            that cost more stay in fp32, but in bf16.
        latency: Budget of "mixed", e.g. "2ms", or a share of the ticket's own latency in fp32, e.g. "70%".
        opset: 18 or 17; None for what the precision needs.
        dynamic_batch: Whether any number of images can be given at once.
        dla: Whether the engine's layers go to the deep-learning accelerator.
        compress: Whether the ONNX file is packed: zeros cost a bit each, and the target unpacks it.

    Raises:
        NumericsError: The precision loses more than that.
        BudgetError: No mix of precisions keeps the latency.
        DeviceError: The device's runtime lacks operators in this precision, or cannot be measured.
    """
    profile = get_device(device)
    if precision is None:
        precision = "mixed" if latency is None and precisions_of(ticket) else "fp32"
    graph = GraphOptions(opset, dynamic_batch)
    asked = Export(format, precision, profile, max_drop, latency, graph, dla, compress)
    folder = output_dir or ticket.with_name("bundle" if precision == "fp32" else f"bundle-{precision}")
    return export_ticket(ticket, asked, folder, progress)
