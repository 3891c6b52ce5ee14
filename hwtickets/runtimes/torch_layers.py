"""ONNX operators with weights or windows, and normalisations, as functions of PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hwtickets.runtimes.onnx_node import Call, OnnxNode


def conv(node: OnnxNode) -> Call:
    """A convolution over one to three dimensions."""
    keywords = _convolving(node)
    return Call([F.conv1d, F.conv2d, F.conv3d][len(keywords["padding"]) - 1], keywords)


def conv_transpose(node: OnnxNode) -> Call:
    """A transposed convolution."""
    keywords = _convolving(node)
    axes = len(keywords["padding"])
    keywords["output_padding"] = node.attributes.get("output_padding", [0] * axes)
    return Call([F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d][axes - 1], keywords)


def _convolving(node: OnnxNode) -> dict[str, Any]:
    pads = _symmetric(node)
    return {
        "stride": node.attributes.get("strides", [1] * len(pads)),
        "padding": pads,
        "dilation": node.attributes.get("dilations", [1] * len(pads)),
        "groups": node.attributes.get("group", 1),
    }


def max_pool(node: OnnxNode) -> Call:
    """Maxima over windows."""
    keywords = {**_pooling(node), "dilation": node.attributes.get("dilations", [1, 1])}
    return Call(F.max_pool2d, keywords)


def avg_pool(node: OnnxNode) -> Call:
    """Means over windows."""
    counted = bool(node.attributes.get("count_include_pad", 0))
    return Call(F.avg_pool2d, {**_pooling(node), "count_include_pad": counted})


def _pooling(node: OnnxNode) -> dict[str, Any]:
    kernel = node.attributes["kernel_shape"]
    if len(kernel) != 2:
        raise node.refused("only pooling over two dimensions is known here")
    return {
        "kernel_size": kernel,
        "stride": node.attributes.get("strides", [1, 1]),
        "padding": _symmetric(node),
        "ceil_mode": bool(node.attributes.get("ceil_mode", 0)),
    }


def _symmetric(node: OnnxNode) -> list[int]:
    """The padding of both sides, which must be equal."""
    shape = node.attributes.get("kernel_shape") or np.shape(node.constants[node.inputs[1]])[2:]
    pads = node.attributes.get("pads", [0] * 2 * len(shape))
    half = len(pads) // 2
    automatic = node.attributes.get("auto_pad", "NOTSET")
    if automatic not in ("NOTSET", "VALID") or pads[:half] != pads[half:]:
        raise node.refused("its padding is not the same on both sides")
    return list(pads[:half])


def gemm(node: OnnxNode) -> Call:
    """A linear layer."""
    plain = all(node.attributes.get(name, 1.0) == 1.0 for name in ("alpha", "beta"))
    if not plain or node.attributes.get("transA", 0):
        raise node.refused("only y = x W + b is known here")
    return Call(F.linear) if node.attributes.get("transB", 0) else Call(_linear_by_columns)


def _linear_by_columns(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.linear(x, weight.t(), bias)


def clip(node: OnnxNode) -> Call:
    """Values within bounds."""
    bounds = [(node.constant(index, name) or [None])[0] for index, name in ((1, "min"), (2, "max"))]
    return Call(torch.clamp, {"min": bounds[0], "max": bounds[1]}, 1)


def hard_sigmoid(node: OnnxNode) -> Call:
    """Values on a line, between 0 and 1."""
    slope, offset = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    if abs(slope - 1 / 6) < 1e-6 and offset == 0.5:
        return Call(F.hardsigmoid)
    return Call(_on_a_line, {"slope": slope, "offset": offset})


def _on_a_line(x: Tensor, slope: float, offset: float) -> Tensor:
    return torch.clamp(slope * x + offset, 0, 1)


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """A slope of its own for the negative values of every channel."""
    return torch.where(x < 0, slope * x, x)


def instance_norm(node: OnnxNode) -> Call:
    """Instance normalisation; group normalisation, too, is exported so."""
    return Call(_instance_normed, {"eps": node.attributes.get("epsilon", 1e-5)})


def _instance_normed(x: Tensor, scale: Tensor, shift: Tensor, *, eps: float) -> Tensor:
    return F.instance_norm(x, weight=scale, bias=shift, eps=eps)


def layer_norm(node: OnnxNode) -> Call:
    """Layer normalisation."""
    axis, rank = node.attributes.get("axis", -1), np.ndim(node.constants[node.inputs[1]])
    if axis != -rank:
        raise node.refused("it does not normalise over the dimensions of its scale")
    return Call(_layer_normed, {"eps": node.attributes.get("epsilon", 1e-5)})


def _layer_normed(x: Tensor, scale: Tensor, shift: Tensor | None = None, *, eps: float) -> Tensor:
    return F.layer_norm(x, scale.shape, scale, shift, eps)


def batch_norm(node: OnnxNode) -> Call:
    """Batch normalisation with fixed statistics."""
    return Call(_batch_normed, {"eps": node.attributes.get("epsilon", 1e-5)})


def _batch_normed(
    x: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor, *, eps: float
) -> Tensor:
    return F.batch_norm(x, mean, variance, scale, shift, eps=eps)
