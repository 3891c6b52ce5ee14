"""An exported network as a list of operators: shapes, work, precision, and what a runtime fused."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import onnx

from hwtickets.deploy.onnx_file import opened_onnx
from hwtickets.deploy.probes import Origin, origins

Shape = tuple[int, ...]

#: Operators that change the type of a tensor, or hold one; what they stand between are the real ones.
_CASTS = ("QuantizeLinear", "DequantizeLinear", "Cast", "Constant")
_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_KIND = onnx.TensorProto
_BYTES: dict[int, int] = {
    _KIND.FLOAT: 4,
    _KIND.FLOAT16: 2,
    _KIND.BFLOAT16: 2,
    _KIND.INT64: 8,
    _KIND.INT8: 1,
    _KIND.UINT8: 1,
}
_PRECISIONS: dict[int, str] = {_KIND.FLOAT: "fp32", _KIND.FLOAT16: "fp16", _KIND.BFLOAT16: "bf16"}


@dataclass(frozen=True)
class DeployedOperator:
    """One operator of an exported network.

    Attributes:
        origin: Its name, and where it is from.
        input_shape: Of the first tensor that it reads; empty where shapes are not known.
        output_shape: Of its first output.
        macs: Multiply-accumulates; 0 for operators without products.
        size_bytes: What it reads (weights too) and writes, each once.
        written_bytes: What it writes.
        precision: "fp32", "fp16", "bf16", "int8" (between QuantizeLinear and DequantizeLinear) or "other".
    """

    origin: Origin
    input_shape: Shape
    output_shape: Shape
    macs: int
    size_bytes: int
    written_bytes: int
    precision: str


class DeployedGraph:
    """The operators of an exported network, without those that only change a type.

    Args:
        model: The network, serialized.
        blocks: Names of the searching blocks.

    Attributes:
        operators: In order of execution, by name.
    """

    def __init__(self, model: bytes, blocks: Collection[str]) -> None:
        proto = onnx.shape_inference.infer_shapes(opened_onnx(model))
        nodes = {node.name: node for node in proto.graph.node}
        self._tensors = _tensors(proto)
        self._behind = {
            node.output[0]: node.input[0] for node in nodes.values() if node.op_type in _CASTS and node.input
        }
        self._dequantized = {node.output[0] for node in nodes.values() if node.op_type == "DequantizeLinear"}
        found = [origin for origin in origins(proto, blocks) if origin.op_type not in _CASTS]
        self.operators = {origin.name: self._described(origin, nodes[origin.name]) for origin in found}
        makers = {name: origin.name for origin in found for name in nodes[origin.name].output}
        self._sources = {
            origin.name: [
                makers[name] for name in map(self._source, nodes[origin.name].input) if name in makers
            ]
            for origin in found
        }

    def named(self, name: str) -> str | None:
        """The operator of a name, or that makes the tensor of a name; runtimes use both."""
        if name in self.operators:
            return name
        return next((own for own, op in self.operators.items() if op.origin.tensor == name), None)

    def fused(self, executed: Iterable[str]) -> dict[str, list[str]]:
        """Which operators a runtime computes together.

        Args:
            executed: Operators that it names itself, in the order in which it executes them.

        Returns:
            By such an operator all that it stands for, in order of execution: those that are not executed on
            their own belong to what made their last input, and products to what comes after them.
        """
        owners = {name: name for name in executed}
        turns = {name: turn for turn, name in enumerate(owners)}
        consumers: dict[str, list[str]] = {}
        for name, sources in self._sources.items():
            for source in sources:
                consumers.setdefault(source, []).append(name)
        for name, operator in self.operators.items():
            if name not in owners and operator.origin.op_type in _PRODUCTS:
                self._give(name, self._later(name, consumers, owners), owners)
        for name, sources in self._sources.items():
            if name not in owners:
                known = [owners[source] for source in sources if source in owners]
                self._give(name, max(known, key=turns.__getitem__, default=None), owners)
        groups: dict[str, list[str]] = {}
        for name in self.operators:
            if name in owners:
                groups.setdefault(owners[name], []).append(name)
        return groups

    def _later(self, name: str, consumers: Mapping[str, list[str]], owners: Mapping[str, str]) -> str | None:
        """What a fused product is named after: the first executed operator behind it that is none itself."""
        while consumers.get(name):
            name = consumers[name][0]
            if name in owners:
                return None if self.operators[name].origin.op_type in _PRODUCTS else owners[name]
        return None

    @staticmethod
    def _give(name: str, owner: str | None, owners: dict[str, str]) -> None:
        if owner is not None:
            owners[name] = owner

    def _source(self, tensor: str) -> str:
        """The tensor that a tensor is only another type of."""
        while tensor in self._behind:
            tensor = self._behind[tensor]
        return tensor

    def _described(self, origin: Origin, node: onnx.NodeProto) -> DeployedOperator:
        read = [name for name in node.input if self._source(name) in self._tensors]
        shapes = [self._tensors[self._source(name)][0] for name in read]
        shape, kind = self._tensors.get(node.output[0], ((), _KIND.UNDEFINED))
        quantized = any(name in self._dequantized for name in read)
        written_bytes = math.prod(shape) * (1 if quantized else _BYTES.get(kind, 4))
        return DeployedOperator(
            origin=origin,
            input_shape=shapes[0] if shapes else (),
            output_shape=shape,
            macs=_macs(origin.op_type, shapes, shape),
            size_bytes=sum(map(self._read_bytes, read)) + written_bytes,
            written_bytes=written_bytes,
            precision="int8" if quantized else _PRECISIONS.get(kind, "other"),
        )

    def _read_bytes(self, tensor: str) -> int:
        shape, kind = self._tensors[self._source(tensor)]
        # A quantized activation is known here as the float tensor that it stands for.
        narrowed = tensor in self._dequantized and kind in _PRECISIONS
        return math.prod(shape) * (1 if narrowed else _BYTES.get(kind, 4))


def _tensors(proto: onnx.ModelProto) -> dict[str, tuple[Shape, int]]:
    """Shape and type of every tensor that is known; a free dimension counts as 1."""
    graph = proto.graph
    found: dict[str, tuple[Shape, int]] = {
        tensor.name: (tuple(tensor.dims), tensor.data_type) for tensor in graph.initializer
    }
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        found[value.name] = (tuple(max(1, d.dim_value) for d in kind.shape.dim), kind.elem_type)
    return found


def _macs(op_type: str, read: list[Shape], written: Shape) -> int:
    if op_type not in _PRODUCTS or len(read) < 2 or not written:
        return 0
    data, weights = read[0], read[1]
    if op_type == "Conv":
        return math.prod(written) * math.prod(weights[1:])
    if op_type == "ConvTranspose":
        return math.prod(data) * math.prod(weights[1:])
    return math.prod(written) * (data[-1] if data else 1)
