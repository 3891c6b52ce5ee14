"""The images that a conversion is judged by: training images give ranges, validation images the score."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hwtickets.deploy.quantization import Array
from hwtickets.runtimes import load
from hwtickets.tasks.task import Task

#: Images that the ranges of activations are read off, and that scores are compared on; fewer large ones.
_CALIBRATION_IMAGES, _SCORED_IMAGES, _MOST_BYTES = 256, 2000, 400_000_000
#: Images that tell how much noise an operator brings.
NOISE_IMAGES = 32


class Evidence:
    """Images of a task, as the network sees them.

    Attributes:
        calibration: Training images, shape (images, channels, height, width).
        images: Validation images, likewise.

    Args:
        task: Gives the images, and says what the score is.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self.calibration = _calibration(task)
        images, targets = next(iter(task.validation_batches(_at_most(_SCORED_IMAGES, task))))
        self.images: Array = images.contiguous().numpy()
        self._targets: NDArray[Any] = targets.numpy()

    def score(self, model: bytes, count: int | None = None) -> float:
        """The score of a serialized network on the validation images; higher is better.

        Args:
            model: The network.
            count: How many images, the first ones; all if None.
        """
        return self._task.score_outputs(outputs_of(model, self.images[:count]), self._targets[:count])


def outputs_of(model: bytes, images: Array) -> Array:
    """What a serialized network makes of images, one at a time; shape (images, ...)."""
    session = load(model)
    return np.concatenate([session.run({"x": image[None]})[0] for image in images])


def disturbance(model: bytes, images: Array, exact: Array) -> float:
    """How far the outputs of a serialized network are from exact ones: mean square, no unit.

    Args:
        model: The network.
        images: Inputs, shape (images, channels, height, width).
        exact: Outputs of the exact network for them, shape (images, ...).
    """
    return float(np.square(outputs_of(model, images) - exact).mean())


def _calibration(task: Task) -> Array:
    wanted = _at_most(_CALIBRATION_IMAGES, task)
    images = task.calibration_batch(0)
    number = 1
    while len(images) < wanted:
        more = task.calibration_batch(number)
        if len(more) == 0:
            break
        images = torch.cat([images, more])
        number += 1
    return images[:wanted].contiguous().numpy()


def _at_most(count: int, task: Task) -> int:
    return max(8, min(count, _MOST_BYTES // (4 * math.prod(task.input_shape))))
