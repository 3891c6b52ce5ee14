"""Operators of opset 18 as opset 17 has them, one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

_Attributes = dict[str, Any]


class NoOlderFormError(Exception):
    """An operator uses something that came with opset 18."""


@dataclass(frozen=True)
class KnownGraph:
    """What a step down has to know of the whole graph.

    Attributes:
        graph: Receives new constants.
        constants: Values by name of the tensor.
        shapes: Sizes by name of the tensor; None where a size is free.
    """

    graph: onnx.GraphProto
    constants: Mapping[str, NDArray[Any]]
    shapes: Mapping[str, list[int | None]]

    def constant(self, node: onnx.NodeProto, index: int) -> NDArray[Any] | None:
        """The value of an input; None where the input is left out."""
        if index >= len(node.input) or not node.input[index]:
            return None
        if node.input[index] not in self.constants:
            raise NoOlderFormError(f"input {index} is computed in the network")
        return self.constants[node.input[index]]

    def shape(self, name: str) -> list[int | None]:
        """The sizes of a tensor."""
        if name not in self.shapes:
            raise NoOlderFormError(f"the shape of {name} is not known")
        return self.shapes[name]

    def replace(self, node: onnx.NodeProto, index: int, values: NDArray[Any]) -> None:
        """Gives a node a constant of its own as an input."""
        name = f"{node.name}_input{index}"
        self.graph.initializer.append(numpy_helper.from_array(values, name))
        while len(node.input) <= index:
            node.input.append("")
        node.input[index] = name


def to_older_form(node: onnx.NodeProto, known: KnownGraph) -> None:
    """Rewrites a node that means something else, or has other inputs, in opset 17.

    Raises:
        NoOlderFormError: It uses something that opset 17 has not.
    """
    step = _STEPS.get(node.op_type)
    if step is None:
        raise NoOlderFormError("it came with opset 18, or means something else before")
    attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    step(node, attributes, known)
    del node.attribute[:]
    node.attribute.extend(helper.make_attribute(name, value) for name, value in sorted(attributes.items()))


def _reduce(node: onnx.NodeProto, attributes: _Attributes, known: KnownGraph) -> None:
    """Axes were an attribute."""
    axes = known.constant(node, 1)
    noop = attributes.pop("noop_with_empty_axes", 0)
    if axes is not None and axes.size:
        attributes["axes"] = [int(axis) for axis in axes]
    elif noop:
        raise NoOlderFormError("it reduces nothing")
    del node.input[1:]


def _split(node: onnx.NodeProto, attributes: _Attributes, known: KnownGraph) -> None:
    """The number of outputs was that of the outputs, all of one size."""
    parts = attributes.pop("num_outputs", None)
    if parts is None:
        return
    axis = attributes.get("axis", 0)
    size = known.shape(node.input[0])[axis]
    if size is None:
        raise NoOlderFormError("the size that is split is free")
    chunk = -(-size // parts)
    sizes = [min(chunk, size - chunk * index) for index in range(parts)]
    known.replace(node, 1, np.array(sizes, np.int64))


def _resize(node: onnx.NodeProto, attributes: _Attributes, known: KnownGraph) -> None:
    """All axes were given, and nothing was smoothed or kept in proportion."""
    if attributes.pop("antialias", 0):
        raise NoOlderFormError("antialias")
    if attributes.pop("keep_aspect_ratio_policy", b"stretch") not in (b"stretch", "stretch"):
        raise NoOlderFormError("keep_aspect_ratio_policy")
    axes = attributes.pop("axes", None)
    if axes is None:
        return
    if known.constant(node, 1) is not None:
        raise NoOlderFormError("axes with a region of interest")
    sizes = known.shape(node.input[0])
    scales, wanted = known.constant(node, 2), known.constant(node, 3)
    if scales is not None and scales.size:
        known.replace(node, 2, _on_all_axes(np.ones(len(sizes), np.float32), axes, scales))
    if wanted is not None:
        if None in sizes:
            raise NoOlderFormError("axes with sizes where another size is free")
        known.replace(node, 3, _on_all_axes(np.array(sizes, np.int64), axes, wanted))


def _pad(node: onnx.NodeProto, attributes: _Attributes, known: KnownGraph) -> None:
    """All axes were padded."""
    axes, pads = known.constant(node, 3), known.constant(node, 1)
    if axes is None:
        return
    if pads is None:
        raise NoOlderFormError("axes without pads")
    rank = len(known.shape(node.input[0]))
    before, after = np.split(pads, 2)
    none = np.zeros(rank, np.int64)
    whole = [_on_all_axes(none, axes.tolist(), before), _on_all_axes(none, axes.tolist(), after)]
    known.replace(node, 1, np.concatenate(whole))
    del node.input[3:]


def _scatter(node: onnx.NodeProto, attributes: _Attributes, known: KnownGraph) -> None:
    """Only sums and products were known."""
    if attributes.get("reduction", b"none") in (b"max", b"min"):
        raise NoOlderFormError(f"reduction {attributes['reduction'].decode()}")


def _on_all_axes(values: NDArray[Any], axes: list[int], given: NDArray[Any]) -> NDArray[Any]:
    filled = values.copy()
    filled[axes] = given
    return filled


_Step = Callable[[onnx.NodeProto, _Attributes, KnownGraph], None]
_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
_STEPS: dict[str, _Step] = {
    **{f"Reduce{kind}": _reduce for kind in _REDUCTIONS},
    "Split": _split,
    "Resize": _resize,
    "Pad": _pad,
    "ScatterElements": _scatter,
    "ScatterND": _scatter,
}
