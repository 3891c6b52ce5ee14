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
        precision: "fp16" converts a model in fp32. One that has its precision in the graph already (fp16
            weights, QuantizeLinear) is left as it is.
    """
    data = _bytes(model)
    return _halved(data) if precision == "fp16" else data


def _halved(data: bytes) -> bytes:
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    try:
        proto = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's errors have no base of their own.
        raise HwticketsError(f"the model to be measured is damaged: {error}; export it again") from error
    typed = any(weight.data_type == onnx.TensorProto.FLOAT16 for weight in proto.graph.initializer)
    if typed or any(node.op_type == "QuantizeLinear" for node in proto.graph.node):
        return data
    converted = convert_float_to_float16(proto, keep_io_types=True)
    # The conversion appends its casts at the end; ONNX asks for an order of execution.
    OnnxModel.graph_topological_sort(converted.graph)
    serialized: bytes = converted.SerializeToString()
    return serialized


def _bytes(model: Model) -> bytes:
    if isinstance(model, Path):
        with reading(model, "model"):
            return model.read_bytes()
    return model
