"""An ONNX graph as a module of PyTorch that computes it node by node: what a bundle holds, run in PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import fx, nn

from hwtickets.errors import HwticketsError
from hwtickets.runtimes.onnx_node import OnnxNode
from hwtickets.runtimes.torch_operators import call_for

#: Where a node of the module keeps the `OnnxNode` that it is made of.
ORIGIN = "onnx"


def to_module(model: bytes | Path, kind: torch.dtype = torch.float32) -> fx.GraphModule:
    """The module: inputs and outputs in fp32 as in the graph, weights as buffers.

    No trained module is needed, and no pickle: the graph of a bundle, and every network of a latency table,
    runs in PyTorch as it runs elsewhere, with batch norms folded.

    Args:
        model: A serialized ONNX model, or the file that holds one.
        kind: Of the numbers that it computes with; fp32 leaves every number in the type that the graph has.

    Raises:
        HwticketsError: The model is missing or damaged, or an operator is unknown here; names it.
    """
    proto = _read(model)
    builder = _Builder(proto.graph, kind)
    for node in proto.graph.node:
        builder.append(node)
    module = builder.module([output.name for output in proto.graph.output])
    return module if kind == torch.float32 else module.to(kind)


class _Builder:
    """Collects the nodes of one graph."""

    def __init__(self, graph: onnx.GraphProto, kind: torch.dtype) -> None:
        self._kind = kind
        self._constants = {entry.name: onnx.numpy_helper.to_array(entry) for entry in graph.initializer}
        self._root, self._graph = nn.Module(), fx.Graph()
        self._values: dict[str, fx.Node] = {
            entry.name: self._as(self._graph.placeholder(f"in_{index}"), kind)
            for index, entry in enumerate(graph.input)
            if entry.name not in self._constants
        }

    def append(self, proto: onnx.NodeProto) -> None:
        attributes = {entry.name: _plain(onnx.helper.get_attribute_value(entry)) for entry in proto.attribute}
        if proto.op_type == "Constant":
            self._constants[proto.output[0]] = onnx.numpy_helper.to_array(attributes["value"])
            return
        node = OnnxNode(proto.name, proto.op_type, list(proto.input), attributes, self._constants)
        call = call_for(node)
        tensors = [self._value(name) for name in node.inputs[: call.tensors]]
        made = self._graph.call_function(call.function, tuple(tensors), dict(call.keywords))
        made.meta[ORIGIN] = node
        if len(proto.output) == 1:
            self._values[proto.output[0]] = made
            return
        for index, name in enumerate(proto.output):
            self._values[name] = self._graph.call_function(_part, (made, index))

    def module(self, outputs: list[str]) -> fx.GraphModule:
        found = [self._as(self._values[name], torch.float32) for name in outputs]
        self._graph.output(tuple(found))
        return fx.GraphModule(self._root, self._graph).eval()

    def _as(self, value: fx.Node, kind: torch.dtype) -> fx.Node:
        return value if self._kind == torch.float32 else self._graph.call_method("to", (value, kind))

    def _value(self, name: str) -> fx.Node | None:
        if not name:
            return None
        if name not in self._values and name not in self._constants:
            raise HwticketsError(
                f"PyTorch cannot run the network: nothing computes '{name}'; export it again"
            )
        if name not in self._values:
            weight = f"weight_{len(self._values)}"
            self._root.register_buffer(weight, _tensor(self._constants[name]))
            self._values[name] = self._graph.get_attr(weight)
        return self._values[name]


def _tensor(values: NDArray[Any]) -> torch.Tensor:
    # numpy knows bfloat16 by an extension that PyTorch does not take.
    if values.dtype.name == "bfloat16":
        return torch.from_numpy(values.astype(np.float32)).to(torch.bfloat16)
    tensor = torch.from_numpy(np.array(values))
    # PyTorch computes convolutions fastest in this layout; it follows from that of weights and input.
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


def _part(values: Any, index: int) -> Any:
    return values[index]


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _read(model: bytes | Path) -> onnx.ModelProto:
    name = str(model) if isinstance(model, Path) else "the given model"
    if isinstance(model, Path) and not model.is_file():
        raise HwticketsError(f"there is no model at {model}")
    try:
        proto = onnx.load(model) if isinstance(model, Path) else onnx.load_model_from_string(model)
        if not proto.graph.node:
            raise ValueError("it holds no network")
    except Exception as error:  # protobuf's errors have no base of their own.
        reason = str(error).splitlines()[0]
        raise HwticketsError(f"PyTorch cannot load {name}: {reason}; export it again") from error
    return proto
