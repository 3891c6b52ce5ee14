"""Operators of the deployed graph as a runtime executes them: batch norm folded, activation and add fused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_PRODUCTS = ("conv", "linear")


@dataclass(frozen=True)
class OperatorSpec:
    """What a latency table is keyed by: one fused operator, or a block timed as one; its shapes, batch 1.

    A graph holds no operator that does nothing: a branch of width 0 is not described, and an identity is the
    name of its input. So there are no dead operators to be dropped for compiled runtimes.

    Attributes:
        kind: "conv", "add", "concat", "pool" (global average), "linear" or "relu"; in tables of others also
            a block (`hwtickets.space.blocks`) or an operator without weights, e.g. "avgpool", "resize".
        c_in: Input channels (for "concat" and "add": the channels of the result).
        c_out: Output channels.
        kernel: Side of the square kernel, in pixels; 1 where it has no meaning.
        stride: Stride, in pixels.
        groups: Groups of the convolution; equal to `c_in` for a depthwise one.
        height: Input height, in pixels.
        width: Input width, in pixels.
        activation: "relu", "relu6", "hswish", ... or "none", fused into the operator.
        residual: Whether another tensor of the output's shape is added in the same operator.
        hidden: Channels inside a block; 0 where there is no inside.
        dilation: Distance of the kernel's taps, in pixels.
    """

    kind: str
    c_in: int
    c_out: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    height: int = 1
    width: int = 1
    activation: str = "none"
    residual: bool = False
    hidden: int = 0
    dilation: int = 1

    @property
    def parts(self) -> tuple[OperatorSpec, ...]:
        """The operators inside a block; an operator is its own only part."""
        from hwtickets.space.blocks import parts

        return parts(self)

    @property
    def depthwise(self) -> bool:
        """Whether every channel is convolved on its own."""
        return self.kind == "conv" and self.groups == self.c_in == self.c_out and self.groups > 1

    @property
    def out_size(self) -> tuple[int, int]:
        """Output height and width, in pixels ("same" padding of odd kernels)."""
        if self.kind in ("pool", "linear"):
            return 1, 1
        return -(-self.height // self.stride), -(-self.width // self.stride)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and matrix products; 0 for everything else."""
        if self.kind not in _PRODUCTS:
            return sum(part.macs for part in self.parts if part is not self)
        out_h, out_w = self.out_size
        return self.c_in // self.groups * self.c_out * self.kernel**2 * out_h * out_w

    @property
    def params(self) -> int:
        """Weights and biases of the deployed operator."""
        if self.kind not in _PRODUCTS:
            return sum(part.params for part in self.parts if part is not self)
        return self.c_in // self.groups * self.c_out * self.kernel**2 + self.c_out

    @property
    def bytes_moved(self) -> int:
        """Bytes read and written once each in fp32: inputs, weights, outputs; in a block by every part."""
        if self.kind not in _PRODUCTS and len(self.parts) > 1:
            return sum(part.bytes_moved for part in self.parts)
        out_h, out_w = self.out_size
        outputs = self.c_out * out_h * out_w
        return 4 * (
            self.c_in * self.height * self.width + self.params + outputs * (2 if self.residual else 1)
        )


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
    """Operators in execution order, from the tensor `x` to the output of the last one."""

    input: Value
    operators: list[Operator] = field(default_factory=list)

    def __iter__(self) -> Iterator[Operator]:
        return iter(self.operators)

    def __len__(self) -> int:
        return len(self.operators)

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

    def add(self, block: str, name: str, values: Iterable[Value]) -> Value:
        """The sum of two tensors of one shape, where no convolution can absorb it."""
        values = list(values)
        x = values[0]
        return self._append(
            block, name, OperatorSpec("add", x.channels, x.channels, height=x.height, width=x.width), values
        )

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

    def _append(self, block: str, name: str, spec: OperatorSpec, inputs: list[Value]) -> Value:
        out_h, out_w = spec.out_size
        full_name = f"{block}/{name}"
        output = Value(full_name, spec.c_out, out_h, out_w)
        self.graph.operators.append(Operator(full_name, spec, block, tuple(v.name for v in inputs), output))
        return output
