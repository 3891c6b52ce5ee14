"""What is to be solved: data, loss and metric. Nothing outside this room knows what classification is."""

from __future__ import annotations

from hwtickets.errors import unknown
from hwtickets.tasks.classification import Classification
from hwtickets.tasks.datasets import load_dataset
from hwtickets.tasks.settings import TaskSettings
from hwtickets.tasks.task import Task

TASKS: dict[str, type[Task]] = {Classification.name: Classification}

__all__ = ["TASKS", "Task", "TaskSettings", "build_task", "load_dataset", "task_class"]


def build_task(name: str, settings: TaskSettings) -> Task:
    """Builds a task by name.

    Args:
        name: One of `TASKS`.
        settings: Data, resolution, batches and seed.

    Raises:
        UsageError: An unknown task or data, or a batch larger than the training data.
        HwticketsError: The data is damaged.
    """
    return task_class(name).build(settings)


def task_class(name: str) -> type[Task]:
    """The class of a task: what can be said of outputs without the data; an unknown name is a usage error."""
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    return TASKS[name]
