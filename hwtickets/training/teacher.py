"""Distillation: a network learns from the data and from a teacher at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hwtickets.tasks.parts import WeighedLessons, load_part
from hwtickets.tasks.task import Lessons, Task
from hwtickets.training.layout import lay_channels_last


def untaught(lessons: Lessons) -> Lessons:
    """Lessons without their teacher: whoever only looks at data and losses has none to listen to."""
    return lessons.task if isinstance(lessons, TaughtLessons) else lessons


class TaughtLessons:
    """A task's batches with a loss that also asks what a teacher says.

    Source: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network (2015), section 2.

    Args:
        task: Batches and losses.
        teacher: A trained network of the same task; it is not changed.
        share: Of the teacher in the loss; the rest is the task's own loss.
        temperature: Softens the outputs of both.
    """

    def __init__(self, task: Task, teacher: nn.Module, share: float, temperature: float) -> None:
        self.task, self.share, self.temperature = task, share, temperature
        self.teacher = teacher.eval()
        lay_channels_last(self.teacher)
        self._taught = torch.empty(0)

    def train_batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The task's batch; the teacher answers it for the `loss` that follows."""
        x, targets = self.task.train_batch(step)
        self.listen(x)
        return x, targets

    def train_part(self, step: int, index: int, count: int) -> tuple[Tensor, Tensor]:
        """A part of the task's batch; the teacher has not answered it."""
        return load_part(self.task, step, index, count)

    def listen(self, x: Tensor) -> None:
        """The teacher answers inputs, on their device, for the `loss` that follows."""
        if next(self.teacher.parameters()).device != x.device:
            self.teacher.to(x.device)
        with torch.no_grad():
            self._taught = self.teacher(x)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The two losses in their shares, a scalar; of the inputs answered last."""
        return self.weighed_loss(outputs, targets, 1.0)

    def loss_weight(self, targets: Tensor) -> float | None:
        """The weight of the task's loss; see `WeighedLessons`."""
        return self.task.loss_weight(targets) if isinstance(self.task, WeighedLessons) else None

    def weighed_loss(self, outputs: Tensor, targets: Tensor, factor: float) -> Tensor:
        """The loss where the task's own counts more or less; parts have equally much to imitate."""
        own = factor * self.task.loss(outputs, targets)
        imitation = self.task.imitation_loss(outputs, self._taught, self.temperature)
        return (1 - self.share) * own + self.share * imitation

    def calibration_batch(self, index: int) -> Tensor:
        """The task's own."""
        return self.task.calibration_batch(index)
