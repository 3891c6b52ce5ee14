"""An exported network as parts, the blocks that its nodes are named after, and the tensors between them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import onnx

from hwtickets.deploy.onnx_export import block_of
from hwtickets.deploy.onnx_file import opened_onnx


@dataclass(frozen=True)
class Crossing:
    """A tensor that one part computes and others read.

    Attributes:
        producer: Name of the part.
        consumers: Names of the others.
        elements: Size of the tensor for one image.
    """

    producer: str
    consumers: tuple[str, ...]
    elements: int


@dataclass(frozen=True)
class Parts:
    """The parts of a network.

    Attributes:
        nodes: Names of the nodes by part, both in order of execution.
        crossings: Tensors between parts.
    """

    nodes: dict[str, list[str]]
    crossings: list[Crossing]

    def merged_into(self, names: Collection[str]) -> Parts:
        """The same network in fewer parts: one that is not among the names belongs to that before it."""
        owner: dict[str, str] = {}
        known = next((part for part in self.nodes if part in names), "")
        for part in self.nodes:
            known = part if part in names else known
            owner[part] = known
        nodes: dict[str, list[str]] = {}
        for part, own in self.nodes.items():
            nodes.setdefault(owner[part], []).extend(own)
        crossings = []
        for crossing in self.crossings:
            producer = owner[crossing.producer]
            readers = dict.fromkeys(owner[part] for part in crossing.consumers if owner[part] != producer)
            if readers:
                crossings.append(Crossing(producer, tuple(readers), crossing.elements))
        return Parts(nodes, crossings)

    def nodes_at(self, precision: str, chosen: Mapping[str, str]) -> list[str]:
        """Names of the nodes whose part is in a precision, given the precision of every part."""
        return [node for part, nodes in self.nodes.items() if chosen[part] == precision for node in nodes]


def parts_of(model: bytes, blocks: Collection[str]) -> Parts:
    """Takes a network of ours apart.

    Args:
        model: A serialized network with the names that `export_onnx` gives.
        blocks: Names of the searching blocks; what is outside them is "stem", "head" and the like.
    """
    proto = onnx.shape_inference.infer_shapes(opened_onnx(model), data_prop=True)
    nodes: dict[str, list[str]] = {}
    made: dict[str, str] = {}
    read: dict[str, list[str]] = {}
    for node in proto.graph.node:
        part = block_of(node.name, blocks)
        nodes.setdefault(part, []).append(node.name)
        made.update(dict.fromkeys(node.output, part))
        for name in node.input:
            if name in made and made[name] != part and part not in read.setdefault(name, []):
                read[name].append(part)
    elements = _elements(proto)
    crossings = [
        Crossing(made[name], tuple(parts), elements.get(name, 0)) for name, parts in read.items() if parts
    ]
    return Parts(nodes, crossings)


def _elements(proto: onnx.ModelProto) -> dict[str, int]:
    values = (*proto.graph.value_info, *proto.graph.output)
    return {
        value.name: math.prod(dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim)
        for value in values
    }
