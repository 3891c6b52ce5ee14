"""What a bundle is compared with: the ticket that it was exported from."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from hwtickets import files
from hwtickets.deploy.bundle import Bundle
from hwtickets.deploy.deployable import deployable
from hwtickets.deploy.onnx_export import export_onnx
from hwtickets.deploy.samples import Samples
from hwtickets.errors import HwticketsError, UsageError
from hwtickets.sparsity.ticket import Ticket, ticket_hash
from hwtickets.tasks.task import Task

#: Images are held in memory as fp32.
_MOST_BYTES = 400_000_000


@dataclass(frozen=True)
class Reference:
    """A network that computes as it should.

    Attributes:
        model: Serialized ONNX.
        origin: Where it is from, e.g. "the fp32 graph of runs/demo/ticket".
    """

    model: bytes
    origin: str


def find_reference(bundle: Bundle, ticket: Path | None) -> Reference:
    """The fp32 network of a bundle's ticket; where there is no ticket, the bundle's own file.

    Args:
        bundle: The bundle.
        ticket: Folder of the ticket; looked for beside the bundle if None.

    Raises:
        UsageError: The ticket is another one.
    """
    folder = _beside(bundle) if ticket is None else ticket
    if folder is None:
        origin = "the bundle's own file in ONNX Runtime here (--ticket FOLDER compares with its ticket)"
        return Reference(bundle.model_path.read_bytes(), origin)
    loaded = ticket_of(bundle, folder)
    module = deployable(loaded.module(), bundle.facts["forms"])
    exact = export_onnx(module, loaded.architecture.input_shape)
    return Reference(exact, f"the fp32 graph of {folder}")


def ticket_of(bundle: Bundle, folder: Path) -> Ticket:
    """The ticket in a folder, if the bundle was exported from it.

    Raises:
        UsageError: It is another one.
    """
    if ticket_hash(folder) != bundle.facts["ticket"]:
        raise UsageError(
            f"{bundle.folder} was not exported from {folder}: it is of ticket {bundle.facts['ticket']}"
        )
    return Ticket.load(folder)


def on_validation_images(bundle: Bundle, ticket: Ticket, task: Task, images: int) -> Bundle:
    """The bundle with validation images of its task in place of its own samples.

    Args:
        bundle: The bundle.
        ticket: Its ticket.
        task: The ticket's task, its data loaded.
        images: How many; fewer where they would not fit into 400 MB.
    """
    most = max(8, _MOST_BYTES // (4 * math.prod(task.input_shape)))
    x, targets = next(iter(task.validation_batches(min(images, most))))
    samples = Samples(x.contiguous().numpy(), targets.numpy())
    return replace(bundle, samples=samples, expected=samples.outputs_of(ticket.module()))


def _beside(bundle: Bundle) -> Path | None:
    """The bundle's ticket, where search and export leave it; a damaged neighbour is none."""
    for path in sorted(bundle.folder.resolve().parent.glob("*/ticket.json")):
        try:
            if files.read_json(path, "ticket")["hash"] == bundle.facts["ticket"]:
                return path.parent
        except (HwticketsError, KeyError, TypeError):
            continue
    return None
