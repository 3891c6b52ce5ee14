"""The nodes of operators on rows of channels, which are tokens, in a network that is only timed."""

from __future__ import annotations

import math

import numpy as np

from hwtickets.space.operators import Operator
from hwtickets.tables.skeleton_nodes import NodeWriter


class TokenNodes(NodeWriter):
    """Writes products, norms and attention over rows."""

    def linear(self, operator: Operator) -> str:
        """A product with weights and a bias, of one row ("Gemm") or of many."""
        spec, owner = operator.spec, operator.name
        x = self._rows(operator)
        bias = self._tensors.constant(owner, np.zeros(spec.c_out, np.float32))
        if spec.height == spec.width == 1:
            weight = self._tensors.constant(owner, self._random((spec.c_out, spec.c_in), spec.c_in))
            x = self._tensors.reshaped(owner, x, (1, spec.c_in))
            y = self._tensors.node(owner, "Gemm", [x, weight, bias], (1, spec.c_out), transB=1)
        else:
            y = self.matmul(operator)
            y = self._tensors.node(owner, "Add", [y, bias], self._tensors.shapes[y])
        return self._activated(operator, y)

    def matmul(self, operator: Operator) -> str:
        """A product with weights alone."""
        spec = operator.spec
        weight = self._tensors.constant(operator.name, self._random((spec.c_in, spec.c_out), spec.c_in))
        x = self._rows(operator)
        shape = (*self._tensors.shapes[x][:-1], spec.c_out)
        return self._tensors.node(operator.name, "MatMul", [x, weight], shape)

    def product(self, operator: Operator) -> str:
        """Products of pairs of matrices."""
        spec, owner = operator.spec, operator.name
        left, right = operator.inputs[0], operator.inputs[-1]
        shape = (spec.groups, spec.height, spec.c_in)
        one = self._tensors.reshaped(owner, left, shape)
        other = self._tensors.reshaped(owner, right, (spec.groups, spec.c_in, spec.c_out))
        return self._tensors.node(owner, "MatMul", [one, other], (*shape[:2], spec.c_out))

    def layernorm(self, operator: Operator) -> str:
        """A norm of every row."""
        x = self._rows(operator)
        inputs = [x, *self._of_channels(operator, 1, 0)]
        shape = self._tensors.shapes[x]
        return self._tensors.node(operator.name, "LayerNormalization", inputs, shape, axis=-1)

    def softmax(self, operator: Operator) -> str:
        """Over every row."""
        x = self._rows(operator)
        return self._tensors.node(operator.name, "Softmax", [x], self._tensors.shapes[x], axis=-1)

    def attention(self, operator: Operator) -> str:
        """Scaled dot-product attention with its changes of layout, as exporters write it."""
        spec, owner = operator.spec, operator.name
        heads, windows, rows = spec.groups, spec.width, spec.height
        size, keys = spec.c_in // heads, spec.hidden or spec.height
        q, k, v = self._queries_keys_values(operator)
        k = self._tensors.transposed(owner, k, (windows, heads, keys, size), (0, 1, 3, 2))
        scale = self._tensors.constant(owner, np.array(size**-0.25, np.float32))
        q, k = (self._tensors.node(owner, "Mul", [x, scale], self._tensors.shapes[x]) for x in (q, k))
        scores = (windows, heads, rows, keys)
        weights = self._tensors.node(owner, "MatMul", [q, k], scores)
        weights = self._tensors.node(owner, "Softmax", [weights], scores, axis=-1)
        y = self._tensors.node(owner, "MatMul", [weights, v], (windows, heads, rows, size))
        y = self._tensors.transposed(owner, y, (windows, heads, rows, size), (0, 2, 1, 3))
        return self._tensors.reshaped(owner, y, (windows, rows, heads * size))

    def _queries_keys_values(self, operator: Operator) -> list[str]:
        """Three tensors (windows, heads, rows, size); one that holds all three is turned and split."""
        spec, owner, inputs = operator.spec, operator.name, list(operator.inputs)
        heads, windows, keys = spec.groups, spec.width, spec.hidden or spec.height
        size = spec.c_in // heads
        together = (windows, keys, 3, heads, size)
        if len(inputs) == 1 and math.prod(self._tensors.shapes[inputs[0]]) == math.prod(together):
            x = self._tensors.transposed(owner, inputs[0], together, (2, 0, 3, 1, 4))
            return [self._part(owner, x, place) for place in range(3)]
        places = (inputs[0], inputs[min(1, len(inputs) - 1)], inputs[min(2, len(inputs) - 1)])
        return [
            self._tensors.transposed(owner, name, (windows, rows, heads, size), (0, 2, 1, 3))
            for name, rows in zip(places, (spec.height, keys, keys), strict=True)
        ]

    def _part(self, owner: str, tensor: str, place: int) -> str:
        shape = self._tensors.shapes[tensor]
        part = self._tensors.sliced(owner, tensor, (place, place + 1, 0), (1, *shape[1:]))
        return self._tensors.node(owner, "Squeeze", [part, self._tensors.constant(owner, [0])], shape[1:])

    def _rows(self, operator: Operator) -> str:
        spec = operator.spec
        return self._tensors.rows(operator.name, operator.inputs[0], spec.c_in, spec.height, spec.width)
