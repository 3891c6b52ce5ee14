"""Training of other people's pruned networks exactly as hwtickets finetunes a ticket."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from hwtickets.config import SearchConfig
from hwtickets.modules.hosted import HostedNetwork
from hwtickets.sparsity.ticket import Ticket
from hwtickets.tasks.task import Lessons, Task
from hwtickets.training.loop import Hook
from hwtickets.training.plain import PlainTraining, train_plain
from hwtickets.training.schedules import schedule_of
from hwtickets.training.teacher import TaughtLessons


def train(
    body: nn.Module,
    task: Task,
    config: SearchConfig,
    first: int,
    steps: int,
    teacher: Path | None = None,
    hooks: Sequence[Hook] = (),
) -> None:
    """Trains a network in place; it ends with averaged weights and recalibrated norms.

    Args:
        body: The network.
        task: Batches and loss.
        config: How to train.
        first: Number of the first step: its batches go on from there, the learning rate begins anew.
        steps: How many.
        teacher: Folder of the ticket that teaches; None for the data alone.
        hooks: What else happens in the loop.
    """
    lessons: Lessons = task
    if teacher is not None:
        taught = Ticket.load(teacher).module()
        lessons = TaughtLessons(task, taught, config.distill_share, config.distill_temperature)
    rate = schedule_of(config, task.steps_per_epoch, first, first + steps, config.finetune_rate)
    training = PlainTraining.of(config, rate, first, first + steps)
    train_plain(HostedNetwork(body, task.input_shape), lessons, training, {}, None, hooks=hooks)
