"""How calls that only lay entries out anew carry labels: views, splits, joins, picks."""

from __future__ import annotations

from collections.abc import Callable

from hwtickets.modules import views
from hwtickets.modules.calls import Call, Record
from hwtickets.modules.labels import Field, Ties, off_axes, on_axis
from hwtickets.modules.shapes import axes_in_order

Fields = tuple[Field, ...]
Rule = Callable[[Record, Call], list[Fields]]

_RESHAPES = ("view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "flatten", "_reshape_alias")


def _reshape(record: Record, call: Call) -> list[Fields]:
    (x, *_), (y, *_) = call.inputs, call.outputs
    return [views.reshape(record.ties, x.fields, x.shape, y.shape)]


def _permute(record: Record, call: Call) -> list[Fields]:
    x = call.inputs[0]
    return [views.permute(x.fields, axes_in_order(call, len(x.shape)))]


def _expand(record: Record, call: Call) -> list[Fields]:
    return [views.expand(call.inputs[0].fields, len(call.outputs[0].shape))]


def _repeat(record: Record, call: Call) -> list[Fields]:
    x, y = call.inputs[0], call.outputs[0]
    fields = views.expand(x.fields, len(y.shape))
    for labels in fields:
        for axis, times in enumerate(call.given["repeats"]):
            if times > 1:
                record.ties.freeze(on_axis([labels], axis), "repeated")
    return [fields]


def _select(record: Record, call: Call) -> list[Fields]:
    x = call.inputs[0]
    axis = call.given["dim"] % len(x.shape)
    return [views.select(record.ties, x.fields, axis, call.given["index"])]


def _unbind(record: Record, call: Call) -> list[Fields]:
    x = call.inputs[0]
    axis = call.given["dim"] % len(x.shape)
    return [views.select(record.ties, x.fields, axis, place) for place in range(x.shape[axis])]


def _slice(record: Record, call: Call) -> list[Fields]:
    (x, *_), (y, *_) = call.inputs, call.outputs
    if x.shape == y.shape:
        return [x.fields]
    axis = call.given["dim"] % len(x.shape)
    views.hold_axis(record.ties, x.fields, axis, "sliced at a fixed place")
    start, stop = call.given.get("start") or 0, call.given.get("end")
    place = [slice(None)] * len(x.shape)
    place[axis] = slice(start, stop, call.given.get("step") or 1)
    taken = [labels if labels.shape[axis] == 1 else labels[tuple(place)] for labels in x.fields]
    return [record.ties.settle(taken)]


def _split(record: Record, call: Call) -> list[Fields]:
    x = call.inputs[0]
    axis = call.given.get("dim", 0) % len(x.shape)
    return list(views.split(record.ties, x.fields, axis, [part.shape[axis] for part in call.outputs]))


def _concatenate(record: Record, call: Call) -> list[Fields]:
    y, fields, shapes = call.outputs[0], [t.fields for t in call.inputs], [t.shape for t in call.inputs]
    axis = call.given.get("dim", 0) % len(y.shape)
    if call.name == "stack":
        longer = [(*shape[:axis], 1, *shape[axis:]) for shape in shapes]
        pairs = zip(fields, shapes, longer, strict=True)
        fields = [views.reshape(record.ties, own, old, new) for own, old, new in pairs]
        shapes = longer
    return [views.concatenate(record.ties, fields, shapes, axis)]


def _pad(record: Record, call: Call) -> list[Fields]:
    x = call.inputs[0]
    return [views.pad(record.ties, x.fields, x.shape, call.given["pad"])]


def _index(record: Record, call: Call) -> list[Fields]:
    """Picking by index tensors: the dimensions that are indexed hold, the others move."""
    x, y = call.inputs[0], call.outputs[0]
    indices = call.given["indices"]
    places = [axis for axis, index in enumerate(indices) if index is not None]
    for axis in places:
        views.hold_axis(record.ties, x.fields, axis, "picked by index")
    together = places == list(range(places[0], places[-1] + 1))
    free = [labels for labels in off_axes(x.fields, places) if together]
    first, added = places[0], len(y.shape) - len(x.shape) + len(places)
    moved = [
        labels.reshape(labels.shape[:first] + (1,) * added + labels.shape[places[-1] + 1 :])
        for labels in free
    ]
    return [record.ties.settle(moved)]


def _embedding(record: Record, call: Call) -> list[Fields]:
    weight, y = call.given["weight"], call.outputs[0]
    record.ties.freeze(on_axis(weight.fields, 0), "picked by index")
    return [views.expand([labels[0] for labels in on_axis(weight.fields, 1)], len(y.shape))]


def _pixel_shuffle(record: Record, call: Call) -> list[Fields]:
    (x, *_), (y, *_) = call.inputs, call.outputs
    factor = call.given["upscale_factor"] ** 2
    return [tuple(_blocks(record.ties, labels, factor) for labels in x.fields if y.shape[1] > 1)]


def _blocks(ties: Ties, labels: Field, factor: int) -> Field:
    by_channel = labels.reshape(1, -1, factor)
    ties.tie(by_channel, by_channel[..., :1])
    return by_channel[..., :1].reshape(1, -1, 1, 1)


#: The rule of every call that lays entries out anew.
LAYING: dict[str, Rule] = {
    **dict.fromkeys(_RESHAPES, _reshape),
    **dict.fromkeys(("permute", "transpose", "t"), _permute),
    **dict.fromkeys(("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes"), _split),
    **dict.fromkeys(("cat", "stack"), _concatenate),
    "expand": _expand,
    "repeat": _repeat,
    "select": _select,
    "unbind": _unbind,
    "slice": _slice,
    "constant_pad_nd": _pad,
    "index": _index,
    "embedding": _embedding,
    "pixel_shuffle": _pixel_shuffle,
}
