"""8-bit networks: QuantizeLinear and DequantizeLinear around the operators, one recipe a kind of runtime."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, create_calibrator
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.registry import QDQRegistry

from hwtickets.deploy.onnx_file import opened_onnx, require_network_of_ours
from hwtickets.devices.processor import cpu_flags
from hwtickets.errors import HwticketsError

Array = NDArray[np.float32]

#: Operators that compute in 8 bits, and can stay in fp32 one by one; a softmax always does.
_KEEPABLE = (
    *("Conv", "ConvTranspose", "Gemm", "MatMul"),
    *("InstanceNormalization", "LayerNormalization", "Resize"),
)
#: Lowest and highest value of every activation of a network that is only timed.
_ANY_RANGE = (np.float32(-4), np.float32(4))


@dataclass(frozen=True)
class QuantizationRecipe:
    """How a runtime wants its 8-bit networks; weights are S8 for each output channel in all of them.

    Attributes:
        name: "x86", "x86, weights of 7 bits" or "tensorrt".
        activations: Type of the activations.
        options: Further options of ONNX Runtime's quantizer.
        narrow: Whether weights take 7 of the 8 bits.
    """

    name: str
    activations: QuantType
    options: dict[str, Any]
    narrow: bool = False


#: What VNNI multiplies: U8 activations by S8 weights, bias in S32.
X86 = QuantizationRecipe("x86", QuantType.QUInt8, {})
#: Without VNNI two products are added up in 16 bits, and what does not fit is cut off; sums of 7 bits do.
X86_NARROW = QuantizationRecipe("x86, weights of 7 bits", QuantType.QUInt8, {}, narrow=True)
_VNNI = frozenset(("avx512_vnni", "avx_vnni"))
#: TensorRT takes symmetric S8 only, and refuses a bias behind DequantizeLinear.
TENSORRT = QuantizationRecipe(
    "tensorrt",
    QuantType.QInt8,
    {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
)


def recipe_for(runtime: str, flags: Collection[str] | None = None) -> QuantizationRecipe:
    """The recipe of the runtime that a device uses.

    Args:
        runtime: Its name.
        flags: Extensions of the processor; None for those of this one, where scores are compared.
    """
    if runtime.startswith(("tensorrt", "trtexec")):
        return TENSORRT
    known = cpu_flags() if flags is None else flags
    return X86_NARROW if "avx2" in known and not _VNNI & set(known) else X86


class Quantizer:
    """A network with the ranges of its activations, ready to be quantized in whole or in part.

    Args:
        model: A serialized ONNX model in fp32 with the input "x" of batch 1.
        recipe: How.
        images: What it is calibrated on, shape (images, channels, height, width).

    Raises:
        HwticketsError: There are no images, every channel is of one value, or values are not numbers: no
            range can be read off them. Or the network is not one of ours.
    """

    def __init__(self, model: bytes, recipe: QuantizationRecipe, images: Array) -> None:
        fault = _fault(images)
        if fault:
            raise HwticketsError(f"the calibration set {fault}; give the training images of the task")
        proto = opened_onnx(model)
        require_network_of_ours(proto)
        self._model = onnx.shape_inference.infer_shapes(proto)
        self._recipe = recipe
        self._ranges = _activation_ranges(self._model, images)

    @classmethod
    def for_timing(cls, model: bytes, recipe: QuantizationRecipe) -> Quantizer:
        """Of a network that is only timed: its ranges are made up, latency does not depend on them."""
        made = cls.__new__(cls)
        made._model = onnx.shape_inference.infer_shapes(opened_onnx(model))
        made._recipe = recipe
        tensors = {name for node in made._model.graph.node for name in (*node.input, *node.output)}
        made._ranges = TensorsData(CalibrationMethod.MinMax, dict.fromkeys(tensors, _ANY_RANGE))
        return made

    @property
    def nodes(self) -> list[str]:
        """Names of the operators that can stay in fp32 one by one, in execution order."""
        return [node.name for node in self._model.graph.node if node.op_type in _KEEPABLE]

    def quantized(self, kept: Collection[str] = ()) -> bytes:
        """The serialized network in int8.

        Args:
            kept: Names of operators that stay in fp32, with weights or without.
        """
        copied = onnx.ModelProto()
        copied.CopyFrom(self._model)
        quantizer = QDQQuantizer(
            copied,
            per_channel=True,
            reduce_range=self._recipe.narrow,
            weight_qType=QuantType.QInt8,
            activation_qType=self._recipe.activations,
            tensors_range=self._ranges,
            nodes_to_quantize=[],
            nodes_to_exclude=list(kept),
            op_types_to_quantize=list(QDQRegistry),
            extra_options=self._recipe.options,
        )
        with _quiet():
            quantizer.quantize_model()
        quantizer.model.topological_sort()
        serialized: bytes = quantizer.model.model.SerializeToString()
        return serialized


def _fault(images: Array) -> str:
    if len(images) == 0:
        return "is empty"
    if not np.isfinite(images).all():
        return "holds values that are not numbers"
    # Normalised by the channel, black images are a constant of its own in each of them.
    spread = np.ptp(images.reshape(len(images), images.shape[1], -1), axis=(0, 2))
    return "is constant" if not spread.any() else ""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Weights of one axis cannot be scaled by the channel; the quantizer warns of each of them."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


class _Images(CalibrationDataReader):  # type: ignore[misc]
    """One image after the other."""

    def __init__(self, images: Iterable[Array]) -> None:
        self._images: Iterator[Array] = iter(images)

    def get_next(self) -> dict[str, Array] | None:
        image = next(self._images, None)
        return None if image is None else {"x": image[None]}


def _activation_ranges(model: onnx.ModelProto, images: Array) -> Any:
    with tempfile.TemporaryDirectory(prefix="hwtickets-") as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        calibrator = create_calibrator(
            path,
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod.MinMax,
        )
        calibrator.collect_data(_Images(images))
        return calibrator.compute_data()
