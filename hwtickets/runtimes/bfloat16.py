"""A network in bfloat16: the range of fp32 in half the bytes, with 8 bits of every number."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter

#: Convolutions and poolings take bfloat16 from this opset on.
BF16_OPSET = 22
#: Inputs that are fp32 whatever the network computes in: the scales of a resize.
_FP32_INPUTS = {"Resize": (2,)}


def in_bfloat16(proto: onnx.ModelProto) -> onnx.ModelProto:
    """An fp32 network computing in bfloat16, strongly typed; its inputs and outputs stay fp32.

    Args:
        proto: Opset 22 or older; weights are initializers.
    """
    raised = version_converter.convert_version(proto, BF16_OPSET)
    raised.ir_version = helper.find_min_ir_version_for(list(raised.opset_import), ignore_unknown=True)
    graph = raised.graph
    kept = {
        node.input[index]
        for node in graph.node
        for index in _FP32_INPUTS.get(node.op_type, ())
        if index < len(node.input)
    }
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and tensor.name not in kept:
            tensor.CopyFrom(_rounded(tensor))
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.BFLOAT16
    del graph.value_info[:]
    _cast_ends(graph)
    return raised


def _rounded(tensor: onnx.TensorProto) -> onnx.TensorProto:
    values = numpy_helper.to_array(tensor)
    bfloat16: np.dtype[np.generic] = helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16)
    return numpy_helper.from_array(values.astype(bfloat16), tensor.name)


def _cast_ends(graph: onnx.GraphProto) -> None:
    weights = {tensor.name for tensor in graph.initializer}
    ends = {value.name: f"{value.name}_bf16" for value in (*graph.input, *graph.output) if _is_float(value)}
    ends = {name: inside for name, inside in ends.items() if name not in weights}
    for node in graph.node:
        node.input[:] = [ends.get(name, name) for name in node.input]
        node.output[:] = [ends.get(name, name) for name in node.output]
    first = [
        helper.make_node(
            "Cast", [value.name], [ends[value.name]], f"input/{value.name}_Cast", to=TensorProto.BFLOAT16
        )
        for value in graph.input
        if value.name in ends
    ]
    last = [
        helper.make_node(
            "Cast", [ends[value.name]], [value.name], f"output/{value.name}_Cast", to=TensorProto.FLOAT
        )
        for value in graph.output
        if value.name in ends
    ]
    nodes = [*first, *graph.node, *last]
    del graph.node[:]
    graph.node.extend(nodes)


def _is_float(value: onnx.ValueInfoProto) -> bool:
    return bool(value.type.tensor_type.elem_type == TensorProto.FLOAT)
