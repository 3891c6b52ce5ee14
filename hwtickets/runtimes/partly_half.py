"""Some nodes of a network in half precision, the others as they are."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx

from hwtickets.errors import HwticketsError

#: What says its types itself, or has none to change.
_TYPED = ("Cast", "QuantizeLinear", "DequantizeLinear", "Constant", "Shape")
#: Inputs that stay in fp32 whatever the first one is, by place.
_EXACT_INPUTS = {"Resize": (2,)}
_SUFFIX = "_fp16"


def nodes_to_halve(model: bytes) -> list[str]:
    """Names of the nodes of a serialized model that can be in fp16, in order of execution."""
    nodes = onnx.load_model_from_string(model).graph.node
    return [node.name for node in nodes if node.op_type not in _TYPED]


def partly_half(model: bytes, nodes: Collection[str]) -> bytes:
    """The serialized model with some nodes in fp16; one Cast for each tensor that comes in or goes out.

    The converter of ONNX Runtime writes invalid graphs where many nodes stay as they are: casts of one name.

    Args:
        model: A serialized model in fp32 or with 8-bit parts, in order of execution.
        nodes: Names of the nodes.

    Raises:
        HwticketsError: The model is damaged.
    """
    try:
        proto = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(model), data_prop=True)
    except Exception as error:  # protobuf's errors have no base of their own.
        raise HwticketsError(f"the model is damaged: {error}; export it again") from error
    halved = _Halved(proto, nodes)
    for node in list(proto.graph.node):
        halved.add(node)
    del proto.graph.node[:], proto.graph.value_info[:]
    proto.graph.node.extend(halved.nodes)
    proto.graph.initializer.extend(halved.weights)
    _drop_unread(proto.graph)
    serialized: bytes = onnx.shape_inference.infer_shapes(proto).SerializeToString()
    return serialized


class _Halved:
    """Collects the nodes, in order.

    Args:
        proto: The model, its types inferred.
        names: Names of the nodes that compute in half precision.
    """

    def __init__(self, proto: onnx.ModelProto, names: Collection[str]) -> None:
        graph, float32 = proto.graph, onnx.TensorProto.FLOAT
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._chosen = set(names)
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        values = [*graph.input, *graph.value_info, *graph.output]
        self._floats = {value.name for value in values if value.type.tensor_type.elem_type == float32}
        self._floats |= {name for name, tensor in self._stored.items() if tensor.data_type == float32}
        self._halves: set[str] = set()
        self._read_exactly = {value.name for value in graph.output}
        for node in graph.node:
            exact = range(len(node.input)) if not self._is_half(node) else _EXACT_INPUTS.get(node.op_type, ())
            self._read_exactly |= {node.input[place] for place in exact if place < len(node.input)}

    def add(self, node: onnx.NodeProto) -> None:
        """Appends a node, in half precision if it was chosen, with the casts that it needs."""
        if not self._is_half(node):
            self.nodes.append(node)
            return
        exact = _EXACT_INPUTS.get(node.op_type, ())
        for place, name in enumerate(node.input):
            if name in self._floats and place not in exact:
                node.input[place] = self._half(name)
        outputs = [name for name in node.output if name in self._floats]
        for place, name in enumerate(node.output):
            if name in outputs:
                node.output[place] = name + _SUFFIX
        self.nodes.append(node)
        self._halves |= set(outputs)
        for name in outputs:
            if name in self._read_exactly:
                self._cast(name + _SUFFIX, name, onnx.TensorProto.FLOAT)

    def _is_half(self, node: onnx.NodeProto) -> bool:
        return node.name in self._chosen and node.op_type not in _TYPED

    def _half(self, name: str) -> str:
        """The name of a tensor in half precision; made where there is none yet."""
        if name not in self._halves:
            self._halves.add(name)
            if name in self._stored:
                with np.errstate(over="ignore"):
                    values = onnx.numpy_helper.to_array(self._stored[name]).astype(np.float16)
                self.weights.append(onnx.numpy_helper.from_array(values, name + _SUFFIX))
            else:
                self._cast(name, name + _SUFFIX, onnx.TensorProto.FLOAT16)
        return name + _SUFFIX

    def _cast(self, name: str, other: str, kind: int) -> None:
        self.nodes.append(onnx.helper.make_node("Cast", [name], [other], f"{other}/Cast", to=kind))


def _drop_unread(graph: onnx.GraphProto) -> None:
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
