"""Attention in what a module calls: scores, softmax and the sum of values, however they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hwtickets.modules.calls import Call, Record, Tensed
from hwtickets.modules.shapes import FREE

_SOFTMAX = ("_softmax", "_safe_softmax")
_BETWEEN = (*FREE.free, "add", "mul", "div", "sub", "masked_fill", "where")
_LAYOUT = (*FREE.free, *FREE.ordering, "select", "unbind", "split", "split_with_sizes", "mul")


@dataclass
class Attention:
    """One attention.

    Attributes:
        where: The module that computes it.
        scores: What the softmax runs over; shape (..., heads, queries, keys).
        inputs: Queries, keys and values as they come out of the layers before; once where that is one tensor.
        output: The weighted values.
        absorbed: Calls that are part of it, the one that stands for it excluded.
        after: Calls behind it that lay the heads side by side again.
    """

    where: str
    scores: Tensed
    inputs: list[Tensed]
    output: Tensed
    absorbed: list[Call] = field(default_factory=list)
    after: list[Call] = field(default_factory=list)


def find_attention(record: Record) -> dict[int, Attention]:
    """Every attention, by the identity of the call that sums the values up."""
    maker = {id(tensor): call for call in record.calls for tensor in call.outputs}
    readers: dict[int, list[Call]] = {}
    for call in record.calls:
        for tensor in call.inputs:
            readers.setdefault(id(tensor), []).append(call)
    found = {}
    for call in record.calls:
        if call.name in _SOFTMAX and not call.outputs[0].constant:
            attention = _around(call, maker, readers)
            if attention is not None:
                found[id(attention[0])] = attention[1]
    return found


def _around(
    softmax: Call, maker: Mapping[int, Call], readers: Mapping[int, list[Call]]
) -> tuple[Call, Attention] | None:
    """The product that sums the values up, and the attention that it belongs to."""
    inside = [softmax]
    product = _back(softmax.inputs[0], maker, inside)
    total = _forward(softmax.outputs[0], readers, inside)
    if product is None or total is None:
        return None
    inside.append(product)
    inputs: list[Tensed] = []
    for tensor in (*product.inputs[-2:], total.inputs[-1]):
        source = _source(tensor, maker, inside)
        if source not in inputs:
            inputs.append(source)
    attention = Attention(softmax.where, softmax.inputs[0], inputs, total.outputs[0], inside)
    _side_by_side(attention, readers)
    return total, attention


def _back(tensor: Tensed, maker: Mapping[int, Call], inside: list[Call]) -> Call | None:
    """The product that made the scores, through scales and masks."""
    while id(tensor) in maker:
        call = maker[id(tensor)]
        if call.name in ("bmm", "baddbmm"):
            return call
        varying = [t for t in call.inputs if not t.constant]
        if call.name not in _BETWEEN or len(varying) != 1:
            return None
        inside.append(call)
        tensor = varying[0]
    return None


def _forward(tensor: Tensed, readers: Mapping[int, list[Call]], inside: list[Call]) -> Call | None:
    """The product with the values."""
    while True:
        following = [call for call in readers.get(id(tensor), []) if call.name in ("bmm", *FREE.free)]
        call = next(iter(following), None)
        if call is None:
            return None
        if call.name == "bmm":
            return call
        inside.append(call)
        tensor = call.outputs[0]


def _source(tensor: Tensed, maker: Mapping[int, Call], inside: list[Call]) -> Tensed:
    """What a layer wrote, behind the calls that part it into heads and scale it."""
    while id(tensor) in maker:
        call = maker[id(tensor)]
        varying = [t for t in call.inputs if not t.constant]
        if call.name not in _LAYOUT or len(varying) != 1:
            break
        inside.append(call)
        tensor = varying[0]
    return tensor


def _side_by_side(attention: Attention, readers: Mapping[int, list[Call]]) -> None:
    tensor = attention.output
    while True:
        following = readers.get(id(tensor), [])
        if len(following) != 1 or following[0].name not in (*FREE.free, *FREE.ordering):
            return
        attention.after.append(following[0])
        attention.absorbed.append(following[0])
        tensor = following[0].outputs[0]
