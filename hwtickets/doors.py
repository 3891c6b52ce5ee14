"""The verbs for Python that start from a space: on the objects that a script or a notebook holds."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from hwtickets import api, files
from hwtickets.cli.printing import fields
from hwtickets.cli.profile import lines as profile_lines
from hwtickets.config_files import checked_config
from hwtickets.errors import UsageError
from hwtickets.progress import Progress
from hwtickets.run_names import run_folder
from hwtickets.search.job import Job
from hwtickets.search.profiled import describe_space
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.ticket import Ticket
from hwtickets.tasks import TASKS
from hwtickets.tasks.absent import Absent
from hwtickets.tasks.assignment import Assignment, UserTask
from hwtickets.tasks.custom import Custom, register
from hwtickets.training.scripts import assist


class Answer(dict[str, Any]):
    """A result by key that prints as the command line shows it."""

    def __str__(self) -> str:
        return "\n".join(fields(self))


class Profile(Answer):
    """What a space costs; prints as `hwtickets profile` shows it."""

    def __str__(self) -> str:
        return "\n".join(profile_lines(self))


@dataclass(frozen=True)
class Found:
    """What a search has found.

    Attributes:
        path: The run folder, with `ticket/`, `bundle/` and `report/`; that of a later draw lies within.
        report: The report; see the reference of report.json. Of a later draw, the ticket's entry in it.
        latency_ms: Median latency on the device, measured if `measured`, else predicted.
        accuracy: The task's score on the test data; on the validation data where there is none.
        kept: Whether every budget holds.
        measured: Whether the device was there to be measured on.
    """

    path: Path
    report: Mapping[str, Any]
    latency_ms: float
    accuracy: float
    kept: bool
    measured: bool

    @staticmethod
    def of(folder: Path, entry: Mapping[str, Any], kept: bool, measured: bool) -> Found:
        """What the entry of one ticket in a report says of it."""
        latency_ms = entry["latency_ms"]["p50"] if entry["latency_ms"] else entry["predicted_ms"]
        scores = entry["accuracy"]
        accuracy = scores["validation"] if scores["test"] is None else scores["test"]
        return Found(folder, entry, latency_ms, accuracy, kept, measured)

    @property
    def ticket(self) -> Ticket:
        """The ticket, read from the run folder."""
        return Ticket.load(self.path / "ticket")

    def module(self) -> nn.Module:
        """The drawn network, in evaluation mode: of the class that the space was made from."""
        network = self.ticket.module()
        body = getattr(network, "body", network)
        assert isinstance(body, nn.Module)
        return body

    def __str__(self) -> str:
        known = "measured" if self.measured else "predicted"
        budgets = "all budgets kept" if self.kept else "a budget is missed"
        return f"{self.path}: {self.latency_ms:.4g} ms {known}, score {self.accuracy:.4g}; {budgets}"


def profile(
    space: SearchSpace,
    device: str = "cpu",
    budgets: Mapping[str, str] | None = None,
    quiet: bool = True,
    **settings: Any,
) -> Profile:
    """What a space costs on a device and whether budgets can be kept; nothing is trained.

    Args:
        space: The space.
        device: Name of the device.
        budgets: Metric to limit, e.g. {"latency": "12ms"}.
        quiet: Show no progress.
        settings: Further keys of a search, e.g. `table`.

    Returns:
        As `api.profile`; it prints as lines.
    """
    # Without a budget there is nothing to search for, but all the more to look at.
    wanted = {"budgets": dict(budgets or {"latency": "100%"})}
    config = checked_config({**settings, **wanted, "device": device, "supernet": _supernet(space)})
    task = Absent(space.input_shape, space.classes)
    answer = describe_space(Job.of(config, task, space, Progress(quiet=quiet)))
    return Profile(answer if budgets else {**answer, "budgets": []})


def search(
    space: SearchSpace,
    task: UserTask | str,
    device: str = "cpu",
    budgets: Mapping[str, str] | None = None,
    output_dir: str | Path | None = None,
    resume: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> Found:
    """Searches a space for the ticket that keeps the budgets, exports and measures it.

    A module that the space was made from starts with the weights that it had then.

    Args:
        space: The space.
        task: A task of one's own, or the name of a built-in one, with `data` among the settings.
        device: Name of the device.
        budgets: Metric to limit, e.g. {"latency": "12ms"}.
        output_dir: The run folder; by default a new one under runs/.
        resume: Go on with a run that was interrupted.
        quiet: Show no progress.
        settings: Further keys of a search, e.g. `epochs`, `pipeline`, `seed`.

    Raises:
        UsageError: The task's inputs have another shape than those that the space was made for.
        BudgetError: A budget is infeasible. A ticket that misses a budget is returned, with `kept` false.
    """
    folder = Path(output_dir) if output_dir is not None else run_folder("search", resume)
    config = checked_config(
        {
            **_task_keys(task, space),
            **settings,
            **({"checkpoint": str(_weights_file(folder))} if space.given is not None else {}),
            "budgets": dict(budgets or {}),
            "device": device,
            "supernet": _supernet(space),
        }
    )
    assist()
    report = api.search(
        config,
        folder,
        resume,
        dry_run=False,
        progress=Progress(api.search_stages(config), quiet=quiet),
        command=f"hwtickets.search(...) in {Path(sys.argv[0]).name or 'Python'}",
        begin=lambda: _keep_weights(space, folder),
    )
    found = Found.of(folder, report["tickets"][0], report["kept"], report["measured"])
    return replace(found, report=report)


def _supernet(space: SearchSpace) -> dict[str, Any]:
    return {"name": space.name, "sizes": dict(space.sizes)}


def _task_keys(task: UserTask | str, space: SearchSpace) -> dict[str, str]:
    if isinstance(task, UserTask):
        assignment = Assignment.of(task, space.classes, space.outputs)
        _require_shape(Custom(assignment, 2, 0).input_shape, space.input_shape)
        return {"task": "custom", "data": register(assignment)}
    if isinstance(task, str):
        return {"task": task}
    raise UsageError(
        f"task is a {type(task).__name__}; expected hwtickets.Task(...) or one of {', '.join(TASKS)}"
    )


def _require_shape(given: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if given != expected:
        raise UsageError(
            f"task: the train data yields inputs of shape {given}, the space was made for {expected}; make it"
            " with SearchSpace.from_module(model, inputs) of inputs of that data"
        )


def _weights_file(folder: Path) -> Path:
    return folder / "state" / "given.safetensors"


def _keep_weights(space: SearchSpace, folder: Path) -> None:
    """The module's weights, in the run folder before anything else: a resumed run starts from the same."""
    path = _weights_file(folder)
    if space.given is None or path.exists():
        return
    files.write_tensors(path, space.given, None)
