"""A search under way: what every stage of the pipeline shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from hwtickets.budgets import Budget, parse_budget
from hwtickets.config import SearchConfig, SupernetConfig
from hwtickets.costs import require_energy
from hwtickets.devices import DeviceProfile, get_device, name_note
from hwtickets.errors import unknown
from hwtickets.modules.fitting import check_fit, check_trainable
from hwtickets.progress import Progress
from hwtickets.search.masking import with_pattern
from hwtickets.search.two_in_one import StepPlan
from hwtickets.space.space import SearchSpace, space_of
from hwtickets.supernets import MODULE, Supernet, build_supernet
from hwtickets.tables import LatencyTable, table_for
from hwtickets.tables.precisions import precision_of_supernet
from hwtickets.tasks import build_task
from hwtickets.tasks.task import Task

#: Instead of a precision: every part in one that is drawn for it.
MIXED = "mixed"


@dataclass(frozen=True)
class Job:
    """Everything that is fixed before training.

    Attributes:
        config: The resolved configuration.
        budgets: Parsed budgets by metric.
        task: The task, its data loaded.
        space: The search space.
        device: The device.
        plan: Steps of the search and of all training.
        progress: Where stages report to.
    """

    config: SearchConfig
    budgets: Mapping[str, Budget]
    task: Task
    space: SearchSpace
    device: DeviceProfile
    plan: StepPlan
    progress: Progress

    @staticmethod
    def prepare(config: SearchConfig, progress: Progress) -> Job:
        """Checks the configuration against device, data and supernet, and loads the data.

        Raises:
            UsageError: Something in the configuration is unknown or does not fit.
        """
        config = resolved(config, progress)
        if config.threads:
            torch.set_num_threads(config.threads)
        with progress.stage("data"):
            task = build_task(config.task, config.task_settings())
        model = new_supernet(config.supernet, task, config.seed)
        if config.supernet.name == MODULE:
            check_fit(task, model, f"module {config.supernet.title}")
        space = space_of(model, config.supernet.name)
        check_trainable(model)
        return Job.of(config, task, space, progress)

    @staticmethod
    def of(config: SearchConfig, task: Task, space: SearchSpace, progress: Progress) -> Job:
        """A job on a task and a space that are there already; errors as of `prepare`."""
        config = resolved(config, progress)
        budgets = {metric: parse_budget(metric, text) for metric, text in config.budgets.items()}
        return Job(
            config, budgets, task, space, get_device(config.device), StepPlan.of(config, task), progress
        )

    @property
    def mixed(self) -> bool:
        """Whether the precision of every part is drawn."""
        return self.config.precision == MIXED

    @property
    def priced_at(self) -> str:
        """The precision of the dense network, and of the table that a search builds."""
        return "fp32" if self.mixed else self.config.precision

    @property
    def built_at(self) -> str:
        """The precision that the device is opened at; of a mix the graph says what computes in which."""
        if not self.mixed:
            return self.config.precision
        own = self.device.precisions
        return "int8" if "int8" in own else own[0]

    @property
    def alignment(self) -> int:
        """What drawn widths are multiples of: as the configuration says, else what suits the device."""
        return self.config.alignment or self.device.alignment

    def supernet(self) -> Supernet:
        """What this run starts from: the supernet as its seed makes it, or with a checkpoint's weights."""
        config = self.config
        return new_supernet(config.supernet, self.task, config.seed, config.checkpoint)

    def table(self) -> LatencyTable:
        """The latency table of the device for this space; built now where there is none.

        Raises:
            DeviceError: There is neither a table nor a device to measure on, or the table knows nothing of
                energy, which is limited.
            HwticketsError: The table that was asked for is damaged, or was measured on something else.
        """
        config = self.config
        given = Path(config.table) if config.table else None
        other = config.allow_other_fingerprint
        table = table_for(self.space, self.device, self.priced_at, self.progress, given, other)
        if "energy" in self.budgets:
            require_energy(table)
        return table


def resolved(config: SearchConfig, progress: Progress) -> SearchConfig:
    """The configuration with full names, and where no precision was asked for that of device or table.

    Args:
        config: What is asked for.
        progress: Told what a short name was taken for, and a precision that is not the device's own.

    Raises:
        UsageError: The device is unknown, or cannot be used at the precision.
    """
    device = get_device(config.device)
    asked = "precision" in config.model_fields_set
    precision = config.precision if asked else precision_of_supernet(device, config.supernet.name, progress)
    if precision not in (*device.precisions, MIXED):
        raise unknown(f"precision of device {device.name}", precision, (*device.precisions, MIXED))
    note = name_note(config.device, device)
    if note:
        progress.note(note)
    config = with_pattern(config, device, progress)
    table = str(Path(config.table).resolve()) if config.table else None
    checkpoint = str(Path(config.checkpoint).resolve()) if config.checkpoint else None
    return config.model_copy(
        update={"device": device.name, "precision": precision, "table": table, "checkpoint": checkpoint}
    )


def new_supernet(config: SupernetConfig, task: Task, seed: int, checkpoint: str | None = None) -> Supernet:
    """Builds a supernet for a task, its weights fixed by the seed or read from a checkpoint."""
    torch.manual_seed(seed)
    weights = Path(checkpoint) if checkpoint else None
    return build_supernet(config.name, task.input_shape, task.num_outputs, config.sizes, task.head, weights)


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    import importlib.metadata
    import platform

    names = (
        "hwtickets",
        "torch",
        "onnx",
        "onnxruntime",
        "numpy",
        "scipy",
        "torch-pruning",
        "lightning-fabric",
    )
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}}
