"""The nodes of operators on images, in a network that is only timed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hwtickets.space.operators import Operator
from hwtickets.space.spec import OperatorSpec
from hwtickets.tables.skeleton_nodes import NodeWriter
from hwtickets.tables.skeleton_transformer import TransformerNodes


class ImageNodes(NodeWriter):
    """Writes convolutions, pools, norms and resizes."""

    def conv(self, operator: Operator) -> str:
        """A convolution, then its residual, then its activation."""
        spec, owner, axes = operator.spec, operator.name, _axes(operator.spec)
        sides, shape = _sides(spec)[:axes], (1, spec.c_out, *spec.out_size[:axes])
        inner = spec.c_in // spec.groups
        weight = self._random((spec.c_out, inner, *sides), inner * math.prod(sides))
        y = self._weighted(operator, "Conv", weight, _sliding(spec, axes), axes)
        if spec.residual:
            residual = self._tensors.reshaped(owner, operator.inputs[-1], shape)
            y = self._tensors.node(owner, "Add", [y, residual], shape)
        return self._activated(operator, y)

    def deconv(self, operator: Operator) -> str:
        """A transposed convolution and its activation."""
        spec = operator.spec
        sides, outer = _sides(spec), spec.c_out // spec.groups
        weight = self._random((spec.c_in, outer, *sides), spec.c_in // spec.groups * sides[0] * sides[1])
        spare = [
            (have - 1) * spec.stride + spec.dilation * (side - 1) + 1 - want
            for have, side, want in zip((spec.height, spec.width), sides, spec.out_size, strict=True)
        ]
        begins = [max(0, cut) // 2 for cut in spare]
        attributes: dict[str, Any] = {
            "strides": [spec.stride] * 2,
            "pads": [*begins, *(max(0, cut) - begin for cut, begin in zip(spare, begins, strict=True))],
        }
        if min(spare) < 0:
            attributes["output_padding"] = [max(0, -cut) for cut in spare]
        y = self._weighted(operator, "ConvTranspose", weight, attributes)
        return self._activated(operator, y)

    def batchnorm(self, operator: Operator) -> str:
        """A norm by stored statistics, and its activation."""
        x = self._image(operator)
        inputs = [x, *self._of_channels(operator, 1, 0, 0, 1)]
        y = self._tensors.node(operator.name, "BatchNormalization", inputs, self._tensors.shapes[x])
        return self._activated(operator, y)

    def groupnorm(self, operator: Operator) -> str:
        """A norm of every group of channels."""
        spec, owner, x = operator.spec, operator.name, self._image(operator)
        shape = self._tensors.shapes[x]
        pixels = spec.c_in // spec.groups * spec.height * spec.width
        ones, zeros = np.ones(spec.groups, np.float32), np.zeros(spec.groups, np.float32)
        constants = [self._tensors.constant(owner, values) for values in (ones, zeros)]
        y = self._tensors.reshaped(owner, x, (1, spec.groups, pixels))
        grouped = self._tensors.shapes[y]
        y = self._tensors.node(owner, "InstanceNormalization", [y, *constants], grouped)
        y = self._tensors.reshaped(owner, y, shape)
        for step, fill in (("Mul", 1.0), ("Add", 0.0)):
            values = self._tensors.constant(owner, np.full((spec.c_in, 1, 1), fill, np.float32))
            y = self._tensors.node(owner, step, [y, values], shape)
        return self._activated(operator, y)

    def maxpool(self, operator: Operator) -> str:
        """The largest value under a kernel."""
        return self._pooled(operator, "MaxPool")

    def avgpool(self, operator: Operator) -> str:
        """The mean under a kernel; an adaptive one may give more than it gets."""
        spec = operator.spec
        grows = spec.out_size > (spec.height, spec.width)
        return self.nearest(operator) if grows else self._pooled(operator, "AveragePool")

    def pool(self, operator: Operator) -> str:
        """The mean of an image or of all rows; flat unless a convolution reads it."""
        spec, owner, x = operator.spec, operator.name, operator.inputs[0]
        if x not in self._tensors.images and len(self._tensors.shapes[x]) > 2:
            x = self._tensors.reshaped(owner, x, (1, spec.height * spec.width, spec.c_in))
            axes = self._tensors.constant(owner, [1])
            return self._tensors.node(owner, "ReduceMean", [x, axes], (1, spec.c_in), keepdims=0)
        y = self._tensors.node(owner, "GlobalAveragePool", [self._image(operator)], (1, spec.c_in, 1, 1))
        if self._images.get(operator.output.name, False):
            return y
        return self._tensors.node(owner, "Flatten", [y], (1, spec.c_in))

    def resize(self, operator: Operator) -> str:
        """Bilinear between pixel centres."""
        spec, owner = operator.spec, operator.name
        shape = (1, spec.c_out, *spec.out_size)
        inputs = [self._image(operator), "", "", self._tensors.constant(owner, shape)]
        mode = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        return self._tensors.node(owner, "Resize", inputs, shape, **mode)

    def nearest(self, operator: Operator) -> str:
        """A resize that repeats pixels."""
        spec, owner = operator.spec, operator.name
        out_h, out_w = spec.out_size
        scales = np.array([1, 1, out_h / spec.height, out_w / spec.width], np.float32)
        inputs = [self._image(operator), "", self._tensors.constant(owner, scales)]
        mode = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self._tensors.node(owner, "Resize", inputs, (1, spec.c_out, out_h, out_w), **mode)

    def transformer(self, operator: Operator) -> str:
        """An encoder and a decoder layer over channels that are tokens."""
        x = self._image(operator)
        written = TransformerNodes(operator, x, self._random, self._tensors.store)
        self._tensors.nodes += written.nodes
        self._tensors.shapes[written.output] = self._tensors.shapes[x]
        return written.output

    def _weighted(
        self, operator: Operator, step: str, weight: Any, attributes: dict[str, Any], axes: int = 2
    ) -> str:
        spec, owner = operator.spec, operator.name
        bias = np.zeros(spec.c_out, np.float32)
        inputs = [
            self._image(operator, axes),
            *(self._tensors.constant(owner, values) for values in (weight, bias)),
        ]
        return self._tensors.node(
            owner,
            step,
            inputs,
            (1, spec.c_out, *spec.out_size[:axes]),
            kernel_shape=list(weight.shape[2:]),
            dilations=[spec.dilation] * axes,
            group=spec.groups,
            **attributes,
        )

    def _pooled(self, operator: Operator, step: str) -> str:
        spec = operator.spec
        return self._tensors.node(
            operator.name,
            step,
            [self._image(operator)],
            (1, spec.c_out, *spec.out_size),
            kernel_shape=list(_sides(spec)),
            **_sliding(spec),
        )

    def _image(self, operator: Operator, axes: int = 2) -> str:
        spec = operator.spec
        places = (spec.height, spec.width)[:axes]
        return self._tensors.reshaped(operator.name, operator.inputs[0], (1, spec.c_in, *places))


def _sides(spec: OperatorSpec) -> tuple[int, int]:
    return spec.kernel, spec.kernel_width or spec.kernel


def _axes(spec: OperatorSpec) -> int:
    """Along how many axes a convolution slides: runtimes compute one along a row in another way."""
    return 1 if spec.height > 1 == spec.width == spec.out_size[1] else 2


def _sliding(spec: OperatorSpec, axes: int = 2) -> dict[str, Any]:
    """What gives the output its size: strides, and pads as models have them or else more at the end."""
    strides, begins, ends = [], [], []
    for have, side, want in zip((spec.height, spec.width), _sides(spec), spec.out_size, strict=True):
        reach = spec.dilation * (side - 1) + 1
        stride = _stride(spec.stride, have, reach, want)
        missing = max(0, (want - 1) * stride + reach - have)
        begin = -(-missing // 2)
        even = (have + 2 * begin - reach) // stride + 1 == want
        strides.append(stride)
        begins.append(begin if even else missing // 2)
        ends.append(begin if even else missing - missing // 2)
    return {"strides": strides[:axes], "pads": [*begins[:axes], *ends[:axes]]}


def _stride(stride: int, have: int, reach: int, want: int) -> int:
    """That of the spec, if pads of a kernel can do the rest: else this axis has another one."""
    too_many = (have - reach) // stride + 1 > want
    too_few = (want - 1) * stride + reach - have > 2 * reach
    return max(1, (have - reach) // want + 1) if too_many or too_few else stride
