"""What is to be solved: data, loss and metric. Nothing outside this room knows what classification is."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from hwtickets.errors import unknown
from hwtickets.tasks.classification import Classification
from hwtickets.tasks.custom import Custom
from hwtickets.tasks.datasets import load_dataset
from hwtickets.tasks.keypoints import Keypoints
from hwtickets.tasks.segmentation import Segmentation
from hwtickets.tasks.settings import TaskSettings
from hwtickets.tasks.task import Task

TASKS: dict[str, type[Task]] = {task.name: task for task in (Classification, Custom, Keypoints, Segmentation)}

__all__ = ["TASKS", "Task", "TaskSettings", "build_task", "load_dataset", "settings_of", "task_class"]

_SETTINGS: WeakKeyDictionary[object, TaskSettings] = WeakKeyDictionary()


def build_task(name: str, settings: TaskSettings) -> Task:
    """Builds a task by name.

    Args:
        name: One of `TASKS`.
        settings: Data, resolution, batches and seed.

    Raises:
        UsageError: An unknown task or data, or a batch larger than the training data.
        HwticketsError: The data is damaged.
    """
    task = task_class(name).build(settings)
    _SETTINGS[task] = settings
    return task


def settings_of(task: object) -> TaskSettings | None:
    """What a task was built from by `build_task`, so that another process can build the same; None if not."""
    return _SETTINGS.get(task)


def task_class(name: str) -> type[Task]:
    """The class of a task: what can be said of outputs without the data; an unknown name is a usage error."""
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    return TASKS[name]
