"""The opset of a network, and our own step down from 18 to 17, the newest that TensorRT 8.5 reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from hwtickets.deploy.onnx_file import opened_onnx
from hwtickets.errors import HwticketsError, NumericsError, UsageError
from hwtickets.runtimes import load

#: What the exporter writes, and what it can be stepped down to.
OPSET, OLDEST_OPSET = 18, 17
#: The newest format of files that readers of opset 17 know.
_OLD_IR = 8
#: Largest difference, as a share of the largest output, that two kernels of one operator may show.
_TOLERANCE = 1e-5

_Attributes = dict[str, Any]


class _NoOlderFormError(Exception):
    """An operator uses something that came with opset 18."""


@dataclass(frozen=True)
class _Graph:
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
            raise _NoOlderFormError(f"input {index} is computed in the network")
        return self.constants[node.input[index]]

    def shape(self, name: str) -> list[int | None]:
        """The sizes of a tensor."""
        if name not in self.shapes:
            raise _NoOlderFormError(f"the shape of {name} is not known")
        return self.shapes[name]

    def replace(self, node: onnx.NodeProto, index: int, values: NDArray[Any]) -> None:
        """Gives a node a constant of its own as an input."""
        name = f"{node.name}_input{index}"
        self.graph.initializer.append(numpy_helper.from_array(values, name))
        while len(node.input) <= index:
            node.input.append("")
        node.input[index] = name


def opset_of(model: bytes | onnx.ModelProto) -> int:
    """The opset that a network says it is written in."""
    proto = opened_onnx(model) if isinstance(model, bytes) else model
    return next((int(entry.version) for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), 0)


def at_opset(model: bytes, opset: int | None) -> bytes:
    """A serialized network in another opset; it is run in both, and has to compute the same.

    Args:
        model: As exported.
        opset: 18 or 17; None leaves it as it is.

    Raises:
        UsageError: Another one is asked for, or the network needs a newer one.
        HwticketsError: An operator has no form in the older opset; it is named.
        NumericsError: The two do not compute the same.
    """
    if opset is None:
        return model
    if opset not in (OLDEST_OPSET, OPSET):
        raise UsageError(f"opset {opset} cannot be written; choose {OPSET} or {OLDEST_OPSET} (TensorRT 8.5)")
    proto = opened_onnx(model)
    now = opset_of(proto)
    if now == opset:
        return model
    if now > OPSET:
        raise UsageError(
            f"a network in this precision needs opset {now} (convolutions in bfloat16 came with it), so not"
            f" --opset {opset}; choose fp32, fp16 or int8"
        )
    if now < opset:
        raise UsageError(f"the network is written in opset {now} already; {opset} would say nothing more")
    _step_down(proto)
    lowered: bytes = proto.SerializeToString()
    _require_same(model, lowered)
    return lowered


def _step_down(proto: onnx.ModelProto) -> None:
    inferred = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    values = [*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output]
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    known = _Graph(proto.graph, constants, {value.name: _sizes(value) for value in values})
    for node in proto.graph.node:
        if node.domain not in ("", "ai.onnx") or _same_in_both(node.op_type):
            continue
        try:
            _stepped(node, known)
        except _NoOlderFormError as error:
            raise HwticketsError(
                f"{node.op_type} ({node.name}) has no form in opset {OLDEST_OPSET}: {error}; export with"
                f" --opset {OPSET} for TensorRT 8.6 and later"
            ) from error
    for entry in proto.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = OLDEST_OPSET
    proto.ir_version = min(proto.ir_version, _OLD_IR)
    used = {name for node in proto.graph.node for name in node.input}
    left = [tensor for tensor in proto.graph.initializer if tensor.name in used]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(left)


def _same_in_both(op_type: str) -> bool:
    newer = onnx.defs.get_schema(op_type, OPSET, "")
    return newer.since_version <= OLDEST_OPSET


def _stepped(node: onnx.NodeProto, known: _Graph) -> None:
    step = _STEPS.get(node.op_type)
    if step is None:
        raise _NoOlderFormError("it came with opset 18, or means something else before")
    attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    step(node, attributes, known)
    del node.attribute[:]
    node.attribute.extend(helper.make_attribute(name, value) for name, value in sorted(attributes.items()))


def _reduce(node: onnx.NodeProto, attributes: _Attributes, known: _Graph) -> None:
    """Axes were an attribute."""
    axes = known.constant(node, 1)
    noop = attributes.pop("noop_with_empty_axes", 0)
    if axes is not None and axes.size:
        attributes["axes"] = [int(axis) for axis in axes]
    elif noop:
        raise _NoOlderFormError("it reduces nothing")
    del node.input[1:]


def _split(node: onnx.NodeProto, attributes: _Attributes, known: _Graph) -> None:
    """The number of outputs was that of the outputs, all of one size."""
    parts = attributes.pop("num_outputs", None)
    if parts is None:
        return
    axis = attributes.get("axis", 0)
    size = known.shape(node.input[0])[axis]
    if size is None:
        raise _NoOlderFormError("the size that is split is free")
    chunk = -(-size // parts)
    sizes = [min(chunk, size - chunk * index) for index in range(parts)]
    known.replace(node, 1, np.array(sizes, np.int64))


def _resize(node: onnx.NodeProto, attributes: _Attributes, known: _Graph) -> None:
    """All axes were given, and nothing was smoothed or kept in proportion."""
    if attributes.pop("antialias", 0):
        raise _NoOlderFormError("antialias")
    if attributes.pop("keep_aspect_ratio_policy", b"stretch") not in (b"stretch", "stretch"):
        raise _NoOlderFormError("keep_aspect_ratio_policy")
    axes = attributes.pop("axes", None)
    if axes is None:
        return
    if known.constant(node, 1) is not None:
        raise _NoOlderFormError("axes with a region of interest")
    sizes = known.shape(node.input[0])
    scales, wanted = known.constant(node, 2), known.constant(node, 3)
    if scales is not None and scales.size:
        known.replace(node, 2, _on_all_axes(np.ones(len(sizes), np.float32), axes, scales))
    if wanted is not None:
        if None in sizes:
            raise _NoOlderFormError("axes with sizes where another size is free")
        known.replace(node, 3, _on_all_axes(np.array(sizes, np.int64), axes, wanted))


def _pad(node: onnx.NodeProto, attributes: _Attributes, known: _Graph) -> None:
    """All axes were padded."""
    axes, pads = known.constant(node, 3), known.constant(node, 1)
    if axes is None:
        return
    if pads is None:
        raise _NoOlderFormError("axes without pads")
    rank = len(known.shape(node.input[0]))
    before, after = np.split(pads, 2)
    none = np.zeros(rank, np.int64)
    whole = [_on_all_axes(none, axes.tolist(), before), _on_all_axes(none, axes.tolist(), after)]
    known.replace(node, 1, np.concatenate(whole))
    del node.input[3:]


def _scatter(node: onnx.NodeProto, attributes: _Attributes, known: _Graph) -> None:
    """Only sums and products were known."""
    if attributes.get("reduction", b"none") in (b"max", b"min"):
        raise _NoOlderFormError(f"reduction {attributes['reduction'].decode()}")


def _on_all_axes(values: NDArray[Any], axes: list[int], given: NDArray[Any]) -> NDArray[Any]:
    filled = values.copy()
    filled[axes] = given
    return filled


_Step = Callable[[onnx.NodeProto, _Attributes, _Graph], None]
_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
_STEPS: dict[str, _Step] = {
    **{f"Reduce{kind}": _reduce for kind in _REDUCTIONS},
    "Split": _split,
    "Resize": _resize,
    "Pad": _pad,
    "ScatterElements": _scatter,
    "ScatterND": _scatter,
}


def _sizes(value: onnx.ValueInfoProto) -> list[int | None]:
    dims = value.type.tensor_type.shape.dim
    return [int(dim.dim_value) if dim.HasField("dim_value") else None for dim in dims]


def _require_same(model: bytes, lowered: bytes) -> None:
    before, after = load(model), load(lowered)
    inputs = before.random_inputs()
    for expected, actual in zip(before.run(inputs), after.run(inputs), strict=True):
        largest = max(float(np.abs(expected).max(initial=0)), 1e-12)
        if not np.abs(expected - actual).max(initial=0) <= _TOLERANCE * largest:
            raise NumericsError(
                f"the network computes something else in opset {OLDEST_OPSET} than in {OPSET}; export with"
                f" --opset {OPSET}"
            )
