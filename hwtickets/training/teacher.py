"""Distillation: a network learns from the data and from a teacher at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hwtickets.tasks.task import Task


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
        self._task, self._share, self._temperature = task, share, temperature
        self._teacher = teacher.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._taught = torch.empty(0)

    def train_batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The task's batch; the teacher answers it for the `loss` that follows."""
        x, targets = self._task.train_batch(step)
        with torch.no_grad():
            self._taught = self._teacher(x)
        return x, targets

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The two losses in their shares, a scalar; of the last batch."""
        own = self._task.loss(outputs, targets)
        imitation = self._task.imitation_loss(outputs, self._taught, self._temperature)
        return (1 - self._share) * own + self._share * imitation

    def calibration_batch(self, index: int) -> Tensor:
        """The task's own."""
        return self._task.calibration_batch(index)
