"""Plain training of a network of fixed architecture: the dense baseline, and finetuning after a draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from hwtickets.sparsity.mask import Masks, apply_masks
from hwtickets.supernets.base import Supernet
from hwtickets.tasks.task import Lessons
from hwtickets.training.batchnorm import CALIBRATION_BATCHES, recalibrate_on
from hwtickets.training.checkpoint import Checkpointer, read_checkpoint, restore_loop
from hwtickets.training.compute import Compute
from hwtickets.training.ema import EMA
from hwtickets.training.layout import lay_channels_last
from hwtickets.training.loop import Hook, TrainingLoop, Trigger
from hwtickets.training.optimizer import build_optimizer
from hwtickets.training.schedules import Schedule

if TYPE_CHECKING:
    from hwtickets.config import SearchConfig


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
        optimizer: Name of what updates the weights.
        optimizer_eps: Its epsilon; None for its own.
        compute: Device, precision and parts of a batch.
    """

    learning_rate: Schedule
    first_step: int
    steps: int
    weight_decay: float
    ema_decay: float
    seed: int
    calibration_batches: int = CALIBRATION_BATCHES
    optimizer: str = "sgd"
    optimizer_eps: float | None = None
    compute: Compute = field(default_factory=Compute)

    @staticmethod
    def of(config: SearchConfig, learning_rate: Schedule, first_step: int, steps: int) -> PlainTraining:
        """Training as a configuration asks for it; the arguments are those of the class."""
        return PlainTraining(
            learning_rate,
            first_step,
            steps,
            config.weight_decay,
            config.ema_decay,
            config.seed,
            config.calibration_batches,
            optimizer=config.optimizer,
            optimizer_eps=config.optimizer_eps,
            compute=Compute.of(config),
        )


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
    hooks: Sequence[Hook] = (),
    triggers: Mapping[str, Trigger] | None = None,
) -> None:
    """Trains in place; ends with averaged weights and recalibrated batch norms, on the CPU.

    Args:
        model: The network.
        lessons: Batches and loss.
        training: How to train.
        masks: Weights that stay zero; a hook may raise their number on the way.
        checkpoint: Where to save on the way and go on from after a kill; None for short runs.
        advance: Called as `advance(steps, note=text)` after every step.
        hooks: What else happens in the loop.
        triggers: Events by name, for those hooks.
    """
    lay_channels_last(model)
    ema = EMA(training.ema_decay)
    loop = TrainingLoop(
        model,
        lessons,
        build_optimizer(model, training.weight_decay, training.optimizer, training.optimizer_eps),
        training.learning_rate,
        [FixedMasks(masks), *hooks, ema, *([Checkpointer(checkpoint)] if checkpoint else [])],
        training.steps,
        training.first_step,
        triggers=dict(triggers or {}),
        seed=training.seed,
        compute=training.compute,
    )
    _move(masks, loop.accelerator.device)
    if checkpoint and checkpoint.exists():
        restore_loop(loop, *read_checkpoint(checkpoint))
        advance(loop.step - training.first_step)
    loop.run(advance)
    ema.copy_to(model)
    apply_masks(model, masks)
    recalibrate_on(model, lessons, training.calibration_batches)
    model.eval().cpu()
    _move(masks, torch.device("cpu"))


def _move(masks: Masks, device: torch.device) -> None:
    masks.update({name: mask.to(device) for name, mask in masks.items()})
