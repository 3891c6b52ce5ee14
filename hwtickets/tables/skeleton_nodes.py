"""What the writers of nodes in a network that is only timed have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from hwtickets.space.operators import Operator
from hwtickets.tables.skeleton_activations import Activations
from hwtickets.tables.skeleton_layout import Tensors

Weights = Callable[[tuple[int, ...], int], NDArray[np.float32]]


class NodeWriter:
    """Writes the nodes of operators: a method for each kind, which takes the operator and gives its tensor.

    Args:
        tensors: Where to.
        random: Draws standard normal values of a shape, scaled for a fan-in.
        images: What the readers of a tensor want; see `image_tensors`.
    """

    def __init__(self, tensors: Tensors, random: Weights, images: Mapping[str, bool]) -> None:
        self._tensors, self._random, self._images = tensors, random, images
        self._activations = Activations(tensors)

    def _activated(self, operator: Operator, tensor: str) -> str:
        """A tensor after the activation of its operator."""
        return self._activations.write(operator.name, operator.spec.activation, tensor)

    def _of_channels(self, operator: Operator, *values: float) -> list[str]:
        """Constants of an operator that hold one value for each of its input channels."""
        count = operator.spec.c_in
        return [self._tensors.constant(operator.name, np.full(count, value, np.float32)) for value in values]
