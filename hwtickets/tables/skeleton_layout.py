"""The shapes of the tensors in a network that is only timed, and what brings them into another shape.

A tensor is an image, (1, C, H, W), or rows of channels, (..., C): tokens, or an image with its channels last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from hwtickets.space.kinds import ROWS
from hwtickets.space.operators import OperatorGraph

Array = NDArray[np.float32] | NDArray[np.int64]
Shape = tuple[int, ...]

#: Kinds that take (1, C, H, W) whatever they are given.
IMAGES = (
    *("conv", "deconv", "batchnorm", "groupnorm", "maxpool", "avgpool", "resize", "nearest"),
    "transformer",
)


class Tensors:
    """Writes nodes, and remembers the shape of what they give.

    Args:
        store: Keeps an array under a name, and gives the name.

    Attributes:
        nodes: In order.
        shapes: By tensor.
        images: Which tensors that operators read and write are images.
    """

    def __init__(self, store: Callable[[str, Array], str]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.images: set[str] = set()
        self.shapes: dict[str, Shape] = {}
        self.store = store
        self._constants = 0

    def node(self, owner: str, step: str, inputs: Sequence[str], shape: Shape, **attributes: Any) -> str:
        """One node of an operator and the tensor that it gives.

        Args:
            owner: Name of the operator.
            step: What the runtime is asked for, e.g. "MatMul".
            inputs: Names of tensors.
            shape: Of the result.
            **attributes: Of the node.
        """
        name = f"{owner}/{len(self.nodes)}_{step}"
        self.nodes.append(onnx.helper.make_node(step, list(inputs), [f"{name}:0"], name, **attributes))
        self.shapes[f"{name}:0"] = shape
        return f"{name}:0"

    def constant(self, owner: str, values: Sequence[int] | Array) -> str:
        """The name of whole numbers or of an array."""
        array: Array = values if isinstance(values, np.ndarray) else np.array(values, np.int64)
        self._constants += 1
        return self.store(f"{owner}/constant_{self._constants}", array)

    def reshaped(self, owner: str, tensor: str, shape: Shape) -> str:
        """The same values in another shape; cut or repeated where there are too many or too few."""
        have = self.shapes[tensor]
        if have == shape:
            return tensor
        wanted, count = math.prod(shape), math.prod(have)
        if count != wanted:
            tensor = self._view(owner, tensor, (count,))
        if count < wanted:
            times = -(-wanted // count)
            repeats = self.constant(owner, [times])
            tensor, count = self.node(owner, "Tile", [tensor, repeats], (times * count,)), times * count
        if count > wanted:
            tensor = self.sliced(owner, tensor, (0, wanted), (wanted,))
        return self._view(owner, tensor, shape)

    def sliced(self, owner: str, tensor: str, ends: Sequence[int], shape: Shape) -> str:
        """The values from one place to another, both in `ends`, along the axis that may follow them."""
        numbers = [self.constant(owner, [number]) for number in ends]
        return self.node(owner, "Slice", [tensor, *numbers], shape)

    def rows(self, owner: str, tensor: str, channels: int, height: int, width: int) -> str:
        """Rows of channels: as they are where they lie last already."""
        have = self.shapes[tensor]
        if (
            tensor not in self.images
            and have[-1] == channels
            and math.prod(have) == channels * height * width
        ):
            return tensor
        return self.reshaped(owner, tensor, shape_of(channels, height, width, image=False))

    def transposed(self, owner: str, tensor: str, shape: Shape, order: Sequence[int]) -> str:
        """Values read in a shape, with its dimensions in another order."""
        x = self.reshaped(owner, tensor, shape)
        turned = tuple(shape[place] for place in order)
        return self.node(owner, "Transpose", [x], turned, perm=list(order))

    def _view(self, owner: str, tensor: str, shape: Shape) -> str:
        if self.shapes[tensor] == shape:
            return tensor
        return self.node(owner, "Reshape", [tensor, self.constant(owner, shape)], shape)


def image_tensors(graph: OperatorGraph) -> dict[str, bool]:
    """Whether the readers of a tensor want an image (1, C, H, W), or rows of channels; absent: neither.

    An operator that works on both hands on what is wanted of its result.
    """
    wanted: dict[str, bool] = {}
    for operator in reversed(graph.operators):
        kind = operator.spec.kind
        if kind in IMAGES or kind in ROWS:
            wanted.update(dict.fromkeys(operator.inputs, kind in IMAGES))
        elif operator.output.name in wanted and kind not in ("copy", "pool"):
            wanted.update(dict.fromkeys(operator.inputs, wanted[operator.output.name]))
    return wanted


def shape_of(channels: int, height: int, width: int, image: bool) -> Shape:
    """Of an image, or of windows of rows; of one row it is (1, channels)."""
    if image:
        return 1, channels, height, width
    return (1, channels) if height == width == 1 else (width, height, channels)
