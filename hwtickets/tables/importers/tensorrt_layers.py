"""TensorRT's layers as operators: what `trtexec --exportLayerInfo`, TREX and the engine inspector write.

TensorRT 8 to 10 name the data of a tensor in "Format/Datatype" and the engine's inputs in "Bindings", 11 in
"Format" and "Datatype" and in "I/O Tensors"; the layers themselves are alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.importers.sources import Source, whole_numbers

_PRECISIONS = (
    (re.compile(r"\b(?:BF16|BFloat16)\b", re.IGNORECASE), "bf16"),
    (re.compile(r"\b(?:FP16|Half|HALF)\b", re.IGNORECASE), "fp16"),
    (re.compile(r"\b(?:FP8|E4M3)\b", re.IGNORECASE), "fp8"),
    (re.compile(r"\bINT8\b", re.IGNORECASE), "int8"),
    (re.compile(r"\b(?:FP32|Float|TF32)\b", re.IGNORECASE), "fp32"),
)
_ACTIVATIONS = {"NONE": "none", "RELU": "relu", "CLIPPED_RELU": "relu6"}
#: Layers that move data and compute nothing; they belong to the network around an operator.
_MOVES = ("Reformat", "NoOp", "Shuffle", "Constant", "shape_call", "Slice", "Signal", "Wait")


@dataclass(frozen=True)
class Layer:
    """A layer that an engine executes.

    Attributes:
        name: As the profile calls it.
        kind: "LayerType", e.g. "CaskConvolution".
        fields: Everything that the inspector says of it.
    """

    name: str
    kind: str
    fields: dict[str, Any]

    @property
    def precision(self) -> str:
        """What its first input is held in, e.g. "fp16"; "unknown" where it does not say."""
        tensor = next(iter(_tensors(self.fields, "Inputs")), {})
        said = " ".join(str(tensor.get(key, "")) for key in ("Format/Datatype", "Datatype", "DataType"))
        return next((name for pattern, name in _PRECISIONS if pattern.search(said)), "unknown")


def are_layers(content: Any) -> bool:
    """Whether a JSON value looks like the layers of an engine."""
    return isinstance(content, dict) and isinstance(content.get("Layers"), list)


def layers(source: Source, content: Any) -> list[Layer]:
    """The layers of an engine.

    Raises:
        HwticketsError: Nothing is said of them but their names, or a name is there twice.
    """
    found = []
    names: set[str] = set()
    for entry in content["Layers"]:
        if isinstance(entry, str):
            raise source.fault(
                "it holds only the names of layers; build the engine with --profilingVerbosity=detailed"
            )
        name = entry.get("Name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or name in names:
            raise source.fault(f"the layer '{name!s:.100}' has no name of its own")
        names.add(name)
        found.append(Layer(name, str(entry.get("LayerType", "unknown")), entry))
    return found


def operator(layer: Layer, batch: int) -> OperatorSpec | str:
    """The operator that a layer computes, or why there is none."""
    if layer.kind in _MOVES:
        return f"layers that only move data ({layer.kind})"
    inputs, outputs = (_shapes(layer.fields, side) for side in ("Inputs", "Outputs"))
    if not inputs or not outputs or inputs[0] is None or outputs[0] is None:
        return f"layers without shapes ({layer.kind:.40})"
    if inputs[0][0] != batch:
        return f"batch {inputs[0][0]} instead of {batch}"
    parameters = layer.fields.get("ParameterType")
    if parameters == "Convolution":
        return _convolution(layer.fields, inputs, outputs[0])
    if parameters == "Pooling":
        return _pooling(layer.fields, inputs[0], outputs[0])
    if layer.kind in ("gemm", "MatrixMultiply") and len(inputs[0]) == len(outputs[0]) == 2:
        return OperatorSpec("linear", inputs[0][1], outputs[0][1])
    return f"layers of the type {layer.kind:.40}"


def _convolution(
    fields: dict[str, Any], inputs: list[list[int] | None], out: list[int]
) -> OperatorSpec | str:
    kernel, stride, dilation = (whole_numbers(fields.get(key), 2) for key in ("Kernel", "Stride", "Dilation"))
    groups, c_out = fields.get("Groups"), fields.get("OutMaps")
    first = inputs[0]
    if kernel is None or stride is None or first is None or len(first) != 4 or len(out) != 4:
        return "convolutions that are not in two dimensions"
    if kernel[0] != kernel[1] or stride[0] != stride[1]:
        return "kernel or stride that is not square"
    if dilation is not None and dilation[0] != dilation[1]:
        return "dilation that is not square"
    if fields.get("HasDynamicFilter") or not (isinstance(groups, int) and groups > 0 and c_out == out[1]):
        return "convolutions with weights of another layer"
    activation = _ACTIVATIONS.get(str(fields.get("Activation", "NONE")))
    if activation is None:
        return f"convolutions with the activation {fields.get('Activation')!s:.40}"
    _, c_in, height, width = first
    residual = len(inputs) > 1 and inputs[1] == out
    spec = OperatorSpec(
        "conv",
        c_in,
        out[1],
        kernel[0],
        stride[0],
        groups,
        height,
        width,
        activation,
        residual,
        dilation=dilation[0] if dilation else 1,
    )
    if spec.out_size != (out[2], out[3]):
        return "padding that changes the size of the image"
    if height == width == kernel[0] == groups == 1 and activation == "none" and not residual:
        return OperatorSpec("linear", c_in, out[1])
    return spec


def _pooling(fields: dict[str, Any], shape: list[int], out: list[int]) -> OperatorSpec | str:
    window = whole_numbers(fields.get("WindowSize"), 2)
    if fields.get("PoolingType") != "AVERAGE" or len(shape) != 4 or window != shape[2:] or out[2:] != [1, 1]:
        return "pooling of a part of the image"
    return OperatorSpec("pool", shape[1], shape[1], height=shape[2], width=shape[3])


def _tensors(fields: dict[str, Any], side: str) -> list[dict[str, Any]]:
    found = fields.get(side)
    return [tensor for tensor in found if isinstance(tensor, dict)] if isinstance(found, list) else []


def _shapes(fields: dict[str, Any], side: str) -> list[list[int] | None]:
    dimensions = [tensor.get("Dimensions") for tensor in _tensors(fields, side)]
    return [
        whole_numbers(sizes, len(sizes)) if isinstance(sizes, list) and sizes else None
        for sizes in dimensions
    ]
