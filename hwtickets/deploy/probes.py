"""Networks whose tensors in between can be read, and where an operator comes from."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import onnx
from onnx import helper

from hwtickets.deploy.onnx_export import block_of
from hwtickets.deploy.onnx_file import opened_onnx

#: Names of weights begin with the module that holds them; quantizing adds to their ends.
_WEIGHT = re.compile(r"(.+?)\.(?:weight|bias)(?:_.*)?")


@dataclass(frozen=True)
class Origin:
    """An operator of an exported network, and what it was exported from.

    Attributes:
        name: Of the operator, e.g. "blocks.0.expand_k3/2_Conv".
        op_type: e.g. "Conv".
        block: The searching block that it belongs to, else "stem", "head".
        module: The module of the deployed network whose weights it reads, or that calls it.
        tensor: Name of its first output.
    """

    name: str
    op_type: str
    block: str
    module: str
    tensor: str


def origins(proto: onnx.ModelProto, blocks: Collection[str]) -> list[Origin]:
    """Every operator of a network with an output, in order of execution.

    Args:
        proto: A network that was exported here.
        blocks: Names of the searching blocks.
    """
    return [
        Origin(node.name, node.op_type, block_of(node.name, blocks), module_of(node), node.output[0])
        for node in proto.graph.node
        if node.output
    ]


def module_of(node: onnx.NodeProto) -> str:
    """The module of the deployed network that an operator was exported from."""
    for name in list(node.input)[1:]:
        found = _WEIGHT.fullmatch(name)
        if found:
            return found[1]
    return str(node.name).split("/")[0]


def probed(model: bytes, tensors: Sequence[str]) -> bytes:
    """The serialized network with these tensors as further outputs, in fp32, after its own.

    Args:
        model: A serialized network.
        tensors: Names of tensors in it.
    """
    proto = opened_onnx(model)
    for number, tensor in enumerate(tensors):
        name = f"probe_{number}"
        # The cast does nothing to fp32 tensors; the others could not leave every runtime as they are.
        proto.graph.node.append(helper.make_node("Cast", [tensor], [name], name, to=onnx.TensorProto.FLOAT))
        proto.graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    serialized: bytes = proto.SerializeToString()
    return serialized


def readable_tensors(proto: onnx.ModelProto) -> dict[str, str]:
    """By every tensor the one that holds its value as the network goes on with it.

    A quantized network clips as it quantizes: what ReLU did is done by the range of the 8 bits behind it.
    """
    takers: dict[tuple[str, str], str] = {
        (name, node.op_type): node.output[0] for node in proto.graph.node for name in node.input[:1]
    }
    found = {}
    for node in proto.graph.node:
        for name in node.output:
            narrow = takers.get((name, "QuantizeLinear"), "")
            found[name] = takers.get((narrow, "DequantizeLinear"), name)
    return found


def in_parts(tensors: Sequence[str], proto: onnx.ModelProto, most_bytes: int) -> Iterator[list[str]]:
    """Tensors in groups that fit into memory, at least one in each.

    Args:
        tensors: Names, in the order of the groups.
        proto: The network that they belong to, with static shapes.
        most_bytes: How many bytes a group may take in fp32.
    """
    inferred = onnx.shape_inference.infer_shapes(proto)
    sizes = {value.name: _bytes(value) for value in (*inferred.graph.value_info, *inferred.graph.output)}
    part: list[str] = []
    held = 0
    for tensor in tensors:
        size = sizes.get(tensor, 0)
        if part and held + size > most_bytes:
            yield part
            part, held = [], 0
        part.append(tensor)
        held += size
    if part:
        yield part


def _bytes(value: onnx.ValueInfoProto) -> int:
    total = 4
    for dimension in value.type.tensor_type.shape.dim:
        total *= max(1, dimension.dim_value)
    return total
