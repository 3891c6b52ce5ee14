"""Operators as a runtime executes them: batch norm folded, activation and add fused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

_PRODUCTS = ("conv", "linear", "matmul")
_LATER = ("out_height", "out_width")


@dataclass(frozen=True, repr=False)
class OperatorSpec:
    """What a latency table is keyed by: one fused operator, or a block timed as one; its shapes, batch 1.

    A graph holds no operator that does nothing: a branch of width 0 is not described, and an identity is the
    name of its input. So there are no dead operators to be dropped for compiled runtimes.

    Attributes:
        kind: "conv", "add", "concat", "pool" (global average), "linear", "relu", "resize" (bilinear) or
            "nearest" (a resize that repeats pixels), "transformer" (over channels that are tokens); inside
            of that "matmul" (of `height` rows with weights), "attention" (among `height` rows) and
            "layernorm"; in tables of others also a block (`hwtickets.space.blocks`) or an operator without
            weights, e.g. "avgpool".
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
        out_height: Output height, in pixels, where the stride does not give it; else 0.
        out_width: The same of the width.
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
    out_height: int = 0
    out_width: int = 0

    def __repr__(self) -> str:
        # Names of tables are hashes of this text: fields that came later are left out where they say nothing.
        shown = [
            f"{column.name}={getattr(self, column.name)!r}"
            for column in fields(self)
            if column.name not in _LATER or getattr(self, column.name) != column.default
        ]
        return f"OperatorSpec({', '.join(shown)})"

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
        if self.out_height:
            return self.out_height, self.out_width
        return -(-self.height // self.stride), -(-self.width // self.stride)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and matrix products; 0 for everything else."""
        if self.kind == "attention":
            return 2 * self.height * self.height * self.c_in
        if self.kind not in _PRODUCTS:
            return sum(part.macs for part in self.parts if part is not self)
        out_h, out_w = self.out_size
        return self.c_in // self.groups * self.c_out * self.kernel**2 * out_h * out_w

    @property
    def params(self) -> int:
        """Weights and biases of the deployed operator."""
        if self.kind in _OWN_PARAMS:
            return _OWN_PARAMS[self.kind](self)
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


def _queries_and_parts(spec: OperatorSpec) -> int:
    """A learned query for each token, and what its layers hold."""
    return spec.c_in * spec.height * spec.width + sum(part.params for part in spec.parts)


_OWN_PARAMS: dict[str, Callable[[OperatorSpec], int]] = {
    "layernorm": lambda spec: 2 * spec.c_in,
    "matmul": lambda spec: spec.c_in * spec.c_out,
    "transformer": _queries_and_parts,
}
