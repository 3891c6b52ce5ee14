"""A model in the precision that it is measured at; TensorRT 10 and 11 take it from the graph."""

from __future__ import annotations

from pathlib import Path

import onnx

from hwtickets.errors import HwticketsError
from hwtickets.files import reading
from hwtickets.runtimes.bench import Model
from hwtickets.runtimes.bfloat16 import in_bfloat16


def at_precision(model: Model, precision: str) -> bytes:
    """The serialized model, computing in `precision`; inputs and outputs stay as they are.

    Args:
        model: A serialized ONNX model, or the file that holds one.
        precision: "fp16" and "bf16" convert a model in fp32. One that has its precision in the graph already
            (16-bit weights, QuantizeLinear) is left as it is.
    """
    data = _bytes(model)
    if precision not in _CONVERSIONS:
        return data
    try:
        proto = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's errors have no base of their own.
        raise HwticketsError(f"the model to be measured is damaged: {error}; export it again") from error
    if _has_precision(proto):
        return data
    serialized: bytes = _CONVERSIONS[precision](proto).SerializeToString()
    return serialized


def _has_precision(proto: onnx.ModelProto) -> bool:
    short = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    return any(weight.data_type in short for weight in proto.graph.initializer) or any(
        node.op_type == "QuantizeLinear" for node in proto.graph.node
    )


def _in_float16(proto: onnx.ModelProto) -> onnx.ModelProto:
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    converted = convert_float_to_float16(proto, keep_io_types=True)
    # The conversion appends its casts at the end; ONNX asks for an order of execution.
    OnnxModel.graph_topological_sort(converted.graph)
    assert isinstance(converted, onnx.ModelProto)
    return converted


_CONVERSIONS = {"fp16": _in_float16, "bf16": in_bfloat16}


def _bytes(model: Model) -> bytes:
    if isinstance(model, Path):
        with reading(model, "model"):
            return model.read_bytes()
    return model
