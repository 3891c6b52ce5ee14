"""Networks without training: an operator graph as an ONNX model with random weights, to be timed."""

from __future__ import annotations

import math

import numpy as np
import onnx
from numpy.typing import NDArray

from hwtickets.errors import HwticketsError
from hwtickets.space.operators import Operator, OperatorGraph
from hwtickets.tables.skeleton_images import ImageNodes
from hwtickets.tables.skeleton_layout import IMAGES, Array, Tensors, image_tensors
from hwtickets.tables.skeleton_moves import MoveNodes
from hwtickets.tables.skeleton_tokens import TokenNodes

_OPSET = 18
_IR_VERSION = 8
_IMAGES = (*IMAGES, "pool")
_TOKENS = ("linear", "matmul", "product", "layernorm", "softmax", "attention")
_MOVES = ("add", "mul", "relu", "activation", "concat", "copy", "other")


def skeleton_model(graph: OperatorGraph, seed: int = 0) -> bytes:
    """An ONNX model that runs exactly the operators of a graph, batch 1, fp32.

    Node names begin with the operator's name and a slash, so the times of an operator's nodes can be added
    up.

    Args:
        graph: What to run; at least one operator.
        seed: Of the random weights.

    Returns:
        A serialized model with the input "x" as the network takes it, the output "y" of the last operator,
        and every other tensor that no operator reads as a further output: the runtime would drop what leads
        there.

    Raises:
        HwticketsError: The graph has no operator or one of an unknown kind.
    """
    if not graph.operators:
        raise HwticketsError(
            "a network without operators cannot be timed; choose a supernet with a stem or a head"
        )
    writer = _ModelWriter(graph, seed)
    for operator in graph:
        writer.append(operator)
    return writer.model(graph)


def random_inputs(graph: OperatorGraph, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Standard normal inputs for the skeleton of a graph, and for the network itself; one input."""
    random = np.random.default_rng(seed)
    return {"x": random.standard_normal(graph.batch_shape).astype(np.float32)}


class _ModelWriter:
    """Collects nodes and weights."""

    def __init__(self, graph: OperatorGraph, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._weights: list[onnx.TensorProto] = []
        self._tensors = Tensors(self._store)
        self._tensors.shapes["x"] = graph.batch_shape
        if len(graph.batch_shape) == 4:
            self._tensors.images.add("x")
        images = image_tensors(graph)
        self._moves = MoveNodes(self._tensors, self._random_weight, images)
        writers = (
            (_IMAGES, ImageNodes(self._tensors, self._random_weight, images)),
            (_TOKENS, TokenNodes(self._tensors, self._random_weight, images)),
            (_MOVES, self._moves),
        )
        self._writers = {kind: getattr(nodes, kind) for kinds, nodes in writers for kind in kinds}

    def append(self, operator: Operator) -> None:
        write = self._writers.get(operator.spec.kind)
        if write is None:
            raise HwticketsError(f"operator {operator.name}: the kind '{operator.spec.kind}' cannot be timed")
        tensor = write(operator)
        nodes, shapes = self._tensors.nodes, self._tensors.shapes
        if not nodes or nodes[-1].output[0] != tensor:
            tensor = self._tensors.node(operator.name, "Identity", [tensor], shapes[tensor])
        # Fused nodes are known by their outputs.
        nodes[-1].output[0] = operator.output.name
        shapes[operator.output.name] = shapes[tensor]
        if self._gives_image(operator):
            self._tensors.images.add(operator.output.name)

    def _gives_image(self, operator: Operator) -> bool:
        kind = operator.spec.kind
        if kind in _MOVES:
            return self._moves.gives_image(operator)
        return kind in _IMAGES and len(self._tensors.shapes[operator.output.name]) == 4

    def model(self, graph: OperatorGraph) -> bytes:
        float32 = onnx.TensorProto.FLOAT
        self._rename(graph.output.name, "y")
        read = {name for node in self._tensors.nodes for name in node.input}
        unread = [op.output.name for op in graph if op.output.name not in read and op.output != graph.output]
        body = onnx.helper.make_graph(
            self._tensors.nodes,
            "skeleton",
            [onnx.helper.make_tensor_value_info("x", float32, graph.batch_shape)],
            [
                onnx.helper.make_tensor_value_info(name, float32, self._tensors.shapes[name])
                for name in ("y", *unread)
            ],
            self._weights,
        )
        opset = onnx.helper.make_opsetid("", _OPSET)
        model: bytes = onnx.helper.make_model(
            body, opset_imports=[opset], ir_version=_IR_VERSION
        ).SerializeToString()
        return model

    def _rename(self, name: str, other: str) -> None:
        self._tensors.nodes[-1].output[0] = other
        self._tensors.shapes[other] = self._tensors.shapes[name]

    def _random_weight(self, shape: tuple[int, ...], fan_in: int) -> NDArray[np.float32]:
        # He scale: activations stay normal numbers in any depth; subnormal ones would be slower than a real
        # network's.
        return self._random.standard_normal(shape, np.float32) * np.float32(math.sqrt(2 / fan_in))

    def _store(self, name: str, values: Array) -> str:
        self._weights.append(onnx.numpy_helper.from_array(values, name))
        return name
