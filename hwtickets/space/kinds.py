"""What operators of each kind compute and hold: multiply-accumulates, weights, bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwtickets.space.spec import OperatorSpec

Count = Callable[["OperatorSpec"], int]

#: Kinds whose output is one value a channel.
FLAT = ("pool",)
#: Kinds that work on rows of channels (tokens): height is the number of rows, width that of windows.
ROWS = ("linear", "matmul", "product", "attention", "layernorm", "softmax")


def _convolution_macs(spec: OperatorSpec) -> int:
    out_h, out_w = spec.out_size
    return _taps(spec) * spec.c_out * out_h * out_w


def _transposed_macs(spec: OperatorSpec) -> int:
    return _taps(spec) * spec.c_out * spec.height * spec.width


def _rows_macs(spec: OperatorSpec) -> int:
    return spec.c_in * spec.c_out * spec.height * spec.width


def _product_macs(spec: OperatorSpec) -> int:
    return spec.groups * spec.c_in * spec.c_out * spec.height


def _attention_macs(spec: OperatorSpec) -> int:
    return 2 * spec.width * spec.height * (spec.hidden or spec.height) * spec.c_in


def _taps(spec: OperatorSpec) -> int:
    """Inputs of one output value."""
    return spec.c_in // spec.groups * spec.kernel * (spec.kernel_width or spec.kernel)


def _convolution_params(spec: OperatorSpec) -> int:
    return _taps(spec) * spec.c_out + spec.c_out


def _norm_params(spec: OperatorSpec) -> int:
    return 2 * spec.c_in


def _attention_values(spec: OperatorSpec) -> int:
    """Queries, keys, values and result, and the scores written and read between them."""
    keys = spec.hidden or spec.height
    scores = spec.groups * spec.height * keys
    return spec.width * (2 * spec.c_in * (spec.height + keys) + 2 * scores)


def _product_values(spec: OperatorSpec) -> int:
    rows, inner, columns = spec.height, spec.c_in, spec.c_out
    return spec.groups * (rows * inner + inner * columns + rows * columns)


#: Multiply-accumulates by kind; kinds that are not here have none.
MACS: dict[str, Count] = {
    "conv": _convolution_macs,
    "deconv": _transposed_macs,
    "linear": _rows_macs,
    "matmul": _rows_macs,
    "product": _product_macs,
    "attention": _attention_macs,
}
#: Weights and biases by kind; kinds that are not here have none.
PARAMS: dict[str, Count] = {
    "conv": _convolution_params,
    "deconv": _convolution_params,
    "linear": lambda spec: spec.c_in * spec.c_out + spec.c_out,
    "matmul": lambda spec: spec.c_in * spec.c_out,
    "layernorm": _norm_params,
    "groupnorm": _norm_params,
    "batchnorm": _norm_params,
}
#: Values read and written besides the weights, where input and output do not say it.
VALUES: dict[str, Count] = {"attention": _attention_values, "product": _product_values}
