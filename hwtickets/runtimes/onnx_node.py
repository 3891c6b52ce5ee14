"""A node of an ONNX graph as another framework looks at it, and what computes it there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from hwtickets.errors import HwticketsError


class OnnxNode(NamedTuple):
    """A node with what is known of its inputs.

    Attributes:
        name: Of the node.
        kind: e.g. "Conv".
        inputs: Names; "" for one that is left out.
        attributes: By name.
        constants: Values of the inputs that are constant, by name.
    """

    name: str
    kind: str
    inputs: list[str]
    attributes: Mapping[str, Any]
    constants: Mapping[str, Any]

    def constant(self, index: int, attribute: str = "") -> list[Any] | None:
        """A constant input, or the attribute that older opsets had instead, as a list; None if left out."""
        name = self.inputs[index] if index < len(self.inputs) else ""
        if name and name not in self.constants:
            raise self.refused(f"its input {index} is computed, not constant")
        if name:
            values: list[Any] = np.atleast_1d(self.constants[name]).tolist()
            return values
        return self.attributes.get(attribute)

    def refused(self, reason: str) -> HwticketsError:
        """The error for a node that cannot be run."""
        return HwticketsError(
            f"PyTorch cannot run node {self.name or self.kind} ({self.kind}): {reason}; choose another"
            " runtime: hwtickets devices list"
        )


class Call(NamedTuple):
    """What computes a node.

    Attributes:
        function: Called with the tensors, then the keywords.
        keywords: Constants.
        tensors: How many of the node's inputs are tensors; None for all.
    """

    function: Callable[..., Any]
    keywords: Mapping[str, Any] = {}
    tensors: int | None = None
