"""Plain training of a network of fixed architecture: the dense baseline, and finetuning after a draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from hwtickets.sparsity.mask import Masks, apply_masks
from hwtickets.supernets.base import Supernet
from hwtickets.tasks.task import Lessons
from hwtickets.training.batchnorm import recalibrate
from hwtickets.training.checkpoint import Checkpointer, read_checkpoint, restore_loop
from hwtickets.training.ema import EMA
from hwtickets.training.loop import Hook, TrainingLoop
from hwtickets.training.optimizer import LearningRate, build_optimizer


@dataclass(frozen=True)
class PlainTraining:
    """How to train.

    Attributes:
        learning_rate: Schedule over the steps.
        first_step: Number of the first step: batches and rates go on from there.
        steps: Number of the step after the last one.
        weight_decay: L2 factor.
        ema_decay: Weight of the past in the averaged weights.
        seed: Seeds the random numbers of every step.
        calibration_batches: Batches for the batch-norm statistics at the end.
    """

    learning_rate: LearningRate
    first_step: int
    steps: int
    weight_decay: float
    ema_decay: float
    seed: int
    calibration_batches: int = 10


class FixedMasks(Hook):
    """Keeps removed weights at zero.

    Args:
        masks: Masks by weight name; none for a dense network.
    """

    name = "masks"

    def __init__(self, masks: Masks) -> None:
        self._masks = masks

    def after_step(self, loop: TrainingLoop) -> None:
        """Sets removed weights back to zero."""
        apply_masks(loop.model, self._masks)


def train_plain(
    model: Supernet,
    lessons: Lessons,
    training: PlainTraining,
    masks: Masks,
    checkpoint: Path | None,
    advance: Callable[..., None] = lambda *_, **__: None,
) -> None:
    """Trains in place; ends with averaged weights and recalibrated batch norms.

    Args:
        model: The network.
        lessons: Batches and loss.
        training: How to train.
        masks: Weights that stay zero.
        checkpoint: Where to save on the way and go on from after a kill; None for short runs.
        advance: Called as `advance(steps, note=text)` after every step.
    """
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ema = EMA(training.ema_decay)
    loop = TrainingLoop(
        model,
        lessons,
        build_optimizer(model, training.weight_decay),
        training.learning_rate,
        [FixedMasks(masks), ema, *([Checkpointer(checkpoint)] if checkpoint else [])],
        training.steps,
        training.first_step,
        seed=training.seed,
    )
    if checkpoint and checkpoint.exists():
        restore_loop(loop, *read_checkpoint(checkpoint))
        advance(loop.step - training.first_step)
    loop.run(advance)
    ema.copy_to(model)
    apply_masks(model, masks)
    recalibrate(model, (lessons.calibration_batch(index) for index in range(training.calibration_batches)))
    model.eval()
