"""The precision of an exported network, which is in its graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from hwtickets.deploy.evidence import NOISE_IMAGES, Evidence
from hwtickets.deploy.quantization import QuantizationRecipe, Quantizer
from hwtickets.deploy.runnable import require_runnable
from hwtickets.deploy.sensitivity import quantize_within
from hwtickets.progress import Progress
from hwtickets.runtimes.half import require_safe_in_half
from hwtickets.runtimes.precision import at_precision
from hwtickets.tasks.task import Task

#: What ONNX Runtime on a CPU is asked before it gets a network in 16 bits.
_LOADABLE: dict[str, Callable[[bytes], None]] = {"fp16": require_safe_in_half, "bf16": require_runnable}


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


class Half:
    """Weights and activations in 16 bits; inputs and outputs stay fp32.

    Args:
        name: "fp16", or "bf16", which takes opset 22.
        runtime: What the network will run in.
    """

    def __init__(self, name: str, runtime: str) -> None:
        self.name, self._runtime = name, runtime

    def converted(self, model: bytes) -> tuple[bytes, dict[str, Any]]:
        """The network with Cast nodes at its ends.

        Raises:
            DeviceError: The runtime cannot load it, or lacks operators in this precision; names them.
        """
        halved = at_precision(model, self.name)
        if self._runtime == "onnxruntime":
            _LOADABLE[self.name](halved)
        return halved, {}


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
            evidence = Evidence(self._task)
            exact = evidence.score(model)
            quantizer = Quantizer(model, self._recipe, evidence.calibration)
            least = exact - self._max_drop
            found = quantize_within(quantizer, evidence.score, least, model, evidence.images[:NOISE_IMAGES])
        return found.model, {
            "recipe": self._recipe.name,
            "calibration_images": len(evidence.calibration),
            "validation_images": len(evidence.images),
            "score_fp32": exact,
            "score": found.score,
            "operators": len(quantizer.nodes),
            "kept_fp32": found.kept,
        }
