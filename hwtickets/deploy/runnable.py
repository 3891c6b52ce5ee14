"""Which operators of a network a runtime of this machine cannot run, asked of the runtime itself."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from hwtickets.deploy.onnx_file import opened_onnx
from hwtickets.errors import DeviceError, HwticketsError
from hwtickets.runtimes import Runtime

#: Precisions that another one can be tried in, the nearest first.
_OTHERS = {"fp16": TensorProto.FLOAT16, "fp32": TensorProto.FLOAT}
#: What only 8-bit networks have.
_QUANTIZING = ("QuantizeLinear", "DequantizeLinear")
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


def require_runnable(model: bytes, runtime: Runtime, name: str) -> None:
    """Has a runtime load a network before it is deployed there.

    Args:
        model: A serialized network.
        runtime: What it has to run in.
        name: What errors call the runtime.

    Raises:
        DeviceError: It cannot; names every operator that it lacks.
        HwticketsError: It cannot, although it has all operators; the runtime's own words.
    """
    try:
        runtime.load(model)
    except HwticketsError:
        lacking = lacking_operators(model, runtime)
        if not lacking:
            raise
    else:
        return
    common = {entry.nearest for entry in lacking if entry.nearest}
    advice = f"export with --precision {' or '.join(sorted(common))}" if common else "choose another device"
    raise DeviceError(f"{name} cannot run this network: {'; '.join(map(str, lacking))}; {advice}")


def lacking_operators(model: bytes, runtime: Runtime) -> list[Lacking]:
    """Kinds of operators that a runtime cannot load; empty if none of them alone is refused.

    Every kind is tried in a network of its own: the runtime's error names only the first one.
    """
    proto = onnx.shape_inference.infer_shapes(opened_onnx(model))
    alone = _Alone(proto, runtime)
    found: dict[str, Lacking] = {}
    tried: dict[str, bool] = {}
    for node in proto.graph.node:
        types = alone.types(node)
        used = [_NAMES[kind] for kind in types if kind in _NAMES and node.op_type not in _QUANTIZING]
        domain = f"{node.domain}." if node.domain not in ("", "ai.onnx") else ""
        operator = f"{domain}{node.op_type}" + (f" in {used[0]}" if used else "")
        if operator not in tried:
            tried[operator] = alone.runs(node, types)
        if tried[operator]:
            continue
        if operator not in found:
            found[operator] = Lacking(operator, [], _nearest(alone, node, types))
        found[operator].nodes.append(node.name)
    return list(found.values())


def _nearest(alone: _Alone, node: onnx.NodeProto, types: list[int]) -> str | None:
    if node.op_type in _QUANTIZING:
        return "fp32"
    now = {kind for kind in types if kind in _FLOATS}
    for name, other in _OTHERS.items():
        instead = [other if kind in _FLOATS else kind for kind in types]
        if now and other not in now and alone.runs(node, instead):
            return name
    return None


class _Alone:
    """Nodes of a network, each tried in a network of its own.

    Args:
        proto: The network, its shapes inferred.
        runtime: What they are tried in.
    """

    def __init__(self, proto: onnx.ModelProto, runtime: Runtime) -> None:
        graph = proto.graph
        self._proto, self._runtime = proto, runtime
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._values = {value.name: value for value in (*graph.input, *graph.value_info, *graph.output)}

    def types(self, node: onnx.NodeProto) -> list[int]:
        """Of its inputs; 0 where one is left out or not known."""
        return [self._type(name) for name in node.input]

    def runs(self, node: onnx.NodeProto, types: list[int]) -> bool:
        """Whether the runtime takes the node, its constants as they are, the rest as inputs."""
        kept, inputs = [], []
        for name, kind in dict(zip(node.input, types, strict=True)).items():
            constant = self._constants.get(name)
            if constant is not None and constant.data_type == kind:
                kept.append(constant)
            elif name:
                inputs.append(self._input(name, kind))
        outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
        model = helper.make_model(
            helper.make_graph([node], "alone", inputs, outputs, kept),
            opset_imports=list(self._proto.opset_import),
            ir_version=self._proto.ir_version,
        )
        try:
            self._runtime.load(model.SerializeToString())
        except HwticketsError:
            return False
        return True

    def _type(self, name: str) -> int:
        if name in self._constants:
            return self._constants[name].data_type
        known = self._values.get(name)
        return known.type.tensor_type.elem_type if known else 0

    def _input(self, name: str, kind: int) -> onnx.ValueInfoProto:
        """Of the shape that it has in the network, as far as that is known."""
        if name in self._constants:
            return helper.make_tensor_value_info(name, kind, list(self._constants[name].dims))
        known = self._values.get(name)
        if known is None or not known.type.tensor_type.HasField("shape"):
            return helper.make_tensor_value_info(name, kind, None)
        sized = onnx.ValueInfoProto()
        sized.CopyFrom(known)
        sized.type.tensor_type.elem_type = kind
        return sized
