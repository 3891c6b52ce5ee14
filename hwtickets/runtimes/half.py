"""Networks in fp16 that end the process of ONNX Runtime instead of failing."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto

from hwtickets.errors import DeviceError
from hwtickets.runtimes.proto import proto_of

#: ONNX Runtime's optimizer that ends the process; without it such a network runs.
ENDS_THE_PROCESS = "NchwcTransformer"
#: Without both of these words in the file there is nothing to look for.
_WORDS = (b"Transpose", b"MatMul")


def dangerous_product(model: bytes | Path) -> str | None:
    """The operator of a network that ends the process of ONNX Runtime on x86 when it is loaded.

    A product in fp16 of transposed tokens with a free batch is a segmentation fault there: its issue 28392,
    seen in 1.24 to 1.31.

    Args:
        model: A serialized network, or the file that holds one.

    Returns:
        Its name; None for every other network, and for what is none.
    """
    content = model.read_bytes() if isinstance(model, Path) else model
    if not all(word in content for word in _WORDS):
        return None
    proto = proto_of(content)
    if proto is None or not _has_free_size(proto.graph):
        return None
    transposed = {name for node in proto.graph.node if node.op_type == "Transpose" for name in node.output}
    products = [
        node for node in proto.graph.node if node.op_type == "MatMul" and transposed & set(node.input)
    ]
    halves = _halves(proto) if products else set()
    return next((node.name for node in products if halves & {*node.input, *node.output}), None)


def require_safe_in_half(model: bytes) -> None:
    """Raises a DeviceError for a serialized network that a plain session of ONNX Runtime must not load."""
    name = dangerous_product(model)
    if name is not None:
        raise DeviceError(
            f"ONNX Runtime cannot load MatMul in fp16 with a free batch ({name}); nearest: fp32, or export"
            " without --dynamic-batch"
        )


def _has_free_size(graph: onnx.GraphProto) -> bool:
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    sizes = [size for value in inputs for size in value.type.tensor_type.shape.dim]
    return not all(size.HasField("dim_value") for size in sizes)


def _halves(proto: onnx.ModelProto) -> set[str]:
    """Names of the tensors in fp16."""
    graph = onnx.shape_inference.infer_shapes(proto).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    kinds = {value.name: value.type.tensor_type.elem_type for value in values}
    kinds |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    return {name for name, kind in kinds.items() if kind == TensorProto.FLOAT16}
