"""Which operators of a network ONNX Runtime cannot run, asked of the runtime itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from hwtickets.deploy.onnx_file import opened_onnx
from hwtickets.errors import DeviceError, HwticketsError
from hwtickets.runtimes import load

#: Precisions that another one can be tried in, the nearest first.
_OTHERS = {"fp16": TensorProto.FLOAT16, "fp32": TensorProto.FLOAT}
_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16}
_NAMES: dict[int, str] = {
    TensorProto.FLOAT: "fp32",
    TensorProto.FLOAT16: "fp16",
    TensorProto.BFLOAT16: "bf16",
}


@dataclass(frozen=True)
class Lacking:
    """A kind of operator that a runtime cannot run.

    Attributes:
        operator: e.g. "Conv in bf16".
        nodes: Names of the nodes.
        nearest: The nearest precision that the runtime has it in; None if there is none.
    """

    operator: str
    nodes: list[str]
    nearest: str | None

    def __str__(self) -> str:
        times = f" ({len(self.nodes)} times)" if len(self.nodes) > 1 else f" ({self.nodes[0]})"
        return f"{self.operator}{times}, nearest: {self.nearest or 'none'}"


def require_runnable(model: bytes) -> None:
    """Raises a DeviceError that names every operator which ONNX Runtime on the CPU lacks.

    Args:
        model: A serialized network.
    """
    lacking = lacking_operators(model)
    if not lacking:
        return
    common = {entry.nearest for entry in lacking if entry.nearest}
    advice = f"export with --precision {' or '.join(sorted(common))}" if common else "choose another device"
    raise DeviceError(
        f"ONNX Runtime on this CPU cannot run this network: {'; '.join(map(str, lacking))}; {advice}"
    )


def lacking_operators(model: bytes) -> list[Lacking]:
    """Kinds of operators that ONNX Runtime on the CPU has no kernel for; empty if the network loads.

    Every kind is tried in a network of its own: the runtime's error names only the first one.
    """
    if _loads(model):
        return []
    proto = onnx.shape_inference.infer_shapes(opened_onnx(model))
    found: dict[str, Lacking] = {}
    tried: dict[str, bool] = {}
    for node, types in _typed(proto):
        used = [_NAMES[kind] for kind in types if kind in _NAMES]
        domain = f"{node.domain}." if node.domain not in ("", "ai.onnx") else ""
        operator = f"{domain}{node.op_type}" + (f" in {used[0]}" if used else "")
        if operator not in tried:
            tried[operator] = _runs(proto, node, types)
        if tried[operator]:
            continue
        if operator not in found:
            found[operator] = Lacking(operator, [], _nearest(proto, node, types))
        found[operator].nodes.append(node.name)
    return list(found.values())


def _typed(proto: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, list[int]]]:
    """Every node with the types of its inputs; 0 where an input is left out or not known."""
    graph = proto.graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        types[value.name] = value.type.tensor_type.elem_type
    for node in graph.node:
        yield node, [types.get(name, 0) for name in node.input]


def _nearest(proto: onnx.ModelProto, node: onnx.NodeProto, types: list[int]) -> str | None:
    now = {kind for kind in types if kind in _FLOATS}
    for name, other in _OTHERS.items():
        instead = [other if kind in _FLOATS else kind for kind in types]
        if now and other not in now and _runs(proto, node, instead):
            return name
    return None


def _runs(proto: onnx.ModelProto, node: onnx.NodeProto, types: list[int]) -> bool:
    """Whether the runtime takes a node alone, its constants as they are, the rest as inputs of any shape."""
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    kept, inputs = [], []
    for name, kind in dict(zip(node.input, types, strict=True)).items():
        constant = constants.get(name)
        if constant is not None and constant.data_type == kind:
            kept.append(constant)
        elif name:
            inputs.append(helper.make_tensor_value_info(name, kind, None))
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    alone = helper.make_model(
        helper.make_graph([node], "alone", inputs, outputs, kept),
        opset_imports=list(proto.opset_import),
        ir_version=proto.ir_version,
    )
    return _loads(alone.SerializeToString())


def _loads(model: bytes) -> bool:
    try:
        load(model)
    except HwticketsError:
        return False
    return True
