"""Small questions about recorded calls: what is free, what is an image, what slides."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hwtickets.modules.calls import Call, Tensed
from hwtickets.modules.forms import Form, Sizes
from hwtickets.modules.labels import axes_of
from hwtickets.space.spec import OperatorSpec, sized


@dataclass(frozen=True)
class Views:
    """Calls that compute nothing.

    Attributes:
        free: Those that a runtime does not execute.
        ordering: Those that move data only if dimensions longer than one change places.
        moving: Those that move data.
    """

    free: tuple[str, ...]
    ordering: tuple[str, ...]
    moving: tuple[str, ...]


FREE = Views(
    free=(
        "view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "flatten", "_reshape_alias", "clone",
        "_to_copy", "contiguous", "alias", "detach", "lift_fresh", "dropout", "native_dropout", "expand",
    ),
    ordering=("permute", "transpose", "t"),
    moving=(
        "permute", "transpose", "t", "slice", "select", "split", "split_with_sizes", "unsafe_split",
        "unbind", "roll", "flip", "index", "index_select", "constant_pad_nd", "stack", "repeat",
        "pixel_shuffle", "copy", "gather",
    ),
)  # fmt: skip


def _gelu(call: Call) -> str:
    return "gelu_tanh" if call.given.get("approximate") == "tanh" else "gelu"


def _clipped(call: Call) -> str:
    return "relu6" if (call.given.get("min_val"), call.given.get("max_val")) == (0, 6) else "relu"


def _named(name: str) -> Callable[[Call], str]:
    return lambda _: name


#: Names of activations by call.
ACTIVATIONS: dict[str, Callable[[Call], str]] = {
    **{name: _named(name) for name in ("relu", "sigmoid", "tanh", "silu", "mish", "softplus", "selu", "elu")},
    "hardswish": _named("hswish"),
    "hardsigmoid": _named("hardsigmoid"),
    "leaky_relu": _named("leakyrelu"),
    "prelu": _named("prelu"),
    "_prelu_kernel": _named("prelu"),
    "relu6": _named("relu6"),
    "hardtanh": _clipped,
    "clamp": _clipped,
    "clamp_min": _named("relu"),
    "gelu": _gelu,
}


def is_free(call: Call) -> bool:
    """Whether a runtime does not execute a call."""
    if call.name in FREE.free:
        return True
    x = next(iter(call.inputs), None)
    if call.name == "slice" and x is not None:
        return x.shape == call.outputs[0].shape
    return call.name in FREE.ordering and x is not None and not _reorders(call, x)


def axes_in_order(call: Call, dims: int) -> list[int]:
    """The axes of the input of a permutation or transposition, in the order of its output."""
    order = list(range(dims))
    if call.name == "permute":
        return [axis % dims for axis in call.given["dims"]]
    if dims > 1:
        one, other = (0, 1) if call.name == "t" else (call.given["dim0"] % dims, call.given["dim1"] % dims)
        order[one], order[other] = order[other], order[one]
    return order


def _reorders(call: Call, x: Tensed) -> bool:
    order = axes_in_order(call, len(x.shape))
    long = [axis for axis in order if x.shape[axis] > 1]
    return long != sorted(long)


def image_of(tensor: Tensed, sizes: Sizes) -> tuple[Form, int, int]:
    """A tensor as channels, height and width: (1, C, H, W) as it is, others in rows of channels."""
    dims = len(tensor.shape)
    if dims < 2:
        return sizes.of(tensor)[0] if dims else sizes.of(Tensed((1,)))[0], 1, 1
    labelled = [axes_of(labels)[0] for labels in tensor.fields if len(axes_of(labels)) == 1]
    axis = labelled[-1] if labelled else 1 if dims == 4 or dims == 2 else dims - 1
    channels = sizes.of(tensor)[axis]
    if axis == 1 and dims == 4:
        return channels, tensor.shape[2], tensor.shape[3]
    return channels, math.prod(tensor.shape) // tensor.shape[axis], 1


def as_image(sides: Sequence[int]) -> tuple[int, int]:
    """Height and width of places or of a kernel; places in a row lie below one another."""
    return (sides[0], 1) if len(sides) == 1 else (sides[0], sides[1])


def pool_spec(call: Call, sizes: Sizes) -> OperatorSpec | None:
    """The spec of a pool, a mean over places, or a resize; None where it is neither."""
    x, y = call.inputs[0], call.outputs[0]
    channels, height, width = image_of(x, sizes)
    number = channels.full
    if call.name == "mean":
        kept = math.prod(y.shape)
        return OperatorSpec("pool", number, number, height=height, width=width) if kept == number else None
    if len(x.shape) != 4:
        return None
    if "upsample" in call.name:
        kind = "nearest" if "nearest" in call.name else "resize"
        return sized(OperatorSpec(kind, number, number, height=height, width=width), *y.shape[2:])
    window = call.given.get("kernel_size") or [-(-height // y.shape[2])]
    stride = (call.given.get("stride") or window)[0]
    kernel, kernel_width = as_image(window) if len(window) > 1 else (window[0], window[0])
    kind = "maxpool" if "max" in call.name else "avgpool"
    spec = OperatorSpec(kind, number, number, kernel, stride, height=height, width=width)
    spec = replace(spec, kernel_width=0 if kernel == kernel_width else kernel_width)
    return sized(spec, *y.shape[2:])
