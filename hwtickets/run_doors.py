"""The verbs for Python that go on from a search: on what it returned, or on folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwtickets import api
from hwtickets.deploy.bundle import read_bundle
from hwtickets.doors import Answer, Found
from hwtickets.errors import UsageError
from hwtickets.progress import Progress
from hwtickets.sparsity.ticket import Ticket
from hwtickets.structure import Structure
from hwtickets.tasks.assignment import Assignment, UserTask
from hwtickets.tasks.custom import Custom, register
from hwtickets.training.scripts import assist


def draw(
    run: Found | str | Path,
    budgets: Mapping[str, str],
    task: UserTask | None = None,
    device: str | None = None,
    finetune_epochs: float | None = None,
    quiet: bool = False,
    **more: Any,
) -> Found:
    """Draws another ticket from a trained run; no search, only the recipe that follows the draw.

    Args:
        run: What `search` returned, or the folder of a run.
        budgets: Metric to limit, e.g. {"latency": "25%"}.
        task: The task of the run where it is one of your own, and this script has not searched on it.
        device: Another device than the run's.
        finetune_epochs: Passes over the training data for the ticket, 0 for none; None for as many as the
            recipe of the run takes.
        quiet: Show no progress.
        more: Further arguments of `api.draw`.

    Returns:
        The ticket; its `report` is its own entry.

    Raises:
        UsageError: The task is missing, or the run was searched on a built-in one.
        BudgetError: A budget is infeasible. A ticket that misses a budget is returned, with `kept` false.
    """
    folder = _folder(run)
    _hold_ticket(task, folder / "ticket")
    assist()
    entry = api.draw(folder, dict(budgets), finetune_epochs, Progress(quiet=quiet), device, **more)
    return Found.of(Path(entry["path"]), entry, entry["kept"], entry["measured"])


def retrain(
    ticket: Found | str | Path,
    recipe: str = "finetune",
    epochs: float | None = None,
    task: UserTask | None = None,
    output_dir: str | Path | None = None,
    quiet: bool = False,
    **more: Any,
) -> Answer:
    """Applies a recipe to a ticket; the ticket stays, a new one is written.

    Args:
        ticket: What `search` or `draw` returned, or the folder of a ticket.
        recipe: "none", "finetune", "rewind", "scratch" or "distill".
        epochs: Passes over the training data; None for the recipe's own.
        task: The task of the ticket where it is one of your own, and this script has not searched on it.
        output_dir: Folder of the new ticket; by default beside the old one.
        quiet: Show no progress.
        more: Further arguments of `api.retrain`.

    Returns:
        As `api.retrain`, without what does not apply; it prints as lines.

    Raises:
        UsageError: The task is missing, or the ticket was drawn on a built-in one.
    """
    folder = _ticket(ticket)
    _hold_ticket(task, folder)
    assist()
    place = None if output_dir is None else Path(output_dir)
    answer = api.retrain(folder, recipe, epochs, place, Progress(quiet=quiet), **more)
    return Answer({key: value for key, value in answer.items() if value is not None})


def transfer(
    ticket: Found | str | Path,
    task: UserTask | str,
    data: str = "",
    epochs: float | None = None,
    freeze: str = "architecture",
    output_dir: str | Path | None = None,
    quiet: bool = False,
    **more: Any,
) -> Answer:
    """Takes a ticket's trunk to another task: widths, masks and weights stay, the head is new.

    Args:
        ticket: What `search` or `draw` returned, or the folder of a ticket.
        task: A task of your own, with the name of every class; or the name of a built-in one.
        data: The data of a built-in task, as KIND or KIND:FOLDER.
        epochs: Passes over the new training data; None for those of the ticket's search.
        freeze: "architecture" (all weights are trained that are not masked) or "trunk" (the head alone).
        output_dir: Folder of the new ticket; by default beside the old one.
        quiet: Show no progress.
        more: Further arguments of `api.transfer`.

    Returns:
        As `api.transfer`; it prints as lines.

    Raises:
        UsageError: The new head cannot be made: its classes are not named, or the ticket has no such head.
    """
    if isinstance(task, UserTask):
        if not task.classes:
            raise UsageError(
                "transfer: the task does not name its classes, one for each output of the new head; make it"
                ' with hwtickets.Task(..., classes=["cat", "dog"])'
            )
        data = register(Assignment.of(task, len(task.classes)))
    if not data:
        raise UsageError(f'transfer: no data is given for task {task}; add it, e.g. data="folder:photos"')
    name = Custom.name if isinstance(task, UserTask) else task
    assist()
    place = None if output_dir is None else Path(output_dir)
    return Answer(
        api.transfer(_ticket(ticket), name, data, freeze, epochs, place, Progress(quiet=quiet), **more)
    )


def export(
    ticket: Found | str | Path,
    output_dir: str | Path,
    device: str = "cpu",
    precision: str | None = None,
    task: UserTask | None = None,
    **more: Any,
) -> Path:
    """Writes a ticket as a bundle for a device.

    Args:
        ticket: What `search` or `draw` returned, or the folder of a ticket.
        output_dir: Where to write.
        device: Whose runtime the bundle is for.
        precision: Of the deployed network; None for fp32, or as the precisions of its parts were drawn.
        task: The task of the ticket where it is one of your own, and this script has not searched on it;
            int8 and mixed precision look at its data.
        more: Further arguments of `api.export`.

    Returns:
        The bundle's folder.

    Raises:
        UsageError: The task is missing, or the ticket was drawn on a built-in one.
    """
    folder = _ticket(ticket)
    _hold_ticket(task, folder)
    return api.export(folder, "onnx", Path(output_dir), Progress(quiet=True), precision, device, **more)


def verify(
    bundle: str | Path,
    device: str = "cpu",
    images: int = 500,
    ticket: Found | str | Path | None = None,
    task: UserTask | None = None,
    **more: Any,
) -> Answer:
    """Compares a bundle on a device with PyTorch.

    Args:
        bundle: Folder of the bundle.
        device: Name of the device.
        images: How many images.
        ticket: What it was exported from: images are then taken from the task's validation data, not the
            samples of the bundle.
        task: The task where it is one of your own, and this script has not searched on it: for its data, and
            for its score.
        more: Further arguments of `api.verify`.

    Returns:
        As `api.verify`; it prints as lines.

    Raises:
        NumericsError: The outputs differ by more than the precision explains.
        UsageError: The task is missing, or the bundle is of a built-in one.
    """
    place = Path(bundle)
    folder = None if ticket is None else _ticket(ticket)
    if folder is not None:
        _hold_ticket(task, folder)
    elif task is not None:
        opened = read_bundle(place)
        outputs = Structure.from_json(opened.facts["output"].get("parts"))
        _hold(place, opened.facts["task"], None, task, opened.expected.shape[1], outputs)
    return Answer(api.verify(place, device, images, folder, **more))


def benchmark(
    bundle: str | Path,
    device: str = "cpu",
    runs: int = 500,
    dense: str | Path | None = None,
    **more: Any,
) -> Answer:
    """Times a bundle on a device.

    Args:
        bundle: Folder of the bundle.
        device: Name of the device.
        runs: Timed runs.
        dense: Another bundle (the dense network) to be timed interleaved with it.
        more: Further arguments of `api.benchmark`.

    Returns:
        As `api.benchmark`; it prints as lines.
    """
    reference = None if dense is None else Path(dense)
    return Answer(api.benchmark(Path(bundle), device, runs, reference, **more))


def _folder(run: Found | str | Path) -> Path:
    return run.path if isinstance(run, Found) else Path(run)


def _ticket(ticket: Found | str | Path) -> Path:
    return ticket.path / "ticket" if isinstance(ticket, Found) else Path(ticket)


def _hold_ticket(task: UserTask | None, ticket: Path) -> None:
    """`_hold` for the task that a ticket was drawn on."""
    if task is not None:
        known = Ticket.load(ticket)
        outputs = Structure.from_json(known.architecture.sizes.get("outputs"))
        width = known.architecture.classes
        _hold(ticket, known.task["name"], known.task["data"], task, width, outputs)


def _hold(
    where: Path, name: str, data: str | None, task: UserTask, width: int, outputs: Structure | None
) -> None:
    """Lets a task of the user's be the one that a run, a ticket or a bundle was made on."""
    if name != Custom.name:
        raise UsageError(f"{where} was made on task {name}, which finds its data itself; leave task out")
    register(Assignment.of(task, width, outputs), data)
