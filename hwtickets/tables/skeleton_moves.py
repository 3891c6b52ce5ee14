"""The nodes that move or combine tensors of any layout, in a network that is only timed."""

from __future__ import annotations

import math

from hwtickets.space.operators import Operator
from hwtickets.tables.skeleton_layout import Shape, shape_of
from hwtickets.tables.skeleton_nodes import NodeWriter


class MoveNodes(NodeWriter):
    """Writes sums, products, joins, copies and activations."""

    def add(self, operator: Operator) -> str:
        """A sum of two tensors, or of one and a constant of its shape."""
        return self._combined(operator, "Add")

    def mul(self, operator: Operator) -> str:
        """A product of two tensors, value by value, or of one and a constant a channel."""
        return self._combined(operator, "Mul")

    def relu(self, operator: Operator) -> str:
        """The activation alone."""
        return self._activations.write(operator.name, "relu", operator.inputs[0])

    def activation(self, operator: Operator) -> str:
        """Any activation alone."""
        return self._activated(operator, operator.inputs[0])

    def concat(self, operator: Operator) -> str:
        """A join along the channels."""
        spec, owner = operator.spec, operator.name
        image = operator.inputs[0] in self._tensors.images
        pixels = spec.height * spec.width
        counts = [math.prod(self._tensors.shapes[name]) // pixels for name in operator.inputs]
        parts = [
            self._tensors.reshaped(owner, name, shape_of(count, spec.height, spec.width, image))
            for name, count in zip(operator.inputs, counts, strict=True)
        ]
        shape = shape_of(sum(counts), spec.height, spec.width, image)
        return self._tensors.node(owner, "Concat", parts, shape, axis=1 if image else len(shape) - 1)

    def copy(self, operator: Operator) -> str:
        """Values moved to other places: turned, cut, lengthened or joined."""
        owner, tensors, out = operator.name, self._tensors, operator.output
        have, image = tensors.shapes[operator.inputs[0]], self.gives_image(operator)
        wanted = shape_of(out.channels, out.height, out.width, image)
        if len(operator.inputs) > 1:
            return tensors.reshaped(owner, self._joined(operator), wanted)
        if math.prod(have) > math.prod(wanted):
            return self._cut(owner, operator.inputs[0], wanted)
        if math.prod(have) < math.prod(wanted):
            return tensors.reshaped(owner, operator.inputs[0], wanted)
        y = self._turned(owner, operator.inputs[0], image)
        return tensors.reshaped(owner, y, wanted) if image else tensors.rows(owner, y, *_sizes(operator))

    def other(self, operator: Operator) -> str:
        """Anything else: every value is read and written once."""
        if math.prod(self._tensors.shapes[operator.inputs[0]]) != math.prod(_sizes(operator)):
            return self.copy(operator)
        x = operator.inputs[0]
        return self._tensors.node(operator.name, "Neg", [x], self._tensors.shapes[x])

    def gives_image(self, operator: Operator) -> bool:
        """Whether the result of an operator is an image: what it reads is one, unless a copy turns it."""
        image = self._largest(operator) in self._tensors.images
        return self._images.get(operator.output.name, image) if operator.spec.kind == "copy" else image

    def _largest(self, operator: Operator) -> str:
        return max(operator.inputs, key=lambda name: math.prod(self._tensors.shapes[name]))

    def _combined(self, operator: Operator, step: str) -> str:
        owner, first = operator.name, self._largest(operator)
        shape, image = self._tensors.shapes[first], first in self._tensors.images
        others = list(operator.inputs)
        others.remove(first)
        others = [self._broadcast(owner, name, shape, image) for name in others]
        if not others:
            channels = (shape[1], 1, 1) if image else shape[-1:]
            values = self._random(shape if step == "Add" else channels, 2)
            others = [self._tensors.constant(owner, values)]
        y = self._tensors.node(owner, step, [first, *others], shape)
        return self._activated(operator, y)

    def _broadcast(self, owner: str, tensor: str, shape: Shape, image: bool) -> str:
        """A smaller tensor in a shape that is repeated over channels, pixels or windows where it is 1."""
        count = math.prod(self._tensors.shapes[tensor])
        last = 1 if image else len(shape) - 1
        channels = tuple(size if axis == last else 1 for axis, size in enumerate(shape))
        plane = tuple(1 if axis in (0, last) else size for axis, size in enumerate(shape))
        for smaller in (channels, plane, (1, *shape[1:])):
            if count == math.prod(smaller):
                return self._tensors.reshaped(owner, tensor, smaller)
        return self._tensors.reshaped(owner, tensor, shape)

    def _joined(self, operator: Operator) -> str:
        """All inputs behind one another."""
        sizes = [math.prod(self._tensors.shapes[name]) for name in operator.inputs]
        parts = [
            self._tensors.reshaped(operator.name, name, (size,))
            for name, size in zip(operator.inputs, sizes, strict=True)
        ]
        return self._tensors.node(operator.name, "Concat", parts, (sum(sizes),), axis=0)

    def _cut(self, owner: str, tensor: str, wanted: Shape) -> str:
        """A part of the channels, or of whatever else there is more of than wanted."""
        have = self._tensors.shapes[tensor]
        longer = [axis for axis in range(len(have)) if len(have) == len(wanted) and have[axis] > wanted[axis]]
        if len(longer) != 1 or math.prod(have) // have[longer[0]] != math.prod(wanted) // wanted[longer[0]]:
            return self._tensors.reshaped(owner, tensor, wanted)
        return self._tensors.sliced(owner, tensor, (0, wanted[longer[0]], longer[0]), wanted)

    def _turned(self, owner: str, tensor: str, image: bool) -> str:
        """The same values in another order: between images and rows, else in runs of channels or pixels."""
        have, was_image = self._tensors.shapes[tensor], tensor in self._tensors.images
        size = math.prod(have)
        if was_image and not image:
            return self._tensors.node(
                owner, "Transpose", [tensor], (have[0], *have[2:], have[1]), perm=[0, 2, 3, 1]
            )
        if image and not was_image:
            places = have if len(have) == 4 else (1, 1, size // have[-1], have[-1])
            return self._tensors.transposed(owner, tensor, places, (0, 3, 1, 2))
        run = size // have[1] if was_image else have[-1]
        rows = size // run
        outer = next((number for number in range(int(rows**0.5), 1, -1) if rows % number == 0), 1)
        if outer == 1:
            return self._tensors.node(owner, "Neg", [tensor], have)
        return self._tensors.transposed(owner, tensor, (outer, rows // outer, run), (1, 0, 2))


def _sizes(operator: Operator) -> tuple[int, int, int]:
    return operator.output.channels, operator.output.height, operator.output.width
