"""The deployed graph as a function of what is kept: operators, and the builder that writes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hwtickets.space.spec import OperatorSpec

__all__ = ["GraphBuilder", "Operator", "OperatorGraph", "OperatorSpec", "Value"]


@dataclass(frozen=True)
class Value:
    """A tensor of the graph: its name, channels, height and width (batch 1)."""

    name: str
    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class Operator:
    """One fused operator in a graph.

    Attributes:
        name: Unique in the graph, e.g. "blocks.3/expand_k5".
        spec: Its key in a latency table.
        block: The part of the network that it belongs to, e.g. "blocks.3".
        inputs: Names of the tensors that it reads; a residual input is the last.
        output: The tensor that it writes.
    """

    name: str
    spec: OperatorSpec
    block: str
    inputs: tuple[str, ...]
    output: Value


@dataclass
class OperatorGraph:
    """Operators in execution order, from the tensor `x` to the output of the last one.

    Attributes:
        input: The tensor `x`, as an image.
        operators: In order.
        input_shape: Shape of one input without batch; empty where it is an image, (channels, height, width).
    """

    input: Value
    operators: list[Operator] = field(default_factory=list)
    input_shape: tuple[int, ...] = ()

    def __iter__(self) -> Iterator[Operator]:
        return iter(self.operators)

    def __len__(self) -> int:
        return len(self.operators)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of one input, a batch of one, as the network takes it."""
        x = self.input
        return (1, *(self.input_shape or (x.channels, x.height, x.width)))

    @property
    def output(self) -> Value:
        """The tensor that the last operator writes."""
        return self.operators[-1].output if self.operators else self.input

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the whole graph."""
        return sum(operator.spec.macs for operator in self.operators)


class GraphBuilder:
    """Writes an operator graph the way a forward pass is written.

    Args:
        channels: Channels of the input.
        height: Input height, in pixels.
        width: Input width, in pixels.
    """

    def __init__(self, channels: int, height: int, width: int) -> None:
        self.graph = OperatorGraph(Value("x", channels, height, width))

    def conv(
        self,
        block: str,
        name: str,
        x: Value,
        c_out: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: str = "none",
        residual: Value | None = None,
    ) -> Value:
        """A convolution with folded batch norm, fused activation and fused residual add."""
        spec = OperatorSpec(
            "conv",
            x.channels,
            c_out,
            kernel,
            stride,
            groups,
            x.height,
            x.width,
            activation,
            residual is not None,
        )
        return self._append(block, name, spec, [x] if residual is None else [x, residual])

    def add(self, block: str, name: str, values: Iterable[Value], activation: str = "none") -> Value:
        """The sum of two tensors of one shape, where no convolution can absorb it."""
        values = list(values)
        x = values[0]
        spec = OperatorSpec(
            "add", x.channels, x.channels, height=x.height, width=x.width, activation=activation
        )
        return self._append(block, name, spec, values)

    def relu(self, block: str, name: str, x: Value) -> Value:
        """The activation alone, where no operator can absorb it."""
        spec = OperatorSpec("relu", x.channels, x.channels, height=x.height, width=x.width)
        return self._append(block, name, spec, [x])

    def resize(self, block: str, name: str, x: Value, height: int, width: int, kind: str = "resize") -> Value:
        """A map at another size; the map itself where it has that size.

        Args:
            block: The part of the network.
            name: Unique in it.
            x: The map.
            height: Output height, in pixels.
            width: Output width, in pixels.
            kind: "resize" (bilinear between pixel centres) or "nearest".
        """
        if (x.height, x.width) == (height, width):
            return x
        spec = OperatorSpec(
            kind,
            x.channels,
            x.channels,
            height=x.height,
            width=x.width,
            out_height=height,
            out_width=width,
        )
        return self._append(block, name, spec, [x])

    def concat(self, block: str, name: str, values: Iterable[Value]) -> Value:
        """Tensors of one resolution joined along the channels."""
        values = list(values)
        total = sum(value.channels for value in values)
        spec = OperatorSpec("concat", total, total, height=values[0].height, width=values[0].width)
        return self._append(block, name, spec, values)

    def pool(self, block: str, name: str, x: Value) -> Value:
        """Global average over the pixels; the result is flat."""
        spec = OperatorSpec("pool", x.channels, x.channels, height=x.height, width=x.width)
        return self._append(block, name, spec, [x])

    def linear(self, block: str, name: str, x: Value, c_out: int) -> Value:
        """A matrix product with bias over a flat tensor."""
        return self._append(block, name, OperatorSpec("linear", x.channels, c_out), [x])

    def transformer(self, block: str, name: str, x: Value) -> Value:
        """An encoder and a decoder layer over channels that are tokens; a token is its pixels."""
        spec = OperatorSpec("transformer", x.channels, x.channels, height=x.height, width=x.width)
        return self._append(block, name, spec, [x])

    def _append(self, block: str, name: str, spec: OperatorSpec, inputs: list[Value]) -> Value:
        out_h, out_w = spec.out_size
        full_name = f"{block}/{name}"
        output = Value(full_name, spec.c_out, out_h, out_w)
        self.graph.operators.append(Operator(full_name, spec, block, tuple(v.name for v in inputs), output))
        return output
