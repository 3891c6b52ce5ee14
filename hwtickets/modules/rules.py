"""How every known operation carries labels from its inputs to its outputs; unknown ones hold all channels."""

from __future__ import annotations

from hwtickets.modules import layers, views
from hwtickets.modules.calls import RECURRENT, Call, Record, Tensed
from hwtickets.modules.labels import Field, axes_of, off_axes, on_axis
from hwtickets.modules.recurrent import carry_recurrent
from hwtickets.modules.view_rules import LAYING, Fields, Rule

_COPIES = ("clone", "_to_copy", "contiguous", "alias", "detach", "lift_fresh", "dropout", "native_dropout")
_PLACES = (
    "max_pool2d_with_indices", "max_pool2d", "avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d",
    "avg_pool1d", "max_pool1d", "adaptive_avg_pool1d", "reflection_pad1d", "reflection_pad2d",
    "replication_pad1d", "replication_pad2d", "upsample_nearest1d", "upsample_nearest2d",
    "_upsample_nearest_exact2d", "upsample_linear1d", "upsample_bilinear2d", "_upsample_bilinear2d_aa",
    "upsample_bicubic2d",
)  # fmt: skip
#: Pointwise operations that torch does not tag as such.
_UNTAGGED = (
    "hardswish",
    "hardsigmoid",
    "hardtanh",
    "mish",
    "celu",
    "softshrink",
    "prelu",
    "_prelu_kernel",
    "logit",
)
_SUMS = ("sum", "linalg_vector_norm", "norm")
_STATISTICS = ("mean", "amax", "amin", "max", "min", "var", "std", "var_mean", "prod", "argmax", "argmin")
_ORDERS = (
    "roll",
    "flip",
    "sort",
    "topk",
    "cumsum",
    "_softmax",
    "_log_softmax",
    "_safe_softmax",
    "index_select",
    "gather",
)


def carry(record: Record, call: Call) -> None:
    """Writes the labels of a call's outputs."""
    rule = RULES.get(call.name) or (_pointwise if call.pointwise or call.name in _UNTAGGED else None)
    if rule is None and not call.inputs:
        rule = _factory
    found = rule(record, call) if rule else _unknown(record, call)
    for tensor, fields in zip(call.outputs, found, strict=False):
        tensor.fields = fields
    if call.weight is not None:
        record.produced(call, call.weight)


def _unknown(record: Record, call: Call) -> list[Fields]:
    for tensor in call.inputs:
        record.ties.freeze(tensor.fields, f"runs through {call.name}, whose channels are not followed")
    return []


def _factory(record: Record, call: Call) -> list[Fields]:
    """Tensors made on the spot take the size that the code gives them: the trial sees whether that fits."""
    return [record.ties.fresh(tensor.shape) for tensor in call.outputs]


def _pointwise(record: Record, call: Call) -> list[Fields]:
    fields = [tensor.fields for tensor in call.inputs]
    return [views.elementwise(record.ties, fields, [t.shape for t in call.inputs])] * len(call.outputs)


def _same(record: Record, call: Call) -> list[Fields]:
    return [call.inputs[0].fields] * len(call.outputs)


def _places(record: Record, call: Call) -> list[Fields]:
    """Pools and resizes over the dimensions behind the channels."""
    x = call.inputs[0]
    first = x.laid.dims - (2 if "2d" in call.name else 1)
    moved = [labels for axis in range(first, x.laid.dims) for labels in on_axis(x.fields, axis)]
    record.ties.freeze(moved, "a window slides over it")
    return [tuple(off_axes(x.fields, range(first, x.laid.dims)))] * len(call.outputs)


def _axes(call: Call, x: Tensed) -> list[int]:
    given = call.given.get("dim", call.given.get("dims"))
    if given is None or given == []:
        return list(range(len(x.shape)))
    return [axis % len(x.shape) for axis in ([given] if isinstance(given, int) else given)]


def _reduced(call: Call, fields: list[Field], axes: list[int]) -> list[Fields]:
    """Labels after some dimensions were summed away."""
    if call.given.get("keepdim"):
        return [tuple(fields)] * len(call.outputs)
    return [tuple(labels.squeeze(tuple(axes)) for labels in fields)] * len(call.outputs)


def _sum(record: Record, call: Call) -> list[Fields]:
    x = call.inputs[0]
    axes = _axes(call, x)
    kept = []
    for labels in x.fields:
        summed = [axis for axis in axes if labels.shape[axis] > 1]
        rest = labels
        for axis in summed:
            rest = rest.take([0], axis)
        if summed and rest.size > 1:
            record.ties.tie(labels, rest)
        if rest.size > 1:
            kept.append(rest)
    return _reduced(call, kept, axes)


def _statistic(record: Record, call: Call) -> list[Fields]:
    x = call.inputs[0]
    axes = _axes(call, x)
    mixed = [labels for axis in axes for labels in on_axis(x.fields, axis)]
    record.ties.freeze(mixed, f"{call.name} runs over these channels")
    return _reduced(call, off_axes(x.fields, axes), axes)


def _order(record: Record, call: Call) -> list[Fields]:
    """Operations along a dimension that depend on its order or on all of its entries."""
    x = call.inputs[0]
    axes = _axes(call, x)
    mixed = [labels for axis in axes for labels in on_axis(x.fields, axis)]
    record.ties.freeze(mixed, f"{call.name.strip('_')} runs over these channels")
    return [tuple(off_axes(x.fields, axes))] * len(call.outputs)


def _convolution(record: Record, call: Call) -> list[Fields]:
    given = call.given
    bias = given["bias"].laid if given.get("bias") else None
    return [
        layers.convolution(
            record.ties, given["input"].laid, given["weight"].laid, bias, given["transposed"], given["groups"]
        )
    ]


def _product(record: Record, call: Call) -> list[Fields]:
    one, other = call.inputs[-2].laid, call.inputs[-1].laid
    fields = layers.product(record.ties, one, other)
    if len(call.inputs) == 2:
        return [fields]
    bias, y = call.inputs[0], call.outputs[0]
    return [views.elementwise(record.ties, [fields, bias.fields], [y.shape, bias.shape])]


def _batch_norm(record: Record, call: Call) -> list[Fields]:
    x, *others = call.inputs
    over_places = bool(call.given.get("training")) or call.name == "instance_norm"
    if x.constant:
        standardised = "its weights are standardised, so without one of its inputs all of them change"
        record.ties.freeze([labels for labels in x.fields if axes_of(labels) != [1]], standardised)
    fields = layers.channel_norm(record.ties, x.laid, [other.laid for other in others], over_places)
    return [fields]


def _layer_norm(record: Record, call: Call) -> list[Fields]:
    x, *others = call.inputs
    length = len(call.given["normalized_shape"])
    return [layers.layer_norm(record.ties, x.laid, [other.laid for other in others], length)]


def _group_norm(record: Record, call: Call) -> list[Fields]:
    x, *others = call.inputs
    return [layers.group_norm(record.ties, x.laid, [other.laid for other in others], call.given["group"])]


#: The rule of every known call that is not pointwise.
RULES: dict[str, Rule] = {
    **LAYING,
    **dict.fromkeys(_COPIES, _same),
    **dict.fromkeys(_PLACES, _places),
    **dict.fromkeys(_SUMS, _sum),
    **dict.fromkeys(_STATISTICS, _statistic),
    **dict.fromkeys(_ORDERS, _order),
    **dict.fromkeys(("convolution", "_convolution"), _convolution),
    **dict.fromkeys(("mm", "bmm", "addmm", "baddbmm"), _product),
    **dict.fromkeys(
        ("native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm"), _batch_norm
    ),
    **dict.fromkeys(("new_zeros", "new_empty", "new_full", "new_ones"), _factory),
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    RECURRENT: carry_recurrent,
}
