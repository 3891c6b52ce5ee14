"""Networks without training: an operator graph as an ONNX model with random weights, to be timed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from hwtickets.errors import HwticketsError
from hwtickets.space.operators import Operator, OperatorGraph
from hwtickets.tables.skeleton_transformer import Array, TransformerNodes

_OPSET = 18
_IR_VERSION = 10


def skeleton_model(graph: OperatorGraph, seed: int = 0) -> bytes:
    """An ONNX model that runs exactly the operators of a graph, batch 1, fp32.

    Node names begin with the operator's name and a slash, so the times of an operator's nodes can be added
    up.

    Args:
        graph: What to run; at least one operator.
        seed: Of the random weights.

    Returns:
        A serialized model with the input "x" (1, C, H, W) and the output "y".

    Raises:
        HwticketsError: The graph has no operator or one of an unknown kind.
    """
    if not graph.operators:
        raise HwticketsError(
            "a network without operators cannot be timed; choose a supernet with a stem or a head"
        )
    writer = _ModelWriter(seed)
    for operator in graph:
        writer.append(operator)
    return writer.model(graph)


def random_inputs(graph: OperatorGraph, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Standard normal inputs for the skeleton of a graph, shape (1, C, H, W)."""
    x = graph.input
    random = np.random.default_rng(seed)
    return {"x": random.standard_normal((1, x.channels, x.height, x.width)).astype(np.float32)}


class _ModelWriter:
    """Collects nodes and weights."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def append(self, operator: Operator) -> None:
        write = getattr(self, f"_{operator.spec.kind}", None)
        if write is None:
            raise HwticketsError(f"operator {operator.name}: the kind '{operator.spec.kind}' cannot be timed")
        write(operator)

    def model(self, graph: OperatorGraph) -> bytes:
        last = graph.operators[-1]
        self._nodes[-1].output[0] = "y"
        flat = last.spec.kind in ("pool", "linear")
        out_shape = (
            [1, last.output.channels]
            if flat
            else [1, last.output.channels, last.output.height, last.output.width]
        )
        x, float32 = graph.input, onnx.TensorProto.FLOAT
        body = onnx.helper.make_graph(
            self._nodes,
            "skeleton",
            [onnx.helper.make_tensor_value_info("x", float32, [1, x.channels, x.height, x.width])],
            [onnx.helper.make_tensor_value_info("y", float32, out_shape)],
            self._weights,
        )
        opset = onnx.helper.make_opsetid("", _OPSET)
        model: bytes = onnx.helper.make_model(
            body, opset_imports=[opset], ir_version=_IR_VERSION
        ).SerializeToString()
        return model

    def _conv(self, operator: Operator) -> None:
        spec = operator.spec
        fan_in = spec.c_in // spec.groups * spec.kernel**2
        weight = self._random_weight((spec.c_out, spec.c_in // spec.groups, spec.kernel, spec.kernel), fan_in)
        inputs = [
            operator.inputs[0],
            self._store(f"{operator.name}/weight", weight),
            self._store(f"{operator.name}/bias", np.zeros(spec.c_out, np.float32)),
        ]
        steps = [
            "Conv",
            *(["Add"] if spec.residual else []),
            *(["Relu"] if spec.activation == "relu" else []),
        ]
        attributes = {
            "kernel_shape": [spec.kernel] * 2,
            "strides": [spec.stride] * 2,
            "pads": [spec.kernel // 2] * 4,
            "group": spec.groups,
        }
        self._chain(operator, steps, inputs, attributes)

    def _add(self, operator: Operator) -> None:
        steps = ["Add", *(["Relu"] if operator.spec.activation == "relu" else [])]
        self._chain(operator, steps, list(operator.inputs), {})

    def _relu(self, operator: Operator) -> None:
        self._chain(operator, ["Relu"], list(operator.inputs), {})

    def _resize(self, operator: Operator) -> None:
        sizes = np.array([1, operator.spec.c_out, *operator.spec.out_size], np.int64)
        inputs = [operator.inputs[0], "", "", self._store(f"{operator.name}/sizes", sizes)]
        attributes = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        self._chain(operator, ["Resize"], inputs, attributes)

    def _nearest(self, operator: Operator) -> None:
        spec = operator.spec
        out_h, out_w = spec.out_size
        scales = np.array([1, 1, out_h / spec.height, out_w / spec.width], np.float32)
        inputs = [operator.inputs[0], "", self._store(f"{operator.name}/scales", scales)]
        attributes = {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        }
        self._chain(operator, ["Resize"], inputs, attributes)

    def _transformer(self, operator: Operator) -> None:
        self._nodes += TransformerNodes(operator, self._random_weight, self._store).nodes

    def _concat(self, operator: Operator) -> None:
        self._chain(operator, ["Concat"], list(operator.inputs), {"axis": 1})

    def _pool(self, operator: Operator) -> None:
        self._chain(operator, ["GlobalAveragePool", "Flatten"], list(operator.inputs), {})

    def _linear(self, operator: Operator) -> None:
        spec = operator.spec
        inputs = [
            operator.inputs[0],
            self._store(f"{operator.name}/weight", self._random_weight((spec.c_out, spec.c_in), spec.c_in)),
            self._store(f"{operator.name}/bias", np.zeros(spec.c_out, np.float32)),
        ]
        self._chain(operator, ["Gemm"], inputs, {"transB": 1})

    def _chain(
        self, operator: Operator, steps: list[str], inputs: list[str], attributes: dict[str, Any]
    ) -> None:
        """One node a step; the first takes the inputs and attributes, an Add takes the residual as well."""
        for index, step in enumerate(steps):
            last = index == len(steps) - 1
            output = operator.output.name if last else f"{operator.name}/{step}:0"
            if index > 0:
                inputs = [inputs[0], operator.inputs[-1]] if step == "Add" else inputs[:1]
                attributes = {}
            self._nodes.append(
                onnx.helper.make_node(step, inputs, [output], f"{operator.name}/{step}", **attributes)
            )
            inputs = [output]

    def _random_weight(self, shape: tuple[int, ...], fan_in: int) -> NDArray[np.float32]:
        # He scale: activations stay normal numbers in any depth; subnormal ones would be slower than a real
        # network's.
        return self._random.standard_normal(shape, np.float32) * np.float32(math.sqrt(2 / fan_in))

    def _store(self, name: str, values: Array) -> str:
        self._weights.append(onnx.numpy_helper.from_array(values, name))
        return name
