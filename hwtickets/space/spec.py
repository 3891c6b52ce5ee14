"""Operators as a runtime executes them: batch norm folded, activation and add fused."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from hwtickets.space.kinds import FLAT, MACS, PARAMS, ROWS, VALUES

_LATER = ("out_height", "out_width", "kernel_width")


@dataclass(frozen=True, repr=False)
class OperatorSpec:
    """What a latency table is keyed by: one fused operator, or a block timed as one; its shapes, batch 1.

    A graph holds no operator that does nothing: a branch of width 0 is not described, and an identity is the
    name of its input. So there are no dead operators to be dropped for compiled runtimes.

    Attributes:
        kind: Of images "conv", "deconv" (transposed), "batchnorm" (one that folds into nothing), "groupnorm",
            "maxpool", "avgpool", "pool" (global average), "resize" (bilinear) and "nearest" (a resize that
            repeats pixels). Of rows of channels, which are tokens: "linear" (weights and bias), "matmul"
            (weights alone), "product" (of two tensors), "attention", "softmax", "layernorm". Of both:
            "add", "mul", "concat", "relu", "activation" (its name is in `activation`), "copy" (moves data)
            and "other" (priced by its bytes). Also blocks (`hwtickets.space.blocks`).
        c_in: Input channels (for "concat", "add", "mul" and "copy": the channels of the result).
        c_out: Output channels.
        kernel: Side of the square kernel, in pixels; 1 where it has no meaning.
        stride: Stride, in pixels.
        groups: Groups of the convolution or norm, equal to `c_in` for a depthwise one; heads of an attention;
            matrices of a "product".
        height: Input height, in pixels; rows of tokens.
        width: Input width, in pixels; windows (or sequences) of tokens.
        activation: "relu", "relu6", "hswish", ... or "none", fused into the operator.
        residual: Whether another tensor of the output's shape is added in the same operator.
        hidden: Channels inside a block; rows of an attention's keys where they are not those of its queries;
            else 0.
        dilation: Distance of the kernel's taps, in pixels.
        out_height: Output height, in pixels, where the stride does not give it; else 0.
        out_width: The same of the width.
        kernel_width: Width of a kernel that is not square, in pixels; else 0.
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
    kernel_width: int = 0

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
        """Output height and width, in pixels ("same" padding of odd kernels); rows and windows of tokens."""
        if self.kind in FLAT:
            return 1, 1
        if self.out_height:
            return self.out_height, self.out_width
        if self.kind in ROWS:
            return self.height, self.width
        return -(-self.height // self.stride), -(-self.width // self.stride)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and matrix products; 0 for everything else."""
        count = MACS.get(self.kind)
        if count is not None:
            return count(self)
        return sum(part.macs for part in self.parts if part is not self)

    @property
    def params(self) -> int:
        """Weights and biases of the deployed operator."""
        if self.kind == "transformer":
            # A learned query for each token, besides what its layers hold.
            return self.c_in * self.height * self.width + sum(part.params for part in self.parts)
        count = PARAMS.get(self.kind)
        if count is not None:
            return count(self)
        return sum(part.params for part in self.parts if part is not self)

    @property
    def bytes_moved(self) -> int:
        """Bytes read and written once each in fp32: inputs, weights, outputs; in a block by every part."""
        parts = self.parts
        if len(parts) > 1:
            return sum(part.bytes_moved for part in parts)
        if self.kind in VALUES:
            return 4 * VALUES[self.kind](self)
        out_h, out_w = self.out_size
        outputs = self.c_out * out_h * out_w
        return 4 * (
            self.c_in * self.height * self.width + self.params + outputs * (2 if self.residual else 1)
        )


def sized(spec: OperatorSpec, height: int, width: int) -> OperatorSpec:
    """The operator with an output size in pixels, written only where it does not follow from the stride."""
    plain = replace(spec, out_height=0, out_width=0)
    if plain.out_size == (height, width):
        return plain
    return replace(spec, out_height=height, out_width=width)
