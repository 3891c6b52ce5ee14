"""What is to be solved: data, loss and metric. Nothing outside this room knows what classification is."""

from __future__ import annotations

from hwtickets.errors import unknown
from hwtickets.tasks.classification import Classification
from hwtickets.tasks.datasets import load_dataset
from hwtickets.tasks.task import Task

TASKS = {Classification.name: Classification}

__all__ = ["TASKS", "Task", "build_task", "load_dataset"]


def build_task(
    name: str,
    data: str,
    resolution: int | None = None,
    batch_size: int = 128,
    label_smoothing: float = 0.0,
    seed: int = 0,
) -> Task:
    """Build a task by name.

    Args:
        name: "classification".
        data: What `load_dataset` understands, e.g. "fashion-mnist-small" or "folder:DIR".
        resolution: Height and width of the inputs, in pixels; None is the data's own.
        batch_size: Images in a training batch.
        label_smoothing: Share of the target spread evenly over all classes.
        seed: Orders, splits and augments the training images.

    Raises:
        UsageError: An unknown task or data, or a batch larger than the training data.
        HwticketsError: The data is damaged.
    """
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    return TASKS[name](load_dataset(data, resolution, seed), batch_size, label_smoothing, seed)
