"""2:4 sparsity in an ONNX file: which weights hold it, and giving it to those that can take it.

Of every 4 consecutive weights along the input channels (along the reduced axis of a MatMul), at each output
and kernel position, at most 2 are left: what sparse tensor cores and TensorRT take. Source: Mishra et al.,
Accelerating Sparse Deep Neural Networks (2104.08378), section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from hwtickets.deploy.onnx_file import opened_onnx
from hwtickets.sparsity.patterns.n_of_m import NOfM

PATTERN = NOfM(2, 4)
#: What stands between a weight and its operator in 8-bit and fp16 graphs.
_BETWEEN = ("QuantizeLinear", "DequantizeLinear", "Cast", "Identity")
_WEIGHTED = ("Conv", "Gemm", "MatMul")


class WeightSparsity(NamedTuple):
    """A weight of a deployed network.

    Attributes:
        weight: Its name.
        node: The operator that it belongs to.
        shape: As stored: (C_out, C_in / groups, kH, kW), (C_in, C_out) or (C_out, C_in).
        zeros: Share of zeros.
        obstacle: Why it cannot take 2:4; "" if it can.
        holds: Whether it holds the pattern, with zeros at all.
    """

    weight: str
    node: str
    shape: tuple[int, ...]
    zeros: float
    obstacle: str
    holds: bool


def weight_sparsity(model: bytes | Path) -> list[WeightSparsity]:
    """Every weight of a network's convolutions and products, in order of execution.

    Args:
        model: A serialized ONNX model, or the file that holds one; fp32, fp16 or with QuantizeLinear nodes.

    Raises:
        HwticketsError: It is missing or damaged.
    """
    proto = opened_onnx(model)
    return [_described(node, tensor) for node, tensor in _weights(proto)]


def pruned(model: bytes | Path) -> bytes:
    """The network with the 2 weights of least magnitude in every 4 set to zero, where they can be.

    Accuracy is not looked at: to keep it, search or retrain with `mask_pattern: "2:4"` and export that. This
    is for finding out what 2:4 would buy on a device before anything is trained.
    """

    def keep_best(values: NDArray[Any], axis: int) -> NDArray[Any]:
        # Ties are broken by position, so that a weight of zeros is pruned too.
        scores = torch.from_numpy(np.moveaxis(np.abs(values.astype(np.float32)), axis, 1).copy())
        kept = PATTERN.select({"": scores}, PATTERN.share or 0.0, "layer", 0.0)[""].numpy()
        return np.where(np.moveaxis(kept, 1, axis), values, values.dtype.type(0))

    return _changed(model, keep_best)


def filled(model: bytes | Path) -> bytes:
    """The network without the zeros of weights that hold 2:4: its dense twin, for timing only."""

    def fill(values: NDArray[Any], axis: int) -> NDArray[Any]:
        if not _holds(values, axis):
            return values
        least = np.abs(values[values != 0].astype(np.float32)).min(initial=1.0)
        return np.where(values == 0, values.dtype.type(least), values)

    return _changed(model, fill)


def _changed(model: bytes | Path, change: Callable[[NDArray[Any], int], NDArray[Any]]) -> bytes:
    proto = opened_onnx(model)
    for node, tensor in _weights(proto):
        if not _obstacle(node, tuple(tensor.dims)):
            values = onnx.numpy_helper.to_array(tensor)
            changed = change(values, _axis(node)).astype(values.dtype)
            tensor.CopyFrom(onnx.numpy_helper.from_array(changed, tensor.name))
    data: bytes = proto.SerializeToString()
    return data


def _weights(proto: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, onnx.TensorProto]]:
    """Operators with their weights; one that several operators share comes once."""
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    producers = {output: node for node in proto.graph.node for output in node.output}
    seen: set[str] = set()
    for node in proto.graph.node:
        if node.op_type not in _WEIGHTED:
            continue
        name = node.input[1]
        while name in producers and producers[name].op_type in _BETWEEN:
            name = producers[name].input[0]
        if name in constants and name not in seen and len(constants[name].dims) > 1:
            seen.add(name)
            yield node, constants[name]


def _described(node: onnx.NodeProto, tensor: onnx.TensorProto) -> WeightSparsity:
    values, shape = onnx.numpy_helper.to_array(tensor), tuple(tensor.dims)
    obstacle = _obstacle(node, shape)
    zeros = float((values == 0).mean())
    holds = not obstacle and zeros > 0 and _holds(values, _axis(node))
    return WeightSparsity(tensor.name, node.name, shape, zeros, obstacle, holds)


def _holds(values: NDArray[Any], axis: int) -> bool:
    groups = np.moveaxis(values != 0, axis, -1)
    kept = groups.reshape(*groups.shape[:-1], -1, PATTERN.m).sum(-1)
    return bool((kept <= PATTERN.n).all())


def _axis(node: onnx.NodeProto) -> int:
    """The axis of the weight along which products are summed."""
    if node.op_type == "Conv":
        return 1
    return 1 if any(attribute.name == "transB" and attribute.i for attribute in node.attribute) else -2


def _obstacle(node: onnx.NodeProto, shape: tuple[int, ...]) -> str:
    if node.op_type != "Conv":
        channels = shape[_axis(node)]
        return f"{channels} inputs, not a multiple of {PATTERN.m}" if channels % PATTERN.m else ""
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    layer = nn.Conv2d(shape[1] * groups, shape[0], 1, groups=groups, device="meta")
    return PATTERN.obstacle(layer) or ""
