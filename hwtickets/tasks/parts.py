"""Parts of a batch: what one of several processes, or one of several passes, computes of a training step."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from hwtickets.errors import UsageError
from hwtickets.tasks.task import Lessons


@runtime_checkable
class PartedLessons(Protocol):
    """Lessons that load a part of a batch without the rest of it; optional for a task."""

    def train_part(self, step: int, index: int, count: int) -> tuple[Tensor, Tensor]:
        """One of `count` equal parts of what `train_batch(step)` gives; called from several threads."""


@runtime_checkable
class WeighedLessons(Protocol):
    """Lessons whose loss is a mean over what equal parts of a batch have unequally much of; optional."""

    def loss_weight(self, targets: Tensor) -> float | None:
        """How much the mean over a part is over (labelled pixels); None: equal parts have equally much."""

    def weighed_loss(self, outputs: Tensor, targets: Tensor, factor: float) -> Tensor:
        """The loss of a part that counts `factor` times as much as the mean part of its batch."""


def load_part(lessons: Lessons, step: int, index: int, count: int) -> tuple[Tensor, Tensor]:
    """One of `count` equal parts of the batch of a step; the rest is loaded only where it must be.

    Args:
        lessons: Where the batch comes from.
        step: Counts optimizer steps from 0.
        index: Which part, from 0.
        count: How many parts there are.

    Raises:
        UsageError: The batch cannot be shared out evenly.
    """
    if isinstance(lessons, PartedLessons):
        return lessons.train_part(step, index, count)
    x, targets = lessons.train_batch(step)
    rows = part_rows(len(x), index, count)
    return x[rows], targets[rows]


def part_rows(size: int, index: int, count: int) -> slice:
    """Which of `size` images are the part `index` of `count`.

    Raises:
        UsageError: The images cannot be shared out evenly: the parts' losses would count differently.
    """
    if size % count:
        raise UsageError(
            f"batch_size {size} cannot be shared out evenly: there are {count} parts"
            f" (processes x accumulate); take a multiple of {count}"
        )
    share = size // count
    return slice(index * share, (index + 1) * share)
