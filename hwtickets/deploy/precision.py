"""The precision of an exported network, which is in its graph."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol

from hwtickets.deploy.evidence import NOISE_IMAGES, Evidence, outputs_of
from hwtickets.deploy.quantization import Array, QuantizationRecipe, Quantizer
from hwtickets.deploy.runnable import require_runnable
from hwtickets.deploy.sensitivity import Lowering, lowered_within
from hwtickets.errors import HwticketsError, NumericsError
from hwtickets.progress import Progress
from hwtickets.runtimes import local_runtime
from hwtickets.runtimes.half import require_safe_in_half
from hwtickets.runtimes.partly_half import nodes_to_halve, partly_half
from hwtickets.runtimes.precision import at_precision
from hwtickets.runtimes.rounded import rounded_outputs
from hwtickets.tasks.task import Task


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


class _In16Bits:
    """Weights and activations in 16 bits; inputs and outputs stay fp32.

    Args:
        runtime: What the network will run in.
        task: Gives the images, and says what accuracy is.
        max_drop: How much the score may fall on validation images, in the metric's unit.
        progress: Shows one stage.
    """

    def __init__(self, runtime: str, task: Task, max_drop: float, progress: Progress) -> None:
        self._runtime, self._task, self._max_drop, self._progress = runtime, task, max_drop, progress


class Fp16(_In16Bits):
    """Half precision, but for sensitive operators; arguments: runtime, task, max_drop, progress."""

    name = "fp16"

    def converted(self, model: bytes) -> tuple[bytes, dict[str, Any]]:
        """The network with Cast nodes at its ends, and around sensitive operators, which stay in fp32.

        Raises:
            DeviceError: ONNX Runtime must not load it; names the operator.
            NumericsError: It loses more than it may.
        """
        whole = at_precision(model, self.name)
        if self._runtime == "onnxruntime":
            require_safe_in_half(whole)
        nodes = nodes_to_halve(model)

        def lowered(kept: Collection[str]) -> bytes:
            return partly_half(model, [node for node in nodes if node not in kept]) if kept else whole

        with self._progress.stage("convert"):
            evidence = Evidence(self._task)
            score = _rounded_score(self._task, evidence)
            lowering = Lowering(self.name, nodes, lowered, _rounded)
            return _within(lowering, evidence, score, model, self._max_drop)


class Bf16(_In16Bits):
    """bfloat16 in all operators, which takes opset 22; arguments: runtime, task, max_drop, progress."""

    name = "bf16"

    def converted(self, model: bytes) -> tuple[bytes, dict[str, Any]]:
        """The network with Cast nodes at its ends.

        Raises:
            DeviceError: The runtime lacks operators in this precision; names them.
            NumericsError: It loses more than it may.
        """
        whole = at_precision(model, self.name)
        if self._runtime == "onnxruntime":
            require_runnable(whole, local_runtime("onnxruntime", 1, "fp32"), "ONNX Runtime on this CPU")
        with self._progress.stage("convert"):
            evidence = Evidence(self._task)
            exact, score = evidence.score(model), _rounded_score(self._task, evidence)(whole)
        least = exact - self._max_drop
        if score < least:
            raise NumericsError(
                f"bf16 loses too much: {score:.4g} is left, {least:.4g} is needed; allow more"
                " (--max-drop), or choose --precision fp16, which keeps sensitive operators in fp32"
            )
        return whole, {"validation_images": len(evidence.images), "score_fp32": exact, "score": score}


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
            quantizer = Quantizer(model, self._recipe, evidence.calibration)
            lowering = Lowering(self.name, quantizer.nodes, quantizer.quantized)
            quantized, facts = _within(lowering, evidence, evidence.score, model, self._max_drop)
        said = {"recipe": self._recipe.name, "calibration_images": len(evidence.calibration)}
        return quantized, {**said, **facts}


def _within(
    lowering: Lowering, evidence: Evidence, score: Callable[[bytes], float], model: bytes, max_drop: float
) -> tuple[bytes, dict[str, Any]]:
    exact = evidence.score(model)
    found = lowered_within(lowering, score, exact - max_drop, model, evidence.images[:NOISE_IMAGES])
    return found.model, {
        "validation_images": len(evidence.images),
        "score_fp32": exact,
        "score": found.score,
        "operators": len(lowering.nodes),
        "kept_fp32": found.kept,
    }


def _rounded_score(task: Task, evidence: Evidence) -> Callable[[bytes], float]:
    """Scores a network in 16 bits on the images that int8 is scored on."""
    _, targets = next(iter(task.validation_batches(len(evidence.images))))
    return lambda model: task.score_outputs(_rounded(model, evidence.images), targets.numpy())


def _rounded(model: bytes, images: Array) -> Array:
    try:
        return rounded_outputs(model, images)
    except HwticketsError:  # PyTorch has no form of an operator; ONNX Runtime leaves out some roundings.
        return outputs_of(model, images)
