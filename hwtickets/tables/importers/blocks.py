"""Blocks of several convolutions that others timed as one, as operators of a table."""

from __future__ import annotations

from hwtickets.space.operators import OperatorSpec


def inverted_residual(
    c_in: int,
    hidden: int,
    c_out: int,
    kernel: int,
    stride: int,
    height: int,
    width: int,
    activation: str = "relu",
    groups: int = 1,
    squeeze: bool = False,
    residual: bool = False,
) -> OperatorSpec:
    """An expansion to `hidden` channels, a depthwise convolution and a projection.

    Args:
        c_in: Input channels.
        hidden: Channels after the expansion; 0: there is none.
        c_out: Output channels.
        kernel: Of the depthwise convolution.
        stride: Of the depthwise convolution.
        height: Of the input, in pixels.
        width: Of the input, in pixels.
        activation: After expansion and depthwise convolution.
        groups: Of expansion and projection.
        squeeze: Whether the block has squeeze-and-excite.
        residual: Whether the input is added to the result.
    """
    return OperatorSpec(
        "mbconv-se" if squeeze else "mbconv",
        c_in,
        c_out,
        kernel,
        stride,
        groups,
        height,
        width,
        activation,
        residual=residual,
        hidden=hidden,
    )
