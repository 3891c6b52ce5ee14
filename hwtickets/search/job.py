"""A search under way: what every stage of the pipeline shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from hwtickets.budgets import Budget, parse_budget
from hwtickets.config import SearchConfig, SupernetConfig
from hwtickets.devices import DeviceProfile, get_device
from hwtickets.errors import unknown
from hwtickets.progress import Progress
from hwtickets.search.two_in_one import StepPlan
from hwtickets.space.space import SearchSpace
from hwtickets.supernets import Supernet, build_supernet
from hwtickets.tables import LatencyTable, table_for
from hwtickets.tasks import build_task
from hwtickets.tasks.task import Task


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
        budgets = {metric: parse_budget(metric, text) for metric, text in config.budgets.items()}
        device = get_device(config.device)
        if config.precision not in device.precisions:
            raise unknown(f"precision of device {device.name}", config.precision, device.precisions)
        if config.threads:
            torch.set_num_threads(config.threads)
        with progress.stage("data"):
            task = build_task(
                config.task,
                config.data,
                config.resolution,
                config.batch_size,
                config.label_smoothing,
                config.seed,
            )
        space = SearchSpace(new_supernet(config.supernet, task, config.seed), config.supernet.name)
        return Job(config, budgets, task, space, device, StepPlan.of(config, task), progress)

    def supernet(self) -> Supernet:
        """The untrained supernet of this run's seed."""
        return new_supernet(self.config.supernet, self.task, self.config.seed)

    def table(self) -> LatencyTable:
        """The latency table of the device for this space; built now where there is none."""
        return table_for(self.space, self.device, self.config.precision, self.progress)


def new_supernet(config: SupernetConfig, task: Task, seed: int) -> Supernet:
    """Builds a supernet for a task, its weights fixed by the seed."""
    torch.manual_seed(seed)
    return build_supernet(config.name, task.input_shape, task.num_outputs, config.sizes)


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    import importlib.metadata
    import platform

    names = ("hwtickets", "torch", "onnx", "onnxruntime", "numpy", "scipy", "torch-pruning")
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}}
