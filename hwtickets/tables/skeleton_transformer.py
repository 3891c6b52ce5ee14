"""The nodes of a lightweight transformer in a network that is only timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from hwtickets.space.operators import Operator

Array = NDArray[np.float32] | NDArray[np.int64]


class TransformerNodes:
    """Writes the nodes that the deployed form of `TokenBlock` has between its two 1x1 convolutions.

    Args:
        operator: Of the kind "transformer".
        x: The tensor that it reads, (1, tokens, height, width).
        random: Draws standard normal values of a shape, scaled for a fan-in.
        store: Keeps an array under a name, and gives the name.

    Attributes:
        nodes: In order.
        output: The tensor that the last one gives, of the shape of `x`.
    """

    def __init__(
        self,
        operator: Operator,
        x: str,
        random: Callable[[tuple[int, ...], int], NDArray[np.float32]],
        store: Callable[[str, Array], str],
    ) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._name, self._random, self._store = operator.name, random, store
        self._tokens, self._sides = operator.spec.c_in, (operator.spec.height, operator.spec.width)
        self._size = self._sides[0] * self._sides[1]
        self.output = self._write(x)

    def _write(self, x: str) -> str:
        places = self._keep("places", self._random((1, self._tokens, *self._sides), self._tokens))
        x = self._node("Add", x, places)
        x = self._node("Reshape", x, self._keep("rows", np.array([1, self._tokens, self._size])))
        memory = self._layer(x, self._product(x))
        y = self._layer(memory, self._keep("queries", self._random((self._tokens, self._size), self._size)))
        return self._node("Reshape", y, self._keep("maps", np.array([1, self._tokens, *self._sides])))

    def _layer(self, memory: str, asked: str) -> str:
        keys = self._node("Transpose", self._product(memory), perm=[0, 2, 1])
        weights = self._node("Softmax", self._node("MatMul", asked, keys), axis=-1)
        attended = self._node("MatMul", weights, self._product(memory))
        x = self._norm(self._node("Add", memory, self._product(attended)))
        hidden = self._node("Relu", self._product(x))
        return self._norm(self._node("Add", x, self._product(hidden)))

    def _product(self, x: str) -> str:
        weight = self._random((self._size, self._size), self._size)
        return self._node("MatMul", x, self._keep("weight", weight))

    def _norm(self, x: str) -> str:
        ones, zeros = np.ones(self._size, np.float32), np.zeros(self._size, np.float32)
        inputs = (self._keep("scale", ones), self._keep("shift", zeros))
        return self._node("LayerNormalization", x, *inputs, axis=-1)

    def _node(self, step: str, *inputs: str, **attributes: Any) -> str:
        name = f"{self._name}/{len(self.nodes)}_{step}"
        self.nodes.append(onnx.helper.make_node(step, inputs, [f"{name}:0"], name, **attributes))
        return f"{name}:0"

    def _keep(self, what: str, values: Array) -> str:
        return self._store(f"{self._name}/{len(self.nodes)}_{what}", values)
