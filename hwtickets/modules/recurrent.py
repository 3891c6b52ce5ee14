"""Recurrent layers of torch (LSTM, GRU, RNN) as one call each: which channels go together, what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from torch import nn

from hwtickets.modules.calls import Call, Record, Tensed
from hwtickets.modules.forms import Form, Sizes
from hwtickets.modules.labels import Field, Ties, along, on_axis, row_of
from hwtickets.space.spec import OperatorSpec

#: An operator of the deployed graph: what it reads, its spec, the forms of its sizes, what it writes.
Part = tuple[Call, OperatorSpec, dict[str, Form], Tensed]


def given_of(layer: nn.RNNBase, x: Any, state: Any, weights: dict[str, Tensed]) -> dict[str, Any]:
    """Arguments of the call of a recurrent layer.

    Args:
        layer: The layer.
        x: What it reads, recorded.
        state: The state that it is given to begin with, recorded; None for zeros.
        weights: Its parameters by name, recorded.
    """
    sides = ["", "_reverse"] if layer.bidirectional else [""]
    return {
        "input": x,
        "state": state,
        "weights": weights,
        "places": [f"l{depth}{side}" for depth, side in product(range(layer.num_layers), sides)],
        "sides": len(sides),
        "projected": layer.proj_size > 0,
    }


def carry_recurrent(record: Record, call: Call) -> list[tuple[Field, ...]]:
    """Labels of what a recurrent layer returns.

    A hidden channel is its rows of all gates, its column of the weights from one step to the next, and what
    is read of it: in all layers and directions, as torch keeps one size for all of them.
    """
    given, ties = call.given, record.ties
    weights = {name: tensor.fields for name, tensor in given["weights"].items()}
    if given["projected"] or given["state"] is not None:
        ties.freeze([field for fields in weights.values() for field in fields], _reason(given))
        ties.freeze(given["input"].fields, _reason(given))
        record.producers.append((call.where, weights["weight_hh_l0"][0].ravel()))
        return []
    first = weights["weight_hh_l0"]
    hidden = first[1].ravel() if len(first) == 2 else None
    if hidden is None:
        return []
    taken = given["input"].fields
    for place in given["places"]:
        if place.startswith("l0"):
            _read(ties, taken, on_axis(weights[f"weight_ih_{place}"], 1))
        else:
            wide = np.tile(hidden, given["sides"])[None]
            ties.tie(wide, on_axis(weights[f"weight_ih_{place}"], 1)[0])
        ties.tie(hidden[None], on_axis(weights[f"weight_hh_{place}"], 1)[0])
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            for rows in on_axis(weights.get(f"{name}_{place}", ()), 0):
                by_gate = rows.reshape(-1, len(hidden))
                ties.tie(by_gate, hidden[None])
                record.producers.append((call.where, by_gate[0]))
    record.weights |= {given["weights"][name].parameter: True for name in weights if "weight" in name}
    returned = [np.tile(hidden, given["sides"]), *[hidden] * (len(call.outputs) - 1)]
    return [
        (along(row, len(tensor.shape) - 1, len(tensor.shape)),)
        for row, tensor in zip(returned, call.outputs, strict=True)
    ]


def _reason(given: dict[str, Any]) -> str:
    if given["projected"]:
        return "a recurrent layer with a projection"
    return "a recurrent layer whose first state is given"


def _read(ties: Ties, taken: tuple[Field, ...], columns: list[Field]) -> None:
    """What the first layer reads is what its columns stand for."""
    last = taken[0].ndim - 1 if taken else 0
    row = row_of(taken, last)
    ties.freeze(
        [field for field in taken if row is None or field.shape[last] == 1], "a recurrent layer runs over it"
    )
    if row is not None and columns:
        ties.tie(row[None], columns[0])
    elif columns:
        ties.freeze(columns, "multiplied by a tensor of a fixed size")


def operators(call: Call, sizes: Sizes) -> Iterator[Part]:
    """The products of a recurrent layer, two a layer and direction: with what it reads, and step by step.

    Runtimes run the layer as one operator. Its work is that of the two products; that steps wait for one
    another is not in their price, so the calibration of a table on whole networks has to tell.
    """
    x, y, given = call.inputs[0], call.outputs[0], call.given
    rows = int(np.prod(x.shape[:-1]))
    hidden = sizes.of(y)[-1].over(given["sides"])
    assert hidden is not None
    gates = given["weights"]["weight_hh_l0"].shape[0] // hidden.full
    read, wide = x, sizes.of(x)[-1]
    for depth in range(len(given["places"]) // given["sides"]):
        last = (depth + 1) * given["sides"] == len(given["places"])
        written: list[Tensed] = []
        for _ in range(given["sides"]):
            inner = Tensed((rows, gates * hidden.full))
            single = last and given["sides"] == 1
            step = y if single else Tensed((rows, hidden.full))
            yield _product(call, read, inner, wide, hidden.times(gates))
            yield _product(call, inner, step, hidden.times(gates), hidden)
            written.append(step)
        read, wide = written[0], hidden.times(given["sides"])
        if given["sides"] > 1:
            read = y if last else Tensed((rows, wide.full))
            spec = OperatorSpec("concat", wide.full, wide.full, height=rows)
            joined = Call(call.name, call.where, {}, [read], written)
            yield joined, spec, {"c_in": wide, "c_out": wide}, read


def _product(call: Call, x: Tensed, y: Tensed, c_in: Form, c_out: Form) -> Part:
    spec = OperatorSpec("linear", c_in.full, c_out.full, height=int(np.prod(y.shape[:-1])))
    return Call(call.name, call.where, {}, [y], [x]), spec, {"c_in": c_in, "c_out": c_out}, y
