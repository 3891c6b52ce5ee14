"""ONNX operators as functions of PyTorch: those that exported networks, and networks that are timed, have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import torch
import torch.nn.functional as F
from torch import Tensor

from hwtickets.runtimes import torch_layers as layers
from hwtickets.runtimes.onnx_node import Call, OnnxNode


def call_for(node: OnnxNode) -> Call:
    """What computes a node.

    Raises:
        HwticketsError: The operator, or this form of it, is unknown; names the node.
    """
    if node.kind in _PLAIN:
        return Call(_PLAIN[node.kind])
    if node.kind in ("QuantizeLinear", "DequantizeLinear"):
        raise node.refused("PyTorch has no 8-bit operators for it, nearest: fp32")
    if node.kind not in _BUILDERS:
        raise node.refused("this operator is unknown here")
    return _BUILDERS[node.kind](node)


def _reshape(node: OnnxNode) -> Call:
    return Call(_reshaped, {"shape": node.constant(1)}, 1)


def _reshaped(x: Tensor, shape: list[int]) -> Tensor:
    return x.reshape([size or x.shape[axis] for axis, size in enumerate(shape)])


def _reduce_mean(node: OnnxNode) -> Call:
    keeps = bool(node.attributes.get("keepdims", 1))
    return Call(torch.mean, {"dim": node.constant(1, "axes"), "keepdim": keeps}, 1)


def _transpose(node: OnnxNode) -> Call:
    return Call(torch.permute, {"dims": node.attributes["perm"]})


def _flatten(node: OnnxNode) -> Call:
    if node.attributes.get("axis", 1) != 1:
        raise node.refused("only the form that keeps the batch is known here")
    return Call(torch.flatten, {"start_dim": 1})


def _concat(node: OnnxNode) -> Call:
    return Call(_concatenated, {"dim": node.attributes["axis"]})


def _concatenated(*parts: Tensor, dim: int) -> Tensor:
    return torch.cat(parts, dim)


def _split(node: OnnxNode) -> Call:
    sizes = node.constant(1, "split")
    if sizes is None:
        raise node.refused("its sizes are not given")
    return Call(torch.split, {"split_size_or_sections": sizes, "dim": node.attributes.get("axis", 0)}, 1)


def _slice(node: OnnxNode) -> Call:
    starts, ends = node.constant(1, "starts") or [], node.constant(2, "ends") or []
    axes = node.constant(3, "axes") or list(range(len(starts)))
    steps = node.constant(4) or [1] * len(starts)
    if min(steps) < 1:
        raise node.refused("it goes backwards")
    return Call(_sliced, {"cuts": list(zip(axes, starts, ends, steps, strict=True))}, 1)


def _sliced(x: Tensor, cuts: list[tuple[int, int, int, int]]) -> Tensor:
    index = [slice(None)] * x.dim()
    for axis, start, end, step in cuts:
        index[axis] = slice(start, end, step)
    return x[tuple(index)]


def _unsqueeze(node: OnnxNode) -> Call:
    return Call(_unsqueezed, {"axes": sorted(node.constant(1, "axes") or [])}, 1)


def _unsqueezed(x: Tensor, axes: list[int]) -> Tensor:
    for axis in axes:
        x = x.unsqueeze(axis)
    return x


def _squeeze(node: OnnxNode) -> Call:
    axes = node.constant(1, "axes")
    return Call(torch.squeeze, {} if axes is None else {"dim": axes}, 1)


def _tile(node: OnnxNode) -> Call:
    return Call(torch.tile, {"dims": node.constant(1)}, 1)


def _expand(node: OnnxNode) -> Call:
    return Call(_expanded, {"shape": node.constant(1)}, 1)


def _expanded(x: Tensor, shape: list[int]) -> Tensor:
    return x.expand(torch.broadcast_shapes(x.shape, tuple(shape)))


def _gather(node: OnnxNode) -> Call:
    index = node.constants.get(node.inputs[1])
    if index is None or index.ndim > 0:
        raise node.refused("only one constant index is known here")
    return Call(torch.select, {"dim": node.attributes.get("axis", 0), "index": int(index)}, 1)


def _cast(node: OnnxNode) -> Call:
    kind = node.attributes["to"]
    if kind not in _TYPES:
        raise node.refused("only casts between kinds of floats are known here")
    return Call(torch.Tensor.to, {"dtype": _TYPES[kind]})


def _resize(node: OnnxNode) -> Call:
    mode = node.attributes.get("mode", "nearest")
    where = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    known = {("linear", "half_pixel"), ("linear", "align_corners"), ("nearest", "asymmetric")}
    if (mode, where) not in known or node.attributes.get("antialias", 0):
        raise node.refused(f"the mode {mode}, {where} is unknown here")
    sizes, scales = node.constant(3), node.constant(2)
    keywords: dict[str, Any] = {"mode": "bilinear" if mode == "linear" else "nearest"}
    keywords |= {"size": sizes[2:]} if sizes else {"scale_factor": (scales or [])[2:]}
    if mode == "linear":
        keywords["align_corners"] = where == "align_corners"
    return Call(F.interpolate, keywords, 1)


def _same(x: Tensor) -> Tensor:
    return x


_TYPES = {
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.FLOAT16: torch.float16,
    onnx.TensorProto.BFLOAT16: torch.bfloat16,
}
_BUILDERS: dict[str, Callable[[OnnxNode], Call]] = {
    "AveragePool": layers.avg_pool,
    "BatchNormalization": layers.batch_norm,
    "Cast": _cast,
    "Clip": layers.clip,
    "Concat": _concat,
    "Conv": layers.conv,
    "ConvTranspose": layers.conv_transpose,
    "Elu": lambda node: Call(F.elu, {"alpha": node.attributes.get("alpha", 1.0)}),
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gelu": lambda node: Call(F.gelu, {"approximate": node.attributes.get("approximate", "none")}),
    "Gemm": layers.gemm,
    "GlobalAveragePool": lambda node: Call(F.adaptive_avg_pool2d, {"output_size": 1}),
    "HardSigmoid": layers.hard_sigmoid,
    "InstanceNormalization": layers.instance_norm,
    "LayerNormalization": layers.layer_norm,
    "LeakyRelu": lambda node: Call(F.leaky_relu, {"negative_slope": node.attributes.get("alpha", 0.01)}),
    "MaxPool": layers.max_pool,
    "ReduceMean": _reduce_mean,
    "Reshape": _reshape,
    "Resize": _resize,
    "Slice": _slice,
    "Softmax": lambda node: Call(torch.softmax, {"dim": node.attributes.get("axis", -1)}),
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
_PLAIN: dict[str, Callable[..., Any]] = {
    "Abs": torch.abs,
    "Add": torch.add,
    "Div": torch.div,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "HardSwish": F.hardswish,
    "Identity": _same,
    "MatMul": torch.matmul,
    "Mul": torch.mul,
    "Neg": torch.neg,
    "PRelu": layers.prelu,
    "Pow": torch.pow,
    "Relu": torch.relu,
    "Selu": F.selu,
    "Sigmoid": torch.sigmoid,
    "Softplus": F.softplus,
    "Sqrt": torch.sqrt,
    "Sub": torch.sub,
    "Tanh": torch.tanh,
}
