"""The specs of recorded calls at full widths, and their sizes as functions of what is kept."""

from __future__ import annotations

import math
from dataclasses import replace

from hwtickets.modules.attention import Attention
from hwtickets.modules.calls import Call, Tensed
from hwtickets.modules.forms import Form, Sizes, fixed
from hwtickets.modules.shapes import as_image, image_of, pool_spec
from hwtickets.space.kinds import ROWS
from hwtickets.space.spec import OperatorSpec

#: A spec at full widths, and the forms of its sizes.
Draft = tuple[OperatorSpec, dict[str, Form]]


def convolution(call: Call, sizes: Sizes) -> Draft:
    """A convolution or a transposed one."""
    given = call.given
    x, y, weight = given["input"], call.outputs[0], given["weight"]
    c_in, c_out = sizes.of(x)[1], sizes.of(y)[1]
    spec = OperatorSpec(
        "deconv" if given["transposed"] else "conv", x.shape[1], y.shape[1], groups=given["groups"]
    )
    forms = {"c_in": c_in, "c_out": c_out, "groups": _groups_of(c_in, x.shape[1], given["groups"])}
    taps, places = weight.shape[2:], x.shape[2:]
    if len(taps) > 2:
        return _of_volume(spec, forms, math.prod(taps), math.prod(places), math.prod(y.shape[2:]))
    kernel, kernel_width = as_image(taps)
    height, width = as_image(places)
    sliding = {"kernel": kernel, "stride": given["stride"][0], "dilation": given["dilation"][0]}
    square = kernel == kernel_width
    return replace(
        spec, **sliding, height=height, width=width, kernel_width=0 if square else kernel_width
    ), forms


def _of_volume(spec: OperatorSpec, forms: dict[str, Form], taps: int, places: int, out_places: int) -> Draft:
    """A convolution over three dimensions: as many products in a row, those of a transposed one per input."""
    if spec.kind == "conv":
        return replace(spec, kernel=taps, kernel_width=1, height=out_places), forms
    each = taps // spec.groups
    rows = OperatorSpec("matmul", spec.c_in, spec.c_out * each, height=places)
    return rows, {"c_in": forms["c_in"], "c_out": forms["c_out"].times(each)}


def linear(call: Call, sizes: Sizes) -> Draft:
    """A product of rows with weights."""
    x, y = call.inputs[-2], call.outputs[0]
    kind = "linear" if call.name == "addmm" else "matmul"
    spec = OperatorSpec(kind, x.shape[-1], y.shape[-1], height=math.prod(x.shape[:-1]))
    return spec, {"c_in": sizes.of(x)[-1], "c_out": sizes.of(y)[-1]}


def elementwise(call: Call, kind: str, activation: str, y: Tensed, sizes: Sizes) -> Draft:
    """An operator whose input and output have the channels of its result."""
    channels, height, width = image_of(y, sizes)
    number = channels.full
    spec = OperatorSpec(kind, number, number, height=height, width=width, activation=activation)
    forms = {"c_in": channels, "c_out": channels}
    if kind == "groupnorm":
        groups = call.given["group"]
        return replace(spec, groups=groups), {**forms, "groups": _groups_of(channels, number, groups)}
    return spec, forms


def rows(call: Call, kind: str, sizes: Sizes) -> Draft:
    """An operator over rows of channels."""
    y = call.outputs[0]
    channels = sizes.of(y)[-1]
    spec = OperatorSpec(kind, y.shape[-1], y.shape[-1], height=math.prod(y.shape[:-1]))
    return spec, {"c_in": channels, "c_out": channels}


def batched(call: Call, sizes: Sizes) -> Draft:
    """A product of two computed tensors."""
    one, other = call.inputs[-2:]
    spec = OperatorSpec("product", one.shape[-1], other.shape[-1], groups=one.shape[0], height=one.shape[-2])
    matrices = sizes.of(call.outputs[0])[0]
    return spec, {"c_in": sizes.of(one)[-1], "c_out": sizes.of(other)[-1], "groups": matrices}


def spatial(call: Call, sizes: Sizes) -> Draft | None:
    """A pool, a mean over places or a resize; None where it is neither."""
    spec = pool_spec(call, sizes)
    if spec is None:
        return None
    channels = image_of(call.inputs[0], sizes)[0]
    return spec, {"c_in": channels, "c_out": channels}


def attention(found: Attention, sizes: Sizes) -> Draft:
    """An attention as a whole; windows are sequences of their own."""
    scores = found.scores
    heads = sizes.of(scores)[-3] if len(scores.shape) > 2 else fixed(1)
    windows = math.prod(scores.shape[:-3]) if len(scores.shape) > 3 else 1
    size = sizes.of(found.output)[-1]
    channels = heads.times(size.constant) if not size.terms else size.times(heads.full)
    queries, keys = scores.shape[-2:]
    spec = OperatorSpec(
        "attention",
        channels.full,
        channels.full,
        groups=heads.full,
        height=queries,
        width=windows,
        hidden=0 if keys == queries else keys,
    )
    return spec, {"c_in": channels, "c_out": channels, "groups": heads}


def other(call: Call, sizes: Sizes) -> Draft:
    """An operator that nothing is known of but the sizes of what it reads and writes."""
    x = next(tensor for tensor in call.inputs if not tensor.constant)
    before, height, width = image_of(x, sizes)
    after, out_height, out_width = image_of(call.outputs[0], sizes)
    spec = OperatorSpec("other", before.full, after.full, height=height, width=width)
    return replace(spec, out_height=out_height, out_width=out_width), {"c_in": before, "c_out": after}


def along_channels(call: Call, sizes: Sizes) -> bool:
    """Whether tensors are joined along their channels."""
    y = call.outputs[0]
    axis = call.given.get("dim", 0) % len(y.shape)
    return y.shape[axis] == image_of(y, sizes)[0].full


def written(spec: OperatorSpec, forms: dict[str, Form], y: Tensed, sizes: Sizes) -> tuple[Form, int, int]:
    """Channels, height and width of what an operator writes."""
    if spec.kind == "product":
        return forms["c_out"], math.prod(y.shape[:-1]), 1
    if spec.kind in ROWS:
        return forms["c_out"], spec.height, spec.width
    if spec.kind == "pool":
        return forms["c_out"], 1, 1
    return image_of(y, sizes)


def _groups_of(channels: Form, full: int, groups: int) -> Form:
    """Groups fall with the channels where whole groups go: then channels come in multiples of a group."""
    size = full // groups
    if groups == 1 or not channels.terms or any(k % size for _, k in channels.terms):
        return fixed(groups)
    return channels.over(size) or fixed(groups)
