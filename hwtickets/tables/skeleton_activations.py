"""Activations as the nodes that exporters write for them, before the runtime fuses any."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hwtickets.errors import HwticketsError
from hwtickets.tables.skeleton_layout import Tensors

#: What is one node.
_SINGLE: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "leakyrelu": ("LeakyRelu", {"alpha": 0.01}),
    "hardsigmoid": ("HardSigmoid", {"alpha": 1 / 6}),
    "hswish": ("HardSwish", {}),
    "elu": ("Elu", {}),
    "selu": ("Selu", {}),
    "softplus": ("Softplus", {}),
}


class Activations:
    """Writes activations.

    Args:
        tensors: Where to.
    """

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._several: dict[str, Callable[[str, str], str]] = {
            "relu6": self._relu6,
            "silu": self._silu,
            "gelu": self._gelu,
            "gelu_tanh": self._gelu_tanh,
            "mish": self._mish,
            "prelu": self._prelu,
        }

    def write(self, owner: str, activation: str, tensor: str) -> str:
        """The activated tensor.

        Raises:
            HwticketsError: The activation is unknown.
        """
        if activation == "none":
            return tensor
        if activation in _SINGLE:
            step, attributes = _SINGLE[activation]
            return self._node(owner, step, tensor, **attributes)
        if activation not in self._several:
            raise HwticketsError(f"operator {owner}: the activation '{activation}' cannot be timed")
        return self._several[activation](owner, tensor)

    def _node(self, owner: str, step: str, *inputs: str, **attributes: Any) -> str:
        return self._tensors.node(owner, step, inputs, self._tensors.shapes[inputs[0]], **attributes)

    def _number(self, owner: str, value: float) -> str:
        return self._tensors.constant(owner, np.array(value, np.float32))

    def _relu6(self, owner: str, x: str) -> str:
        return self._node(owner, "Clip", x, self._number(owner, 0.0), self._number(owner, 6.0))

    def _silu(self, owner: str, x: str) -> str:
        return self._node(owner, "Mul", x, self._node(owner, "Sigmoid", x))

    def _mish(self, owner: str, x: str) -> str:
        return self._node(owner, "Mul", x, self._node(owner, "Tanh", self._node(owner, "Softplus", x)))

    def _gelu(self, owner: str, x: str) -> str:
        scaled = self._node(owner, "Div", x, self._number(owner, math.sqrt(2)))
        risen = self._node(owner, "Add", self._node(owner, "Erf", scaled), self._number(owner, 1.0))
        # In the order of `let_gelus_fuse`, as the exported network: the runtime makes one operator of it.
        return self._node(owner, "Mul", self._node(owner, "Mul", x, risen), self._number(owner, 0.5))

    def _gelu_tanh(self, owner: str, x: str) -> str:
        cube = self._node(owner, "Pow", x, self._number(owner, 3.0))
        inner = self._node(owner, "Add", x, self._node(owner, "Mul", cube, self._number(owner, 0.044715)))
        bent = self._node(
            owner, "Tanh", self._node(owner, "Mul", inner, self._number(owner, math.sqrt(2 / math.pi)))
        )
        risen = self._node(owner, "Add", bent, self._number(owner, 1.0))
        return self._node(owner, "Mul", self._node(owner, "Mul", x, self._number(owner, 0.5)), risen)

    def _prelu(self, owner: str, x: str) -> str:
        shape = self._tensors.shapes[x]
        slopes = (shape[1], 1, 1) if len(shape) == 4 else shape[-1:]
        return self._node(owner, "PRelu", x, self._tensors.constant(owner, np.full(slopes, 0.25, np.float32)))
