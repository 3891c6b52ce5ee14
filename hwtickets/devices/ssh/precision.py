"""A model in the precision that it is measured at; TensorRT 10 and 11 take it from the graph."""

from __future__ import annotations

from pathlib import Path

import onnx

from hwtickets.errors import HwticketsError
from hwtickets.files import reading
from hwtickets.runtimes.bench import Model


def at_precision(model: Model, precision: str) -> bytes:
    """The serialized model, computing in `precision`; inputs and outputs stay as they are.

    Args:
        model: A serialized ONNX model, or the file that holds one.
        precision: "fp32" leaves the model as it is, and so does "int8", which is in the graph from the
            beginning (QuantizeLinear); "fp16" converts a model in fp32.
    """
    data = _bytes(model)
    return _halved(data) if precision == "fp16" else data


def _halved(data: bytes) -> bytes:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    try:
        proto = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's errors have no base of their own.
        raise HwticketsError(f"the model to be measured is damaged: {error}; export it again") from error
    if any(weight.data_type == onnx.TensorProto.FLOAT16 for weight in proto.graph.initializer):
        return data
    converted: bytes = convert_float_to_float16(proto, keep_io_types=True).SerializeToString()
    return converted


def _bytes(model: Model) -> bytes:
    if isinstance(model, Path):
        with reading(model, "model"):
            return model.read_bytes()
    return model
