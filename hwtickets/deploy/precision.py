"""The precision of an exported network, which is in its graph."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from hwtickets.deploy.quantization import Array, QuantizationRecipe, Quantizer
from hwtickets.deploy.sensitivity import quantize_within
from hwtickets.progress import Progress
from hwtickets.runtimes import load
from hwtickets.runtimes.precision import at_precision
from hwtickets.tasks.task import Task

#: Images that the ranges of activations are read off, and that scores are compared on; fewer large ones.
_CALIBRATION_IMAGES, _SCORED_IMAGES, _MOST_BYTES = 256, 2000, 400_000_000
#: Images that tell how much noise an operator brings.
_NOISE_IMAGES = 32


class Precision(Protocol):
    """A precision that a network can be exported in.

    Attributes:
        name: e.g. "fp16".
    """

    name: str

    def converted(self, model: bytes) -> tuple[bytes, dict[str, Any]]:
        """A serialized fp32 network in this precision, and what is to be said of the conversion."""


class Fp32:
    """As trained."""

    name = "fp32"

    def converted(self, model: bytes) -> tuple[bytes, dict[str, Any]]:
        """The network as it is."""
        return model, {}


class Fp16:
    """Weights and activations in half precision; inputs and outputs stay fp32."""

    name = "fp16"

    def converted(self, model: bytes) -> tuple[bytes, dict[str, Any]]:
        """The network with Cast nodes at its ends."""
        return at_precision(model, "fp16"), {}


class Int8:
    """Weights and activations in 8 bits, calibrated on training images.

    Args:
        task: Gives the images, and says what accuracy is.
        recipe: What the runtime wants.
        max_drop: How much the score may fall on validation images, in the metric's unit.
        progress: Shows one stage.
    """

    name = "int8"

    def __init__(self, task: Task, recipe: QuantizationRecipe, max_drop: float, progress: Progress) -> None:
        self._task, self._recipe, self._max_drop, self._progress = task, recipe, max_drop, progress

    def converted(self, model: bytes) -> tuple[bytes, dict[str, Any]]:
        """The network in int8, sensitive operators in fp32.

        Raises:
            NumericsError: It loses more than it may.
        """
        with self._progress.stage("quantize"):
            images, targets = self._validation()
            calibration = self._calibration()

            def score(candidate: bytes) -> float:
                session = load(candidate)
                outputs = np.concatenate([session.run({"x": image[None]})[0] for image in images])
                return self._task.score_outputs(outputs, targets)

            exact = score(model)
            quantizer = Quantizer(model, self._recipe, calibration)
            found = quantize_within(quantizer, score, exact - self._max_drop, model, images[:_NOISE_IMAGES])
        return found.model, {
            "recipe": self._recipe.name,
            "calibration_images": len(calibration),
            "validation_images": len(images),
            "score_fp32": exact,
            "score": found.score,
            "operators": len(quantizer.nodes),
            "kept_fp32": found.kept,
        }

    def _calibration(self) -> Array:
        wanted = self._at_most(_CALIBRATION_IMAGES)
        images = self._task.calibration_batch(0)
        number = 1
        while len(images) < wanted:
            images = torch.cat([images, self._task.calibration_batch(number)])
            number += 1
        return images[:wanted].contiguous().numpy()

    def _validation(self) -> tuple[Array, NDArray[Any]]:
        images, targets = next(iter(self._task.validation_batches(self._at_most(_SCORED_IMAGES))))
        return images.contiguous().numpy(), targets.numpy()

    def _at_most(self, count: int) -> int:
        return max(8, min(count, _MOST_BYTES // (4 * math.prod(self._task.input_shape))))
